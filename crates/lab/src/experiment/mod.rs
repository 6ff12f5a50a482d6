//! `forebay experiment`: published claims, tried on this machine with real sockets.

mod agents;
mod algorithms;
mod algorithms_args;
mod asks;
mod peers;
mod plot;
mod queueing;
mod scene;
mod simulated;
mod target_optimizer;
mod users;

use clap::Subcommand;
use std::process::ExitCode;

/// What can be tried.
#[derive(Subcommand, Debug, Clone)]
pub enum Experiment {
    /// Compare algorithms: single-threaded targets, quick GETs, and POSTs that block
    Algorithms(algorithms_args::AlgorithmsArgs),
    /// Hold targets to a number of requests at a time: refuse as ALB does, or let wait
    TargetOptimizer(target_optimizer::TargetOptimizerArgs),
    /// Long answers of very different lengths: a queue against none, HAProxy's and nginx
    Llm(target_optimizer::LlmArgs),
}

/// Plays it, and tells what came of it.
pub fn run(experiment: Experiment) -> anyhow::Result<ExitCode> {
    match experiment {
        Experiment::Algorithms(args) => algorithms::run(&args),
        Experiment::TargetOptimizer(args) => target_optimizer::run(&args),
        Experiment::Llm(args) => target_optimizer::run_llm(&args),
    }
}
