//! Workers on their own threads pick and release targets while the slow path changes algorithms and members. Afterwards
//! every count is zero and the order is exact.

#![allow(clippy::unwrap_used, reason = "a test says what failed by where it failed")]

use forebay_model::*;
use forebay_node::*;
use forebay_units::{Mono, Rng};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

const WORKERS: usize = 4;
const PICKS: usize = 100_000;
const TARGETS: u8 = 9;

fn blueprint(algorithm: Algorithm, away: u8, cross_zone: bool) -> Blueprint {
    let targets = (0..TARGETS).filter(|&target| target != away);
    let group = GroupBlueprint {
        settings: GroupSettings {
            algorithm,
            cross_zone,
            ..GroupSettings::default()
        },
        ..fixtures::group(
            "group",
            targets
                .map(|last| TargetBlueprint {
                    zone: Some("a".into()),
                    ..fixtures::target(([10, 0, 0, last], 80))
                })
                .collect(),
        )
    };
    Blueprint {
        generation: 1,
        groups: vec![Arc::new(group)],
        ..Blueprint::default()
    }
}

/// Applies a blueprint, answers all probes, and returns the latest snapshot.
fn apply(node: &mut Node, blueprint: &Blueprint, shown: &Mutex<Arc<Snapshot>>) {
    node.apply(Mono::ZERO, blueprint);
    node.handle_deadline(Mono::ZERO);
    while let Some(output) = node.poll_output() {
        match output {
            Output::Publish(snapshot) => *shown.lock().unwrap() = snapshot,
            Output::Probe(order) => {
                let result = ProbeResult::Answered(200);
                let target = order.target;
                node.handle(Mono::ZERO, Event::Probed { target, result });
            }
            Output::ProbeFunction(_)
            | Output::Drained { .. }
            | Output::Weighed { .. }
            | Output::Channels(_) => {}
        }
    }
}

fn work(worker: usize, shown: &Mutex<Arc<Snapshot>>) {
    let mut state = WorkerState::new(worker, 7);
    let mut rng = Rng::named(worker as u64, "work");
    let mut flying = VecDeque::new();
    for number in 0..PICKS {
        // Workers adopt snapshots late, as real ones do.
        let snapshot = Arc::clone(&shown.lock().unwrap());
        for _ in 0..rng.below(4) {
            let group = &snapshot.groups[0];
            let zone = group.zones.as_ref().map_or(ZoneId(0), |zones| zones[0].0);
            flying.extend(state.choose(Mono(number as u64), group, zone, &[]));
        }
        while flying.len() > 40 || (rng.below(2) == 0 && !flying.is_empty()) {
            let at = rng.below(flying.len() as u64) as usize;
            flying.swap_remove_back(at);
        }
    }
}

#[test]
fn counts_and_order_survive_threads_and_switches() {
    let mut node = Node::new(WORKERS);
    let shown = Mutex::new(Arc::default());
    let least = Algorithm::LeastOutstandingRequests;
    apply(&mut node, &blueprint(least, TARGETS, true), &shown);
    let kept: Vec<Arc<TargetView>> = shown.lock().unwrap().groups[0].targets.clone();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS)
            .map(|worker| {
                let shown = &shown;
                scope.spawn(move || work(worker, shown))
            })
            .collect();
        scope.spawn(|| {
            for worker in workers {
                worker.join().unwrap();
            }
            over.store(true, Ordering::SeqCst);
        });
        let mut rng = Rng::named(1, "switches");
        while !over.load(Ordering::SeqCst) {
            let algorithm = if rng.below(3) == 0 {
                Algorithm::ALL[rng.below(6) as usize]
            } else {
                least
            };
            let away = rng.below(u64::from(TARGETS) * 2) as u8;
            apply(&mut node, &blueprint(algorithm, away, rng.below(3) > 0), &shown);
        }
    });
    apply(&mut node, &blueprint(least, TARGETS, true), &shown);
    // Once more without a switch, which would rebuild the order.
    std::thread::scope(|scope| {
        for worker in 0..WORKERS {
            let shown = &shown;
            scope.spawn(move || work(worker, shown));
        }
    });
    let snapshot = Arc::clone(&shown.lock().unwrap());
    let group = &snapshot.groups[0];
    for target in kept.iter().chain(&group.targets) {
        assert_eq!(target.stats.load(), 0, "{}", target.name);
    }
    let mut state = WorkerState::new(0, 1);
    let mut flying = Vec::new();
    for _ in 0..100 {
        flying.extend(state.choose(Mono::ZERO, group, ZoneId(0), &[]));
        let loads = || group.targets.iter().map(|target| target.stats.load());
        let spread = loads().max().unwrap() - loads().min().unwrap();
        assert!(spread <= 1, "{:?}", loads().collect::<Vec<_>>());
    }
    assert_eq!(flying.len(), 100);
}
