//! `forebay check`.

use clap::{Args, ValueEnum};
use forebay_process::out;
use forebay_server::UpArgs;
use forebay_server::checks::{Level, check};
use serde_json::json;
use std::process::ExitCode;

/// How findings are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// A line for each.
    Text,
    /// One JSON document.
    Json,
}

/// Flags of `forebay check`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "\
A line for each finding: ok, warning or error. With an error `forebay up` would not start, and this ends with 1; with a warning it would, and
something would not be as it should. Nothing is changed: addresses are bound for a moment, those in use not at all. Be the user that Forebay runs as.

Examples:
  forebay check --data-dir /var/lib/forebay --expose eth0
  forebay check --take-over                         before an upgrade: does it run, and could it be taken over from
  forebay check --strict --output json              for scripts: 1 if there is a warning, too")]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    up: UpArgs,
    /// End with 1 if there is a warning, too
    #[arg(long)]
    strict: bool,
    /// How findings are printed
    #[arg(long, value_enum, default_value_t = Output::Text, value_name = "text|json")]
    output: Output,
}

pub(crate) fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let report = check(&args.up);
    let starts = report.worst() < Level::Error;
    match args.output {
        Output::Text => {
            for finding in &report.findings {
                out::line(format_args!(
                    "{:<7}  {:<17}  {}",
                    finding.level.word(),
                    finding.about,
                    finding.text
                ))?;
            }
            out::line(format_args!(
                "forebay up would {}start",
                if starts { "" } else { "not " }
            ))?;
        }
        Output::Json => {
            let findings: Vec<_> = report
                .findings
                .iter()
                .map(|finding| json!({"level": finding.level.word(), "about": finding.about, "text": finding.text}))
                .collect();
            out::line(format_args!(
                "{:#}",
                json!({"starts": starts, "findings": findings})
            ))?;
        }
    }
    let most = if args.strict { Level::Ok } else { Level::Warning };
    Ok(if report.worst() <= most {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
