//! `forebay agent` alone: the same agent in a program of a third of the size, so that less of it is resident. `forebay agent`
//! becomes this one if it stands beside it.

#![cfg_attr(test, allow(clippy::unwrap_used))]

#[path = "../agent/mod.rs"]
mod agent;
#[path = "../log.rs"]
mod log;

use agent::AgentArgs;
use clap::Parser;
use std::process::ExitCode;

/// Stand beside an application and hold it to a number of concurrent requests.
#[derive(Parser, Debug)]
#[command(name = "forebay-agent", version)]
struct Cli {
    /// What to log, as `level` or `crate=level,...` [default: what RUST_LOG says, or info].
    /// A level alone is for the agent's own lines; libraries speak where they are named, as in `info,h2=warn`
    #[arg(long, env = "FOREBAY_LOG", value_name = "FILTER")]
    log: Option<String>,
    #[command(flatten)]
    args: AgentArgs,
}

fn main() -> ExitCode {
    let done = agent::resumed(log::start).unwrap_or_else(|| {
        let Cli { log, args } = Cli::parse();
        let filter = log.unwrap_or_else(agent::default_filter);
        log::start(&filter);
        agent::run(&args, filter)
    });
    let code = done.unwrap_or_else(|error| {
        log::say(format_args!("forebay-agent: {error:#}"));
        ExitCode::FAILURE
    });
    log::finish();
    code
}
