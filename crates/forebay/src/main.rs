//! The `forebay` program: its command line, and the wiring of the house. Decides nothing else.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod agent;
mod args;
mod ask;
mod data_dir;
mod demo;
mod env;
mod experiment;
mod flags;
mod house;
mod keys;
mod load;
mod log;
mod made;
mod out;
mod ratio;
mod runtime;
mod said;
mod sample;
mod shown;
mod signed;
mod top;
mod up;
mod watch;

use args::{Cli, Command};
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(done) = agent::resumed(log::start) {
        return ended(done);
    }
    let cli: Cli = said::parse();
    let filter = cli.filter();
    log::start(&filter, cli.log_format);
    ended(match cli.command {
        Command::Up(args) => up::run(*args),
        Command::Agent(args) => agent::run(&args, filter, cli.log_format),
        Command::Demo(args) => demo::run(args),
        Command::SampleTarget(args) => sample::run(args).map(|()| ExitCode::SUCCESS),
        Command::Experiment { experiment } => experiment::run(experiment),
        Command::Top(args) => top::run(&args),
        Command::Health(args) => ask::run(&args),
        Command::Env(args) => env::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Credentials(args) => keys::run(args).map(|()| ExitCode::SUCCESS),
    })
}

fn ended(done: anyhow::Result<ExitCode>) -> ExitCode {
    let code = done.unwrap_or_else(|error| {
        log::say(tracing::Level::ERROR, format_args!("forebay: {error:#}"));
        ExitCode::FAILURE
    });
    log::finish();
    code
}
