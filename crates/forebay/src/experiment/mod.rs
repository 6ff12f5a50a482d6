//! `forebay experiment`: published claims, tried on this machine with real sockets.

mod algorithms;
mod peers;
mod plot;
mod scene;
mod simulated;
mod users;

use clap::Subcommand;
use std::process::ExitCode;

/// What can be tried.
#[derive(Subcommand, Debug, Clone)]
pub(crate) enum Experiment {
    /// Compare algorithms: single-threaded targets, quick GETs, and POSTs that block
    Algorithms(algorithms::AlgorithmsArgs),
}

pub(crate) fn run(experiment: Experiment) -> anyhow::Result<ExitCode> {
    match experiment {
        Experiment::Algorithms(args) => algorithms::run(&args),
    }
}
