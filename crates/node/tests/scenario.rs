//! The simulator's seed: a node with 1,000 targets and 1,000,000 requests in virtual time. Targets die, return, are
//! deregistered and registered again, and pooled connections go stale. The same seed must give the same log, down to
//! its hash.

#![allow(clippy::unwrap_used, reason = "a test says what failed by where it failed")]

use forebay_model::*;
use forebay_node::*;
use forebay_units::{Mono, Rng, Wall};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

const TARGETS: u16 = 1_000;
const REQUESTS: u64 = 1_000_000;
const WORKERS: usize = 2;
const SECOND: u64 = 1_000_000_000;

fn address(index: u16) -> std::net::SocketAddr {
    ([10, 0, (index / 250) as u8, (index % 250) as u8], 80).into()
}

fn target(index: u16, draining: bool) -> TargetBlueprint {
    TargetBlueprint {
        draining,
        weight: 1,
        ..fixtures::target(address(index))
    }
}

fn blueprint(targets: Vec<TargetBlueprint>) -> Blueprint {
    let group = GroupBlueprint {
        health: HealthCheck {
            interval: Duration::from_secs(10),
            ..fixtures::health_check()
        },
        settings: GroupSettings {
            deregistration_delay: Duration::from_secs(10),
            ..GroupSettings::default()
        },
        ..fixtures::group("group", targets)
    };
    let rules = vec![fixtures::rule(Priority::Default, fixtures::forward("group"))];
    let balancer = fixtures::balancer("balancer", fixtures::listener("listener", rules));
    Blueprint {
        generation: 1,
        balancers: vec![Arc::new(balancer)],
        groups: vec![Arc::new(group)],
        ..Blueprint::default()
    }
}

struct NoHeaders;

impl Headers for NoHeaders {
    fn any(&self, _: &str, _: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        false
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    Arrival(u64),
    Outcome(usize),
    Probe(TargetId),
    Deadline,
    Kill,
    Revive,
    Deregister,
    Register,
}

struct Flying {
    exchange: Exchange,
    worker: usize,
    outcome: Option<Outcome>,
}

struct World {
    node: Node,
    snapshot: Arc<Snapshot>,
    workers: Vec<WorkerState>,
    queue: BinaryHeap<Reverse<(u64, u64, Next)>>,
    sequence: u64,
    rng: Rng,
    flying: Vec<Option<Flying>>,
    free: Vec<usize>,
    dead: BTreeSet<std::net::SocketAddr>,
    deregistered: BTreeSet<std::net::SocketAddr>,
    drained: BTreeSet<std::net::SocketAddr>,
    deadline: Option<Mono>,
    log: u64,
    ends: BTreeMap<Option<Reason>, u64>,
    picks: BTreeMap<std::net::SocketAddr, u64>,
}

impl World {
    fn new(seed: u64) -> World {
        World {
            node: Node::new(WORKERS),
            snapshot: Arc::default(),
            workers: (0..WORKERS)
                .map(|worker| WorkerState::new(worker, seed))
                .collect(),
            queue: BinaryHeap::new(),
            sequence: 0,
            rng: Rng::named(seed, "world"),
            flying: Vec::new(),
            free: Vec::new(),
            dead: BTreeSet::new(),
            deregistered: BTreeSet::new(),
            drained: BTreeSet::new(),
            deadline: None,
            log: 0xcbf2_9ce4_8422_2325,
            ends: BTreeMap::new(),
            picks: BTreeMap::new(),
        }
    }

    fn write(&mut self, words: &[u64]) {
        for byte in words.iter().flat_map(|word| word.to_le_bytes()) {
            self.log = (self.log ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn at(&mut self, time: u64, next: Next) {
        self.sequence += 1;
        self.queue.push(Reverse((time, self.sequence, next)));
    }

    fn apply(&mut self, now: u64) {
        let targets = (0..TARGETS)
            .filter(|&index| !self.drained.contains(&address(index)))
            .map(|index| target(index, self.deregistered.contains(&address(index))))
            .collect();
        self.node.apply(Mono(now), &blueprint(targets));
        self.obey(now);
    }

    fn obey(&mut self, now: u64) {
        let mut ended = false;
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Publish(snapshot) => {
                    self.write(&[1, now, snapshot.version]);
                    self.workers
                        .iter_mut()
                        .for_each(|worker| worker.forget(&snapshot));
                    self.snapshot = snapshot;
                }
                Output::Probe(order) => self.at(now + 1_000_000, Next::Probe(order.target)),
                Output::ProbeFunction(_) | Output::Weighed { .. } | Output::Channels(_) => {}
                Output::Drained { target, .. } => {
                    let address: std::net::SocketAddr =
                        (target.parse::<std::net::IpAddr>().unwrap(), 80).into();
                    assert!(self.deregistered.contains(&address));
                    ended |= self.drained.insert(address);
                }
            }
        }
        if ended {
            self.apply(now);
        }
        let deadline = self.node.next_deadline();
        if deadline != self.deadline {
            self.deadline = deadline;
            if let Some(deadline) = deadline {
                self.at(deadline.0.max(now), Next::Deadline);
            }
        }
    }

    fn arrive(&mut self, now: u64, number: u64) {
        let worker = (number % WORKERS as u64) as usize;
        let snapshot = Arc::clone(&self.snapshot);
        let listener = &snapshot.listeners[0];
        let method: &[u8] = if self.rng.below(4) == 0 { b"POST" } else { b"GET" };
        let request = Request {
            facts: Facts {
                method,
                host: b"a.b",
                path: b"/",
                query: b"",
                source: [127, 0, 0, 1].into(),
                headers: &NoHeaders,
            },
            protocol: "http",
            zone: listener.nodes[0].zone,
            speaks: Speaks::Http1,
            wall: Wall::from_seconds(1_800_000_000),
            upgrade: false,
            rule_path: None,
        };
        let (exchange, step) = Exchange::begin(
            Mono(now),
            &request,
            listener,
            &snapshot,
            &mut self.workers[worker],
        );
        self.follow(
            now,
            Flying {
                exchange,
                worker,
                outcome: None,
            },
            step,
        );
    }

    fn follow(&mut self, now: u64, mut flying: Flying, step: Step) {
        match step {
            Step::Send { target, reuse } => {
                let address = target.address.expect("no target is a function");
                assert!(
                    !self.deregistered.contains(&address),
                    "a deregistered target was picked"
                );
                self.write(&[2, now, target.id.0]);
                *self.picks.entry(address).or_default() += 1;
                let (after, outcome) = if self.dead.contains(&address) {
                    self.node.handle(Mono(now), Event::Refused { target: target.id });
                    self.obey(now);
                    (200_000, Outcome::NotConnected(ConnectError::Refused))
                } else if reuse == Reuse::Any && self.rng.below(1000) == 0 {
                    (
                        100_000,
                        Outcome::Died(Death {
                            reused: true,
                            sent: Sent::Some,
                            replayable: true,
                        }),
                    )
                } else {
                    (1_000_000 + self.rng.below(50_000_000), Outcome::Answered(200))
                };
                flying.outcome = Some(outcome);
                let place = self.free.pop().unwrap_or_else(|| {
                    self.flying.push(None);
                    self.flying.len() - 1
                });
                self.flying[place] = Some(flying);
                self.at(now + after, Next::Outcome(place));
            }
            Step::Answer(answer) => self.settle(now, flying, Some(answer.status)),
            Step::Relay | Step::Abort | Step::Wait { .. } => self.settle(now, flying, None),
        }
    }

    fn settle(&mut self, now: u64, mut flying: Flying, own: Option<u16>) {
        let worker = &mut self.workers[flying.worker];
        let record = flying
            .exchange
            .settle(Mono(now), own, &self.snapshot.listeners[0], worker);
        *self.ends.entry(record.reason).or_default() += 1;
        self.write(&[
            3,
            now,
            u64::from(record.retries),
            record.reason.map_or(0, |reason| u64::from(reason.status())),
        ]);
    }

    fn lives(&self, target: Option<&TargetView>) -> bool {
        let address = target.and_then(|target| target.address);
        address.is_some_and(|address| !self.dead.contains(&address))
    }

    fn run(mut self) -> World {
        self.apply(0);
        let mut arrival = 50_000_000;
        for number in 0..REQUESTS {
            self.at(arrival, Next::Arrival(number));
            arrival += 1 + self.rng.below(200_000);
        }
        for (second, next) in [
            (20, Next::Kill),
            (40, Next::Deregister),
            (55, Next::Revive),
            (70, Next::Register),
        ] {
            self.at(second * SECOND, next);
        }
        let mut arrived = 0;
        while let Some(Reverse((now, _, next))) = self.queue.pop() {
            match next {
                Next::Arrival(number) => {
                    arrived += 1;
                    self.arrive(now, number);
                }
                Next::Outcome(place) => {
                    let mut flying = self.flying[place].take().unwrap();
                    self.free.push(place);
                    let snapshot = Arc::clone(&self.snapshot);
                    let outcome = flying.outcome.take().unwrap();
                    let worker = &mut self.workers[flying.worker];
                    let step =
                        flying
                            .exchange
                            .on(Mono(now), outcome, &snapshot.listeners[0], &snapshot, worker);
                    self.follow(now, flying, step);
                }
                Next::Probe(id) => {
                    let view = self.snapshot.groups[0]
                        .targets
                        .iter()
                        .find(|target| target.id == id)
                        .cloned();
                    let alive = self.lives(view.as_deref());
                    let result = if alive {
                        ProbeResult::Answered(200)
                    } else {
                        ProbeResult::Failed
                    };
                    self.node.handle(Mono(now), Event::Probed { target: id, result });
                    self.obey(now);
                }
                Next::Deadline if arrived < REQUESTS => {
                    self.node.handle_deadline(Mono(now));
                    self.deadline = None;
                    self.obey(now);
                }
                Next::Deadline => {}
                Next::Kill => self.dead.extend((0..50).map(address)),
                Next::Revive => self.dead.clear(),
                Next::Deregister => {
                    self.deregistered.extend((100..200).map(address));
                    self.apply(now);
                }
                Next::Register => {
                    assert_eq!(self.drained.len(), 100, "every drain ended");
                    self.deregistered.clear();
                    self.drained.clear();
                    self.apply(now);
                }
            }
        }
        self
    }
}

#[test]
fn a_million_requests_twice_give_one_log() {
    let first = World::new(7).run();
    assert_eq!(first.ends.values().sum::<u64>(), REQUESTS);
    // A dead target is out at its first refused connection and that request goes elsewhere, so no request fails.
    assert_eq!(first.ends, BTreeMap::from([(None, REQUESTS)]));
    let in_flight: u32 = first.snapshot.groups[0]
        .targets
        .iter()
        .map(|target| target.stats.in_flight.load(Relaxed))
        .sum();
    assert_eq!(in_flight, 0);
    // Targets that were always there got equal shares, apart from what the absence of others added.
    let steady: Vec<u64> = (300..TARGETS).map(|index| first.picks[&address(index)]).collect();
    let (low, high) = (steady.iter().min().unwrap(), steady.iter().max().unwrap());
    assert!(high - low <= 200, "{low} to {high}");
    let second = World::new(7).run();
    assert_eq!(first.log, second.log);
    let third = World::new(8).run();
    assert_ne!(first.log, third.log);
}
