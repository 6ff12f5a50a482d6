//! The algorithms experiment in virtual time: `forebay-sim` in front of the very code that decides live.

use super::algorithms_args::{AlgorithmsArgs, JOINS, SLOWER};
use super::users::{Arrivals, Crowd, Seen};
use forebay_model::Algorithm;
use forebay_sim::{self as sim, Act, Behaviour, Kind, Scene, Span};
use std::time::Duration;

/// How long a cold target is slower.
const COLD: Duration = Duration::from_secs(10);

/// Plays one turn.
pub(crate) fn turn(args: &AlgorithmsArgs, algorithm: Algorithm, crowd: Crowd, post: (u64, u64)) -> Vec<Seen> {
    let (low, high) = post;
    let usual = Behaviour {
        post: Span::Uniform(Duration::from_millis(low), Duration::from_millis(high)),
        ..Behaviour::single_threaded()
    };
    let mut scene = Scene::new(crowd.seed, args.targets(), usual, algorithm);
    let (slow, failing, cold) = args.odd();
    let slower = usual.slower(SLOWER as f64);
    for (index, behaviour) in (0..).zip(&mut scene.targets) {
        if index < slow {
            *behaviour = slower;
        } else if index < slow + failing {
            *behaviour = Behaviour::failing(Duration::from_micros(300));
        } else if index < slow + failing + cold {
            *behaviour = slower;
            scene.acts.push((COLD, Act::Behave(index, usual)));
        }
    }
    scene.settings.slow_start = Duration::from_secs(args.slow_start());
    scene.settings.anomaly_mitigation = args.mitigation && algorithm == Algorithm::WeightedRandom;
    let joins = args.targets();
    if args.joining {
        scene.acts.push((crowd.time / 2, Act::Join(joins, usual)));
    }
    scene.crowds = vec![sim::Crowd {
        rate: crowd.rate,
        arrivals: match crowd.arrivals {
            Arrivals::Even => sim::Arrivals::Even,
            Arrivals::Poisson => sim::Arrivals::Poisson,
        },
        visit: sim::VISIT,
        pause: sim::PAUSE,
        from: Duration::ZERO,
        until: crowd.time,
    }];
    let name = |target: u16| {
        if target == joins {
            JOINS.to_owned()
        } else {
            args.actor(target).name
        }
    };
    let seen = scene.play().seen;
    seen.into_iter()
        .map(|seen| Seen {
            took: seen.took,
            target: seen.target.map(name).unwrap_or_default(),
            blocks: seen.kind == Kind::Post,
            status: Some(seen.status),
        })
        .collect()
}
