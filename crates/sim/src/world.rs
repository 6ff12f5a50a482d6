//! The simulation itself: one queue of events, and the data plane's own `Node`, `WorkerState` and `Exchange`.

use crate::crowd::Kind;
use crate::figures::{Seen, counts};
use crate::scene::{Act, Scene, blueprint, number, target_at};
use crate::target::{Actor, Trip};
use crate::users::{Source, Users};
use crate::waits::Waits;
use core::sync::atomic::Ordering::Relaxed;
use core::time::Duration;
use forebay_model::GroupSettings;
use forebay_node::{
    ConnectError, Death, Event, Exchange, Facts, Headers, Node, Outcome, Output, ProbeResult, Request, Sent,
    Snapshot, Speaks, Step, TargetId, WorkerState,
};
use forebay_units::{Mono, Rng, Wall};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;

/// What is called after every pick: with the time and each target's requests in flight.
pub(crate) type Watch<'a> = dyn FnMut(Duration, &[u32]) + 'a;

/// A probe's time.
const PROBE: u64 = 1_000_000;

struct NoHeaders;

impl Headers for NoHeaders {
    fn any(&self, _: &str, _: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        false
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    Act(usize),
    Probed(TargetId),
    Deadline,
    /// The next user of a crowd.
    User(usize),
    /// A client begins.
    Client(usize),
    /// A user's next request.
    Request(usize),
    /// A request is done at its target; whether it held a thread.
    Done(usize, bool),
    /// A request has waited for a slot as long as it may.
    Late(u64),
    /// Workers look for what is due.
    Deadlines,
}

/// A weight's change as the data plane tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// When.
    pub at: Duration,
    /// Of which target.
    pub target: u16,
    /// What it says.
    pub text: String,
}

/// A simulation, and what came of it.
pub struct World {
    node: Node,
    workers: Vec<WorkerState>,
    snapshot: Arc<Snapshot>,
    actors: BTreeMap<u16, Actor>,
    registered: BTreeMap<u16, bool>,
    sick: BTreeSet<u16>,
    zones: u16,
    settings: GroupSettings,
    acts: Vec<(Duration, Act)>,
    queue: BinaryHeap<Reverse<(u64, u64, Next)>>,
    sequence: u64,
    deadline: Option<Mono>,
    rng: [Rng; 2],
    users: Users,
    trips: Vec<Option<Trip>>,
    free: Vec<usize>,
    waits: Waits<Trip>,
    now: u64,
    /// All requests, in the order in which they ended.
    pub seen: Vec<Seen>,
    /// What the data plane told of targets unlike their peers.
    pub told: Vec<Told>,
}

impl Scene {
    /// Plays it until nobody is left.
    pub fn play(&self) -> World {
        let mut world = World::new(self);
        world.run(None);
        world
    }

    /// The same; `watch` is called after every pick with the time and each target's requests in flight.
    pub fn play_watched(&self, watch: &mut dyn FnMut(Duration, &[u32])) -> World {
        let mut world = World::new(self);
        world.run(Some(watch));
        world
    }
}

impl World {
    pub(crate) fn new(scene: &Scene) -> World {
        let targets = || (0_u16..).zip(&scene.targets);
        let mut world = World {
            node: Node::new(scene.workers),
            workers: (0..scene.workers)
                .map(|worker| WorkerState::new(worker, scene.seed))
                .collect(),
            snapshot: Arc::default(),
            actors: targets()
                .map(|(target, behaviour)| (target, Actor::new(*behaviour)))
                .collect(),
            registered: targets().map(|(target, _)| (target, false)).collect(),
            sick: BTreeSet::new(),
            zones: scene.zones.max(1),
            settings: scene.settings.clone(),
            acts: scene.acts.clone(),
            queue: BinaryHeap::new(),
            sequence: 0,
            deadline: None,
            rng: [Rng::named(scene.seed, "crowd"), Rng::named(scene.seed, "targets")],
            users: Users::of(scene),
            trips: Vec::new(),
            free: Vec::new(),
            waits: Waits::default(),
            now: 0,
            seen: Vec::new(),
            told: Vec::new(),
        };
        for (number, (at, _)) in scene.acts.iter().enumerate() {
            world.at(at.as_nanos() as u64, Next::Act(number));
        }
        for (number, crowd) in scene.crowds.iter().enumerate() {
            // Not before the first probes have passed.
            let from = (crowd.from.as_nanos() as u64).max(2 * PROBE);
            world.at(from, Next::User(number));
        }
        for (number, client) in scene.clients.iter().enumerate() {
            let from = (client.from.as_nanos() as u64).max(2 * PROBE);
            world.at(from, Next::Client(number));
        }
        world.at(0, Next::Deadlines);
        world.apply();
        world
    }

    fn at(&mut self, time: u64, next: Next) {
        self.sequence += 1;
        self.queue.push(Reverse((time, self.sequence, next)));
    }

    fn apply(&mut self) {
        let targets: Vec<(u16, bool)> = self
            .registered
            .iter()
            .map(|(&target, &leaves)| (target, leaves))
            .collect();
        let blueprint = blueprint(&targets, self.zones, &self.settings);
        self.node.apply(Mono(self.now), &blueprint);
        self.obey();
    }

    fn obey(&mut self) {
        let mut drained = Vec::new();
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Publish(snapshot) => {
                    self.workers
                        .iter_mut()
                        .for_each(|worker| worker.forget(&snapshot));
                    self.snapshot = snapshot;
                }
                Output::Probe(order) => self.at(self.now + PROBE, Next::Probed(order.target)),
                Output::Weighed { target, change, .. } => {
                    let at = Duration::from_nanos(self.now);
                    self.told.push(Told {
                        at,
                        target: number(&target),
                        text: change.to_string(),
                    });
                }
                Output::Channels(_) => {}
                Output::Drained { target, .. } => drained.push(number(&target)),
            }
        }
        if !drained.is_empty() {
            drained.iter().for_each(|target| {
                self.registered.remove(target);
            });
            self.apply();
        }
        let deadline = self.node.next_deadline();
        if deadline != self.deadline {
            self.deadline = deadline;
            if let Some(deadline) = deadline {
                self.at(deadline.0.max(self.now), Next::Deadline);
            }
        }
    }

    /// Whether someone is still to come or under way.
    fn is_going(&self) -> bool {
        self.free.len() < self.trips.len()
            || self.queue.iter().any(|Reverse((_, _, next))| {
                matches!(
                    next,
                    Next::User(_) | Next::Client(_) | Next::Request(_) | Next::Done(..) | Next::Act(_)
                )
            })
    }

    pub(crate) fn run(&mut self, mut watch: Option<&mut Watch<'_>>) {
        while let Some(Reverse((now, _, next))) = self.queue.pop() {
            self.now = now;
            match next {
                Next::Act(number) => self.act(number),
                Next::Probed(target) => self.probed(target),
                Next::Deadline => {
                    if self.deadline.is_some_and(|due| due.0 <= now) {
                        self.deadline = None;
                        self.node.handle_deadline(Mono(now));
                        self.obey();
                    }
                }
                Next::User(crowd) => self.user(crowd),
                Next::Client(client) => self.enter(Source::Client(client)),
                Next::Request(user) => {
                    self.request(user);
                    if let Some(watch) = &mut watch {
                        self.tell(watch);
                    }
                }
                Next::Done(trip, held) => self.done(trip, held),
                Next::Late(wait) => {
                    if let Some(trip) = self.waits.take(wait) {
                        self.report(trip, Outcome::Late);
                    }
                }
                Next::Deadlines => {
                    self.workers
                        .iter_mut()
                        .for_each(|worker| worker.expire(Mono(now)));
                    if !self.is_going() {
                        break;
                    }
                    self.at(now + 250_000_000, Next::Deadlines);
                }
            }
            while let Some(trip) = self.waits.called() {
                self.report(trip, Outcome::Released);
            }
        }
        // Whatever is still held is let go within a minute.
        let end = Mono(self.now + 61_000_000_000);
        self.workers.iter_mut().for_each(|worker| worker.expire(end));
    }

    fn tell(&self, watch: &mut Watch<'_>) {
        let mut loads = vec![0; self.actors.len()];
        for target in self.snapshot.groups.iter().flat_map(|group| &group.targets) {
            if let Some(load) = loads.get_mut(usize::from(target_at(target.address))) {
                *load = target.stats.in_flight.load(Relaxed);
            }
        }
        watch(Duration::from_nanos(self.now), &loads);
    }

    fn act(&mut self, number: usize) {
        match self.acts[number].1.clone() {
            Act::Behave(target, behaviour) => {
                if let Some(actor) = self.actors.get_mut(&target) {
                    actor.behaviour = behaviour;
                }
            }
            Act::Join(target, behaviour) => {
                // One that was here before may still be at work.
                let actor = self.actors.entry(target).or_insert_with(|| Actor::new(behaviour));
                actor.behaviour = behaviour;
                self.registered.insert(target, false);
                self.apply();
            }
            Act::Leave(target) => {
                if let Some(leaves) = self.registered.get_mut(&target) {
                    *leaves = true;
                    self.apply();
                }
            }
            Act::Kill(target) => self.kill(target),
            Act::Settings(settings) => {
                self.settings = settings;
                self.apply();
            }
            Act::Healthy(target, healthy) => {
                if healthy {
                    self.sick.remove(&target);
                } else {
                    self.sick.insert(target);
                }
            }
        }
    }

    fn probed(&mut self, id: TargetId) {
        let views = self.snapshot.groups.iter().flat_map(|group| &group.targets);
        let sick = views
            .filter(|view| view.id == id)
            .any(|view| self.sick.contains(&target_at(view.address)));
        let result = if sick {
            ProbeResult::Failed
        } else {
            ProbeResult::Answered(200)
        };
        self.node
            .handle(Mono(self.now), Event::Probed { target: id, result });
        self.obey();
    }

    fn user(&mut self, crowd: usize) {
        self.enter(Source::Crowd(crowd));
        if let Some(next) = self.users.next_of(crowd, self.now, &mut self.rng[0]) {
            self.at(next, Next::User(crowd));
        }
    }

    /// Someone new, who asks at once.
    fn enter(&mut self, source: Source) {
        let user = self.users.enter(source);
        self.at(self.now, Next::Request(user));
    }

    fn request(&mut self, user: usize) {
        let Some((kind, worker)) = self.users.ask(user, self.now) else {
            return;
        };
        let snapshot = Arc::clone(&self.snapshot);
        let listener = &snapshot.listeners[0];
        let nodes = usize::from(self.zones).min(listener.nodes.len());
        let request = Request {
            facts: Facts {
                method: match kind {
                    Kind::Get => b"GET",
                    Kind::Post => b"POST",
                },
                host: b"balancer",
                path: b"/",
                query: b"",
                source: [127, 0, 0, 1].into(),
                headers: &NoHeaders,
            },
            protocol: "http",
            zone: listener.nodes[user % nodes].zone,
            speaks: Speaks::Http1,
            wall: Wall::from_seconds(1_800_000_000),
            upgrade: false,
            rule_path: None,
        };
        let now = Mono(self.now);
        let (exchange, step) = Exchange::begin(now, &request, listener, &snapshot, &mut self.workers[worker]);
        let trip = Trip {
            exchange,
            worker,
            user,
            kind,
            began: self.now,
            target: 0,
            status: 0,
        };
        self.follow(trip, step);
    }

    fn follow(&mut self, mut trip: Trip, step: Step) {
        match step {
            Step::Send { target, .. } => {
                trip.target = target_at(target.address);
                let (target, kind) = (trip.target, trip.kind);
                let Some(failing) = self.actors.get(&target).map(|actor| actor.behaviour.failing) else {
                    return self.report(trip, Outcome::NotConnected(ConnectError::Refused));
                };
                let place = self.keep(trip);
                let actor = self.actors.get_mut(&target);
                if let Some(after) = failing {
                    self.at(self.now + after.as_nanos() as u64, Next::Done(place, false));
                } else if let Some(takes) = actor.and_then(|actor| actor.take(place, kind, &mut self.rng[1]))
                {
                    self.at(self.now + takes, Next::Done(place, true));
                }
            }
            Step::Wait { ticket, until } => {
                let wait = self.waits.keep(trip, &ticket);
                self.at(until.0, Next::Late(wait));
            }
            Step::Answer(answer) => {
                trip.status = answer.status;
                self.settle(trip, Some(answer.status));
            }
            Step::Relay | Step::Abort => self.settle(trip, None),
        }
    }

    fn keep(&mut self, trip: Trip) -> usize {
        let place = self.free.pop().unwrap_or_else(|| {
            self.trips.push(None);
            self.trips.len() - 1
        });
        self.trips[place] = Some(trip);
        place
    }

    /// A target ends. Its requests break off; places of those that it worked on are free only when the event comes that leads there.
    fn kill(&mut self, target: u16) {
        self.sick.insert(target);
        let Some(actor) = self.actors.remove(&target) else {
            return;
        };
        self.free.extend(actor.into_waiting());
        let death = Death {
            reused: false,
            sent: Sent::Some,
            replayable: true,
        };
        for place in 0..self.trips.len() {
            if let Some(trip) = self.trips[place].take_if(|trip| trip.target == target) {
                self.report(trip, Outcome::Died(death));
            }
        }
    }

    fn done(&mut self, place: usize, held: bool) {
        self.free.push(place);
        let Some(mut trip) = self.trips[place].take() else {
            return;
        };
        if held && let Some(actor) = self.actors.get_mut(&trip.target) {
            let trips = &self.trips;
            let kind = |other: usize| trips[other].as_ref().map_or(Kind::Get, |trip| trip.kind);
            if let Some((next, takes)) = actor.done(kind, &mut self.rng[1]) {
                self.at(self.now + takes, Next::Done(next, true));
            }
        }
        trip.status = if held { 200 } else { 500 };
        let outcome = Outcome::Answered(trip.status);
        self.report(trip, outcome);
    }

    /// Tells a request's exchange what came of its step, and does the next.
    fn report(&mut self, mut trip: Trip, outcome: Outcome) {
        let snapshot = Arc::clone(&self.snapshot);
        let worker = &mut self.workers[trip.worker];
        let step = trip
            .exchange
            .on(Mono(self.now), outcome, &snapshot.listeners[0], &snapshot, worker);
        self.follow(trip, step);
    }

    fn settle(&mut self, mut trip: Trip, own: Option<u16>) {
        let worker = &mut self.workers[trip.worker];
        trip.exchange
            .settle(Mono(self.now), own, &self.snapshot.listeners[0], worker);
        self.seen.push(Seen {
            at: Duration::from_nanos(trip.began),
            kind: trip.kind,
            took: Duration::from_nanos(self.now - trip.began),
            target: own.is_none().then_some(trip.target),
            status: trip.status,
        });
        if self.users.wish(trip.user, self.now).is_some() {
            let turn = self.users.turn(trip.user, &mut self.rng[0]);
            self.at(self.now + turn, Next::Request(trip.user));
        }
    }

    /// How many requests each target answered of those sent between two moments.
    pub fn counts(&self, from: Duration, to: Duration) -> BTreeMap<u16, u64> {
        counts(&self.seen, from, to)
    }

    /// What a target got of the requests sent between two moments, times what an equal share would have been.
    pub fn share(&self, target: u16, from: Duration, to: Duration) -> f64 {
        let counts = self.counts(from, to);
        let all: u64 = counts.values().sum();
        let own = counts.get(&target).copied().unwrap_or(0);
        own as f64 * self.registered.len() as f64 / all.max(1) as f64
    }

    /// Each target's load as algorithms see it; all zero when everything is over.
    pub fn loads(&self) -> Vec<u32> {
        let targets = self.snapshot.groups.iter().flat_map(|group| &group.targets);
        targets.map(|target| target.stats.load()).collect()
    }
}
