//! The `forebay` program: its command line, and the wiring of the house. Decides nothing else.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod agent;
mod args;
mod demo;
mod experiment;
mod house;
mod keys;
mod load;
mod made;
mod sample;
mod signed;
mod top;
mod up;

use args::{Cli, Command};
use clap::Parser as _;
use std::io::Write as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(done) = agent::resumed(start_small_log) {
        return ended(done);
    }
    let cli = Cli::parse();
    let filter = cli.filter();
    start_log(&filter);
    ended(match cli.command {
        Command::Up(args) => up::run(*args),
        Command::Agent(args) => agent::run(&args, filter),
        Command::Demo(args) => demo::run(args),
        Command::SampleTarget(args) => sample::run(args).map(|()| ExitCode::SUCCESS),
        Command::Experiment { experiment } => experiment::run(experiment),
        Command::Top(args) => top::run(&args),
        Command::Credentials(args) => keys::run(args).map(|()| ExitCode::SUCCESS),
    })
}

fn ended(done: anyhow::Result<ExitCode>) -> ExitCode {
    done.unwrap_or_else(|error| {
        let _ = writeln!(std::io::stderr(), "forebay: {error:#}");
        ExitCode::FAILURE
    })
}

/// The same, without what reads filters if there is none to read but a level.
fn start_small_log(filter: &str) {
    use tracing_subscriber::filter::LevelFilter;
    let Ok(level) = filter.parse::<LevelFilter>() else {
        return start_log(filter);
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_target(false)
        .log_internal_errors(false)
        .init();
}

/// Logs go to standard error: standard output is for what programs read.
fn start_log(filter: &str) {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        // A log that can't be written (a closed pipe, a full disk) must not panic the thread that logs.
        .log_internal_errors(false)
        .init();
}
