//! The simulation itself: one queue of events, and the data plane's own `Node`, `WorkerState` and `Exchange`.

use crate::events::{Events, Next};
use crate::figures::{Seen, counts};
use crate::fleet::{Controller, Sizing};
use crate::flow::Flowing;
use crate::scene::{Act, Scene, blueprint, number, target_at};
use crate::target::{Actor, Behaviour, Trip};
use crate::users::{Source, Users};
use crate::waits::Waits;
use core::time::Duration;
use forebay_model::GroupSettings;
use forebay_node::{Event, Node, Outcome, Output, ProbeResult, Snapshot, TargetId, WorkerState};
use forebay_units::{Mono, Rng};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Called after every pick, with the time and each target's requests in flight.
pub(crate) type Watch<'a> = dyn FnMut(Duration, &[u32]) + 'a;

/// The duration of a probe.
const PROBE: u64 = 1_000_000;

/// A change of a weight as the data plane reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// When it was reported.
    pub at: Duration,
    /// The target.
    pub target: u16,
    /// The report's text.
    pub text: String,
}

/// A simulation, and its results.
pub struct World {
    pub(crate) node: Node,
    pub(crate) workers: Vec<WorkerState>,
    pub(crate) snapshot: Arc<Snapshot>,
    /// Targets by number; none where a target never existed, or was killed.
    pub(crate) actors: Vec<Option<Actor>>,
    /// Each target's requests in flight.
    pub(crate) loads: Vec<u32>,
    pub(crate) registered: BTreeMap<u16, bool>,
    pub(crate) sick: BTreeSet<u16>,
    /// Targets whose probes are under way, in batches that began together; the oldest batch first.
    pub(crate) probes: VecDeque<Vec<(TargetId, u16)>>,
    pub(crate) zones: u16,
    pub(crate) settings: GroupSettings,
    pub(crate) acts: Vec<(Duration, Act)>,
    pub(crate) events: Events,
    pub(crate) deadline: Option<Mono>,
    pub(crate) rng: [Rng; 2],
    pub(crate) users: Users,
    pub(crate) flows: Vec<Flowing>,
    pub(crate) sizing: Option<Box<Sizing>>,
    pub(crate) trips: Vec<Option<Box<Trip>>>,
    pub(crate) free: Vec<usize>,
    pub(crate) waits: Waits<Box<Trip>>,
    pub(crate) now: u64,
    /// All requests, in the order in which they ended.
    pub seen: Vec<Seen>,
    /// The data plane's reports of targets unlike their peers.
    pub told: Vec<Told>,
}

impl Scene {
    /// Plays the scene until nobody is left.
    pub fn play(&self) -> World {
        let mut world = World::new(self);
        world.run(None, None);
        world
    }

    /// Plays the scene; `watch` is called after every pick with the time and each target's requests in flight.
    pub fn play_watched(&self, watch: &mut dyn FnMut(Duration, &[u32])) -> World {
        let mut world = World::new(self);
        world.run(Some(watch), None);
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
            actors: scene
                .targets
                .iter()
                .map(|behaviour| Some(Actor::new(*behaviour)))
                .collect(),
            loads: vec![0; scene.targets.len()],
            registered: targets().map(|(target, _)| (target, false)).collect(),
            sick: BTreeSet::new(),
            probes: VecDeque::new(),
            zones: scene.zones.max(1),
            settings: scene.settings.clone(),
            acts: scene.acts.clone(),
            events: Events::default(),
            deadline: None,
            rng: [Rng::named(scene.seed, "crowd"), Rng::named(scene.seed, "targets")],
            users: Users::of(scene),
            flows: scene.flows.iter().map(Flowing::of).collect(),
            sizing: None,
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
            // Users wait until the first probes have passed.
            let from = (crowd.from.as_nanos() as u64).max(2 * PROBE);
            world.at(from, Next::User(number));
        }
        for (number, client) in scene.clients.iter().enumerate() {
            let from = (client.from.as_nanos() as u64).max(2 * PROBE);
            world.at(from, Next::Client(number));
        }
        for flow in 0..scene.flows.len() {
            world.flow(flow, 2 * PROBE);
        }
        world.at(0, Next::Deadlines);
        world.apply();
        world
    }

    pub(crate) fn at(&mut self, time: u64, next: Next) {
        self.events.add(time, next);
    }

    pub(crate) fn apply(&mut self) {
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
        let (mut drained, mut probed) = (Vec::new(), Vec::new());
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Publish(snapshot) => {
                    self.workers
                        .iter_mut()
                        .for_each(|worker| worker.forget(&snapshot));
                    self.snapshot = snapshot;
                }
                Output::Probe(order) => probed.push((order.target, target_at(order.address))),
                Output::Weighed { target, change, .. } => {
                    let at = Duration::from_nanos(self.now);
                    self.told.push(Told {
                        at,
                        target: number(&target),
                        text: change.to_string(),
                    });
                }
                Output::ProbeFunction(_) | Output::Channels(_) => {}
                Output::Drained { target, .. } => drained.push(number(&target)),
            }
        }
        if !probed.is_empty() {
            self.probes.push_back(probed);
            self.at(self.now + PROBE, Next::Probed);
        }
        if !drained.is_empty() {
            for target in drained {
                self.registered.remove(&target);
                if let Some(sizing) = &mut self.sizing {
                    sizing.instances.drained(self.now, target);
                }
            }
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
        self.free.len() < self.trips.len() || self.events.is_live()
    }

    pub(crate) fn run(
        &mut self,
        mut watch: Option<&mut Watch<'_>>,
        mut controller: Option<&mut dyn Controller>,
    ) {
        while let Some((now, next)) = self.events.pop() {
            self.now = now;
            match next {
                Next::Act(number) => self.act(number),
                Next::Probed => self.probed(),
                Next::Deadline => {
                    if self.deadline.is_some_and(|due| due.0 <= now) {
                        self.deadline = None;
                        self.node.handle_deadline(Mono(now));
                        self.obey();
                    }
                }
                Next::User(crowd) => self.user(crowd),
                Next::Client(client) => self.enter(Source::Client(client)),
                Next::Flow(flow) => self.flow_on(flow),
                Next::Request(user) => {
                    self.request(user);
                    if let Some(watch) = &mut watch {
                        watch(Duration::from_nanos(self.now), &self.loads);
                    }
                }
                Next::Done(trip, held) => self.done(trip, held),
                Next::Late(wait) => {
                    if let Some(trip) = self.waits.take(wait) {
                        self.wait_over(trip, Outcome::Late);
                    }
                }
                Next::Look => {
                    if let Some(controller) = &mut controller {
                        self.look(*controller);
                    }
                }
                Next::Started(id) => self.instance_started(id),
                Next::Settle => self.settle_fleet(),
                Next::Second => self.second(),
                Next::Until => {}
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
                self.wait_over(trip, Outcome::Released);
            }
            self.press();
        }
        // Everything that is still held is released within a minute.
        let end = Mono(self.now + 61_000_000_000);
        self.workers.iter_mut().for_each(|worker| worker.expire(end));
    }

    fn act(&mut self, number: usize) {
        match self.acts[number].1.clone() {
            Act::Behave(target, behaviour) => {
                if let Some(Some(actor)) = self.actors.get_mut(usize::from(target)) {
                    actor.behaviour = behaviour;
                }
            }
            Act::Join(target, behaviour) => {
                self.join(target, behaviour);
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

    /// Adds a target. An earlier one of this number may still be at work.
    pub(crate) fn join(&mut self, target: u16, behaviour: Behaviour) {
        let number = usize::from(target);
        if number >= self.actors.len() {
            self.actors.resize_with(number + 1, || None);
            self.loads.resize(number + 1, 0);
        }
        self.actors[number]
            .get_or_insert_with(|| Actor::new(behaviour))
            .behaviour = behaviour;
        self.registered.insert(target, false);
    }

    /// Ends probes that began together. Together they make one view of the group, as simultaneous probes do in the proxy.
    fn probed(&mut self) {
        let targets = self.probes.pop_front().unwrap_or_default();
        let sick = &self.sick;
        let events = targets.into_iter().map(|(target, number)| Event::Probed {
            target,
            result: if sick.contains(&number) {
                ProbeResult::Failed
            } else {
                ProbeResult::Answered(200)
            },
        });
        self.node.handle_all(Mono(self.now), events);
        self.obey();
    }

    /// How many of the requests sent between two times each target answered.
    pub fn counts(&self, from: Duration, to: Duration) -> BTreeMap<u16, u64> {
        counts(&self.seen, from, to)
    }

    /// A target's part of the requests sent between two times, relative to an equal share.
    pub fn share(&self, target: u16, from: Duration, to: Duration) -> f64 {
        let counts = self.counts(from, to);
        let all: u64 = counts.values().sum();
        let own = counts.get(&target).copied().unwrap_or(0);
        own as f64 * self.registered.len() as f64 / all.max(1) as f64
    }

    /// Each target's load as algorithms see it; all are zero when everything is over.
    pub fn loads(&self) -> Vec<u32> {
        let targets = self.snapshot.groups.iter().flat_map(|group| &group.targets);
        targets.map(|target| target.stats.load()).collect()
    }
}
