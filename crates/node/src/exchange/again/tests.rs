use super::*;
use crate::exchange::tests::{NoHeaders, pictured};
use crate::{Death, Outcome, Request, Sent, Speaks, TargetId, ZoneId};
use core::sync::atomic::Ordering::Relaxed;
use forebay_model::{Concurrency, ForwardStickiness, GroupSettings, QueueSettings};
use forebay_routing::Facts;
use forebay_units::Wall;
use std::sync::Arc;

struct World {
    snapshot: Arc<Snapshot>,
    worker: WorkerState,
    now: Mono,
}

impl World {
    fn new(targets: u8, retries: u8, push_back: bool) -> World {
        let settings = GroupSettings {
            retries,
            push_back,
            ..GroupSettings::default()
        };
        World {
            snapshot: pictured(&[("group", targets)], &settings, ForwardStickiness::default()),
            worker: WorkerState::new(0, 7),
            now: Mono::ZERO,
        }
    }

    fn begin(&mut self, method: &[u8]) -> (Exchange, TargetId) {
        let request = Request {
            facts: Facts {
                method,
                host: b"a",
                path: b"/",
                query: b"",
                source: [127, 0, 0, 1].into(),
                headers: &NoHeaders,
            },
            protocol: "http",
            zone: ZoneId::default(),
            speaks: Speaks::Http1,
            wall: Wall::from_seconds(1_800_000_000),
            upgrade: false,
            rule_path: None,
        };
        let listener = &self.snapshot.listeners[0];
        let (exchange, step) =
            Exchange::begin(self.now, &request, listener, &self.snapshot, &mut self.worker);
        let target = sent_to(Some(step)).unwrap();
        (exchange, target)
    }

    fn reconsider(&mut self, exchange: &mut Exchange, status: u16, replayable: bool) -> Option<TargetId> {
        if !exchange.may_reconsider(status) {
            return None;
        }
        let answer = Candidate {
            status,
            retry_after: Some(Duration::from_secs(5)),
            replayable,
            permit_refused: false,
        };
        let listener = &self.snapshot.listeners[0];
        sent_to(exchange.reconsider(self.now, answer, listener, &self.snapshot, &mut self.worker))
    }

    fn settle(&mut self, mut exchange: Exchange, status: u16) {
        let listener = &self.snapshot.listeners[0];
        exchange.on(
            self.now,
            Outcome::Answered(status),
            listener,
            &self.snapshot,
            &mut self.worker,
        );
        exchange.settle(self.now, None, listener, &mut self.worker);
    }

    fn in_flight(&self) -> u32 {
        let targets = &self.snapshot.groups[0].targets;
        targets
            .iter()
            .map(|target| target.stats.in_flight.load(Relaxed))
            .sum()
    }
}

fn sent_to(step: Option<Step>) -> Option<TargetId> {
    match step? {
        Step::Send { target, .. } => Some(target.id),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_failed_request_goes_to_each_other_target_once() {
    let mut world = World::new(3, 5, false);
    let (mut exchange, first) = world.begin(b"GET");
    let second = world.reconsider(&mut exchange, 503, true).unwrap();
    let third = world.reconsider(&mut exchange, 502, true).unwrap();
    assert!(first != second && second != third && first != third);
    assert_eq!(world.in_flight(), 1);
    // No other target is left, so the answer is passed on.
    assert_eq!(world.reconsider(&mut exchange, 504, true), None);
    assert_eq!(world.in_flight(), 1);
    world.settle(exchange, 504);
    assert_eq!(world.in_flight(), 0);
}

#[test]
fn only_what_is_asked_for_and_safe_is_sent_again() {
    let mut off = World::new(3, 0, false);
    let (mut exchange, _) = off.begin(b"GET");
    assert_eq!(off.reconsider(&mut exchange, 503, true), None);
    let mut world = World::new(3, 1, false);
    let (mut get, _) = world.begin(b"GET");
    assert_eq!(world.reconsider(&mut get, 500, true), None, "500 is an answer");
    assert_eq!(world.reconsider(&mut get, 503, false), None, "its body is gone");
    assert!(world.reconsider(&mut get, 503, true).is_some());
    assert_eq!(world.reconsider(&mut get, 503, true), None, "once is enough");
    let (mut post, _) = world.begin(b"POST");
    assert_eq!(
        world.reconsider(&mut post, 503, true),
        None,
        "it may have been done"
    );
    let mut pushes = World::new(3, 1, true);
    let (mut post, _) = pushes.begin(b"POST");
    assert!(
        pushes.reconsider(&mut post, 429, true).is_some(),
        "the target did nothing"
    );
}

#[test]
fn a_target_that_died_is_replaced_only_for_what_is_safe() {
    let mut world = World::new(3, 1, false);
    let died = |sent| {
        Outcome::Died(Death {
            reused: false,
            sent,
            replayable: true,
        })
    };
    for (method, sent, again) in [
        (&b"GET"[..], Sent::Some, true),
        (b"POST", Sent::Some, false),
        (b"POST", Sent::Nothing, true),
    ] {
        let (mut exchange, first) = world.begin(method);
        let listener = Arc::clone(&world.snapshot.listeners[0]);
        let step = exchange.on(
            world.now,
            died(sent),
            &listener,
            &world.snapshot,
            &mut world.worker,
        );
        match step {
            Step::Send { target, .. } => assert!(again && target.id != first),
            _ => assert!(!again),
        }
    }
}

#[test]
fn a_slot_that_was_pushed_back_counts_as_long_as_the_target_asks() {
    let mut world = World::new(2, 1, true);
    let (mut exchange, first) = world.begin(b"GET");
    world.reconsider(&mut exchange, 503, true).unwrap();
    world.settle(exchange, 200);
    let load = |world: &World| {
        let targets = &world.snapshot.groups[0].targets;
        targets
            .iter()
            .find(|target| target.id == first)
            .unwrap()
            .stats
            .load()
    };
    assert_eq!((load(&world), world.in_flight()), (1, 0));
    world.worker.expire(Mono::from_millis(4_999));
    assert_eq!(load(&world), 1);
    world.worker.expire(Mono::from_millis(5_000));
    assert_eq!(load(&world), 0);
}

#[test]
fn answers_that_are_replaced_count_for_the_target_that_gave_them() {
    let mut world = World::new(2, 1, false);
    let (mut exchange, first) = world.begin(b"GET");
    world.reconsider(&mut exchange, 503, true).unwrap();
    world.settle(exchange, 200);
    for target in &world.snapshot.groups[0].targets {
        let answers = &target.stats.totals.of(0).answers;
        let seen = (answers[2].load(Relaxed), answers[5].load(Relaxed));
        assert_eq!(seen, if target.id == first { (0, 1) } else { (1, 0) });
    }
}

#[test]
fn a_push_back_that_goes_on_keeps_its_slot_busy() {
    let mut world = World::new(1, 1, true);
    let (mut exchange, _) = world.begin(b"GET");
    assert_eq!(
        world.reconsider(&mut exchange, 429, true),
        None,
        "there is no other"
    );
    world.settle(exchange, 429);
    let load = |world: &World| world.snapshot.groups[0].targets[0].stats.load();
    assert_eq!((load(&world), world.in_flight()), (1, 0));
    world.worker.expire(Mono::from_millis(5_000));
    assert_eq!(load(&world), 0);
}

#[test]
fn where_there_are_no_slots_a_push_back_is_a_retry() {
    let mut world = World::new(2, 1, true);
    let settings = GroupSettings {
        retries: 1,
        push_back: true,
        queue: Some(Arc::new(QueueSettings::of(Concurrency::Open))),
        ..GroupSettings::default()
    };
    world.snapshot = pictured(&[("group", 2)], &settings, ForwardStickiness::default());
    let (mut exchange, first) = world.begin(b"GET");
    let again = world.reconsider(&mut exchange, 503, true);
    assert!(again.is_some_and(|target| target != first));
    world.settle(exchange, 200);
}

#[test]
fn retries_have_a_budget() {
    let mut world = World::new(4, 5, false);
    let mut again = 0;
    for request in 0..1_000 {
        world.now = Mono::from_millis(request);
        let (mut exchange, _) = world.begin(b"GET");
        while world.reconsider(&mut exchange, 503, true).is_some() {
            again += 1;
        }
        world.settle(exchange, 503);
    }
    assert!((200..=230).contains(&again), "{again}");
}
