//! Groups that a controller sizes: what the planner promises, compared with models of how others do it.

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

/// Points are a time in seconds and the mean number of slots needed.
fn scene(seed: u64, points: &[(f64, f64)]) -> Scene {
    let mut scene = Scene::new(
        seed,
        0,
        Behaviour::single_threaded(),
        Algorithm::LeastOutstandingRequests,
    );
    scene.settings.queue = Some(Arc::new(QueueSettings {
        length: 10_000,
        wait: secs(10),
        ..QueueSettings::of(Concurrency::Fixed(SLOTS))
    }));
    let points = points
        .iter()
        .map(|&(at, slots)| (Duration::from_secs_f64(at), slots / SERVICE));
    scene.flows = vec![Flow::Rate(Arc::new(Rate::new(points.collect())))];
    scene
}

/// When the load changes.
const CHANGE: f64 = 120.0;
const BEFORE: f64 = 20.0;
const AFTER: f64 = 200.0;
const STEP: &[(f64, f64)] = &[(0.0, BEFORE), (CHANGE, BEFORE), (CHANGE, AFTER), (420.0, AFTER)];
const RAMP: &[(f64, f64)] = &[
    (0.0, 20.0),
    (120.0, 20.0),
    (180.0, 400.0),
    (480.0, 400.0),
    (480.0, 20.0),
    (780.0, 20.0),
];
const SEEDS: core::ops::RangeInclusive<u64> = 1..=5;

fn play(seed: u64, points: &[(f64, f64)], controller: &mut dyn Controller) -> FleetRun {
    let until = Duration::from_secs_f64(points.last().unwrap().0);
    scene(seed, points).play_fleet(&fleet(until), controller)
}

fn line(run: &FleetRun) -> String {
    format!(
        "{} of {} refused, longest wait {:.2} s, p99 {:.2} s, {:.0} instance-seconds, {} at most, {} changes",
        run.refused(),
        run.seen.len(),
        run.longest_wait().as_secs_f64(),
        run.wait(0.99).as_secs_f64(),
        run.instance_seconds,
        run.largest,
        run.changes.len()
    )
}

/// The fluid bound of a wait after a step, and the bound that holds for any course of arrivals.
#[test]
fn waits_after_a_step_are_as_short_as_start_ups_allow() {
    for seed in SEEDS {
        let run = play(seed, STEP, &mut Planned::default());
        let StepBounds { fluid, sure } = run.step_bounds(&Step {
            at: Duration::from_secs_f64(CHANGE),
            rate: AFTER / SERVICE,
            service: SERVICE,
            longest_service: LONGEST,
            start_up: START_UP,
            slots: SLOTS,
        });
        println!("seed {seed}: {}; bounds {fluid:.2} and {sure:.2} s", line(&run));
        let longest = run.longest_wait().as_secs_f64();
        assert!(longest <= fluid + 0.5, "{longest}: {fluid}");
        assert!(longest <= sure, "{longest}: {sure}");
    }
}

#[test]
fn a_ramp_refuses_nobody_for_no_more_than_the_leanest_peer_that_does_so() {
    let mut sums = Vec::new();
    for place in 0..all().len() {
        let mut of = |seed| {
            let mut controller = all().swap_remove(place);
            (play(seed, RAMP, controller.as_mut()), controller.name())
        };
        let runs: Vec<_> = SEEDS.map(&mut of).collect();
        runs.iter()
            .for_each(|(run, name)| println!("{name:18} {}", line(run)));
        let refused: usize = runs.iter().map(|(run, _)| run.refused()).sum();
        let seconds: f64 = runs.iter().map(|(run, _)| run.instance_seconds).sum();
        sums.push((refused, seconds));
    }
    let (planner, peers) = sums.split_first().unwrap();
    assert_eq!(planner.0, 0);
    let lean = peers.iter().filter(|peer| peer.0 == 0).map(|peer| peer.1);
    let leanest = lean.min_by(f64::total_cmp).unwrap();
    println!(
        "{:.0} instance-seconds, the leanest peer that refuses none {leanest:.0}",
        planner.1
    );
    assert!(planner.1 <= 1.05 * leanest);
}

/// An hour at a rate that varies by 10 per cent, drawn anew every ten seconds.
#[test]
fn a_steady_load_changes_nothing() {
    for (seed, slots) in [(1, 20.0), (2, 100.0), (3, 400.0)] {
        let mut noise = forebay_units::Rng::named(seed, "noise");
        let mut points = Vec::new();
        for ten in 0..360 {
            let rate = slots * (0.9 + 0.2 * noise.below(1_000_001) as f64 / 1e6);
            points.extend([(f64::from(ten) * 10.0, rate), (f64::from(ten + 1) * 10.0, rate)]);
        }
        let run = play(seed, &points, &mut Planned::default());
        let later: Vec<_> = run
            .changes
            .iter()
            .filter(|change| change.0 >= secs(300))
            .collect();
        println!("{slots} slots: {}; after five minutes {later:?}", line(&run));
        assert!(later.len() <= 2, "{later:?}");
    }
}

#[test]
fn a_group_whose_launches_fail_half_the_time_gets_there() {
    for seed in SEEDS {
        let fleet = Fleet {
            failing: 0.5,
            ..fleet(secs(420))
        };
        let run = scene(seed, STEP).play_fleet(&fleet, &mut Planned::default());
        println!(
            "seed {seed}: {}, {} launches failed",
            line(&run),
            run.failed_launches
        );
        assert!(run.failed_launches > 0);
        let last = run.timeline.last().unwrap();
        assert_eq!((last.waiting, last.ready), (0, last.desired));
        assert!(f64::from(last.ready * SLOTS) >= AFTER);
    }
}

#[test]
fn a_run_is_the_same_each_time() {
    let [one, other] = [(); 2].map(|()| play(7, STEP, &mut Planned::default()));
    assert!(one == other);
}

#[test]
fn a_trace_is_replayed_as_it_was_written_down() {
    let mut scene = scene(1, &[(0.0, 0.0)]);
    let asked = (1..=20).map(|at| Asked {
        at: secs(at),
        takes: Duration::from_millis(100 * at),
    });
    scene.flows = vec![Flow::Trace(asked.collect())];
    let run = scene.play_fleet(&fleet(secs(30)), &mut Planned::default());
    let took: Vec<_> = run.seen.iter().map(|seen| (seen.at, seen.took)).collect();
    let expected: Vec<_> = (1..=20)
        .map(|at| (secs(at), Duration::from_millis(100 * at)))
        .collect();
    assert_eq!(took, expected);
}
