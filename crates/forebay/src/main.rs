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
mod up;

use args::{Cli, Command};
use clap::Parser as _;
use std::io::Write as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    start_log(&cli.filter());
    let done = match cli.command {
        Command::Up(args) => up::run(*args),
        Command::Agent(args) => agent::run(*args),
        Command::Demo(args) => demo::run(args),
        Command::SampleTarget(args) => sample::run(args).map(|()| ExitCode::SUCCESS),
        Command::Experiment { experiment } => experiment::run(experiment),
        Command::Credentials(args) => keys::run(args).map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|error| {
        let _ = writeln!(std::io::stderr(), "forebay: {error:#}");
        ExitCode::FAILURE
    })
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
