use super::*;
use crate::gate::GroupGate;
use crate::sync::Mutex;
use core::sync::atomic::Ordering::Relaxed;
use forebay_admission::{Limit, Member, Rules};
use forebay_model::{Blueprint, GroupBlueprint, fixtures};
use forebay_units::Rng;
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
use std::collections::{BTreeMap, VecDeque};

enum Told {
    Claim(u64, Claim),
    Withdraw(u64),
    Release(TargetId),
}

/// Messages on their way to the new process.
#[derive(Default)]
struct Link(Mutex<VecDeque<Told>>);

impl Link {
    fn push(&self, told: Told) {
        crate::lock::lock(&self.0).push_back(told);
    }
}

impl SlotAuthority for Link {
    fn claim(&self, number: u64, claim: &Claim) {
        self.push(Told::Claim(number, *claim));
    }

    fn withdraw(&self, number: u64) {
        self.push(Told::Withdraw(number));
    }

    fn release(&self, target: TargetId, _took: Option<Duration>) {
        self.push(Told::Release(target));
    }

    fn pause(&self, _target: TargetId, _time: Duration) {}
}

const LIMIT: u32 = 2;

/// One process: its gate and targets. The targets are the same servers in both.
struct Process {
    gate: Arc<GroupGate>,
    targets: Vec<Arc<TargetView>>,
    counters: Arc<Zoned<GroupStats>>,
    rng: Rng,
    running: Vec<InFlight>,
    waiting: VecDeque<(u32, Waiting)>,
}

impl Process {
    fn new() -> Process {
        let group = GroupBlueprint {
            ..fixtures::group("group", fixtures::targets(0, 2))
        };
        let mut node = crate::Node::new(1);
        node.apply(
            Mono::ZERO,
            &Blueprint {
                generation: 1,
                groups: vec![Arc::new(group)],
                ..Blueprint::default()
            },
        );
        let rules = Rules {
            limit: Limit::Fixed(LIMIT),
            length: 100,
            wait: Duration::from_secs(100),
            balanced: false,
        };
        let gate = Arc::new(GroupGate::new(rules, Default::default()));
        let targets: Vec<_> = node.target_views().map(|(_, view)| Arc::clone(view)).collect();
        let members = targets.iter().map(|target| Member {
            key: target.id.0,
            zone: None,
            weight: 1,
            target: Arc::clone(target),
        });
        gate.arrange(Mono::ZERO, members.collect());
        Process {
            gate,
            targets,
            counters: Arc::new(Zoned::new(1)),
            rng: Rng::named(1, "lending"),
            running: Vec::new(),
            waiting: VecDeque::new(),
        }
    }

    fn arrive(&mut self, now: Mono, name: u32) {
        let arrival = Arrival {
            zone: 0,
            class: 0,
            weight: 1,
            since: now,
            deadline: now + Duration::from_secs(100),
            front: false,
            avoid: &[],
            prefers: None,
        };
        match self.gate.arrive(now, &arrival, &mut self.rng, &self.counters, 0) {
            Arrived::Admitted(slot) => self.running.push(slot),
            Arrived::Waits(waiting) => self.waiting.push_back((name, waiting)),
            Arrived::Refused(refusal) => panic!("{refusal:?}"),
        }
    }

    /// Fetches the requests whose wait is over; returns their names.
    fn fetch(&mut self) -> Vec<u32> {
        let mut fetched = Vec::new();
        for (name, mut waiting) in core::mem::take(&mut self.waiting) {
            match waiting.over() {
                Some((_, outcome)) => {
                    self.running.push(outcome.unwrap());
                    fetched.push(name);
                }
                None => self.waiting.push_back((name, waiting)),
            }
        }
        fetched
    }
}

/// The new process's end of the link.
#[derive(Default)]
struct Served {
    held: BTreeMap<u64, Vec<InFlight>>,
    waiting: BTreeMap<u64, ForeignWait>,
}

/// Both processes and the link between them.
struct World {
    old: Process,
    new: Process,
    link: Arc<Link>,
    served: Served,
    now: Mono,
}

impl World {
    fn lend(&mut self) {
        let occupied = self.old.gate.lend(self.now, Arc::clone(&self.link) as _).unwrap();
        for (target, count) in occupied {
            let at = self
                .old
                .targets
                .iter()
                .position(|view| view.id == target)
                .unwrap();
            let view = &self.new.targets[at];
            let held = self.served.held.entry(view.id.0).or_default();
            held.extend((0..count).map(|_| self.new.gate.occupy(view)));
        }
    }

    /// Delivers one message.
    fn deliver(&mut self) {
        let told = crate::lock::lock(&self.link.0).pop_front();
        match told {
            Some(Told::Claim(number, claim)) => {
                let (gate, counters) = (&self.new.gate, &self.new.counters);
                match gate.claim_for(self.now, &claim, &[], &mut self.new.rng, counters) {
                    ForeignClaim::Admitted(slot) => self.grant(number, slot),
                    ForeignClaim::Waits(wait) => {
                        self.served.waiting.insert(number, wait);
                    }
                    ForeignClaim::Refused(refusal) => self.old.gate.refused(self.now, number, refusal),
                }
            }
            Some(Told::Withdraw(number)) => {
                self.served.waiting.remove(&number);
            }
            Some(Told::Release(target)) => {
                let at = self
                    .old
                    .targets
                    .iter()
                    .position(|view| view.id == target)
                    .unwrap();
                let slot = self
                    .served
                    .held
                    .get_mut(&self.new.targets[at].id.0)
                    .unwrap()
                    .pop();
                slot.unwrap().end(self.now, None);
            }
            None => {}
        }
        self.answer();
    }

    fn grant(&mut self, number: u64, slot: InFlight) {
        let at = self
            .new
            .targets
            .iter()
            .position(|view| view.id == slot.target().id)
            .unwrap();
        if self
            .old
            .gate
            .granted(self.now, number, Arc::clone(&self.old.targets[at]))
        {
            self.served.held.entry(slot.target().id.0).or_default().push(slot);
        }
    }

    /// Answers the claims whose wait at the new gate is over.
    fn answer(&mut self) {
        let waiting = core::mem::take(&mut self.served.waiting);
        let mut ready = Vec::new();
        for (number, wait) in waiting {
            let cx = core::task::Context::from_waker(core::task::Waker::noop());
            if wait.ticket().poll(&cx).is_ready() {
                ready.push((number, wait));
            } else {
                self.served.waiting.insert(number, wait);
            }
        }
        for (number, wait) in ready {
            let slot = wait.over().unwrap().unwrap();
            self.grant(number, slot);
        }
    }

    /// Checks the requests at each server, of both processes, against its limit.
    fn assert_within_limit(&self) {
        for (old, new) in self.old.targets.iter().zip(&self.new.targets) {
            let running = |process: &Process, of: &TargetView| {
                process
                    .running
                    .iter()
                    .filter(|slot| slot.target().id == of.id)
                    .count()
            };
            let at_it = running(&self.old, old) + running(&self.new, new);
            assert!(at_it <= LIMIT as usize, "{at_it} at one target");
            // The new process knows of all of them, and perhaps of some that are over.
            assert!(new.stats.in_flight.load(Relaxed) as usize >= at_it);
        }
    }
}

proptest! {
    /// Whatever arrives, ends and is delivered in whatever order: no target exceeds its limit, no request is forgotten,
    /// and requests are served in order of arrival.
    #[test]
    fn two_processes_keep_one_limit(
        before in proptest::collection::vec(0..3_u8, 0..12),
        steps in proptest::collection::vec(0..6_u8, 0..60),
        lost in any::<bool>(),
    ) {
        let mut world = World {
            old: Process::new(),
            new: Process::new(),
            link: Arc::default(),
            served: Served::default(),
            now: Mono::from_millis(1),
        };
        let mut name = 0;
        let mut come = |world: &mut World, old: bool| {
            name += 1;
            world.now = world.now + Duration::from_millis(1);
            let process = if old { &mut world.old } else { &mut world.new };
            process.arrive(world.now, name);
        };
        for step in before {
            match step {
                0 | 1 => come(&mut world, true),
                _ => drop(world.old.running.pop()),
            }
            world.old.fetch();
        }
        world.lend();
        let mut served = Vec::new();
        for step in steps {
            match step {
                0 => come(&mut world, true),
                1 => come(&mut world, false),
                2 => drop(world.old.running.pop()),
                3 => drop(world.new.running.pop()),
                4 => drop(world.old.waiting.pop_back()),
                _ => world.deliver(),
            }
            served.extend(world.old.fetch());
            world.answer();
            world.new.fetch();
            world.assert_within_limit();
        }
        prop_assert!(served.is_sorted(), "{:?}", served);
        // Either the new process dies or both go on to the end: all are served.
        if lost {
            world.old.gate.reclaim(world.now);
            world.link = Arc::default();
            while !world.old.running.is_empty() || !world.old.waiting.is_empty() {
                let fetched = world.old.fetch();
                prop_assert!(!fetched.is_empty() || !world.old.running.is_empty(), "somebody waits in vain");
                world.old.running.pop();
            }
            prop_assert_eq!(world.old.gate.figures().busy, 0);
        } else {
            for _ in 0..500 {
                world.old.running.pop();
                world.new.running.pop();
                world.deliver();
                world.old.fetch();
                world.new.fetch();
                world.assert_within_limit();
            }
            prop_assert_eq!((world.old.waiting.len(), world.new.waiting.len()), (0, 0));
            prop_assert_eq!((world.old.gate.figures().busy, world.new.gate.figures().busy), (0, 0));
        }
    }
}
