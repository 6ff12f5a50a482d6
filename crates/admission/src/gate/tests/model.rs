//! Compares the gate with a model that keeps everything in plain lists.

use super::*;

/// An operation on the gate.
#[derive(Clone, Debug)]
enum Step {
    Arrive {
        zone: u64,
        class: u64,
        weight: u32,
        wait_ms: u64,
        front: bool,
        avoid: Vec<Key>,
        prefers: Option<Key>,
    },
    Release(usize),
    Leave(usize, bool),
    Pass(u64),
    Arrange(u8, bool),
    Pause(Key, u64),
    Grant(Key, u8),
    TakeBack(Key, usize),
    Lost(Key),
    Length(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let arrive = (
        0_u64..2,
        0_u64..4,
        1_u32..5,
        0_u64..200,
        0_u8..10,
        prop::collection::vec(0_u64..6, 0..3),
        prop::option::of(0_u64..6),
    )
        .prop_map(
            |(zone, class, weight, wait_ms, front, avoid, prefers)| Step::Arrive {
                zone,
                class,
                weight,
                wait_ms,
                front: front == 0,
                avoid,
                prefers,
            },
        );
    prop_oneof![
        10 => arrive,
        6 => (0_usize..20).prop_map(Step::Release),
        2 => (0_usize..20, prop::bool::ANY).prop_map(|(at, late)| Step::Leave(at, late)),
        3 => (0_u64..60).prop_map(Step::Pass),
        1 => (0_u8..64, prop::bool::ANY).prop_map(|(bits, zoned)| Step::Arrange(bits, zoned)),
        1 => (0_u64..6, 0_u64..50).prop_map(|(key, ms)| Step::Pause(key, ms)),
        4 => (0_u64..6, 1_u8..4).prop_map(|(key, ids)| Step::Grant(key, ids)),
        1 => (0_u64..6, 0_usize..3).prop_map(|(key, count)| Step::TakeBack(key, count)),
        1 => (0_u64..6).prop_map(Step::Lost),
        1 => (0_usize..12).prop_map(Step::Length),
    ]
}

#[derive(Clone, Debug)]
struct Waiter {
    id: u32,
    place: Place,
    class: u64,
    zone: u64,
    deadline: Mono,
    front: bool,
}

/// The gate under test, with the model's state.
struct Play {
    gate: Gate<Key, u32>,
    limit: Limit,
    rng: Rng,
    now: Mono,
    waiting: Vec<Waiter>,
    busy: Vec<Key>,
    members: BTreeMap<Key, Option<u64>>,
    /// Unused permits by target.
    permits: BTreeMap<Key, Vec<WorkId>>,
    ids: u32,
    ended: BTreeMap<u32, u32>,
}

impl Play {
    fn end(&mut self, id: u32) {
        *self.ended.entry(id).or_insert(0) += 1;
    }

    fn got(&mut self, slot: &Slot<Key>, zone: u64) {
        assert_eq!(slot.target, slot.key);
        assert!(
            self.members[&slot.key].is_none_or(|of| of == zone),
            "a target of another zone"
        );
        self.busy.push(slot.key);
        let there = self.busy.iter().filter(|key| **key == slot.key).count();
        match self.limit {
            Limit::Fixed(limit) => assert!(there <= limit as usize, "{there} at {}", slot.key),
            Limit::Permits => {
                let held = self.permits.get_mut(&slot.key).unwrap();
                assert_eq!(slot.permit, held.pop());
            }
            Limit::Auto(_) | Limit::Open => {}
        }
    }

    fn drain(&mut self) {
        while let Some(released) = self.gate.poll(self.now) {
            let at = self
                .waiting
                .iter()
                .position(|one| one.id == released.waiter)
                .unwrap();
            let one = self.waiting.remove(at);
            self.end(one.id);
            match released.outcome {
                Ok(slot) => {
                    assert!(one.deadline > self.now, "a slot for one that is late");
                    self.got(&slot, one.zone);
                    // No request of its class that may use the slot had a better claim: a class waits in order of
                    // arrival.
                    let of = self.members[&slot.key];
                    let may = |other: &Waiter| of.is_none_or(|of| of == other.zone);
                    let before = |other: &Waiter| {
                        other.class == one.class
                            && may(other)
                            && other.front == one.front
                            && (other.deadline, other.id) < (one.deadline, one.id)
                    };
                    assert!(!self.waiting.iter().any(before), "overtaken");
                    let comes_back = self.waiting.iter().any(|other| other.front && may(other));
                    assert!(one.front || !comes_back, "before one that came back");
                }
                Err(refusal) => {
                    assert!(refusal.why != Why::Late || one.deadline <= self.now);
                    assert!(!one.front || refusal.why == Why::Late);
                }
            }
        }
        self.gate.check_invariants();
        assert_eq!(self.gate.waiting(), self.waiting.len());
        assert_eq!(self.gate.figures().busy, self.busy.len() as u64);
    }

    fn arrive(&mut self, arrival: &Arrival<'_>) {
        self.ids += 1;
        let (id, full) = (self.ids, self.waiting.len() >= self.gate.rules().length);
        match self.gate.arrive(self.now, arrival, &mut self.rng, || id) {
            Verdict::Admitted(slot) => {
                self.end(id);
                self.got(&slot, arrival.zone);
            }
            Verdict::Waits(place) => self.waiting.push(Waiter {
                id,
                place,
                class: arrival.class,
                zone: arrival.zone,
                deadline: arrival.deadline,
                front: arrival.front,
            }),
            Verdict::Refused(refusal) => {
                self.end(id);
                assert!(!arrival.front || refusal.why == Why::Late);
                assert!(refusal.why != Why::Full || full);
                assert!(refusal.retry_after >= Duration::from_secs(1));
            }
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Arrive {
                zone,
                class,
                weight,
                wait_ms,
                front,
                avoid,
                prefers,
            } => {
                let before = self.waiting.len();
                self.arrive(&Arrival {
                    zone,
                    class,
                    weight,
                    front,
                    prefers,
                    since: self.now,
                    deadline: self.now + Duration::from_millis(wait_ms),
                    avoid: &avoid,
                });
                self.drain();
                // Only a request that comes back may make the queue longer than its limit.
                assert!(front || self.waiting.len() <= before.max(self.gate.rules().length));
            }
            Step::Release(at) if !self.busy.is_empty() => {
                let key = self.busy.swap_remove(at % self.busy.len());
                self.gate.release(
                    self.now,
                    key,
                    (at % 2 == 0).then_some(Duration::from_millis(at as u64)),
                );
            }
            Step::Leave(at, late) if !self.waiting.is_empty() => {
                let one = self.waiting.remove(at % self.waiting.len());
                let why = if late { Leaving::Late } else { Leaving::Gone };
                assert_eq!(self.gate.leave(self.now, one.place, why).unwrap().0, one.id);
                assert_eq!(self.gate.leave(self.now, one.place, why), None);
                assert_eq!(
                    self.gate.waiting(),
                    self.waiting.len(),
                    "its place is free at once"
                );
                self.end(one.id);
            }
            Step::Pass(ms) => self.now = self.now + Duration::from_millis(ms),
            Step::Arrange(bits, zoned) => {
                let keys = (0..6_u64).filter(|key| bits >> key & 1 == 1);
                self.members = keys.map(|key| (key, zoned.then_some(key % 2))).collect();
                let member = |(&key, &zone): (&Key, &Option<u64>)| Member {
                    key,
                    zone,
                    weight: 1,
                    target: key,
                };
                self.gate
                    .arrange(self.now, self.members.iter().map(member).collect());
            }
            Step::Pause(key, ms) => self
                .gate
                .pause(self.now, key, self.now + Duration::from_millis(ms)),
            Step::Grant(key, count) if self.limit == Limit::Permits => {
                let ids: Vec<WorkId> = (0..count)
                    .map(|_| WorkId(u128::from(self.rng.next_u64())))
                    .collect();
                self.permits.entry(key).or_default().extend(&ids);
                self.gate.grant(self.now, key, &ids);
            }
            Step::TakeBack(key, count) => {
                let back = self.gate.take_back(key, count);
                let held = self.permits.entry(key).or_default();
                assert_eq!(back, held.drain(..count.min(held.len())).collect::<Vec<_>>());
            }
            Step::Lost(key) => {
                self.gate.lost(key);
                self.permits.remove(&key);
            }
            Step::Length(length) => {
                let rules = Rules {
                    length,
                    ..self.gate.rules().clone()
                };
                self.gate.set_rules(self.now, rules);
            }
            _ => {}
        }
        self.drain();
    }
}

fn limits() -> impl Strategy<Value = Limit> {
    prop_oneof![
        Just(Limit::Permits),
        (0_u32..4).prop_map(Limit::Fixed),
        Just(Limit::Auto(GradientSettings::default())),
        Just(Limit::Open),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn promises_hold(limit in limits(), balanced: bool, length in 0_usize..12, steps in prop::collection::vec(step(), 1..150)) {
        let mut play = Play {
            gate: Gate::new(Rules { balanced, ..rules(limit, length) }),
            limit,
            rng: Rng::named(3, "model"),
            now: Mono::ZERO,
            waiting: Vec::new(),
            busy: Vec::new(),
            members: BTreeMap::new(),
            permits: BTreeMap::new(),
            ids: 0,
            ended: BTreeMap::new(),
        };
        play.take(Step::Arrange(0b1011, false));
        for step in steps {
            play.take(step);
        }
        let places: Vec<Waiter> = play.waiting.drain(..).collect();
        for one in places {
            play.gate.leave(play.now, one.place, Leaving::Gone).unwrap();
            play.end(one.id);
        }
        // Each arrival ended once, and each end was counted.
        prop_assert_eq!(play.ended.len(), play.ids as usize);
        prop_assert!(play.ended.values().all(|&times| times == 1));
        let figures = play.gate.figures();
        prop_assert_eq!(figures.admitted + figures.refused.iter().sum::<u64>() + figures.gone, u64::from(play.ids));
    }
}
