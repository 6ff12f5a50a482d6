//! `forebay check`: reports what `forebay up` would do.

use clap::{Args, ValueEnum};
use forebay_process::out;
use forebay_server::UpArgs;
use forebay_server::checks::{Level, check};
use serde_json::json;
use std::process::ExitCode;

/// The format of findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// One line per finding.
    Text,
    /// One JSON document.
    Json,
}

/// Flags of `forebay check`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "\
Prints a line for each finding: ok, warning or error. With an error `forebay up` would not start, and this exits with 1; with a warning it
would start, but something would be wrong. Nothing is changed: free addresses are bound for a moment. Run it as the user that Forebay runs as.

Examples:
  forebay check --data-dir /var/lib/forebay --expose eth0
  forebay check --take-over                         before an upgrade: whether Forebay runs and can be taken over
  forebay check --strict --output json              for scripts: exits with 1 on warnings as well")]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    up: UpArgs,
    /// Exit with 1 on warnings as well
    #[arg(long)]
    strict: bool,
    /// Format of findings
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
