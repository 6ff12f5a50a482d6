//! The `forebay` program: its command line, and which part of the other crates runs for each command.
//! Never decides anything else: commands are carried out by the libraries.
//!
//! In reading order: `args` (the command line), `up` and `check` (the server), `backup` and `restore`, `image`, `keys` and
//! `env` (files of the data directory), `ask` (`forebay health` and the admin address), `top`, `why` and `schedules` (pages
//! of the admin address), `api_client` and `function` (the Lambda API), `metrics` (CloudWatch's API), `shell` (completions
//! and manual).
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod api_client;
mod args;
mod ask;
mod backup;
mod check;
mod env;
mod function;
mod image;
mod keys;
mod metrics;
mod restore;
mod schedules;
mod shell;
mod top;
mod up;
mod why;

use args::{Cli, Command};
use clap::CommandFactory as _;
use forebay_lab::{demo, experiment, sample, sample_worker};
use forebay_process::{log, values};
use std::process::ExitCode;

fn main() -> ExitCode {
    // Comes before everything else: a shim must have one thread and no log.
    if let Some(done) = forebay_launch::intercept() {
        return done;
    }
    if let Some(done) = forebay_agent::resumed(log::start) {
        return ended(done);
    }
    let cli: Cli = values::parse();
    let filter = cli.filter();
    log::start(&filter, cli.log_format);
    ended(match cli.command {
        Command::Up(args) => up::run(*args),
        Command::Check(args) => check::run(&args),
        Command::Backup(args) => backup::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Restore(args) => restore::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Agent(args) => forebay_agent::run(&args, filter, cli.log_format),
        Command::Demo(args) => demo::run(args),
        Command::SampleTarget(args) => sample::run(args).map(|()| ExitCode::SUCCESS),
        Command::SampleWorker(args) => sample_worker::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Experiment { experiment } => experiment::run(experiment),
        Command::Top(args) => top::run(&args),
        Command::Why(args) => why::run(&args),
        Command::Schedules(args) => schedules::run(&args),
        Command::Metrics(args) => metrics::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Health(args) => ask::run(&args),
        Command::Env(args) => env::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Credentials(args) => keys::run(args).map(|()| ExitCode::SUCCESS),
        Command::Completions(args) => shell::completions(&args, Cli::command()).map(|()| ExitCode::SUCCESS),
        Command::Man(args) => shell::man(&args, Cli::command()).map(|()| ExitCode::SUCCESS),
        Command::Image(args) => image::run(args).map(|()| ExitCode::SUCCESS),
        Command::Function(args) => function::run(&args),
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
