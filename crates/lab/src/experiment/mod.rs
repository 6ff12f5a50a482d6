//! `forebay experiment`: published claims, checked on this machine with real sockets, or simulated.
//!
//! Experiments, each with its flags in `…_args`: `algorithms` (`simulated`), `target_optimizer` (`queueing`, also `llm`),
//! `reject_alarm` (`refusals`), `scale_in` (`statuses`), `capacity` (`capacity_load`, `capacity_live`, `capacity_table`,
//! `capacity_plot`) and `queue_backlog` (scenes, live, table, plot). Shared parts: `scene`, `scaling_scene` and
//! `workers_scene` (servers with targets, instances or workers), `agents` and `peers` (other processes), `users` and `asks`
//! (clients), `plot` and `timeline` (pictures), `access_log`.

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

/// The experiments.
#[derive(Subcommand, Debug, Clone)]
pub enum Experiment {
    /// Compare algorithms: single-threaded targets, quick GETs, and POSTs that block
    Algorithms(algorithms_args::AlgorithmsArgs),
    /// Limit targets to a number of requests at a time: refuse the others as ALB does, or let them wait
    TargetOptimizer(target_optimizer::TargetOptimizerArgs),
    /// Long answers of very different lengths: a queue compared with no queue, HAProxy's queue and nginx
    Llm(target_optimizer::LlmArgs),
    /// Scale a group of real instances by an alarm on refused requests
    RejectAlarm(reject_alarm_args::RejectAlarmArgs),
    /// Scale servers in with their clients: kill them, or have the group take them out in order
    ScaleIn(scale_in_args::ScaleInArgs),
    /// Step of the load: capacity follows, by the planner and by models of other controllers
    Step(capacity_args::StepArgs),
    /// Steady growth of the load, then a drop: compared in the same way
    Ramp(capacity_args::RampArgs),
    /// A day with bursts, or the requests of an access log: compared in the same way
    Day(capacity_args::DayArgs),
    /// Workers on a queue: a target that moves with the work, as published and by Forebay
    QueueBacklog(queue_backlog_args::QueueBacklogArgs),
}

/// Runs the experiment, and prints its results.
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
