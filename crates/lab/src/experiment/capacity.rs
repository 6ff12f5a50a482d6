//! `forebay experiment step`, `ramp` and `day`: a group whose capacity follows its load, under Forebay's planner and under
//! models of how others do it.

use super::access_log;
use super::capacity_args::{CapacityArgs, DayArgs, RampArgs, StepArgs};
use super::capacity_live;
use super::capacity_load::Load;
use super::capacity_plot;
use super::capacity_table::{Bounds, Played, Table};
use super::plot::try_file;
use anyhow::{Context as _, bail};
use forebay_model::{Algorithm, Concurrency, QueueSettings};
use forebay_process::{out, runtime};
use forebay_scaling::Backoff;
use forebay_sim::controllers::{TARGET, all};
use forebay_sim::{Behaviour, Controller, Fleet, FleetRun, Scene, Span, Step};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// Seconds of a day, and of the parts of it between which the load is a straight line.
const DAY: f64 = 86_400.0;
const PART: f64 = 900.0;
/// The time of the lowest load, in seconds of the day.
const LOWEST: f64 = 4.0 * 3600.0;
/// Seconds whose load decides the first number of instances.
const FIRST: usize = 10;
pub(crate) fn run_step(args: &StepArgs) -> anyhow::Result<ExitCode> {
    let (common, step) = (&args.common, args.before);
    let end = step + args.after;
    let load = Load::Curve {
        points: vec![
            (0.0, args.from),
            (step, args.from),
            (step, args.to),
            (end, args.to),
        ],
        burst: 1.0,
    };
    let title = format!(
        "from {} to {} slots at once, {}",
        args.from,
        args.to,
        requests(common)
    );
    let bounds = Bounds::Of(Step {
        at: Duration::from_secs_f64(step),
        rate: args.to / common.mean_service(),
        service: common.mean_service(),
        longest_service: common.service.bounds().1.as_secs_f64(),
        start_up: common.start_up,
        slots: common.slots,
    });
    play(common, &title, &load, bounds)
}

pub(crate) fn run_ramp(args: &RampArgs) -> anyhow::Result<ExitCode> {
    let top = args.before + args.over;
    let drop = top + args.stays;
    let load = Load::Curve {
        points: vec![
            (0.0, args.from),
            (args.before, args.from),
            (top, args.to),
            (drop, args.to),
            (drop, args.from),
            (drop + args.after, args.from),
        ],
        burst: 1.0,
    };
    let title = format!(
        "from {} to {} slots in {} s, and back, {}",
        args.from,
        args.to,
        args.over,
        requests(&args.common)
    );
    play(&args.common, &title, &load, Bounds::None)
}

pub(crate) fn run_day(args: &DayArgs) -> anyhow::Result<ExitCode> {
    let (load, title) = match &args.trace {
        Some(file) => {
            let trace = access_log::read(file, args.compress)?;
            let title = format!(
                "{} requests of {}, {} times as fast; {} without a target's time are left out",
                trace.asked.len(),
                file.display(),
                args.compress,
                trace.without_target
            );
            (Load::Trace(trace), title)
        }
        None => {
            let parts = (0..=(DAY / PART) as u32).map(|part| f64::from(part) * PART);
            let share = |at: f64| (1.0 - (std::f64::consts::TAU * (at - LOWEST) / DAY).cos()) / 2.0;
            let slots = |at| args.low + (args.high - args.low) * share(at);
            let points = parts.map(|at| (at / args.compress, slots(at))).collect();
            let title = format!(
                "a day of {} to {} slots, {} times as fast, bursts of {} times as many, {}",
                args.low,
                args.high,
                args.compress,
                args.burst,
                requests(&args.common)
            );
            let burst = args.burst;
            (Load::Curve { points, burst }, title)
        }
    };
    play(&args.common, &title, &load, Bounds::None)
}

fn requests(args: &CapacityArgs) -> String {
    let (least, most) = args.service.bounds();
    format!(
        "requests of {:.1} to {:.1} s",
        least.as_secs_f64(),
        most.as_secs_f64()
    )
}

fn play(args: &CapacityArgs, load_title: &str, load: &Load, bounds: Bounds) -> anyhow::Result<ExitCode> {
    let names = if args.simulated {
        names(args)?
    } else {
        capacity_live::names(args)?
    };
    args.plot
        .iter()
        .chain(&args.json)
        .try_for_each(|file| try_file(file))?;
    let title = format!(
        "{}{load_title}; {} slots an instance, start-up {} s, waits of {} s",
        if args.simulated { "simulated: " } else { "" },
        args.slots,
        args.start_up,
        args.wait
    );
    out::line(format_args!("{title}"))?;
    let table = Table::new(args.seeds, bounds);
    table.print_head()?;
    let mut all_played = Vec::new();
    for name in names {
        let seeds = args.seed..args.seed + args.seeds;
        let runs = seeds.map(|seed| {
            if args.simulated {
                return run(args, load, name, seed);
            }
            let initial = initial(args, load, seed);
            runtime()?.block_on(capacity_live::run(args, load, name, seed, initial))
        });
        let played = Played {
            name,
            runs: runs.collect::<anyhow::Result<_>>()?,
        };
        table.print(&played)?;
        all_played.push(played);
    }
    if let Some(file) = &args.plot {
        capacity_plot::draw(file, &title, args, load, &all_played)?;
    }
    if let Some(file) = &args.json {
        table.write(file, &title, &all_played)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The selected controllers, in the order of all controllers.
fn names(args: &CapacityArgs) -> anyhow::Result<Vec<&'static str>> {
    let known: Vec<&'static str> = all().iter().map(|controller| controller.name()).collect();
    if let Some(unknown) = args
        .controllers
        .iter()
        .find(|name| !known.contains(&name.as_str()))
    {
        bail!("there is no controller '{unknown}', but {}", known.join(", "));
    }
    let is_wanted =
        |name: &&str| args.controllers.is_empty() || args.controllers.iter().any(|one| one == name);
    Ok(known.into_iter().filter(is_wanted).collect())
}

fn controller(name: &str) -> anyhow::Result<Box<dyn Controller>> {
    let found = all().into_iter().find(|controller| controller.name() == name);
    found.with_context(|| format!("there is no controller '{name}'"))
}

/// The first number of instances: what peers have for the load of the first seconds, with their usual share of slots busy.
fn initial(args: &CapacityArgs, load: &Load, seed: u64) -> u32 {
    let demand = load.demand(args, seed);
    let first = &demand[..demand.len().min(FIRST)];
    let first = first.iter().sum::<f64>() / first.len().max(1) as f64;
    let initial = (first / TARGET / f64::from(args.slots)).ceil() as u32;
    initial.clamp(1, args.most)
}

fn run(args: &CapacityArgs, load: &Load, name: &str, seed: u64) -> anyhow::Result<FleetRun> {
    let (least, most) = args.service.bounds();
    let start_up = Duration::from_secs_f64(args.start_up);
    let fleet = Fleet {
        instance: Behaviour {
            threads: args.slots,
            get: Span::Uniform(least, most),
            ..Behaviour::single_threaded()
        },
        minimum: 1,
        maximum: args.most,
        initial: initial(args, load, seed),
        start_up: Span::Fixed(start_up),
        failing: f64::from(args.failing) / 100.0,
        backoff: Backoff::default(),
        until: load.end(),
    };
    let mut scene = Scene::new(
        seed,
        0,
        Behaviour::single_threaded(),
        Algorithm::LeastOutstandingRequests,
    );
    scene.settings.queue = Some(Arc::new(QueueSettings {
        length: args.length,
        wait: args.wait(),
        ..QueueSettings::of(Concurrency::Fixed(args.slots))
    }));
    scene.flows = vec![load.flow(args, seed)];
    Ok(scene.play_fleet(&fleet, controller(name)?.as_mut()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        args: DayArgs,
    }

    #[test]
    fn controllers_are_chosen_by_name() {
        let names_of = |flags: &[&str]| {
            let flags = ["day"].iter().chain(flags);
            names(&Cli::parse_from(flags).args.common)
        };
        assert_eq!(names_of(&[]).unwrap().len(), 8);
        let two = names_of(&["--controllers", "cloud-run,planner"]).unwrap();
        assert_eq!(two, ["planner", "cloud-run"]);
        assert!(names_of(&["--controllers", "crystal-ball"]).is_err());
    }
}
