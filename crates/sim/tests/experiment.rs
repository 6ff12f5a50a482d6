//! The published experiment in virtual time: single-threaded targets, and users with three GETs and a POST.

#![allow(clippy::unwrap_used, reason = "a test says what failed by where it failed")]

use forebay_model::Algorithm;
use forebay_sim::*;
use std::collections::BTreeSet;
use std::time::Duration;

fn scene(seed: u64, targets: u16, algorithm: Algorithm, rate: f64, arrivals: Arrivals, secs: u64) -> Scene {
    let mut scene = Scene::new(seed, targets, Behaviour::single_threaded(), algorithm);
    scene.crowds = vec![Crowd {
        rate,
        arrivals,
        visit: VISIT,
        pause: PAUSE,
        from: Duration::ZERO,
        until: Duration::from_secs(secs),
    }];
    scene
}

/// Users a second that keep targets this busy, with one POST of 100 ms on average each.
fn rate(targets: u16, busy: f64) -> f64 {
    busy * f64::from(targets) / 0.1
}

fn p99(seed: u64, targets: u16, algorithm: Algorithm, busy: f64, secs: u64) -> Duration {
    let world = scene(
        seed,
        targets,
        algorithm,
        rate(targets, busy),
        Arrivals::Poisson,
        secs,
    )
    .play();
    let figures = Figures::of(&world.seen);
    assert_eq!(figures.failed, 0);
    figures.p99
}

fn median(mut of: Vec<Duration>) -> Duration {
    of.sort();
    of[of.len() / 2]
}

#[test]
fn least_outstanding_requests_is_three_times_better_at_the_tail() {
    for busy in [0.70, 0.85] {
        let all = |algorithm| median((0..50).map(|seed| p99(seed, 5, algorithm, busy, 60)).collect());
        let (turns, least) = (
            all(Algorithm::RoundRobin),
            all(Algorithm::LeastOutstandingRequests),
        );
        let ratio = turns.as_secs_f64() / least.as_secs_f64();
        println!(
            "{:.0} % busy: round robin {turns:?}, least outstanding requests {least:?}, {ratio:.1} x",
            busy * 100.0
        );
        assert!(ratio >= 3.0, "{busy}: {turns:?} against {least:?}");
    }
}

/// Four targets, four requests per user, one user each 100 ms: round robin gives every POST to one target, which is then
/// fully busy. With five targets, or with users who arrive independently, it does not.
#[test]
fn round_robin_locks_in_phase_with_users_of_four_requests() {
    let play = |seed, targets, algorithm, arrivals| {
        let world = scene(seed, targets, algorithm, 10.0, arrivals, 120).play();
        let posts = world.seen.iter().filter(|seen| seen.kind == Kind::Post);
        let hit: BTreeSet<_> = posts.filter_map(|seen| seen.target).collect();
        (Figures::of(&world.seen).p99, hit.len())
    };
    let mut ratios = Vec::new();
    for seed in 0..9 {
        let (locked, hit) = play(seed, 4, Algorithm::RoundRobin, Arrivals::Even);
        assert_eq!(hit, 1, "every POST goes to one target");
        assert_eq!(play(seed, 5, Algorithm::RoundRobin, Arrivals::Even).1, 5);
        assert!(play(seed, 4, Algorithm::RoundRobin, Arrivals::Poisson).1 > 1);
        let (least, hit) = play(seed, 4, Algorithm::LeastOutstandingRequests, Arrivals::Even);
        assert_eq!(hit, 4);
        ratios.push(locked.as_secs_f64() / least.as_secs_f64());
    }
    ratios.sort_by(f64::total_cmp);
    println!("phase-locked, p99 of round robin over that of least outstanding requests: {ratios:.1?}");
    assert!(ratios[4] >= 4.0, "{ratios:?}");
}

/// Two of twenty targets are three times slower, at 75 % load: the result of each algorithm.
#[test]
fn two_slow_targets_of_twenty() {
    let of = |algorithm| {
        let runs = (0..5).map(|seed| {
            // As busy as the capacity of the whole fleet allows: 18 and two thirds.
            let mut scene = scene(
                seed,
                20,
                algorithm,
                0.75 * (18.0 + 2.0 / 3.0) / 0.1,
                Arrivals::Poisson,
                60,
            );
            scene.targets[0] = Behaviour::single_threaded().slower(3.0);
            scene.targets[1] = Behaviour::single_threaded().slower(3.0);
            Figures::of(&scene.play().seen).p99
        });
        median(runs.collect())
    };
    let p99s: Vec<(Algorithm, Duration)> = Algorithm::ALL
        .map(|algorithm| (algorithm, of(algorithm)))
        .to_vec();
    p99s.iter()
        .for_each(|(algorithm, p99)| println!("{:28} p99 {p99:?}", algorithm.word()));
    let least = p99s[1].1.min(p99s[5].1);
    assert!(2 * least <= p99s[0].1, "{p99s:?}");
}

/// The same holds at 1,000 targets, and a simulated minute stays cheap.
#[test]
fn a_thousand_targets() {
    let (turns, least) = (
        p99(1, 1_000, Algorithm::RoundRobin, 0.85, 20),
        p99(1, 1_000, Algorithm::LeastOutstandingRequests, 0.85, 20),
    );
    println!("1,000 targets: {turns:?} against {least:?}");
    assert!(turns >= 3 * least, "{turns:?} against {least:?}");
}
