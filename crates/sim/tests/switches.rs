//! Changes while requests are under way: counters end at zero, picks go only where they may, and the same seed gives the
//! same requests.

#![allow(clippy::unwrap_used, reason = "a test says what failed by where it failed")]

use forebay_model::{Algorithm, GroupSettings};
use forebay_sim::*;
use proptest::prelude::*;
use std::time::Duration;

fn crowd(until: u64) -> Vec<Crowd> {
    vec![Crowd {
        rate: 150.0,
        arrivals: Arrivals::Poisson,
        visit: VISIT,
        pause: PAUSE,
        from: Duration::ZERO,
        until: Duration::from_secs(until),
    }]
}

fn act() -> impl Strategy<Value = Act> {
    let settings = (0_usize..6, any::<bool>(), any::<bool>(), any::<bool>(), 0_u64..3);
    prop_oneof![
        4 => settings.prop_map(|(algorithm, cross_zone, mitigate, latency, slow)| {
            Act::Settings(GroupSettings {
                algorithm: Algorithm::ALL[algorithm],
                cross_zone,
                anomaly_mitigation: mitigate,
                anomaly_latency: latency,
                slow_start: Duration::from_secs(slow * 5),
                deregistration_delay: Duration::from_secs(2),
                ..GroupSettings::default()
            })
        }),
        2 => (0_u16..8).prop_map(|target| Act::Join(target, Behaviour::single_threaded())),
        2 => (0_u16..8).prop_map(Act::Leave),
        2 => (0_u16..8, any::<bool>()).prop_map(|(target, healthy)| Act::Healthy(target, healthy)),
        2 => (0_u16..8, 0_u64..3).prop_map(|(target, how)| Act::Behave(target, match how {
            0 => Behaviour::failing(Duration::from_micros(300)),
            1 => Behaviour::single_threaded().slower(4.0),
            _ => Behaviour::single_threaded(),
        })),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn nothing_is_lost_by_any_sequence_of_changes(
        acts in proptest::collection::vec((0_u64..30_000, act()), 0..25),
        seed in any::<u64>(),
        algorithm in 0_usize..6,
        workers in 1_usize..4,
        zones in 1_u16..4,
    ) {
        let mut scene = Scene::new(seed, 4, Behaviour::single_threaded(), Algorithm::ALL[algorithm]);
        scene.workers = workers;
        scene.zones = zones;
        scene.crowds = crowd(20);
        scene.acts = acts.into_iter().map(|(at, act)| (Duration::from_millis(at), act)).collect();
        let world = scene.play();
        prop_assert!(world.loads().iter().all(|&load| load == 0), "{:?}", world.loads());
        prop_assert!(!world.seen.is_empty());
        let again = scene.play();
        prop_assert_eq!(&world.seen, &again.seen);
    }
}

/// Least outstanding requests stays exact over several workers and after switches: while no request ends, no two targets
/// differ by more than one request.
#[test]
fn the_order_is_exact_over_workers_and_switches() {
    let still = Behaviour::serving(Duration::from_secs(3600), 100_000);
    let mut scene = Scene::new(1, 7, still, Algorithm::RoundRobin);
    scene.workers = 3;
    scene.crowds = crowd(10);
    scene.crowds[0].arrivals = Arrivals::Even;
    let least = GroupSettings {
        algorithm: Algorithm::LeastOutstandingRequests,
        ..GroupSettings::default()
    };
    let random = GroupSettings {
        algorithm: Algorithm::WeightedRandom,
        ..GroupSettings::default()
    };
    scene.acts = vec![
        (Duration::from_secs(2), Act::Settings(random)),
        (Duration::from_secs(4), Act::Settings(least)),
    ];
    let mut uneven = 0;
    scene.play_watched(&mut |now, loads| {
        let spread = loads.iter().max().unwrap() - loads.iter().min().unwrap();
        if now < Duration::from_secs(4) {
            uneven = uneven.max(spread);
        } else if (Duration::from_secs(7)..Duration::from_secs(10)).contains(&now) {
            assert!(spread <= 1, "{loads:?} at {now:?}");
        }
    });
    assert!(uneven > 5, "weighted random left no traces to level: {uneven}");
}

/// With cross-zone load balancing off, each zone's requests stay in it, and each algorithm distributes them evenly there.
#[test]
fn zones_are_balanced_each_by_itself() {
    for algorithm in Algorithm::ALL {
        let mut scene = Scene::new(
            2,
            6,
            Behaviour::serving(Duration::from_millis(10), 100),
            algorithm,
        );
        scene.zones = 3;
        scene.workers = 2;
        scene.settings.cross_zone = false;
        scene.crowds = crowd(60);
        let world = scene.play();
        for target in 0..6 {
            let share = world.share(target, Duration::ZERO, Duration::from_secs(60));
            assert!(
                (0.85..1.15).contains(&share),
                "{}: {target} got {share:.2} x",
                algorithm.word()
            );
        }
    }
}
