use super::*;
use crate::exchange::slot_claim::number;
use crate::exchange::tests::{NoHeaders, pictured};
use crate::ids::ZoneId;
use crate::{Candidate, Outcome, Request, Speaks};
use core::task::{Context, Waker};
use forebay_model::{ForwardStickiness, GroupSettings, QueueSettings};
use forebay_routing::{Facts, Headers};
use forebay_units::Wall;

struct World {
    snapshot: Arc<Snapshot>,
    worker: WorkerState,
    now: Mono,
    /// Zone of the node that requests arrive at.
    zone: ZoneId,
    speaks: Speaks,
}

/// A single header.
struct One(&'static str, &'static [u8]);

impl Headers for One {
    fn any(&self, name: &str, visit: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        name == self.0 && visit(self.1)
    }
}

impl World {
    /// A group of `targets` targets with this queue.
    fn new(targets: u8, queue: QueueSettings) -> World {
        let settings = GroupSettings {
            control_port: (queue.concurrency == Concurrency::Agent).then_some(90),
            queue: Some(Arc::new(queue)),
            push_back: true,
            ..GroupSettings::default()
        };
        World {
            snapshot: pictured(&[("group", targets)], &settings, ForwardStickiness::default()),
            worker: WorkerState::new(0, 1),
            now: Mono::from_millis(1),
            zone: ZoneId(0),
            speaks: Speaks::Http1,
        }
    }

    fn fixed(targets: u8, limit: u32, length: u32) -> World {
        World::new(
            targets,
            QueueSettings {
                length,
                wait: Duration::from_secs(2),
                ..QueueSettings::of(Concurrency::Fixed(limit))
            },
        )
    }

    fn begin_with(&mut self, headers: &dyn Headers, upgrade: bool) -> (Exchange, Step) {
        let request = Request {
            facts: Facts {
                method: b"POST",
                host: b"a",
                path: b"/",
                query: b"",
                source: [127, 0, 0, 1].into(),
                headers,
            },
            protocol: "http",
            zone: self.zone,
            speaks: self.speaks,
            wall: Wall::from_seconds(1_800_000_000),
            upgrade,
            rule_path: None,
        };
        let listener = &self.snapshot.listeners[0];
        Exchange::begin(self.now, &request, listener, &self.snapshot, &mut self.worker)
    }

    fn begin(&mut self) -> (Exchange, Step) {
        self.begin_with(&NoHeaders, false)
    }

    fn on(&mut self, exchange: &mut Exchange, outcome: Outcome) -> Step {
        let listener = &self.snapshot.listeners[0];
        exchange.on(self.now, outcome, listener, &self.snapshot, &mut self.worker)
    }

    fn settle(&mut self, mut exchange: Exchange) {
        assert!(matches!(
            self.on(&mut exchange, Outcome::Answered(200)),
            Step::Relay
        ));
        exchange.settle(self.now, None, &self.snapshot.listeners[0], &mut self.worker);
    }

    fn gate(&self) -> Arc<GroupGate> {
        Arc::clone(self.snapshot.groups[0].gate.as_ref().unwrap())
    }

    fn in_flight(&self) -> u32 {
        let targets = self.snapshot.groups[0].targets.iter();
        targets.map(|target| target.stats.load()).sum()
    }
}

fn is_ready(step: &Step) -> bool {
    let Step::Wait { ticket, .. } = step else {
        panic!("{step:?}")
    };
    ticket.poll(&Context::from_waker(Waker::noop())).is_ready()
}

fn refusal(step: Step) -> (u16, Reason, Option<u64>) {
    let Step::Answer(answer) = step else {
        panic!("{step:?}")
    };
    (answer.status, answer.reason, answer.retry_after)
}

#[test]
fn whoever_waits_gets_the_slot_that_is_let_go_of_in_order() {
    let mut world = World::fixed(2, 1, 10);
    let (first, step) = world.begin();
    assert!(matches!(step, Step::Send { .. }));
    let (second, _) = world.begin();
    let (mut third, step) = world.begin();
    let (fourth, later) = world.begin();
    assert!(!is_ready(&step) && !is_ready(&later));
    assert_eq!((world.gate().waiting(), world.in_flight()), (2, 2));
    world.now = Mono::from_millis(500);
    world.settle(first);
    assert!(is_ready(&step) && !is_ready(&later));
    assert!(matches!(
        world.on(&mut third, Outcome::Released),
        Step::Send { .. }
    ));
    assert_eq!(third.record.waited, Some(Duration::from_millis(499)));
    // A request that leaves frees its place; a slot that was handed to it goes to the next.
    drop((second, fourth));
    assert_eq!(world.gate().waiting(), 0);
    let (fifth, step) = world.begin();
    assert!(matches!(step, Step::Send { .. }));
    let (sixth, step) = world.begin();
    drop((third, fifth));
    assert!(is_ready(&step));
    drop(sixth);
    assert_eq!((world.gate().figures().busy, world.in_flight()), (0, 0));
    assert_eq!(world.gate().figures().free, 2);
}

#[test]
fn cross_zone_may_be_switched_off_while_requests_wait() {
    let mut world = World::fixed(2, 1, 10);
    let (_busy, other) = (world.begin(), world.begin());
    world.zone = ZoneId(1);
    let (mut waits, step) = world.begin();
    let targets = world.snapshot.groups[0].targets.iter();
    let members = targets.zip(0..).map(|(target, zone)| forebay_admission::Member {
        key: target.id.0,
        zone: Some(zone),
        weight: 1,
        target: Arc::clone(target),
    });
    world.gate().arrange(world.now, members.collect());
    assert!(!is_ready(&step));
    drop(other);
    assert!(is_ready(&step), "its zone has a free slot");
    assert!(matches!(
        world.on(&mut waits, Outcome::Released),
        Step::Send { .. }
    ));
}

#[test]
fn a_request_is_in_flight_from_when_its_slot_is_handed_out() {
    let mut world = World::fixed(1, 1, 10);
    let (busy, _) = world.begin();
    let (mut waits, step) = world.begin();
    let (late, _) = world.begin();
    drop(busy);
    // The slot was not fetched yet, and still its target is not idle.
    assert!(is_ready(&step));
    assert_eq!(world.in_flight(), 1);
    world.on(&mut waits, Outcome::Released);
    assert_eq!(world.in_flight(), 1);
    world.settle(waits);
    assert_eq!(world.in_flight(), 1, "the next has it");
    drop(late);
    assert_eq!((world.gate().figures().busy, world.in_flight()), (0, 0));
}

#[test]
fn who_leaves_while_it_waits_has_waited() {
    let mut world = World::fixed(1, 1, 10);
    let (_busy, _) = world.begin();
    let (mut waits, _) = world.begin();
    world.now = Mono::from_millis(301);
    let step = world.on(&mut waits, Outcome::Failed(Reason::ClientGone));
    assert!(matches!(step, Step::Abort));
    assert_eq!(waits.record.waited, Some(Duration::from_millis(300)));
    assert_eq!(world.gate().waiting(), 0, "its place is free at once");
}

#[test]
fn a_full_queue_refuses_and_a_late_wait_ends() {
    let mut world = World::fixed(1, 1, 1);
    let (_busy, _) = world.begin();
    let (mut waits, step) = world.begin();
    assert!(matches!(step, Step::Wait { until, .. } if until == Mono::from_millis(2001)));
    let (status, reason, after) = refusal(world.begin().1);
    assert_eq!((status, reason), (503, Reason::QueueFull));
    assert!(after.is_some_and(|seconds| seconds >= 1));
    world.now = Mono::from_millis(2100);
    let (status, reason, _) = refusal(world.on(&mut waits, Outcome::Late));
    assert_eq!((status, reason), (503, Reason::QueueWait));
    assert_eq!(world.gate().waiting(), 0);
}

#[test]
fn a_slot_that_comes_with_the_deadline_is_used() {
    let mut world = World::fixed(1, 1, 1);
    let (busy, _) = world.begin();
    let (mut waits, _) = world.begin();
    drop(busy);
    assert!(matches!(world.on(&mut waits, Outcome::Late), Step::Send { .. }));
}

#[test]
fn without_a_queue_alb_answers() {
    let queue = QueueSettings {
        length: 0,
        ..QueueSettings::of(Concurrency::Agent)
    };
    let mut world = World::new(2, queue);
    let Step::Answer(answer) = world.begin().1 else {
        panic!("no answer")
    };
    assert_eq!(*answer, Answer::no_slot());
    // A permit is used once, and reported.
    let target = world.snapshot.groups[0].targets[1].id;
    world.gate().grant(world.now, target, &[WorkId(7)]);
    let (exchange, step) = world.begin();
    assert!(matches!(step, Step::Send { target: sent, .. } if sent.id == target));
    assert_eq!(exchange.permit(), Some(WorkId(7)));
    assert!(matches!(world.begin().1, Step::Answer(_)));
    world.settle(exchange);
    assert!(world.gate().take_unused(target).is_empty());
    let step = world.begin_with(&NoHeaders, true).1;
    assert_eq!(refusal(step).1, Reason::WebSocketNotServed);
}

#[test]
fn permits_go_back_when_their_requests_did_not_arrive() {
    let mut world = World::new(1, QueueSettings::of(Concurrency::Agent));
    let target = world.snapshot.groups[0].targets[0].id;
    world.gate().grant(world.now, target, &[WorkId(1)]);
    let (mut exchange, _) = world.begin();
    let refused = world.on(&mut exchange, Outcome::NotConnected(crate::ConnectError::Refused));
    assert!(matches!(refused, Step::Wait { .. }));
    assert_eq!(world.gate().take_unused(target), [WorkId(1)]);
    // Its agent knows another one.
    world.gate().grant(world.now, target, &[WorkId(2)]);
    assert!(matches!(
        world.on(&mut exchange, Outcome::Released),
        Step::Send { .. }
    ));
    let answer = Candidate {
        status: 403,
        retry_after: None,
        replayable: true,
        permit_refused: true,
    };
    assert!(exchange.may_reconsider(403));
    let listener = &world.snapshot.listeners[0];
    let step = exchange.reconsider(world.now, answer, listener, &world.snapshot, &mut world.worker);
    assert!(matches!(step, Some(Step::Wait { .. })));
    assert!(
        world.gate().take_unused(target).is_empty(),
        "its agent has spoken"
    );
    world.gate().grant(world.now, target, &[WorkId(3)]);
    world.on(&mut exchange, Outcome::Released);
    let answer = Candidate {
        replayable: false,
        ..answer
    };
    let step = exchange.reconsider(
        world.now,
        answer,
        &world.snapshot.listeners[0],
        &world.snapshot,
        &mut world.worker,
    );
    assert_eq!(refusal(step.unwrap()).1, Reason::PermitRefused);
}

#[test]
fn a_request_that_is_pushed_back_goes_to_the_front_and_its_slot_rests() {
    let mut world = World::fixed(1, 2, 10);
    let (mut pushed, _) = world.begin();
    let (busy, _) = world.begin();
    let (_waits, step) = world.begin();
    let answer = Candidate {
        status: 429,
        retry_after: Some(Duration::from_millis(300)),
        replayable: true,
        permit_refused: false,
    };
    let again = pushed.reconsider(
        world.now,
        answer,
        &world.snapshot.listeners[0],
        &world.snapshot,
        &mut world.worker,
    );
    let again = again.unwrap();
    assert!(!is_ready(&again) && !is_ready(&step), "its slot is taken away");
    world.settle(busy);
    assert!(is_ready(&again) && !is_ready(&step), "the front goes first");
    world.now = Mono::from_millis(400);
    world.gate().tick(world.now);
    assert!(is_ready(&step), "the slot is back");
}

#[test]
fn scale_from_zero_waits_for_the_first_target() {
    let queue = QueueSettings::of(Concurrency::Open);
    let mut world = World::new(0, queue);
    let (mut exchange, step) = world.begin();
    assert!(!is_ready(&step));
    let target = Arc::clone(&pictured(
        &[("group", 1)],
        &GroupSettings::default(),
        ForwardStickiness::default(),
    ))
    .groups[0]
        .targets[0]
        .clone();
    let member = forebay_admission::Member {
        key: target.id.0,
        zone: None,
        weight: 1,
        target,
    };
    world.gate().arrange(world.now, vec![member]);
    assert!(is_ready(&step));
    assert!(matches!(
        world.on(&mut exchange, Outcome::Released),
        Step::Send { .. }
    ));
}

#[test]
fn deadlines_and_classes_come_from_headers() {
    let mut world = World::new(
        1,
        QueueSettings {
            class_header: Some("x-tenant".into()),
            weights: Arc::new([("gold".into(), 4)]),
            ..QueueSettings::of(Concurrency::Agent)
        },
    );
    let line = |world: &mut World, name, value| {
        let (exchange, _) = world.begin_with(&One(name, value), false);
        let line = exchange.line.as_ref().unwrap();
        (line.class, line.weight, line.deadline.since(line.since))
    };
    let ten = Duration::from_secs(10);
    assert_eq!(line(&mut world, "x-tenant", b"gold"), (number(b"gold"), 4, ten));
    assert_eq!(line(&mut world, "x-tenant", b"tin"), (number(b"tin"), 1, ten));
    assert_eq!(line(&mut world, "x-other", b"gold"), (0, 1, ten));
    let second = Duration::from_secs(1);
    assert_eq!(
        line(&mut world, "grpc-timeout", b"1000m").2,
        ten,
        "this is no gRPC call"
    );
    let mut world = World::new(1, QueueSettings::of(Concurrency::Open));
    world.speaks = Speaks::Http2 {
        grpc: true,
        post: true,
    };
    assert_eq!(line(&mut world, "grpc-timeout", b"1000m").2, second);
    assert_eq!(line(&mut world, "grpc-timeout", b"99H").2, ten);
    assert_eq!(line(&mut world, "grpc-timeout", "1\u{e4}".as_bytes()).2, ten);
    assert_eq!(line(&mut world, "grpc-timeout", b"").2, ten);
}

#[test]
fn a_permit_whose_request_was_refused_before_it_was_looked_at_goes_back() {
    let mut world = World::new(1, QueueSettings::of(Concurrency::Agent));
    let target = world.snapshot.groups[0].targets[0].id;
    for (status, back) in [(400, true), (503, true), (200, false)] {
        world.gate().grant(world.now, target, &[WorkId(9)]);
        let (mut exchange, _) = world.begin();
        world.on(&mut exchange, Outcome::Answered(status));
        exchange.settle(world.now, None, &world.snapshot.listeners[0], &mut world.worker);
        assert_eq!(!world.gate().take_unused(target).is_empty(), back, "{status}");
    }
}

#[test]
fn what_an_application_refuses_is_not_sent_again() {
    let settings = GroupSettings {
        queue: Some(Arc::new(QueueSettings::of(Concurrency::Agent))),
        retries: 2,
        ..GroupSettings::default()
    };
    let mut world = World::new(2, QueueSettings::of(Concurrency::Agent));
    world.snapshot = pictured(&[("group", 2)], &settings, ForwardStickiness::default());
    let target = world.snapshot.groups[0].targets[0].id;
    world.gate().grant(world.now, target, &[WorkId(1), WorkId(2)]);
    let (mut exchange, _) = world.begin();
    exchange.safe = true;
    let mut answer = Candidate {
        status: 403,
        retry_after: None,
        replayable: true,
        permit_refused: false,
    };
    let listener = &world.snapshot.listeners[0];
    assert!(
        exchange
            .reconsider(world.now, answer, listener, &world.snapshot, &mut world.worker)
            .is_none()
    );
    answer.status = 503;
    assert!(
        exchange
            .reconsider(world.now, answer, listener, &world.snapshot, &mut world.worker)
            .is_some()
    );
}

#[test]
fn a_target_that_refuses_does_not_draw_those_who_wait() {
    let mut world = World::fixed(2, 1, 10);
    let (mut refused, step) = world.begin();
    let Step::Send { target: dead, .. } = step else {
        panic!("{step:?}")
    };
    let (busy, _) = world.begin();
    let (_waits, step) = world.begin();
    let again = world.on(&mut refused, Outcome::NotConnected(crate::ConnectError::Refused));
    assert!(
        !is_ready(&again) && !is_ready(&step),
        "the dead target's slot rests"
    );
    world.settle(busy);
    assert!(is_ready(&again));
    let Step::Send { target, .. } = world.on(&mut refused, Outcome::Released) else {
        panic!("not sent")
    };
    assert_ne!(target.id, dead.id);
}

#[test]
fn one_request_does_not_rest_all_slots() {
    let mut world = World::fixed(1, 20, 10);
    let (mut exchange, _) = world.begin();
    let answer = Candidate {
        status: 503,
        retry_after: Some(Duration::ZERO),
        replayable: true,
        permit_refused: false,
    };
    let again = |world: &mut World, exchange: &mut Exchange| {
        let listener = &world.snapshot.listeners[0];
        exchange.reconsider(world.now, answer, listener, &world.snapshot, &mut world.worker)
    };
    for _ in 0..MOST_PUSHED {
        assert!(matches!(
            again(&mut world, &mut exchange),
            Some(Step::Send { .. })
        ));
    }
    assert!(
        again(&mut world, &mut exchange).is_none(),
        "then its client sees it"
    );
    assert_eq!(world.gate().figures().free, 20 - 1 - u64::from(MOST_PUSHED));
}

#[test]
fn nobody_waits_at_a_gate_that_is_closed() {
    let mut world = World::fixed(1, 1, 10);
    let (mut back, _) = world.begin();
    let (_waits, step) = world.begin();
    let at_front = world.on(&mut back, Outcome::NotConnected(crate::ConnectError::Refused));
    assert!(!is_ready(&at_front) && !is_ready(&step));
    world.gate().dissolve(world.now);
    assert!(is_ready(&at_front) && is_ready(&step));
    assert!(matches!(world.begin().1, Step::Answer(_)));
}
