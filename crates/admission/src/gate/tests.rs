//! The gate's guarantees one by one; `model` compares it with plain lists.

mod model;

use super::*;
use crate::gradient::GradientSettings;
use crate::messages::Slot;
use crate::queue::Entry;
use forebay_units::Rng;
use proptest::prelude::*;
use std::collections::BTreeMap;

const MS: fn(u64) -> Mono = Mono::from_millis;

fn rules(limit: Limit, length: usize) -> Rules {
    Rules {
        limit,
        length,
        wait: Duration::from_secs(10),
        balanced: false,
    }
}

fn members(keys: core::ops::Range<Key>) -> Vec<Member<Key>> {
    let member = |key| Member {
        key,
        zone: None,
        weight: 1,
        target: key,
    };
    keys.map(member).collect()
}

fn arrival(now: Mono, class: u64, wait_ms: u64) -> Arrival<'static> {
    Arrival {
        zone: 0,
        class,
        weight: 1,
        since: now,
        deadline: now + Duration::from_millis(wait_ms),
        front: false,
        avoid: &[],
        prefers: None,
    }
}

/// A gate with `targets` targets, and a random stream.
fn gate(limit: Limit, length: usize, targets: Key) -> (Gate<Key, u32>, Rng) {
    let mut gate = Gate::new(rules(limit, length));
    gate.arrange(Mono::ZERO, members(0..targets));
    (gate, Rng::named(1, "gate"))
}

fn key_of(verdict: &Verdict<Key>) -> Option<Key> {
    match verdict {
        Verdict::Admitted(slot) => Some(slot.key),
        _ => None,
    }
}

fn refused(verdict: &Verdict<Key>) -> Option<Refusal> {
    match verdict {
        Verdict::Refused(refusal) => Some(*refusal),
        _ => None,
    }
}

#[test]
fn free_targets_take_turns_and_a_queue_of_none_refuses() {
    let (mut gate, mut rng) = gate(Limit::Fixed(1), 0, 3);
    let mut ask = |gate: &mut Gate<Key, u32>| gate.arrive(MS(1), &arrival(MS(1), 0, 100), &mut rng, || 0);
    let got: Vec<_> = (0..3).map(|_| key_of(&ask(&mut gate)).unwrap()).collect();
    assert_eq!(got, [0, 1, 2]);
    assert_eq!(refused(&ask(&mut gate)).unwrap().why, Why::NoSlot);
    gate.release(MS(2), 2, None);
    gate.release(MS(2), 1, None);
    assert_eq!(
        (key_of(&ask(&mut gate)), key_of(&ask(&mut gate))),
        (Some(1), Some(2))
    );
    assert_eq!(gate.figures().refused_for(Why::NoSlot), 1);
    assert_eq!(gate.figures().slots(), 3);
}

#[test]
fn a_target_of_a_larger_shape_has_the_limit_as_often() {
    let (mut gate, mut rng) = gate(Limit::Fixed(2), 0, 1);
    let large = Member {
        key: 7,
        zone: None,
        weight: 3,
        target: 7,
    };
    let mut both = members(0..1);
    both.push(large);
    gate.arrange(MS(1), both);
    let mut ask = || key_of(&gate.arrive(MS(1), &arrival(MS(1), 0, 100), &mut rng, || 0));
    let got: Vec<Key> = (0..9).map_while(|_| ask()).collect();
    let of = |key| got.iter().filter(|got| **got == key).count();
    assert_eq!((of(0), of(7)), (2, 6), "{got:?}");
}

#[test]
fn balanced_takes_the_least_full() {
    let mut gate = Gate::<Key, u32>::new(Rules {
        balanced: true,
        ..rules(Limit::Fixed(2), 8)
    });
    let mut rng = Rng::named(1, "gate");
    gate.arrange(Mono::ZERO, members(0..3));
    let mut ask =
        |gate: &mut Gate<Key, u32>| key_of(&gate.arrive(MS(1), &arrival(MS(1), 0, 100), &mut rng, || 0));
    let got: Vec<_> = (0..4).map(|_| ask(&mut gate).unwrap()).collect();
    assert_eq!(got, [0, 1, 2, 0]);
    gate.release(MS(2), 0, None);
    gate.release(MS(2), 0, None);
    assert_eq!(ask(&mut gate), Some(0));
    // Each has one request now: the target taken longest ago goes first.
    assert_eq!(ask(&mut gate), Some(1));
}

#[test]
fn avoided_and_preferred_count_while_there_is_a_choice() {
    let (mut gate, mut rng) = gate(Limit::Fixed(1), 8, 2);
    let avoids = Arrival {
        avoid: &[0],
        ..arrival(MS(1), 0, 100)
    };
    assert_eq!(key_of(&gate.arrive(MS(1), &avoids, &mut rng, || 0)), Some(1));
    assert_eq!(key_of(&gate.arrive(MS(1), &avoids, &mut rng, || 0)), Some(0));
    (0..2).for_each(|key| gate.release(MS(1), key, None));
    let prefers = Arrival {
        prefers: Some(1),
        ..arrival(MS(1), 0, 100)
    };
    assert_eq!(key_of(&gate.arrive(MS(1), &prefers, &mut rng, || 0)), Some(1));
    assert_eq!(key_of(&gate.arrive(MS(1), &prefers, &mut rng, || 0)), Some(0));
}

#[test]
fn zones_are_apart() {
    let mut gate = Gate::<Key, u32>::new(rules(Limit::Fixed(1), 8));
    let mut rng = Rng::named(1, "gate");
    let member = |key, zone| Member {
        key,
        zone: Some(zone),
        weight: 1,
        target: key,
    };
    gate.arrange(Mono::ZERO, vec![member(10, 1), member(20, 2)]);
    let from = |zone| Arrival {
        zone,
        ..arrival(MS(1), 0, 100)
    };
    assert_eq!(key_of(&gate.arrive(MS(1), &from(1), &mut rng, || 0)), Some(10));
    assert!(matches!(
        gate.arrive(MS(1), &from(1), &mut rng, || 1),
        Verdict::Waits(_)
    ));
    assert_eq!(gate.poll(MS(1)), None);
    assert_eq!(key_of(&gate.arrive(MS(1), &from(2), &mut rng, || 2)), Some(20));
    gate.release(MS(2), 20, None);
    assert_eq!(gate.poll(MS(2)), None);
    gate.release(MS(2), 10, None);
    assert_eq!(gate.poll(MS(2)).unwrap().waiter, 1);
}

#[test]
fn whoever_waits_for_any_zone_waits_for_their_own_once_zones_part() {
    let mut gate = Gate::<Key, u32>::new(rules(Limit::Fixed(1), 8));
    let mut rng = Rng::named(1, "gate");
    let both = |zones: [Option<u64>; 2]| {
        let member = |(key, zone)| Member {
            key,
            zone,
            weight: 1,
            target: key,
        };
        [10, 20].into_iter().zip(zones).map(member).collect::<Vec<_>>()
    };
    gate.arrange(Mono::ZERO, both([None, None]));
    let mut ask = |gate: &mut Gate<Key, u32>, zone, waiter| {
        let arrival = Arrival {
            zone,
            ..arrival(MS(1), 0, 100)
        };
        gate.arrive(MS(1), &arrival, &mut rng, || waiter)
    };
    for (zone, waiter) in [(1, 0), (1, 1), (2, 2), (1, 3), (2, 4), (1, 5)] {
        ask(&mut gate, zone, waiter);
    }
    // Without zones: in order of arrival.
    gate.release(MS(2), 10, None);
    assert_eq!(gate.poll(MS(2)).unwrap().waiter, 2);
    gate.arrange(MS(3), both([Some(1), Some(2)]));
    gate.release(MS(4), 20, None);
    assert_eq!(gate.poll(MS(4)).unwrap().waiter, 4);
    gate.release(MS(5), 20, None);
    assert_eq!(gate.poll(MS(5)), None);
    gate.release(MS(6), 10, None);
    assert_eq!(gate.poll(MS(6)).unwrap().waiter, 3);
    // Without zones again.
    gate.arrange(MS(7), both([None, None]));
    assert_eq!(gate.poll(MS(7)).unwrap().waiter, 5);
}

#[test]
fn deadline_comes_first_and_arrival_among_equals() {
    let (mut gate, mut rng) = gate(Limit::Fixed(1), 8, 1);
    gate.arrive(MS(0), &arrival(MS(0), 0, 100), &mut rng, || 0);
    for (waiter, wait) in [(1, 500), (2, 300), (3, 500), (4, 300)] {
        gate.arrive(MS(0), &arrival(MS(0), 0, wait), &mut rng, || waiter);
    }
    let back = Arrival {
        front: true,
        ..arrival(MS(0), 9, 900)
    };
    gate.arrive(MS(0), &back, &mut rng, || 5);
    let order: Vec<u32> = (0..5)
        .map(|_| {
            gate.release(MS(1), 0, None);
            gate.poll(MS(1)).unwrap().waiter
        })
        .collect();
    assert_eq!(order, [5, 2, 4, 1, 3]);
}

#[test]
fn full_queue_refuses_and_says_when_to_come_again() {
    // One slot, a second per request: with 20 waiting, the next would wait 21 s.
    let (mut gate, mut rng) = gate(Limit::Fixed(1), 20, 1);
    gate.arrive(MS(0), &arrival(MS(0), 0, 60_000), &mut rng, || 0);
    gate.release(MS(1000), 0, Some(Duration::from_secs(1)));
    for waiter in 0..21 {
        let verdict = gate.arrive(MS(1000), &arrival(MS(1000), 0, 60_000), &mut rng, || waiter);
        assert!(refused(&verdict).is_none());
    }
    let refusal = refused(&gate.arrive(MS(1000), &arrival(MS(1000), 0, 60_000), &mut rng, || 99)).unwrap();
    assert_eq!(
        (refusal.why, refusal.retry_after),
        (Why::Full, Duration::from_secs(21))
    );
    // A request that comes back is not refused for that, and is served first.
    let back = Arrival {
        front: true,
        ..arrival(MS(1000), 0, 1)
    };
    assert!(matches!(
        gate.arrive(MS(1000), &back, &mut rng, || 98),
        Verdict::Waits(_)
    ));
    assert_eq!(gate.waiting(), 21);
}

#[test]
fn hopeless_is_not_refused_at_the_door_if_slots_are_on_their_way() {
    let (mut gate, mut rng) = gate(Limit::Fixed(1), 1000, 1);
    for waiter in 0..=10 {
        gate.arrive(MS(0), &arrival(MS(0), 0, 5000), &mut rng, || waiter);
    }
    gate.release(MS(1000), 0, Some(Duration::from_secs(1)));
    assert!(gate.poll(MS(1000)).unwrap().outcome.is_ok());
    let mut ask =
        |gate: &mut Gate<Key, u32>| gate.arrive(MS(1000), &arrival(MS(1000), 0, 5000), &mut rng, || 50);
    assert_eq!(refused(&ask(&mut gate)).unwrap().why, Why::TooLong);
    // Ten seconds of work: two are over when three more slots come, and the rest then takes two.
    let coming = |at| {
        Some(Coming {
            at: MS(at),
            slots: 3.0,
        })
    };
    gate.expect(coming(3000));
    assert!(matches!(ask(&mut gate), Verdict::Waits(_)));
    gate.expect(coming(5900));
    assert_eq!(refused(&ask(&mut gate)).unwrap().why, Why::TooLong);
    gate.expect(None);
    assert_eq!(refused(&ask(&mut gate)).unwrap().why, Why::TooLong);
}

#[test]
fn slots_that_are_long_overdue_count_no_more() {
    let coming = Coming {
        at: MS(1000),
        slots: 3.0,
    };
    assert_eq!(coming.shortened(MS(1000), 8.0, 1), 2.0);
    assert_eq!(coming.shortened(MS(2000), 8.0, 1), 2.0);
    // The announcement was not repeated.
    assert_eq!(coming.shortened(MS(2001), 8.0, 1), 8.0);
}

#[test]
fn hopeless_is_refused_at_the_door_unless_its_deadline_puts_it_first() {
    let (mut gate, mut rng) = gate(Limit::Fixed(1), 1000, 1);
    gate.arrive(MS(0), &arrival(MS(0), 0, 60_000), &mut rng, || 0);
    // Nothing was drained yet, so there is no prediction and all may wait.
    for waiter in 0..10 {
        let verdict = gate.arrive(MS(0), &arrival(MS(0), 0, 5000), &mut rng, || waiter);
        assert!(matches!(verdict, Verdict::Waits(_)));
    }
    gate.release(MS(1000), 0, Some(Duration::from_secs(1)));
    assert!(gate.poll(MS(1000)).unwrap().outcome.is_ok());
    let refusal = refused(&gate.arrive(MS(1000), &arrival(MS(1000), 0, 5000), &mut rng, || 50)).unwrap();
    assert_eq!(refusal.why, Why::TooLong);
    assert!((9..=10).contains(&refusal.retry_after.as_secs()), "{refusal:?}");
    assert!(matches!(
        gate.arrive(MS(1000), &arrival(MS(1000), 0, 2000), &mut rng, || 51),
        Verdict::Waits(_)
    ));
    // Alone in its class it would get every other slot.
    assert!(matches!(
        gate.arrive(MS(1000), &arrival(MS(1000), 7, 5000), &mut rng, || 52),
        Verdict::Waits(_)
    ));
}

#[test]
fn class_that_holds_less_than_its_share_displaces_the_last_of_the_largest() {
    let (mut gate, mut rng) = gate(Limit::Fixed(0), 10, 1);
    let mut ask = |gate: &mut Gate<Key, u32>, class, waiter| {
        gate.arrive(MS(0), &arrival(MS(0), class, 1000), &mut rng, || waiter)
    };
    for waiter in 0..10 {
        ask(&mut gate, 1, waiter);
    }
    assert_eq!(refused(&ask(&mut gate, 1, 10)).unwrap().why, Why::Full);
    for waiter in 20..25 {
        assert!(matches!(ask(&mut gate, 2, waiter), Verdict::Waits(_)));
        let released = gate.poll(MS(0)).unwrap();
        assert_eq!(released.waiter, 9 - (waiter - 20));
        assert_eq!(released.outcome.unwrap_err().why, Why::Displaced);
    }
    // Each class holds half now.
    assert_eq!(refused(&ask(&mut gate, 2, 25)).unwrap().why, Why::Full);
    assert_eq!(refused(&ask(&mut gate, 1, 10)).unwrap().why, Why::Full);
    assert_eq!(gate.figures().refused_for(Why::Displaced), 5);
}

#[test]
fn permits_are_used_once_given_back_and_void_when_the_channel_is_lost() {
    let (mut gate, mut rng) = gate(Limit::Permits, 8, 2);
    let mut ask = |gate: &mut Gate<Key, u32>| gate.arrive(MS(0), &arrival(MS(0), 0, 100), &mut rng, || 7);
    gate.grant(MS(0), 1, &[WorkId(1), WorkId(2), WorkId(3)]);
    let Verdict::Admitted(slot) = ask(&mut gate) else {
        panic!("has permits")
    };
    assert_eq!((slot.key, slot.permit), (1, Some(WorkId(3))));
    assert_eq!(gate.take_back(1, 1), [WorkId(1)]);
    assert_eq!(
        gate.slots(1),
        Slots {
            busy: 1,
            free: 1,
            paused: 0,
            limit: None
        }
    );
    gate.lost(1);
    gate.release(MS(1), 1, None);
    assert_eq!(gate.slots(1), Slots::default());
    let Verdict::Waits(place) = ask(&mut gate) else {
        panic!("has no permit")
    };
    gate.grant(MS(1), 0, &[WorkId(4)]);
    let released = gate.poll(MS(1)).unwrap();
    assert_eq!(released.outcome.unwrap().permit, Some(WorkId(4)));
    assert_eq!(gate.leave(MS(1), place, Leaving::Gone), None);
}

#[test]
fn a_slot_that_is_granted_again_before_it_is_released_is_one_slot() {
    let (mut gate, mut rng) = gate(Limit::Permits, 8, 2);
    gate.announce(1, 1);
    assert_eq!(gate.slots(1).total(), 0);
    gate.grant(MS(0), 1, &[WorkId(1)]);
    assert_eq!(gate.slots(1).total(), 1);
    let verdict = gate.arrive(MS(0), &arrival(MS(0), 0, 100), &mut rng, || 7);
    assert_eq!(key_of(&verdict), Some(1));
    // The permit comes before the last bytes of the answer.
    gate.grant(MS(1), 1, &[WorkId(2)]);
    assert_eq!((gate.slots(1).busy, gate.slots(1).free), (1, 1));
    assert_eq!(gate.slots(1).total(), 1);
    gate.release(MS(2), 1, None);
    assert_eq!(gate.slots(1).total(), 1);
    // The next agent at this address has a limit of its own.
    gate.lost(1);
    assert_eq!(gate.slots(1).limit, None);
}

#[test]
fn shorter_queue_refuses_the_newest() {
    let (mut gate, mut rng) = gate(Limit::Fixed(0), 8, 1);
    for waiter in 0..6 {
        gate.arrive(
            MS(0),
            &arrival(MS(0), u64::from(waiter) % 2, 100),
            &mut rng,
            || waiter,
        );
    }
    for (length, expected, why) in [(4, &[5, 4][..], Why::Full), (0, &[3, 2, 1, 0][..], Why::NoSlot)] {
        gate.set_rules(MS(0), rules(Limit::Fixed(0), length));
        let refused: Vec<_> = core::iter::from_fn(|| gate.poll(MS(0))).collect();
        assert!(
            refused
                .iter()
                .all(|one| one.outcome.as_ref().unwrap_err().why == why)
        );
        assert_eq!(refused.iter().map(|one| one.waiter).collect::<Vec<_>>(), expected);
        assert_eq!(gate.waiting(), length);
    }
}

#[test]
fn demand_for_a_target_is_that_of_its_zone() {
    let mut gate = Gate::<Key, u32>::new(rules(Limit::Permits, 8));
    let member = |key, zone| Member {
        key,
        zone,
        weight: 1,
        target: key,
    };
    gate.arrange(
        MS(0),
        vec![member(1, Some(1)), member(2, Some(2)), member(3, None)],
    );
    for zone in [1, 1, 2] {
        let comer = Arrival {
            zone,
            ..arrival(MS(0), 0, 100)
        };
        gate.arrive(MS(0), &comer, &mut Rng::named(1, "gate"), || 0);
    }
    assert_eq!([1, 2, 3, 4].map(|key| gate.waiting_for(key)), [2, 1, 3, 0]);
}

#[test]
fn push_back_takes_a_slot_for_a_while() {
    let (mut gate, mut rng) = gate(Limit::Fixed(1), 8, 1);
    gate.pause(MS(0), 0, MS(50));
    assert_eq!(
        gate.slots(0),
        Slots {
            busy: 0,
            free: 0,
            paused: 1,
            limit: None
        }
    );
    assert!(matches!(
        gate.arrive(MS(0), &arrival(MS(0), 0, 100), &mut rng, || 3),
        Verdict::Waits(_)
    ));
    assert_eq!((gate.poll(MS(49)), gate.next_deadline()), (None, MS(50)));
    assert_eq!(gate.poll(MS(50)).unwrap().waiter, 3);
    assert_eq!(gate.next_deadline(), Mono::NEVER);
}

#[test]
fn nobody_is_there_at_first() {
    let mut gate = Gate::<Key, u32>::new(rules(Limit::Open, 8));
    let mut rng = Rng::named(1, "gate");
    for waiter in 0..5 {
        let verdict = gate.arrive(MS(0), &arrival(MS(0), 0, 9000), &mut rng, || waiter);
        assert!(matches!(verdict, Verdict::Waits(_)));
    }
    assert_eq!(gate.poll(MS(1)), None);
    gate.arrange(MS(5000), members(0..2));
    let released: Vec<_> = core::iter::from_fn(|| gate.poll(MS(5000)))
        .map(|one| one.waiter)
        .collect();
    assert_eq!(released, [0, 1, 2, 3, 4]);
    assert_eq!(gate.figures().waits.quantile(1.0).as_secs(), 5);
}

#[test]
fn waits_are_those_of_the_fluid() {
    // Two targets with one slot each, a second of service, ten requests a second for 10 s, deadlines after 60 s.
    let (mut gate, mut rng) = gate(Limit::Fixed(1), 200, 2);
    let mut busy: BTreeMap<(Mono, Key), ()> = BTreeMap::new();
    let mut waits = Vec::new();
    let mut comes = 0;
    let mut now = Mono::ZERO;
    while comes < 100 || !busy.is_empty() {
        let next_come = if comes < 100 { MS(comes * 100) } else { Mono::NEVER };
        let next_end = busy.first_key_value().map_or(Mono::NEVER, |entry| entry.0.0);
        now = next_come.min(next_end);
        if next_end <= next_come {
            let ((_, key), ()) = busy.pop_first().unwrap();
            gate.release(now, key, Some(Duration::from_secs(1)));
        } else {
            match gate.arrive(now, &arrival(now, 0, 60_000), &mut rng, || comes as u32) {
                Verdict::Admitted(slot) => {
                    waits.push((comes as u32, Duration::ZERO));
                    busy.insert((now + Duration::from_secs(1), slot.key), ());
                }
                Verdict::Waits(_) => {}
                Verdict::Refused(refusal) => panic!("{refusal:?}"),
            }
            comes += 1;
        }
        while let Some(released) = gate.poll(now) {
            waits.push((released.waiter, released.waited));
            busy.insert((now + Duration::from_secs(1), released.outcome.unwrap().key), ());
        }
        assert!(busy.len() <= 2);
        gate.check_invariants();
    }
    assert!(
        waits.iter().zip(0..).all(|(&(waiter, _), turn)| waiter == turn),
        "not in order of arrival"
    );
    for (waiter, waited) in &waits[20..] {
        let fluid = f64::from(*waiter) / 2.0 - f64::from(*waiter) / 10.0;
        assert!(
            (waited.as_secs_f64() / fluid - 1.0).abs() < 0.1,
            "{waiter}: {waited:?}, fluid {fluid}"
        );
    }
    // The second target began with the second request.
    assert_eq!(now, MS(50_100));
}

/// Serves one by one while all classes wait; returns what each has got after each service.
fn shares(weights: &[u32]) -> Vec<Vec<u32>> {
    let (mut gate, mut rng) = gate(Limit::Fixed(1), 100_000, 1);
    gate.arrive(MS(0), &arrival(MS(0), 99, 1000), &mut rng, || 0);
    for (class, &weight) in (0..).zip(weights) {
        for _ in 0..300 {
            let comer = Arrival {
                weight,
                ..arrival(MS(0), class, 1000)
            };
            gate.arrive(MS(0), &comer, &mut rng, || class as u32);
        }
    }
    let mut got = vec![0; weights.len()];
    let mut all = Vec::new();
    while got.iter().all(|&got| got < 300) {
        gate.release(MS(1), 0, None);
        got[gate.poll(MS(1)).unwrap().waiter as usize] += 1;
        all.push(got.clone());
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The paper's bound: the normalised service of any two classes that both wait differs by at most one request each.
    #[test]
    fn nothing_starves_and_shares_are_the_weights(weights in prop::collection::vec(1_u32..50, 2..8)) {
        let all = shares(&weights);
        // Tags are whole numbers, so each service may be off by a millionth.
        let slack = all.len() as f64 * 1e-4;
        for got in &all {
            for (a, &weight_a) in weights.iter().enumerate() {
                for (b, &weight_b) in weights.iter().enumerate() {
                    let (weight_a, weight_b) = (f64::from(weight_a), f64::from(weight_b));
                    let apart = f64::from(got[a]) / weight_a - f64::from(got[b]) / weight_b;
                    prop_assert!(apart.abs() <= 1.0 / weight_a + 1.0 / weight_b + slack, "{got:?} for {weights:?}");
                }
            }
        }
    }
}

#[test]
fn flood_of_one_class_leaves_another_its_share() {
    // One slot, 10 ms each: 100 a second. A offers fifty times its half, B half of its half.
    let (mut gate, mut rng) = gate(Limit::Fixed(1), 1000, 1);
    let mut busy_until = None;
    let mut waits = Vec::new();
    let mut lost = 0;
    for us in (0..20_000_000_u64).step_by(400) {
        let now = Mono(us * 1000);
        if busy_until.is_some_and(|until| until <= now) {
            gate.release(now, 0, Some(Duration::from_millis(10)));
            busy_until = None;
        }
        let b = us % 40_000 == 0;
        for class in [Some(1), b.then_some(2)].into_iter().flatten() {
            match gate.arrive(now, &arrival(now, class, 10_000), &mut rng, || class as u32) {
                Verdict::Admitted(_) => busy_until = Some(now + Duration::from_millis(10)),
                Verdict::Waits(_) => {}
                Verdict::Refused(_) => lost += u32::from(class == 2),
            }
        }
        while let Some(released) = gate.poll(now) {
            match (released.outcome, released.waiter) {
                (Ok(_), class) => {
                    busy_until = Some(now + Duration::from_millis(10));
                    if class == 2 {
                        waits.push(released.waited);
                    }
                }
                (Err(_), class) => lost += u32::from(class == 2),
            }
        }
    }
    assert_eq!(lost, 0);
    assert!(waits.len() >= 490);
    assert!(
        waits.iter().all(|wait| *wait <= Duration::from_millis(21)),
        "{:?}",
        waits.iter().max()
    );
}

#[test]
fn classes_beyond_the_most_share_and_all_are_served() {
    let (mut gate, mut rng) = gate(Limit::Fixed(1), 100_000, 1);
    gate.arrive(MS(0), &arrival(MS(0), 0, 1000), &mut rng, || 0);
    for class in 0..3000 {
        gate.arrive(MS(0), &arrival(MS(0), class, 1000), &mut rng, || class as u32);
    }
    gate.check_invariants();
    for _ in 0..3000 {
        gate.release(MS(1), 0, None);
        assert!(gate.poll(MS(1)).unwrap().outcome.is_ok());
    }
    assert_eq!(gate.waiting(), 0);
    gate.check_invariants();
}

#[test]
fn waiter_costs_little() {
    use core::mem::size_of;
    // A place in the slab, and one in the order of its class, a B-tree whose leaves are half full at worst.
    assert!(
        size_of::<Option<Entry<[u64; 2]>>>() + 2 * 24 <= 160,
        "{}",
        size_of::<Option<Entry<[u64; 2]>>>()
    );
}
