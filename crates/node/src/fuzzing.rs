//! Entry points for `fuzz/`: each function takes arbitrary bytes and panics where an invariant is broken. The corpora
//! also run as ordinary tests.

use crate::{
    BalancerStats, ConnectError, Death, Event, Exchange, Facts, Headers, ListenerView, Node, Outcome, Output,
    ProbeResult, Reason, Request, Reuse, Sent, Snapshot, Speaks, Step, TargetId, TargetStats, WorkerState,
    ZoneId,
};
use core::sync::atomic::Ordering::Relaxed;
use core::time::Duration;
use forebay_model::*;
use forebay_units::{Mono, Wall};
use std::sync::Arc;

/// A target's name, and the function that takes its bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All targets of this crate, by the names of their corpora.
pub const TARGETS: &[Target] = &[("exchange", exchange)];

/// Bound on the connections made for one request.
const SENDS: u64 = 64;

struct NoHeaders;

impl Headers for NoHeaders {
    fn any(&self, _: &str, _: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        false
    }
}

fn group(targets: u8, draining: u8, version: ProtocolVersion) -> GroupBlueprint {
    let mut targets = fixtures::targets(0, targets);
    for target in targets.iter_mut().take(usize::from(draining)) {
        target.draining = true;
    }
    GroupBlueprint {
        version,
        probe: ProbeKind::of(version),
        ..fixtures::group("group", targets)
    }
}

fn balancer() -> BalancerBlueprint {
    let fixed = Action::FixedResponse(FixedResponse {
        status: 204,
        content_type: None,
        body: None,
    });
    let at_fixed = Condition::PathPattern(TextMatch::Wildcards(vec!["/fixed".into()]));
    let rules = vec![
        RuleBlueprint {
            conditions: vec![at_fixed],
            ..fixtures::rule(Priority::At(1), fixed)
        },
        fixtures::rule(Priority::Default, fixtures::forward("group")),
    ];
    fixtures::balancer("balancer", fixtures::listener("listener", rules))
}

/// A node and its published snapshot. Probes pass, except for targets named in `sick`.
struct World {
    node: Node,
    snapshot: Arc<Snapshot>,
    /// The counters of all targets that ever existed.
    targets: Vec<Arc<TargetStats>>,
    generation: u64,
}

impl World {
    fn new(targets: u8, sick: bool, version: ProtocolVersion) -> World {
        let mut world = World {
            node: Node::new(1),
            snapshot: Arc::default(),
            targets: Vec::new(),
            generation: 0,
        };
        world.apply(group(targets, 0, version), sick);
        world
    }

    fn apply(&mut self, group: GroupBlueprint, sick: bool) {
        self.generation += 1;
        let blueprint = Blueprint {
            generation: self.generation,
            balancers: vec![Arc::new(balancer())],
            groups: vec![Arc::new(group)],
            ..Blueprint::default()
        };
        self.node.apply(Mono::ZERO, &blueprint);
        self.node.handle_deadline(Mono::ZERO);
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Publish(snapshot) => self.snapshot = snapshot,
                Output::Probe(order) => {
                    let result = ProbeResult::Answered(if sick { 500 } else { 200 });
                    let target = order.target;
                    self.node.handle(Mono::ZERO, Event::Probed { target, result });
                }
                Output::ProbeFunction(_)
                | Output::Drained { .. }
                | Output::Weighed { .. }
                | Output::Channels(_) => {}
            }
        }
        for target in self.snapshot.groups.iter().flat_map(|group| &group.targets) {
            if !self.targets.iter().any(|known| Arc::ptr_eq(known, &target.stats)) {
                self.targets.push(Arc::clone(&target.stats));
            }
        }
    }

    fn listener(&self) -> Arc<ListenerView> {
        Arc::clone(&self.snapshot.listeners[0])
    }

    fn in_flight(&self) -> u32 {
        let counts = self.targets.iter().map(|target| target.in_flight.load(Relaxed));
        counts.sum()
    }

    fn answers(&self) -> u64 {
        let all = self.targets.iter().flat_map(|target| target.totals.iter());
        all.flat_map(|totals| &totals.answers)
            .map(|count| count.load(Relaxed))
            .sum()
    }
}

/// The history of an exchange, as far as it restricts the next step.
#[derive(Default)]
struct Seen {
    sends: u64,
    refused: Vec<TargetId>,
    relayed: bool,
    /// From here on, no other target and no other connection may be used.
    final_send: bool,
    own: Option<u16>,
    aborted: bool,
}

impl Seen {
    /// Takes a step; returns whether the request is still under way.
    fn take(&mut self, step: &Step, world: &World) -> bool {
        match step {
            Step::Send { target, reuse } => {
                assert!(!self.relayed, "sent again after an answer began");
                assert!(!self.final_send, "sent again although it may be at work");
                assert!(*reuse == Reuse::Never || !self.refused.contains(&target.id));
                self.sends += 1;
                assert!(self.sends <= SENDS, "too many connections");
                assert_eq!(world.in_flight(), 1);
                true
            }
            Step::Relay => {
                assert!(self.sends > 0, "an answer of nobody");
                self.relayed = true;
                true
            }
            Step::Answer(answer) => {
                assert!(!self.relayed, "an answer that has begun was replaced");
                assert!((200..=599).contains(&answer.status));
                assert_eq!(world.in_flight(), 0, "in flight after the request is over");
                self.own = Some(answer.status);
                false
            }
            // No group here has a queue.
            Step::Abort | Step::Wait { .. } => {
                self.aborted = true;
                false
            }
        }
    }
}

fn death(byte: u8) -> Death {
    Death {
        reused: byte & 1 != 0,
        sent: match byte & 10 {
            0 => Sent::Some,
            2 => Sent::Nothing,
            _ => Sent::Unprocessed,
        },
        replayable: byte & 4 != 0,
    }
}

/// The outcome that these bytes stand for, and whether a request with that outcome may be sent again.
fn outcome(operation: u8, detail: u8, safe: bool, age: Duration) -> (Outcome, bool) {
    match operation % 4 {
        0 => {
            let error = [
                ConnectError::Refused,
                ConnectError::Refused,
                ConnectError::TimedOut,
                ConnectError::Handshake,
                ConnectError::OutOfResources,
            ][usize::from(detail) % 5];
            (
                Outcome::NotConnected(error),
                matches!(error, ConnectError::Refused),
            )
        }
        1 => {
            let death = death(detail);
            let unharmed = death.sent != Sent::Some || (safe && age < Duration::from_secs(1));
            let anew = death.reused || death.sent == Sent::Unprocessed;
            (Outcome::Died(death), anew && death.replayable && unharmed)
        }
        2 => (Outcome::Answered(100 + u16::from(detail) * 4 % 900), false),
        _ => {
            let reasons = [
                Reason::ClientGone,
                Reason::TargetSilent,
                Reason::BadAnswer,
                Reason::BodyBroken,
                Reason::DeregistrationOver,
                Reason::ClientSilent,
            ];
            (
                Outcome::Failed(reasons[usize::from(detail) % reasons.len()]),
                false,
            )
        }
    }
}

/// A request to make: the bytes choose what it asks for and of which target group.
struct Ask {
    method: &'static [u8],
    path: &'static [u8],
    speaks: Speaks,
    version: ProtocolVersion,
}

impl Ask {
    fn new(kind: u8) -> Ask {
        let method: &[u8] = [&b"GET"[..], b"POST", b"HEAD", b"DELETE"][usize::from(kind & 3)];
        let http2 = Speaks::Http2 {
            grpc: kind & 4 != 0,
            post: method == b"POST",
        };
        Ask {
            method,
            path: if kind & 32 == 0 { b"/" } else { b"/fixed" },
            speaks: if kind & 8 == 0 { Speaks::Http1 } else { http2 },
            version: if kind & 16 == 0 {
                ProtocolVersion::Http1
            } else {
                ProtocolVersion::Grpc
            },
        }
    }

    fn request(&self) -> Request<'_> {
        Request {
            facts: Facts {
                method: self.method,
                host: b"a.b",
                path: self.path,
                query: b"",
                source: [127, 0, 0, 1].into(),
                headers: &NoHeaders,
            },
            protocol: "http",
            zone: ZoneId(0),
            speaks: self.speaks,
            wall: Wall::from_seconds(1_800_000_000),
            upgrade: false,
            rule_path: None,
        }
    }
}

/// One request and any sequence of outcomes, two bytes each, while targets come and go. The first three bytes choose
/// the request, the group and the seed.
pub fn exchange(data: &[u8]) {
    let [kind, targets, seed, operations @ ..] = data else {
        return;
    };
    let ask = Ask::new(*kind);
    let safe = matches!(ask.method, b"GET" | b"HEAD");
    let mut world = World::new(targets & 15, targets & 16 != 0, ask.version);
    let mut worker = WorkerState::new(0, u64::from(*seed));
    let (mut now, mut sent) = (Mono::ZERO, Mono::ZERO);
    let first = world.listener();
    let (mut exchange, mut last) = Exchange::begin(now, &ask.request(), &first, &world.snapshot, &mut worker);
    let mut seen = Seen::default();
    let mut going = seen.take(&last, &world);
    for pair in operations.chunks_exact(2) {
        if !going {
            break;
        }
        let (operation, detail) = (pair[0], pair[1]);
        match operation % 8 {
            0..4 => {
                let (outcome, again) = outcome(operation, detail, safe, now.since(sent));
                if let (Outcome::NotConnected(_), Step::Send { target, .. }) = (outcome, &last) {
                    seen.refused.push(target.id);
                }
                seen.final_send = !again;
                last = exchange.on(now, outcome, &world.listener(), &world.snapshot, &mut worker);
                going = seen.take(&last, &world);
                sent = now;
            }
            4 => now = now + Duration::from_millis(u64::from(detail) * 10),
            5 if !seen.relayed => {
                exchange.connected(now);
                sent = now;
            }
            6 => world.apply(group(detail & 15, detail >> 4, ask.version), operation & 8 != 0),
            _ => worker.forget(&world.snapshot),
        }
    }
    finish(exchange, now, &seen, &world, &mut worker, &first.balancer.stats);
}

/// After its end, or wherever it was abandoned: every counter has counted what happened exactly once.
fn finish(
    mut exchange: Exchange,
    now: Mono,
    seen: &Seen,
    world: &World,
    worker: &mut WorkerState,
    stats: &crate::Zoned<BalancerStats>,
) {
    if seen.own.is_none() && !seen.relayed && !seen.aborted {
        assert_eq!(world.in_flight(), 1, "waits for a target that does not count it");
        drop(exchange);
        assert_eq!(world.in_flight(), 0, "in flight after it was dropped");
        return;
    }
    let record = exchange.settle(now, seen.own, &world.listener(), worker);
    assert_eq!(u64::from(record.retries), seen.sends.saturating_sub(1));
    assert_eq!(record.target_status.is_some(), seen.relayed);
    assert_eq!(world.in_flight(), 0, "in flight after it was settled");
    let own: u64 = stats
        .iter()
        .flat_map(|shard| &shard.own)
        .map(|count| count.load(Relaxed))
        .sum();
    assert_eq!(own, u64::from(seen.own.is_some()), "own answers");
    assert_eq!(world.answers(), u64::from(seen.relayed), "targets' answers");
    assert!(own + world.answers() <= 1, "answered twice");
    let requests: u64 = stats.iter().map(|shard| shard.requests.load(Relaxed)).sum();
    assert_eq!(requests, 1);
    let sends: u64 = world.targets.iter().map(|target| target.requests()).sum();
    assert_eq!(sends, seen.sends, "requests of targets");
}

#[cfg(test)]
mod tests {
    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test reads its corpus")]
    fn the_corpora_hold() {
        for (name, target) in super::TARGETS {
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
            let mut count = 0;
            for entry in std::fs::read_dir(folder.join(name)).unwrap() {
                target(&std::fs::read(entry.unwrap().path()).unwrap());
                count += 1;
            }
            assert!(count > 0, "{name} has no corpus");
        }
    }
}
