//! Targets that behave badly, in virtual time: black holes, mitigation, slow start.

#![allow(clippy::unwrap_used, reason = "a test says what failed by where it failed")]

use forebay_model::{Algorithm, GroupSettings};
use forebay_sim::*;
use std::time::Duration;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Independent requests at this rate.
fn requests(rate: f64, until: Duration) -> Vec<Crowd> {
    vec![Crowd {
        rate,
        arrivals: Arrivals::Poisson,
        visit: &[Kind::Get],
        pause: PAUSE,
        from: Duration::ZERO,
        until,
    }]
}

fn check_ended(world: &World) {
    assert!(world.loads().iter().all(|&load| load == 0), "{:?}", world.loads());
}

/// No target among `others` gets more than this factor of its share between two times.
fn check_others(world: &World, others: core::ops::Range<u16>, from: Duration, to: Duration, what: &str) {
    for target in others {
        let share = world.share(target, from, to);
        assert!(share <= 1.3, "{what}: target {target} got {share:.2} x its share");
    }
}

#[test]
fn a_target_that_fails_fast_gets_no_more_than_its_share() {
    for algorithm in Algorithm::ALL {
        for targets in [5, 20] {
            for seed in 0..3 {
                // Four threads and 50 ms: 60 % busy.
                let mut scene = Scene::new(seed, targets, Behaviour::serving(ms(50), 4), algorithm);
                scene.crowds = requests(48.0 * f64::from(targets), seconds(70));
                scene.acts = vec![(seconds(10), Act::Behave(0, Behaviour::failing(ms(1))))];
                let world = scene.play();
                let what = format!("{} among {targets}, seed {seed}", algorithm.word());
                let share = world.share(0, seconds(10), seconds(70));
                assert!(share <= 1.2, "{what}: the black hole got {share:.2} x its share");
                check_others(&world, 1..targets, seconds(10), seconds(70), &what);
                check_ended(&world);
            }
        }
    }
}

/// The same with single-threaded targets of the published experiment, whose service times have two modes.
#[test]
fn a_black_hole_among_single_threaded_targets() {
    for algorithm in Algorithm::ALL {
        let mut scene = Scene::new(9, 5, Behaviour::single_threaded(), algorithm);
        scene.crowds = vec![Crowd {
            rate: 20.0,
            visit: VISIT,
            ..requests(1.0, seconds(200))[0]
        }];
        scene.acts = vec![(seconds(20), Act::Behave(0, Behaviour::failing(ms(1))))];
        let world = scene.play();
        let share = world.share(0, seconds(20), seconds(200));
        assert!(share <= 1.2, "{}: {share:.2} x its share", algorithm.word());
        check_ended(&world);
    }
}

#[test]
fn mitigation_cuts_within_15_seconds_and_returns_within_60() {
    for targets in [5, 20] {
        let mut scene = Scene::new(
            2,
            targets,
            Behaviour::serving(ms(50), 1000),
            Algorithm::WeightedRandom,
        );
        scene.settings.anomaly_mitigation = true;
        scene.crowds = requests(48.0 * f64::from(targets), seconds(180));
        scene.acts = vec![
            (seconds(21), Act::Behave(0, Behaviour::failing(ms(1)))),
            (seconds(60), Act::Behave(0, Behaviour::serving(ms(50), 1000))),
        ];
        let world = scene.play();
        let cut = world.share(0, seconds(36), seconds(60));
        assert!(cut <= 0.2, "{targets} targets: {cut:.2} x after 15 s");
        assert!(cut > 0.02, "it is still measured: {cut:.2}");
        check_others(&world, 1..targets, seconds(36), seconds(60), "while it is cut");
        let back = world.share(0, seconds(120), seconds(180));
        assert!(
            (0.9..1.1).contains(&back),
            "{targets} targets: {back:.2} x after recovery"
        );
        let told: Vec<&Told> = world.told.iter().collect();
        assert!(told.iter().all(|told| told.target == 0), "{told:?}");
        let first = &told[0];
        assert!(first.at <= seconds(30), "{told:?}");
        assert!(
            first.text.starts_with("5xx ") && first.text.ends_with("weight 1.00 -> 0.10"),
            "{told:?}"
        );
        let last = told.last().unwrap();
        assert!(
            last.at <= seconds(120) && last.text.ends_with("-> 1.00"),
            "{told:?}"
        );
        check_ended(&world);
    }
}

/// Two targets cannot be compared: a verdict that was found among three is forgotten.
#[test]
fn a_verdict_ends_with_the_last_peer() {
    let mut scene = Scene::new(2, 3, Behaviour::serving(ms(50), 1000), Algorithm::WeightedRandom);
    scene.settings.anomaly_mitigation = true;
    scene.crowds = requests(150.0, seconds(100));
    scene.acts = vec![
        (seconds(21), Act::Behave(0, Behaviour::failing(ms(1)))),
        (seconds(41), Act::Behave(0, Behaviour::serving(ms(50), 1000))),
        (seconds(41), Act::Leave(1)),
    ];
    let world = scene.play();
    let back = world.share(0, seconds(50), seconds(100));
    assert!((0.9..1.1).contains(&back), "{back:.2} x beside one other");
    check_ended(&world);
}

#[test]
fn slow_targets_are_cut_where_a_tag_asks_for_it() {
    let mut scene = Scene::new(3, 6, Behaviour::serving(ms(40), 1000), Algorithm::WeightedRandom);
    scene.settings.anomaly_mitigation = true;
    scene.settings.anomaly_latency = true;
    scene.crowds = requests(200.0, seconds(120));
    scene.acts = vec![(
        seconds(30),
        Act::Behave(4, Behaviour::serving(ms(40), 1000).slower(4.0)),
    )];
    let world = scene.play();
    let cut = world.share(4, seconds(50), seconds(120));
    assert!(cut <= 0.2, "{cut:.2} x");
    assert!(world.told.iter().all(|told| told.target == 4), "{:?}", world.told);
    assert!(
        world.told[0].text.starts_with("median latency "),
        "{:?}",
        world.told
    );
    check_ended(&world);
}

/// Without slow start a new target gets all requests until it is as loaded as the others: ALB's flood. With it, its
/// requests in flight stay below the ramp's share of the others'.
#[test]
fn a_new_target_is_flooded_without_slow_start_and_not_with_it() {
    // About 30 requests at each of four targets.
    let scene = |seed, slow_start| {
        let mut scene = Scene::new(
            seed,
            4,
            Behaviour::serving(ms(500), 1000),
            Algorithm::LeastOutstandingRequests,
        );
        scene.settings.slow_start = slow_start;
        scene.crowds = requests(240.0, seconds(90));
        scene.acts = vec![(seconds(20), Act::Join(4, Behaviour::serving(ms(500), 1000)))];
        scene
    };
    let mut most = 0;
    let flood = scene(1, Duration::ZERO).play_watched(&mut |now, loads| {
        if now < seconds(20) + ms(200) {
            most = most.max(loads.get(4).copied().unwrap_or(0));
        }
    });
    assert!(most >= 15, "ALB's flood: {most} at once in 200 ms");
    check_ended(&flood);
    for seed in 1..4 {
        let ramp = seconds(60);
        let mut before = 0;
        let mut ramped = 0;
        let world = scene(seed, ramp).play_watched(&mut |now, loads| {
            let [others @ .., own] = loads else { return };
            // A pick of the new target: it may hold the ramp's share of what the least loaded of the others would hold with
            // one more.
            if loads.len() == 5 && *own > before {
                let age = (now.saturating_sub(seconds(20)).as_secs_f64() / 60.0).min(1.0);
                let least = others.iter().min().copied().unwrap_or(0);
                let allowed = (age * f64::from(least + 1)).max(1.0);
                assert!(
                    f64::from(*own) <= allowed,
                    "{own} in flight, {allowed:.1} allowed at {now:?}"
                );
                ramped += u32::from(age < 1.0);
            }
            before = *own;
        });
        assert!(ramped > 500, "it is warmed up: {ramped} requests");
        check_ended(&world);
    }
}

/// Shares in the other algorithms follow the ramp as well.
#[test]
fn shares_rise_in_a_straight_line() {
    for algorithm in [Algorithm::RoundRobin, Algorithm::WeightedRandom] {
        let mut scene = Scene::new(5, 4, Behaviour::serving(ms(20), 1000), algorithm);
        scene.settings.slow_start = seconds(60);
        scene.crowds = requests(500.0, seconds(120));
        scene.acts = vec![(seconds(20), Act::Join(4, Behaviour::serving(ms(20), 1000)))];
        let world = scene.play();
        for (from, wanted) in [
            (20, 0.083),
            (30, 0.25),
            (40, 0.417),
            (50, 0.583),
            (60, 0.75),
            (70, 0.917),
            (85, 1.0),
        ] {
            // Relative to a target in full service.
            let share = |target| world.share(target, seconds(from), seconds(from + 10));
            let ratio = share(4) / share(1);
            assert!(
                (ratio - wanted).abs() < 0.12,
                "{}: {ratio:.2} at {from} s, not {wanted}",
                algorithm.word()
            );
        }
    }
}

/// Targets that join an empty group start at full weight; a target that recovers ramps again; removing the setting ends the
/// ramp.
#[test]
fn who_starts_slowly() {
    let base = || {
        let mut scene = Scene::new(6, 4, Behaviour::serving(ms(20), 1000), Algorithm::WeightedRandom);
        scene.settings.slow_start = seconds(60);
        scene.crowds = requests(400.0, seconds(100));
        scene
    };
    let world = base().play();
    for target in 0..4 {
        let share = world.share(target, Duration::ZERO, seconds(20));
        assert!((0.9..1.1).contains(&share), "a batch: {share:.2}");
    }
    let mut scene = base();
    scene.acts = vec![
        (seconds(20), Act::Healthy(0, false)),
        (seconds(40), Act::Healthy(0, true)),
    ];
    let world = scene.play();
    // Out after two failed probes, back after two good ones: at about 50 s.
    assert_eq!(world.share(0, seconds(32), seconds(40)), 0.0);
    let ramping = world.share(0, seconds(56), seconds(66));
    assert!((0.05..0.5).contains(&ramping), "after recovery: {ramping:.2}");
    let mut scene = base();
    let settings = GroupSettings {
        slow_start: Duration::ZERO,
        ..scene.settings.clone()
    };
    scene.acts = vec![
        (seconds(20), Act::Join(4, Behaviour::serving(ms(20), 1000))),
        (seconds(30), Act::Settings(settings)),
    ];
    let world = scene.play();
    let early = world.share(4, seconds(20), seconds(30));
    let after = world.share(4, seconds(31), seconds(60));
    assert!(
        early < 0.3 && (0.9..1.1).contains(&after),
        "{early:.2}, then {after:.2}"
    );
    // Switched on while all targets are in service, it does not change their weights, however short their time in service
    // is.
    let mut scene = base();
    let settings = scene.settings.clone();
    scene.settings.slow_start = Duration::ZERO;
    scene.acts = vec![
        (seconds(20), Act::Join(4, Behaviour::serving(ms(20), 1000))),
        (seconds(50), Act::Settings(settings)),
    ];
    let after = scene.play().share(4, seconds(51), seconds(80));
    assert!((0.9..1.1).contains(&after), "{after:.2}");
}
