use super::*;
use crate::target::Span;
use core::time::Duration;
use forebay_scaling::backlog::Settings;

const LATENCY: Duration = Duration::from_secs(300);

/// Fifty messages at once that take `processing` seconds, give or take a twentieth, with one worker in service.
fn scene(seed: u64, processing: f64, start_up: f64) -> BacklogScene {
    let about = |seconds: f64| {
        Span::Uniform(
            Duration::from_secs_f64(seconds * 0.95),
            Duration::from_secs_f64(seconds * 1.05),
        )
    };
    BacklogScene {
        seed,
        sends: vec![(Duration::ZERO, 50)],
        processing: about(processing),
        says: processing,
        start_up: about(start_up),
        visibility: LATENCY,
        wait: Duration::from_secs(5),
        initial: 1,
        minimum: 1,
        maximum: 100,
        until: Duration::from_secs(1800),
    }
}

fn planned(seed: u64, processing: f64, told: f64, start_up: f64) -> BacklogRun {
    let settings = Settings {
        latency: LATENCY,
        processing: Some(told),
        start_up: Duration::from_secs_f64(start_up),
        ..Settings::default()
    };
    let mut controller = PlannedBacklog::new("backlog", settings);
    scene(seed, processing, start_up).play(&mut controller)
}

fn tracked(seed: u64, processing: f64, moves: bool) -> BacklogRun {
    let mut controller = TrackedBacklog::published("aws", seed, LATENCY, 25.0, moves);
    scene(seed, processing, 120.0).play(&mut controller)
}

/// The published runs: four instances and about nine minutes, or eight and about ten; with a target that stays, four and a
/// quarter of an hour.
#[test]
fn the_published_set_up_does_as_published() {
    for seed in 1..=20 {
        for (processing, moves, instances, minutes) in [
            (25.0, true, 4, 8.0..10.5),
            (50.0, true, 8, 9.0..11.0),
            (50.0, false, 4, 13.0..16.0),
        ] {
            let run = tracked(seed, processing, moves);
            let took = run.finished().as_secs_f64() / 60.0;
            assert_eq!(run.largest, instances, "seed {seed}, {processing} s");
            assert!(minutes.contains(&took), "seed {seed}, {processing} s: {took} min");
            assert_eq!((run.done.len(), run.cut), (50, 0));
        }
    }
}

#[test]
fn the_planner_is_done_within_the_latency_and_loses_nothing() {
    for seed in 1..=20 {
        for (processing, told, start_up, most) in [
            (25.0, 25.0, 2.0, 5),
            (50.0, 50.0, 2.0, 10),
            // Messages take twice as long as the planner was told.
            (50.0, 25.0, 2.0, 14),
            (25.0, 25.0, 120.0, 9),
            (50.0, 50.0, 120.0, 18),
        ] {
            let run = planned(seed, processing, told, start_up);
            let took = run.longest();
            assert!(took <= LATENCY, "seed {seed}, {processing} s: {took:?}");
            assert!(
                run.largest <= most,
                "seed {seed}, {processing} s: {}",
                run.largest
            );
            assert_eq!((run.done.len(), run.cut), (50, 0));
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    assert_eq!(planned(7, 25.0, 25.0, 2.0), planned(7, 25.0, 25.0, 2.0));
    assert_ne!(planned(7, 25.0, 25.0, 2.0).done, planned(8, 25.0, 25.0, 2.0).done);
}

#[test]
fn instances_go_when_the_work_is_done() {
    let run = planned(1, 25.0, 25.0, 2.0);
    let last = run.timeline.last().unwrap();
    assert_eq!((last.visible, last.instances), (0, 1));
    assert!(run.all_instance_seconds < run.instance_seconds + 1800.0 + 5.0 * 100.0);
}
