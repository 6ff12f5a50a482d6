//! The permit issuer's guarantees, under chosen and under random events.

use super::timing::{LATER, SOON};
use super::*;
use core::time::Duration;
use forebay_units::{Mono, Rng};
use std::collections::BTreeMap;

/// A permit issuer, its nodes' view of what they hold, and requests in flight.
struct World {
    permit_issuer: PermitIssuer,
    now: Mono,
    stream: Rng,
    held: BTreeMap<Session, Vec<WorkId>>,
    recalls: Vec<(Session, u32)>,
    works: Vec<Work>,
    /// Messages sent to nodes.
    said: usize,
}

impl World {
    fn new(limit: u32, seed: u64) -> World {
        World {
            permit_issuer: PermitIssuer::new(limit, 1),
            now: Mono::from_millis(1),
            stream: Rng::named(seed, "permits"),
            held: BTreeMap::new(),
            recalls: Vec::new(),
            works: Vec::new(),
            said: 0,
        }
    }

    fn join(&mut self) -> Session {
        let session = self.permit_issuer.join(self.now);
        self.held.insert(session, Vec::new());
        self.settle();
        session
    }

    fn settle(&mut self) {
        let stream = &mut self.stream;
        while let Some(output) = self
            .permit_issuer
            .poll_output(&mut || u128::from(stream.next_u64()) << 64 | u128::from(stream.next_u64()))
        {
            self.said += 1;
            match output {
                Output::Grant { session, ids } => self.held.entry(session).or_default().extend(ids),
                Output::Recall { session, count } => self.recalls.push((session, count)),
                Output::Limit { .. } => {}
            }
        }
        self.permit_issuer.check_invariants();
        let figures = self.permit_issuer.figures();
        assert_eq!(figures.in_flight as usize, self.works.len());
    }

    fn demand(&mut self, session: Session, waiting: u64) {
        let seen = self.permit_issuer_granted(session);
        self.permit_issuer.demand(self.now, session, waiting, seen);
        self.settle();
    }

    fn permit_issuer_granted(&self, session: Session) -> u64 {
        self.permit_issuer.granted_to(session)
    }

    fn begin(&mut self, session: Session) {
        let id = self.held.get_mut(&session).unwrap().remove(0);
        let work = self.permit_issuer.begin(self.now, id).unwrap();
        self.works.push(work);
        self.settle();
    }

    fn end(&mut self) {
        let work = self.works.remove(0);
        self.permit_issuer.end(self.now, work);
        self.settle();
    }

    /// A live node's answer to recalls: it gives back what it has, up to the number asked for.
    fn answer_recalls(&mut self) {
        for (session, count) in std::mem::take(&mut self.recalls) {
            let Some(held) = self.held.get_mut(&session) else {
                continue;
            };
            let ids: Vec<_> = held.drain(..held.len().min(count as usize)).collect();
            self.permit_issuer.returned(self.now, session, &ids);
        }
        self.settle();
    }

    /// Lets time pass and handles what is due by then.
    fn passes(&mut self, time: Duration) {
        self.now = self.now + time;
        if self.permit_issuer.next_deadline() <= self.now {
            self.permit_issuer.handle_deadline(self.now);
            self.settle();
            self.answer_recalls();
        }
    }

    fn after(&mut self, ms: u64) {
        self.now = self.now + Duration::from_millis(ms);
        self.permit_issuer.handle_deadline(self.now);
        self.settle();
    }

    /// Permits recalled, without the requests for a sign of life.
    fn asked(&self) -> Vec<(Session, u32)> {
        let asked = self.recalls.iter().filter(|(_, count)| *count > 0);
        asked.copied().collect()
    }

    fn holds(&self, session: Session) -> usize {
        self.held[&session].len()
    }
}

#[test]
fn ids_are_32_digits() {
    let id = WorkId(0xabc);
    assert_eq!(id.to_string(), "00000000000000000000000000000abc");
    assert_eq!(&id.digits(), id.to_string().as_bytes());
    assert_eq!(WorkId::parse(b"00000000000000000000000000000ABC"), Some(id));
    assert_eq!(WorkId::parse(b"0000000000000000000000000000abc"), None);
    assert_eq!(WorkId::parse(b"+0000000000000000000000000000abc"), None);
}

#[test]
fn idle_permits_are_spread_evenly() {
    let mut world = World::new(8, 1);
    let a = world.join();
    assert_eq!(world.holds(a), 8);
    let b = world.join();
    world.answer_recalls();
    assert_eq!((world.holds(a), world.holds(b)), (4, 4));
    let c = world.join();
    world.answer_recalls();
    world.answer_recalls();
    let held = [world.holds(a), world.holds(b), world.holds(c)];
    assert_eq!(held.iter().sum::<usize>(), 8);
    assert!(held.iter().all(|&held| (2..=3).contains(&held)), "{held:?}");
    // Spreading never revokes.
    assert_eq!(world.permit_issuer.next_deadline(), Mono::NEVER);
}

/// Permits given back for a queue used to go to the node that gave them, whenever the queue had just been served. In
/// the permits simulation, slots stayed unused for 78 ms while requests waited all the time.
#[test]
fn idle_permits_gather_where_somebody_waited_just_now() {
    let mut world = World::new(20, 1);
    let (busy, quiet) = (world.join(), world.join());
    world.answer_recalls();
    world.passes(LATER);
    assert_eq!([busy, quiet].map(|session| world.holds(session)), [10, 10]);
    world.after(11);
    for _ in 0..10 {
        world.begin(busy);
    }
    world.demand(busy, 1);
    // The waiting request is served first. Then comes what the quiet node has not used for 10 ms, and it stays.
    while !world.asked().is_empty() {
        world.answer_recalls();
    }
    assert_eq!([busy, quiet].map(|session| world.holds(session)), [10, 0]);
    world.end();
    world.passes(SOON);
    assert_eq!([busy, quiet].map(|session| world.holds(session)), [11, 0]);
    // A node where requests begin to wait has the idle permits as soon as it reports them.
    world.demand(quiet, 1);
    assert_eq!(world.asked(), [(busy, 1)]);
    world.answer_recalls();
    assert_eq!(world.holds(quiet), 1);
    // Nothing has waited for a while, so permits are spread evenly again.
    world.after(60);
    world.end();
    world.passes(LATER);
    world.answer_recalls();
    assert_eq!([busy, quiet].map(|session| world.holds(session)), [6, 6]);
}

#[test]
fn busy_node_keeps_its_slot_among_idle_ones() {
    let mut world = World::new(2, 2);
    let sessions: Vec<_> = (0..20).map(|_| world.join()).collect();
    world.answer_recalls();
    let busy = *sessions
        .iter()
        .find(|session| world.holds(**session) > 0)
        .unwrap();
    for _ in 0..100 {
        world.begin(busy);
        world.end();
        assert_eq!(world.holds(busy), 1);
    }
}

/// Messages to nodes while one of `nodes` sends 10,000 requests, 64 at once, 15 us apart.
fn said_for_ten_thousand_requests(limit: u32, nodes: usize) -> usize {
    let mut world = World::new(limit, 12);
    let sessions: Vec<_> = (0..nodes).map(|_| world.join()).collect();
    world.answer_recalls();
    world.passes(LATER);
    let before = world.said;
    for _ in 0..10_000 {
        world.passes(Duration::from_micros(15));
        if world.works.len() == 64 {
            world.end();
        }
        assert!(world.holds(sessions[0]) > 0, "it would have to wait");
        world.begin(sessions[0]);
    }
    let said = world.said - before;
    while !world.works.is_empty() {
        world.end();
    }
    world.passes(LATER);
    world.passes(LATER);
    let held: Vec<usize> = sessions.iter().map(|session| world.holds(*session)).collect();
    assert_eq!(held.iter().sum::<usize>(), limit as usize);
    let even = limit as usize / nodes;
    assert!(held.iter().all(|held| held.abs_diff(even) <= 1), "{held:?}");
    said
}

#[test]
fn slots_that_nobody_needs_are_granted_in_lots() {
    assert!(said_for_ten_thousand_requests(1000, 1) < 30);
    assert!(said_for_ten_thousand_requests(1000, 4) < 200);
    assert!(said_for_ten_thousand_requests(200, 1) < 250);
    // Three idle permits: slots that end within 2 ms are granted together.
    assert!(said_for_ten_thousand_requests(67, 1) < 5000);
}

#[test]
fn who_waits_gets_what_nobody_was_short_of() {
    let mut world = World::new(100, 13);
    let (a, b) = (world.join(), world.join());
    world.answer_recalls();
    assert_eq!((world.holds(a), world.holds(b)), (50, 50));
    (0..10).for_each(|_| world.begin(a));
    (0..10).for_each(|_| world.end());
    assert_eq!(world.holds(a), 40, "it has enough");
    assert_eq!(world.permit_issuer.grants_at(), world.now + LATER);
    world.demand(b, 3);
    assert_eq!(world.holds(a) + world.holds(b), 100);
    assert!(world.holds(b) >= 53, "three for its line");
    // Requests waited just now: the permits on their way may be too few.
    world.begin(a);
    world.end();
    assert_eq!(world.permit_issuer.grants_at(), world.now + SOON);
    world.passes(Duration::from_millis(51));
    world.begin(a);
    world.end();
    assert_eq!(world.permit_issuer.grants_at(), world.now + LATER);
}

#[test]
fn last_permit_is_followed_at_once() {
    let mut world = World::new(3, 14);
    let a = world.join();
    world.begin(a);
    world.end();
    assert_eq!(world.holds(a), 2);
    assert_eq!(world.permit_issuer.grants_at(), world.now + SOON);
    world.begin(a);
    assert_eq!(world.holds(a), 1);
    world.begin(a);
    assert_eq!(world.holds(a), 1, "what is free goes when none is left");
}

#[test]
fn freed_slot_goes_to_the_longest_node_and_ties_rotate() {
    let mut world = World::new(1, 3);
    let a = world.join();
    let (b, c) = (world.join(), world.join());
    world.begin(a);
    world.demand(b, 2);
    world.demand(c, 3);
    let mut order = Vec::new();
    for _ in 0..5 {
        world.end();
        let next = [a, b, c]
            .into_iter()
            .find(|session| world.holds(*session) > 0)
            .unwrap();
        order.push(if next == b { 'b' } else { 'c' });
        world.begin(next);
    }
    assert_eq!(order.iter().filter(|who| **who == 'b').count(), 2);
    assert_eq!(order[0], 'c', "the longest first");
    assert!(
        order.windows(3).all(|three| three != ['c', 'c', 'c']),
        "{order:?}"
    );
}

#[test]
fn recall_moves_a_permit_in_one_exchange_and_a_deadline_moves_it_from_the_silent() {
    let mut world = World::new(1, 4);
    let a = world.join();
    let b = world.join();
    world.demand(b, 1);
    assert_eq!(world.asked(), [(a, 1)]);
    world.answer_recalls();
    assert_eq!((world.holds(a), world.holds(b)), (0, 1));

    world.demand(a, 1);
    assert_eq!(world.asked(), [(b, 1)]);
    assert_eq!(world.permit_issuer.next_deadline(), world.now + GRACE);
    world.after(19);
    assert_eq!(world.holds(a), 0);
    world.after(1);
    assert_eq!(world.holds(a), 1);
    // The silent node's id is worthless now, and is known as late.
    let stale = world.held[&b][0];
    assert_eq!(world.permit_issuer.begin(world.now, stale), Err(Refused::Revoked));
    assert_eq!(world.permit_issuer.begin(world.now, stale), Err(Refused::Unknown));
}

#[test]
fn silent_node_gets_nothing_more_until_it_speaks() {
    let mut world = World::new(1, 5);
    let silent = world.join();
    let live = world.join();
    world.demand(silent, 1000);
    world.demand(live, 1);
    world.after(5);
    world.after(20);
    assert_eq!(world.holds(live), 1, "a stuck line does not hold a slot");
    world.begin(live);
    world.end();
    assert_eq!(world.holds(live), 1);
    world.begin(live);
    world.permit_issuer.returned(world.now, silent, &[]);
    world.settle();
    world.held.get_mut(&silent).unwrap().clear();
    world.end();
    assert_eq!(world.holds(silent), 1);
}

#[test]
fn stuck_permit_of_the_only_node_comes_back_to_it() {
    let mut world = World::new(1, 6);
    let a = world.join();
    let stuck = world.held.get_mut(&a).unwrap().remove(0);
    world.demand(a, 1);
    world.after(5);
    assert_eq!(world.asked(), [(a, 1)]);
    world.answer_recalls();
    world.after(20);
    assert_eq!(world.holds(a), 1);
    assert_eq!(world.permit_issuer.begin(world.now, stuck), Err(Refused::Revoked));
    world.begin(a);
}

#[test]
fn ids_are_used_once_and_are_their_sessions_own() {
    let mut world = World::new(2, 8);
    let a = world.join();
    let b = world.join();
    let id = world.held[&a][0];
    world.permit_issuer.returned(world.now, b, &[id, WorkId(7)]);
    world.settle();
    world.begin(a);
    assert_eq!(world.permit_issuer.begin(world.now, id), Err(Refused::Unknown));
    world.permit_issuer.returned(world.now, a, &[id]);
    world.settle();
    assert_eq!(world.permit_issuer.figures().returned, 0);
}

#[test]
fn parting_voids_permits_and_keeps_requests_in_flight() {
    let mut world = World::new(2, 9);
    let a = world.join();
    world.begin(a);
    let b = world.join();
    world.demand(b, 5);
    let void = world.held[&a][0];
    world.permit_issuer.part(world.now, a);
    world.settle();
    assert_eq!(world.holds(b), 1, "at once");
    assert_eq!(world.permit_issuer.begin(world.now, void), Err(Refused::Unknown));
    assert_eq!(world.permit_issuer.figures().in_flight, 1);
    world.end();
    assert_eq!(world.holds(b), 2);
}

#[test]
fn lowered_limit_starts_nothing_more_and_zero_drains() {
    let mut world = World::new(4, 10);
    let a = world.join();
    world.begin(a);
    world.begin(a);
    world.permit_issuer.set_limit(world.now, 2);
    world.settle();
    let id = world.held.get_mut(&a).unwrap().remove(0);
    assert_eq!(world.permit_issuer.begin(world.now, id), Err(Refused::AboveLimit));
    world.permit_issuer.set_limit(world.now, 0);
    world.settle();
    world.after(20);
    assert_eq!(world.permit_issuer.figures().outstanding, 0);
    world.held.get_mut(&a).unwrap().clear();
    world.end();
    world.end();
    assert!(world.permit_issuer.is_idle());
    assert_eq!(world.holds(a), 0);
    world.recalls.clear();
    world.permit_issuer.returned(world.now, a, &[]);
    world.permit_issuer.set_limit(world.now, 3);
    world.settle();
    assert_eq!(world.holds(a), 3);
}

#[test]
fn draining_lets_in_what_is_on_its_way() {
    let mut world = World::new(2, 11);
    let a = world.join();
    world.permit_issuer.drain(world.now);
    world.settle();
    assert_eq!(world.asked(), [(a, 2)]);
    world.begin(a);
    world.recalls = vec![(a, 1)];
    world.answer_recalls();
    world.end();
    assert!(world.permit_issuer.is_idle());
    assert_eq!(world.holds(a), 0);
}

/// Random nodes: some answer, some fall silent, some die, and messages take time. Whatever they do, the limit holds,
/// and no slot stays free while a node that speaks waits.
fn random_run(seed: u64, steps: u32) {
    let mut rng = Rng::named(seed, "events");
    let most = if rng.below(4) == 0 { 120 } else { 9 };
    let limit = 1 + rng.below(most) as u32;
    let mut world = World::new(limit, seed);
    let mut silent: Vec<Session> = Vec::new();
    let mut most = limit;
    for _ in 0..steps {
        let sessions: Vec<Session> = world.held.keys().copied().collect();
        let any = (!sessions.is_empty()).then(|| sessions[rng.below(sessions.len() as u64) as usize]);
        match (rng.below(12), any) {
            (0, _) if sessions.len() < 6 => {
                world.join();
            }
            (1, Some(session)) if rng.below(4) == 0 => {
                world.permit_issuer.part(world.now, session);
                world.held.remove(&session);
                silent.retain(|one| *one != session);
            }
            (2, Some(session)) => {
                if let Some(at) = silent.iter().position(|one| *one == session) {
                    silent.remove(at);
                    world.permit_issuer.returned(world.now, session, &[]);
                } else if rng.below(3) == 0 {
                    silent.push(session);
                }
            }
            (3, _) if rng.below(8) == 0 => {
                let limit = rng.below(10) as u32;
                world.permit_issuer.set_limit(world.now, limit);
                world.settle();
                for _ in 0..40 {
                    world.after(20);
                }
                most = limit.max(world.works.len() as u32);
            }
            (4..=6, Some(session)) if !silent.contains(&session) => {
                let waiting = rng.below(4);
                let seen = world.permit_issuer_granted(session);
                world.permit_issuer.demand(world.now, session, waiting, seen);
            }
            (7 | 8, Some(session)) if world.holds(session) > 0 => {
                let id = world.held.get_mut(&session).unwrap().remove(0);
                if let Ok(work) = world.permit_issuer.begin(world.now, id) {
                    world.works.push(work);
                }
            }
            (9 | 10, _) if !world.works.is_empty() => world.end(),
            _ => {
                world.recalls.retain(|(session, _)| !silent.contains(session));
                world.answer_recalls();
                world.now = world.now + Duration::from_micros(rng.below(8000));
                if world.permit_issuer.next_deadline() <= world.now {
                    world.permit_issuer.handle_deadline(world.now);
                }
            }
        }
        world.settle();
        let figures = world.permit_issuer.figures();
        assert!(
            figures.in_flight + figures.outstanding <= most,
            "seed {seed}: {figures:?}, at most {most}"
        );
        most = most
            .max(figures.limit)
            .min(figures.limit.max(figures.in_flight + figures.outstanding));
    }
    nothing_is_stranded(&mut world, &silent, seed);
}

/// Requests wait at every live node and nothing is in flight any more: all slots must move to the nodes that speak.
fn nothing_is_stranded(world: &mut World, silent: &[Session], seed: u64) {
    world.permit_issuer.set_limit(world.now, 3);
    let speaker = world.join();
    while !world.works.is_empty() {
        world.end();
    }
    world.demand(speaker, 3);
    let begun = world.now;
    for _ in 0..100 {
        world.recalls.retain(|(session, _)| !silent.contains(session));
        world.answer_recalls();
        while world.holds(speaker) > 0 {
            world.begin(speaker);
        }
        if world.works.len() == 3 {
            break;
        }
        world.demand(speaker, 3 - world.works.len() as u64);
        let deadline = world.permit_issuer.next_deadline();
        assert_ne!(
            deadline,
            Mono::NEVER,
            "seed {seed}: stuck {:?}",
            world.permit_issuer
        );
        world.now = deadline;
        world.permit_issuer.handle_deadline(world.now);
        world.settle();
        // The others want nothing any more; the silent ones never said so.
        for session in world.held.keys().copied().collect::<Vec<_>>() {
            if session != speaker && !silent.contains(&session) {
                world.demand(session, 0);
            }
        }
    }
    assert_eq!(world.works.len(), 3, "seed {seed}");
    let graces_grew = world.permit_issuer.figures().refused_revoked > 0;
    let took = world.now.since(begun);
    // Each silent node that last reported waiting requests may get a freed permit once before it is known to be silent,
    // and one recall may have been lost while its node was silent.
    let bound = Duration::from_millis(25) * (2 + silent.len() as u32);
    assert!(graces_grew || took <= bound, "seed {seed}: {took:?}");
}

#[test]
fn limit_holds_and_nothing_strands_whatever_nodes_do() {
    for seed in 0..2000 {
        random_run(seed, 300);
    }
}
