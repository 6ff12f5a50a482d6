//! `forebay check`: finds out what `forebay up` would do with the same flags, without changing anything. Sockets are bound
//! for a moment, but none that is in use.
//!
//! In reading order: `findings` (the result), `directory` (data directory, store, keys), `places` and `sockets`
//! (addresses), `machine` (limits, memory, certificates), `instances`, `functions`.

mod directory;
mod findings;
mod functions;
mod instances;
mod machine;
mod places;
mod sockets;

pub use findings::{Finding, Level, Report};

use crate::backup::RunningProcess;
use crate::flags::UpArgs;
use crate::parts::{claim, configured};
use clap::Args as _;
use forebay_control::State;

/// Checks everything that a start needs.
pub fn check(args: &UpArgs) -> Report {
    let mut report = Report::default();
    flags(args, &mut report);
    directory::look(args, &mut report);
    let (running, kept) = directory::store(args, &mut report);
    directory::credentials(args, &mut report);
    let exposed = places::exposed(args, &mut report);
    let state = exposed
        .is_some()
        .then(|| state(args, kept, running.as_ref(), &mut report))
        .flatten();
    doors(args, running.as_ref(), &mut report);
    machine::memory(args, &mut report);
    if let Some(state) = &state {
        places::pool(state, running.as_ref(), &mut report);
        let exposed = exposed.unwrap_or_default();
        let sockets = places::listeners(args, state, &exposed, running.as_ref(), &mut report);
        machine::open_files(args, sockets, &mut report);
        machine::certificates(state, &mut report);
        instances::look(args, state, &mut report);
        functions::look(args, state, &mut report);
    }
    report
}

fn flags(args: &UpArgs, report: &mut Report) {
    if let Err(error) = args.check() {
        return report.error("flags", format!("{error:#}"));
    }
    let command = UpArgs::augment_args(clap::Command::new("up"));
    let mut names: Vec<String> = command
        .get_arguments()
        .filter_map(clap::Arg::get_env)
        .filter(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    names.sort_unstable();
    let from = if names.is_empty() {
        String::new()
    } else {
        format!(
            "; from the environment, where no flag overrides it: {}",
            names.join(", ")
        )
    };
    report.ok(
        "flags",
        format!(
            "APIs at {}, metrics and health at {}, region {}, domain {}{from}",
            args.api, args.admin, args.region, args.domain
        ),
    );
}

/// The initial state, stored or fresh, with a check that its pools can be claimed.
fn state(
    args: &UpArgs,
    kept: Result<Option<State>, ()>,
    running: Option<&RunningProcess>,
    report: &mut Report,
) -> Option<State> {
    let configured = configured(args, kept.ok()?).and_then(|state| {
        // Claimed for a moment, as a start would.
        drop(claim(args, &state, running.map(|running| running.process))?);
        Ok(state)
    });
    match configured {
        Ok(state) => Some(state),
        Err(error) => {
            report.error("address pool", format!("{error:#}"));
            None
        }
    }
}

/// Checks the addresses of the APIs and of the admin pages.
fn doors(args: &UpArgs, running: Option<&RunningProcess>, report: &mut Report) {
    if args.api == args.admin && args.api.port() != 0 {
        report.error(
            "ports",
            format!(
                "--api and --admin are both {}: choose another for one of them",
                args.api
            ),
        );
    }
    let doors = [
        ("--api", args.api, running.map(|running| running.api)),
        ("--admin", args.admin, running.map(|running| running.admin)),
    ];
    for (flag, address, theirs) in doors {
        if theirs == Some(address) {
            report.ok(
                "ports",
                format!("{flag} {address} is served by the running Forebay, which hands it over"),
            );
            continue;
        }
        match sockets::bind(address) {
            Ok(()) => report.ok("ports", format!("{flag} {address} is free")),
            Err(error) => {
                let why = sockets::why(&error, address);
                report.error(
                    "ports",
                    format!("{flag} {address}: {why}. Choose another {flag}, such as 127.0.0.1:0"),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests;
