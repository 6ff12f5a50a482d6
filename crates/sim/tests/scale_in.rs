//! Targets that are killed break their requests; targets that are deregistered do not.

#![allow(clippy::unwrap_used, reason = "a test says what failed by where it failed")]

use forebay_model::Algorithm;
use forebay_sim::*;
use std::time::Duration;

/// Four targets, eight clients that send requests of 0.1 to 2 s one after another, and one target that goes after ten
/// seconds.
fn played(act: Act) -> Vec<Seen> {
    let work = Span::Uniform(Duration::from_millis(100), Duration::from_secs(2));
    let behaviour = Behaviour {
        threads: 100,
        get: work,
        ..Behaviour::single_threaded()
    };
    let mut scene = Scene::new(1, 4, behaviour, Algorithm::RoundRobin);
    let client = Client {
        kind: Kind::Get,
        pause: PAUSE,
        from: Duration::ZERO,
        until: Duration::from_secs(30),
    };
    scene.clients = vec![client; 8];
    scene.acts = vec![(Duration::from_secs(10), act)];
    let world = scene.play();
    assert!(world.loads().iter().all(|&load| load == 0), "{:?}", world.loads());
    world.seen
}

#[test]
fn a_target_that_is_killed_breaks_its_requests_until_checks_find_it() {
    let seen = played(Act::Kill(0));
    let failed: Vec<&Seen> = seen.iter().filter(|seen| seen.status != 200).collect();
    assert!(!failed.is_empty());
    assert!(failed.iter().all(|seen| seen.status == 502), "{failed:?}");
    // Two checks, five seconds apart.
    let last = failed.iter().map(|seen| seen.at).max().unwrap();
    assert!(last < Duration::from_secs(21), "{last:?}");
    let after = |seen: &&Seen| seen.at > Duration::from_secs(21);
    assert!(seen.iter().filter(after).all(|seen| seen.target != Some(0)));
}

#[test]
fn a_target_that_is_deregistered_ends_its_requests() {
    let seen = played(Act::Leave(0));
    assert!(seen.len() > 150, "{}", seen.len());
    assert!(seen.iter().all(|seen| seen.status == 200));
    let of_it = seen.iter().filter(|seen| seen.target == Some(0));
    assert!(of_it.map(|seen| seen.at).max().unwrap() < Duration::from_secs(10));
}

#[test]
fn a_client_has_one_request_at_a_time() {
    let mut seen = played(Act::Leave(0));
    seen.sort_by_key(|seen| seen.at);
    for moment in (1..30).map(Duration::from_secs) {
        let at_once = seen
            .iter()
            .filter(|seen| seen.at <= moment && moment < seen.at + seen.took);
        assert!(at_once.count() <= 8);
    }
}
