//! Tests of the state that workers share, under thousands of thread schedules: at each atomic and each lock, `shuttle`
//! chooses which thread runs next.

use crate::gate::GroupGate;
use crate::ids::ZoneId;
use crate::marks::Marks;
use crate::shards::Zoned;
use crate::waiting::Arrived;
use crate::{Event, Node, Output, ProbeResult, Snapshot, TargetView, WorkerState};
use core::time::Duration;
use forebay_admission::{Arrival, Limit, Member, Rules};
use forebay_model::{Algorithm, Blueprint, GroupBlueprint, GroupSettings, fixtures};
use forebay_units::{Mono, Rng};
use shuttle::sync::Mutex;
use shuttle::thread;
use std::collections::BTreeSet;
use std::sync::Arc;

const SCHEDULES: usize = 2_000;

#[test]
fn no_mark_is_lost() {
    let schedule = || {
        let marks = Arc::new(Marks::default());
        // In the first chunk, in its second word, and in chunks that do not exist yet.
        let numbers = [[1_u32, 64, 5_000], [2, 65, 70_000]];
        let setters: Vec<_> = numbers
            .into_iter()
            .map(|numbers| {
                let marks = Arc::clone(&marks);
                thread::spawn(move || numbers.into_iter().for_each(|number| marks.set(number)))
            })
            .collect();
        let mut taken = BTreeSet::new();
        for _ in 0..3 {
            marks.take(|number| assert!(taken.insert(number), "{number} was taken twice"));
        }
        for setter in setters {
            setter.join().unwrap();
        }
        marks.take(|number| assert!(taken.insert(number), "{number} was taken twice"));
        assert_eq!(taken, numbers.into_iter().flatten().collect());
    };
    shuttle::check_random(schedule, SCHEDULES);
}

fn blueprint(algorithm: Algorithm, targets: u8) -> Blueprint {
    let group = GroupBlueprint {
        settings: GroupSettings {
            algorithm,
            ..GroupSettings::default()
        },
        ..fixtures::group("group", fixtures::targets(0, targets))
    };
    Blueprint {
        generation: 1,
        groups: vec![Arc::new(group)],
        ..Blueprint::default()
    }
}

/// Applies a blueprint, answers all probes, and returns the latest snapshot.
fn apply(node: &mut Node, blueprint: &Blueprint) -> Arc<Snapshot> {
    node.apply(Mono::ZERO, blueprint);
    node.handle_deadline(Mono::ZERO);
    let mut latest = Arc::default();
    while let Some(output) = node.poll_output() {
        match output {
            Output::Publish(snapshot) => latest = snapshot,
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
    latest
}

#[test]
fn loads_and_their_order_are_exact_whatever_is_switched() {
    let schedule = || {
        let least = Algorithm::LeastOutstandingRequests;
        let mut node = Node::new(2);
        let snapshot = apply(&mut node, &blueprint(least, 3));
        let all = snapshot.groups[0].targets.clone();
        let shown = Arc::new(Mutex::new(snapshot));
        let workers: Vec<_> = (0..2)
            .map(|worker| {
                let shown = Arc::clone(&shown);
                thread::spawn(move || {
                    let mut state = WorkerState::new(worker, 7);
                    let mut flying = Vec::new();
                    for _ in 0..3 {
                        let snapshot = Arc::clone(&shown.lock().unwrap());
                        flying.extend(state.choose(Mono::ZERO, &snapshot.groups[0], ZoneId(0), &[]));
                        if flying.len() > 1 {
                            flying.remove(0);
                        }
                    }
                })
            })
            .collect();
        // The order is dissolved and rebuilt, and a target leaves and returns, while requests begin and end.
        for (algorithm, targets) in [(Algorithm::RoundRobin, 3), (least, 2), (least, 3)] {
            let snapshot = apply(&mut node, &blueprint(algorithm, targets));
            *shown.lock().unwrap() = snapshot;
        }
        for worker in workers {
            worker.join().unwrap();
        }
        let snapshot = Arc::clone(&shown.lock().unwrap());
        let group = &snapshot.groups[0];
        for target in all.iter().chain(&group.targets) {
            assert_eq!(target.stats.load(), 0, "{}", target.name);
        }
        let mut state = WorkerState::new(0, 1);
        let flying: Vec<_> = (0..6)
            .map(|_| state.choose(Mono::ZERO, group, ZoneId(0), &[]))
            .collect();
        assert!(flying.iter().all(Option::is_some));
        for target in &group.targets {
            assert_eq!(target.stats.load(), 2, "{}", target.name);
        }
    };
    shuttle::check_random(schedule, SCHEDULES / 4);
}

fn arrival() -> Arrival<'static> {
    Arrival {
        zone: 0,
        class: 0,
        weight: 1,
        deadline: Mono::from_millis(1000),
        since: Mono::ZERO,
        front: false,
        avoid: &[],
        prefers: None,
    }
}

/// Asks for a slot, waits for it if necessary, and holds it for a moment; false if it was refused.
fn request(gate: &Arc<GroupGate>, seed: u64) -> bool {
    let (counters, mut rng) = (Arc::new(Zoned::new(1)), Rng::named(seed, "schedule"));
    match gate.arrive(Mono::ZERO, &arrival(), &mut rng, &counters, 0) {
        Arrived::Admitted(slot) => {
            thread::yield_now();
            drop(slot);
            true
        }
        Arrived::Waits(mut waiting) => {
            let ticket = waiting.ticket();
            shuttle::future::block_on(core::future::poll_fn(|cx| ticket.poll(cx)));
            let (_, outcome) = waiting.over().unwrap();
            outcome.is_ok()
        }
        Arrived::Refused(_) => false,
    }
}

/// A gate with one slot, which exists from `arrange` on, and two places in its queue.
fn gate() -> (Arc<GroupGate>, Arc<TargetView>) {
    let snapshot = apply(&mut Node::new(1), &blueprint(Algorithm::RoundRobin, 1));
    let gate = GroupGate::new(
        Rules {
            limit: Limit::Fixed(1),
            length: 2,
            wait: Duration::from_secs(1),
            balanced: false,
        },
        Default::default(),
    );
    (Arc::new(gate), Arc::clone(&snapshot.groups[0].targets[0]))
}

fn arrange(gate: &GroupGate, target: &Arc<TargetView>) {
    let member = Member {
        key: target.id.0,
        zone: None,
        weight: 1,
        target: Arc::clone(target),
    };
    gate.arrange(Mono::ZERO, vec![member]);
}

fn assert_idle(gate: &GroupGate, target: &TargetView) {
    let figures = gate.figures();
    assert_eq!((gate.waiting(), figures.busy, figures.free), (0, 0, 1));
    assert_eq!(target.stats.load(), 0);
}

#[test]
fn no_slot_is_lost_and_nobody_waits_in_vain() {
    let schedule = || {
        let (gate, target) = gate();
        let requests: Vec<_> = (0..3)
            .map(|seed| {
                let gate = Arc::clone(&gate);
                thread::spawn(move || request(&gate, seed))
            })
            .collect();
        // There is no target yet, so requests that came before this wait.
        arrange(&gate, &target);
        let served = requests.into_iter().map(|request| request.join().unwrap());
        let served = served.filter(|&served| served).count();
        // The third request finds both places taken if there is no target yet.
        assert!(served >= 2, "{served} of 3");
        assert_idle(&gate, &target);
    };
    shuttle::check_random(schedule, SCHEDULES);
}

#[test]
fn a_wait_that_is_given_up_takes_no_slot_along() {
    let schedule = || {
        let (gate, target) = gate();
        arrange(&gate, &target);
        let shared = Arc::clone(&gate);
        let holder = thread::spawn(move || request(&shared, 1));
        let shared = Arc::clone(&gate);
        let leaver = thread::spawn(move || {
            // Dropped at once in any case, perhaps just when the slot is handed over.
            let (counters, mut rng) = (Arc::new(Zoned::new(1)), Rng::named(2, "schedule"));
            drop(shared.arrive(Mono::ZERO, &arrival(), &mut rng, &counters, 0));
        });
        assert!(request(&gate, 3));
        assert!(holder.join().unwrap());
        leaver.join().unwrap();
        assert_idle(&gate, &target);
    };
    shuttle::check_random(schedule, SCHEDULES);
}
