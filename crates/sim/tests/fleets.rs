//! Groups that a controller sizes: what the planner promises, beside models of how others do it.

#![allow(clippy::unwrap_used, reason = "a test says what failed by where it failed")]

use forebay_model::{Algorithm, Concurrency, QueueSettings};
use forebay_sim::controllers::{Planned, all};
use forebay_sim::*;
use std::sync::Arc;
use std::time::Duration;

const SLOTS: u32 = 8;
/// Mean and longest service time, and start-up, in seconds.
const SERVICE: f64 = 2.0;
const LONGEST: f64 = 3.0;
const START_UP: f64 = 3.0;
/// Arrivals beyond their mean rate in any time, as a bound for the worst of the seeds.
const SIGMA: f64 = 30.0;

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn fleet(until: Duration) -> Fleet {
    Fleet {
        instance: Behaviour {
            threads: SLOTS,
            get: Span::Uniform(secs(1), secs(3)),
            ..Behaviour::single_threaded()
        },
        minimum: 1,
        maximum: 200,
        initial: 4,
        start_up: Span::Fixed(Duration::from_secs_f64(START_UP)),
        failing: 0.0,
        backoff: forebay_scaling::Backoff::default(),
        until,
    }
}

/// Points are seconds, and slots that are needed on average.
fn scene(seed: u64, points: &[(f64, f64)]) -> Scene {
    let mut scene = Scene::new(seed, 0, Behaviour::single_threaded(), Algorithm::LeastOutstandingRequests);
    scene.settings.queue = Some(Arc::new(QueueSettings {
        length: 10_000,
        wait: secs(10),
        ..QueueSettings::of(Concurrency::Fixed(SLOTS))
    }));
    let points = points.iter().map(|&(at, slots)| (Duration::from_secs_f64(at), slots / SERVICE));
    scene.flows = vec![Flow::Rate(Arc::new(Rate::new(points.collect())))];
    scene
}

const STEP: &[(f64, f64)] = &[(0.0, 20.0), (120.0, 20.0), (120.0, 200.0), (420.0, 200.0)];
const RAMP: &[(f64, f64)] = &[
    (0.0, 20.0),
    (120.0, 20.0),
    (180.0, 400.0),
    (360.0, 400.0),
    (360.0, 20.0),
    (960.0, 20.0),
];

fn play(seed: u64, points: &[(f64, f64)], controller: &mut dyn Controller) -> FleetRun {
    let until = Duration::from_secs_f64(points.last().unwrap().0);
    scene(seed, points).play_fleet(&fleet(until), controller)
}

fn print(run: &FleetRun, name: &str) {
    println!(
        "{name:18} {:>6} of {} refused, longest wait {:>6.2} s, p99 {:>6.2} s, {:>7.0} instance-seconds, {:>3} at most, {:>3} changes",
        run.refused(),
        run.seen.len(),
        run.longest_wait().as_secs_f64(),
        run.wait(0.99).as_secs_f64(),
        run.instance_seconds,
        run.largest,
        run.changes.len()
    );
}

#[test]
fn table() {
    for (name, points) in [("step", STEP), ("ramp", RAMP)] {
        println!("{name}");
        for mut controller in all() {
            let run = play(1, points, controller.as_mut());
            print(&run, controller.name());
        }
    }
}
