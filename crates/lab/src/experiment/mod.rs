//! `forebay experiment`: published claims, tried on this machine with real sockets.

mod access_log;
mod agents;
mod algorithms;
mod algorithms_args;
mod asks;
#[cfg(test)]
mod backlog_orders;
mod capacity;
mod capacity_args;
mod capacity_live;
mod capacity_load;
mod capacity_plot;
mod capacity_table;
mod peers;
mod plot;
mod queue_backlog;
mod queue_backlog_args;
mod queue_backlog_live;
mod queue_backlog_plot;
mod queue_backlog_scenes;
mod queue_backlog_table;
mod queueing;
mod refusals;
mod reject_alarm;
mod reject_alarm_args;
mod reject_alarm_simulated;
mod scale_in;
mod scale_in_args;
mod scale_in_live;
mod scale_in_simulated;
mod scaling_scene;
mod scene;
mod simulated;
mod statuses;
mod target_optimizer;
mod timeline;
mod users;
mod workers_scene;

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
    /// An alarm on refused requests scales a group of real instances
    RejectAlarm(reject_alarm_args::RejectAlarmArgs),
    /// Servers come and go with their clients: killed as they are, against taken away in order
    ScaleIn(scale_in_args::ScaleInArgs),
    /// The load grows at once: capacity follows, by the planner and by models of other controllers
    Step(capacity_args::StepArgs),
    /// The load grows steadily, stays and drops: the same
    Ramp(capacity_args::RampArgs),
    /// A day with bursts, or the requests of an access log: the same
    Day(capacity_args::DayArgs),
    /// Workers on a queue: a target that moves with the work, as published and by Forebay
    QueueBacklog(queue_backlog_args::QueueBacklogArgs),
}

/// Plays it, and tells what came of it.
pub fn run(experiment: Experiment) -> anyhow::Result<ExitCode> {
    match experiment {
        Experiment::Algorithms(args) => algorithms::run(&args),
        Experiment::TargetOptimizer(args) => target_optimizer::run(&args),
        Experiment::Llm(args) => target_optimizer::run_llm(&args),
        Experiment::RejectAlarm(args) => reject_alarm::run(&args),
        Experiment::ScaleIn(args) => scale_in::run(&args),
        Experiment::Step(args) => capacity::run_step(&args),
        Experiment::Ramp(args) => capacity::run_ramp(&args),
        Experiment::Day(args) => capacity::run_day(&args),
        Experiment::QueueBacklog(args) => queue_backlog::run(&args),
    }
}
