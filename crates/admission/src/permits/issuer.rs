//! The agent's side of permits: who may start a request at this target now.

use super::messages::{Figures, Output, Refused, Session};
use super::need::{Need, next_taker, spare, uneven};
use super::node_session::{Held, NodeSession};
use super::timing::{LATER, SOON, YOUNG};
use super::work_id::WorkId;
use core::time::Duration;
use forebay_units::Mono;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Revoked ids remembered, to know a late request from a made-up one.
const REMEMBERED: usize = 1024;

/// A request in flight: the slot is busy until `PermitIssuer::end` gets it back.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "the slot stays busy until it is given to `end`"]
pub struct Work(Session);

/// Where a permit is.
#[derive(Clone, Copy, Debug)]
struct Granted {
    session: Session,
    order: u64,
}

/// Grants permits so that permits out and requests in flight together never exceed the limit.
///
/// After any event: take outputs until `poll_output` has none, then ask for `next_deadline`. Costs O(log permits) per
/// request and O(sessions) per decision.
///
/// After the limit was lowered, what is out may exceed it for the grace, and what is in flight until it ends; nothing
/// starts meanwhile.
#[derive(Debug)]
pub struct PermitIssuer {
    limit: u32,
    incarnation: u64,
    draining: bool,
    now: Mono,
    in_flight: u32,
    sessions: BTreeMap<Session, NodeSession>,
    permits: BTreeMap<WorkId, Granted>,
    revoked: BTreeSet<WorkId>,
    revoked_in_order: VecDeque<WorkId>,
    outbox: VecDeque<Output>,
    unsettled: bool,
    /// As it was when nodes were last told: nothing but what they say and are told changes it for long.
    need: Need,
    /// When what is free is to be granted though nobody waits for it; never, if nothing is.
    due: Mono,
    /// When a permit of a waiting requests will be old enough to be asked back.
    ripe: Mono,
    last_session: u64,
    turns: u64,
    figures: Figures,
}

impl PermitIssuer {
    /// A permit issuer that lets at most `limit` requests in at a time. `incarnation` tells this run of the agent from others.
    pub fn new(limit: u32, incarnation: u64) -> PermitIssuer {
        PermitIssuer {
            limit,
            incarnation,
            draining: false,
            now: Mono::ZERO,
            in_flight: 0,
            sessions: BTreeMap::new(),
            permits: BTreeMap::new(),
            revoked: BTreeSet::new(),
            revoked_in_order: VecDeque::new(),
            outbox: VecDeque::new(),
            unsettled: false,
            need: Need::default(),
            due: Mono::NEVER,
            ripe: Mono::NEVER,
            last_session: 0,
            turns: 0,
            figures: Figures::default(),
        }
    }

    /// Which run of the agent this is.
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// A node has opened a channel.
    pub fn join(&mut self, now: Mono) -> Session {
        self.promptly(now);
        self.last_session += 1;
        let session = Session(self.last_session);
        self.sessions.insert(session, NodeSession::new());
        self.outbox.push_back(Output::Limit {
            session,
            limit: self.effective_limit(),
        });
        session
    }

    /// The node's queue is `waiting` long now that it has seen `seen` of the permits ever granted to this session
    /// (what is still on its way to it counts against the queue).
    pub fn demand(&mut self, now: Mono, session: Session, waiting: u64, seen: u64) {
        self.at(now);
        if let Some(node) = self.sessions.get_mut(&session) {
            if node.mute {
                self.due = self.now;
            }
            node.waiting(self.now, waiting, seen);
            if waiting > 0 && self.due != Mono::NEVER {
                self.due = self.due.min(self.now + SOON);
            }
        }
    }

    /// The node gives permits back: recalled ones, and those whose request perhaps never got here. Ids that are
    /// unknown, used, or another session's change nothing. Also the answer to a recall, with no id at all.
    pub fn returned(&mut self, now: Mono, session: Session, ids: &[WorkId]) {
        self.promptly(now);
        let Some(node) = self.sessions.get_mut(&session) else {
            return;
        };
        node.answers(now);
        for id in ids {
            let Some(granted) = self.permits.get(id).filter(|granted| granted.session == session) else {
                continue;
            };
            node.give_back(granted.order);
            self.permits.remove(id);
            self.figures.returned += 1;
        }
        // What it was asked for softly it has given now, or it had no more.
        node.soft = 0;
    }

    /// The node's channel has ended: its permits are void; its requests in flight keep their slots.
    pub fn part(&mut self, now: Mono, session: Session) {
        self.promptly(now);
        let Some(node) = self.sessions.remove(&session) else {
            return;
        };
        for id in node.ids() {
            self.permits.remove(&id);
        }
        self.outbox.retain(|output| output.session() != session);
    }

    /// A request has come with this id; it may start, and then `end` must be called when it is over in whatever way.
    pub fn begin(&mut self, now: Mono, id: WorkId) -> Result<Work, Refused> {
        self.at(now);
        let Some(granted) = self.permits.remove(&id) else {
            return Err(self.refuse(id));
        };
        self.turns += 1;
        if let Some(node) = self.sessions.get_mut(&granted.session) {
            node.spend(granted.order);
            node.used = self.turns;
        }
        if self.in_flight >= self.limit {
            self.figures.refused_above_limit += 1;
            return Err(Refused::AboveLimit);
        }
        self.in_flight += 1;
        self.figures.used += 1;
        self.hurry(granted.session);
        Ok(Work(granted.session))
    }

    fn refuse(&mut self, id: WorkId) -> Refused {
        if !self.revoked.remove(&id) {
            self.figures.refused_unknown += 1;
            return Refused::Unknown;
        }
        self.figures.refused_revoked += 1;
        Refused::Revoked
    }

    /// How many permits the session was ever granted: what a node that has seen them all says in its demand.
    pub fn granted_to(&self, session: Session) -> u64 {
        self.sessions.get(&session).map_or(0, |node| node.granted)
    }

    /// A request is over: its slot is free. Nodes are told of it at `next_deadline`, which may be now.
    pub fn end(&mut self, now: Mono, work: Work) {
        let Work(session) = work;
        self.at(now);
        self.in_flight -= 1;
        self.hurry(session);
    }

    /// Says when what is free must be granted, after this session used a permit or freed a slot: at once if somebody waits
    /// or the session has no permit left, soon if it is short of them or somebody waited just now, else with what follows
    /// within a while.
    fn hurry(&mut self, session: Session) {
        if self.free() == 0 {
            return;
        }
        let enough = self.need.enough(self.idle());
        let within = match self.sessions.get(&session).map(NodeSession::held) {
            _ if self.need.waits => Duration::ZERO,
            Some(0) => Duration::ZERO,
            None => SOON,
            Some(held) if held < enough => SOON,
            _ if self.now < self.need.lined_until => SOON,
            _ => LATER,
        };
        self.due = self.due.min(self.now + within);
    }

    /// From now on at most `limit` requests at a time; 0 lets what is in flight finish and starts nothing.
    pub fn set_limit(&mut self, now: Mono, limit: u32) {
        self.promptly(now);
        self.limit = limit;
        self.tell_limit();
    }

    /// Grants nothing from now on; what is on its way may still start within the grace.
    pub fn drain(&mut self, now: Mono) {
        self.promptly(now);
        self.draining = true;
        self.tell_limit();
    }

    /// The limit that was set last.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// Whether nothing is in flight and no permit is out.
    pub fn is_idle(&self) -> bool {
        self.in_flight == 0 && self.permits.is_empty()
    }

    /// Whether this permit is out: granted, and neither used nor void.
    pub fn is_out(&self, id: WorkId) -> bool {
        self.permits.contains_key(&id)
    }

    fn tell_limit(&mut self) {
        let limit = self.effective_limit();
        for &session in self.sessions.keys() {
            self.outbox.push_back(Output::Limit { session, limit });
        }
    }

    fn effective_limit(&self) -> u32 {
        if self.draining { 0 } else { self.limit }
    }

    /// When `handle_deadline` wants to be called; never, if nothing is recalled and nothing is free. A late call does no harm
    /// but waiting.
    pub fn next_deadline(&self) -> Mono {
        let revoke = self.sessions.values().map(NodeSession::due).min();
        revoke.unwrap_or(Mono::NEVER).min(self.ripe).min(self.due)
    }

    /// When what is free is to be granted: the part of `next_deadline` that `begin` and `end` bring nearer. O(1).
    pub fn grants_at(&self) -> Mono {
        self.due
    }

    /// Grants what is due, and revokes what was recalled and has neither been used nor given back in time.
    pub fn handle_deadline(&mut self, now: Mono) {
        self.at(now);
        let mut ids = Vec::new();
        let before = self.permits.len();
        for (&session, node) in &mut self.sessions {
            let count = node.overdue(now, &mut ids);
            if count > 0 {
                // So that it knows, should it come back.
                self.outbox.push_back(Output::Recall { session, count });
                node.is_asked(now);
            }
            for id in ids.drain(..) {
                self.permits.remove(&id);
                self.figures.revoked += 1;
                if self.revoked_in_order.len() == REMEMBERED
                    && let Some(oldest) = self.revoked_in_order.pop_front()
                {
                    self.revoked.remove(&oldest);
                }
                self.revoked_in_order.push_back(id);
                self.revoked.insert(id);
            }
        }
        if self.permits.len() < before {
            self.due = self.now;
        }
    }

    /// The next thing to tell a node. `draw` gives 128 bits that nobody can guess.
    pub fn poll_output(&mut self, draw: &mut dyn FnMut() -> u128) -> Option<Output> {
        if self.unsettled {
            self.unsettled = false;
            self.need = Need::of(&self.sessions, self.now);
            let is_lined = self.need.lined_until > Mono::ZERO;
            // What nobody waits for goes when it is due, all together.
            let settles = self.due <= self.now;
            if self.need.waits || settles {
                self.due = Mono::NEVER;
                if self.free() > 0 {
                    self.grant(draw);
                    self.need = Need::of(&self.sessions, self.now);
                }
            }
            let spreads = settles || is_lined || self.free() == 0 && self.need.is_short(self.idle());
            self.recall(spreads);
        }
        self.outbox.pop_front()
    }

    /// Counts, and how things are.
    pub fn figures(&self) -> Figures {
        Figures {
            limit: self.effective_limit(),
            in_flight: self.in_flight,
            outstanding: self.permits.len() as u32,
            sessions: self.sessions.len() as u32,
            waiting: self.sessions.values().map(|node| node.wants).sum(),
            ..self.figures
        }
    }

    fn at(&mut self, now: Mono) {
        self.now = self.now.max(now);
        self.unsettled = true;
    }

    /// The same, and what is free is granted at once.
    fn promptly(&mut self, now: Mono) {
        self.at(now);
        self.due = self.now;
    }

    /// Slots that no request holds.
    fn idle(&self) -> u32 {
        self.effective_limit().saturating_sub(self.in_flight)
    }

    /// Those that no permit stands for, either.
    fn free(&self) -> u32 {
        self.idle().saturating_sub(self.permits.len() as u32)
    }

    /// Gives what is free to whoever waits most, and what nobody waits for to whoever has least.
    fn grant(&mut self, draw: &mut dyn FnMut() -> u128) {
        let mut free = self.free();
        while free > 0
            && let Some(node) = next_taker(&mut self.sessions, self.need)
        {
            self.turns += 1;
            node.turn = self.turns;
            node.planned += 1;
            free -= 1;
        }
        for (&session, node) in &mut self.sessions {
            let mut ids = Vec::new();
            for _ in 0..std::mem::take(&mut node.planned) {
                let id = WorkId(draw());
                self.turns += 1;
                let order = self.turns;
                let since = self.now;
                // 128 bits never meet twice unless the source is broken; the slot then stays free until the next event.
                if let std::collections::btree_map::Entry::Vacant(entry) = self.permits.entry(id) {
                    entry.insert(Granted { session, order });
                    node.put(Held { order, id, since });
                    ids.push(id);
                }
            }
            if !ids.is_empty() {
                self.figures.granted += ids.len() as u64;
                self.outbox.push_back(Output::Grant { session, ids });
            }
        }
    }

    /// Asks permits back: those above the limit, those that others wait for, and, softly and if `spreads`, to spread idle ones.
    fn recall(&mut self, spreads: bool) {
        let now = self.now;
        let held = self.permits.len() as u32;
        let limit = self.effective_limit();
        let excess = (self.in_flight + held).saturating_sub(limit).min(held);
        let wanted = excess + self.need.waiting.min(u64::from(limit)) as u32;
        let mut need = wanted.saturating_sub(self.need.owed);
        self.ripe = Mono::NEVER;
        if need == 0 {
            self.spread(wanted == 0 && spreads);
            return;
        }
        let mut richest: Vec<(u32, Session)> = self
            .sessions
            .iter()
            .map(|(&session, node)| (node.takeable(now, YOUNG, excess > 0), session))
            .filter(|&(takeable, _)| takeable > 0)
            .collect();
        let mut asked: BTreeMap<Session, u32> = BTreeMap::new();
        while need > 0
            && let Some((takeable, session)) = richest.iter_mut().max_by_key(|(takeable, _)| *takeable)
            && *takeable > 0
        {
            *takeable -= 1;
            need -= 1;
            *asked.entry(*session).or_default() += 1;
        }
        if !asked.is_empty() {
            self.probe(&asked);
        }
        for (session, count) in asked {
            self.ask(session, count);
        }
        if need > 0 {
            let waiting = self.sessions.values().filter(|node| node.waits());
            self.ripe = waiting
                .map(|node| node.ripens(YOUNG))
                .min()
                .unwrap_or(Mono::NEVER)
                .max(now + Duration::from_nanos(1));
        }
    }

    fn ask(&mut self, session: Session, count: u32) {
        let Some(node) = self.sessions.get_mut(&session) else {
            return;
        };
        node.ask(self.now, count);
        node.is_asked(self.now);
        self.outbox.push_back(Output::Recall { session, count });
    }

    /// Some of what was asked back will perhaps come only when the grace is over, because its holder is silent. Then it must
    /// not go to another silent one: each would cost a grace. So all that wait are asked for a sign of life meanwhile.
    fn probe(&mut self, besides: &BTreeMap<Session, u32>) {
        for (&session, node) in &mut self.sessions {
            if node.waits() && !besides.contains_key(&session) && node.probe() {
                node.is_asked(self.now);
                self.outbox.push_back(Output::Recall { session, count: 0 });
            }
        }
    }

    /// Nobody waits for more than is on its way: what is idle moves to where it will be needed, asked for softly. If somebody
    /// waited just now, that is there; and `evenly`, it is spread among all.
    fn spread(&mut self, evenly: bool) {
        let uneven = uneven(&self.sessions, self.need).filter(|_| evenly);
        let spare = spare(&self.sessions, self.need, self.now);
        for (session, count) in spare.into_iter().chain(uneven) {
            if let Some(node) = self.sessions.get_mut(&session) {
                node.soft = count;
                node.is_asked(self.now);
                self.outbox.push_back(Output::Recall { session, count });
            }
        }
    }

    /// Panics if its parts disagree. For tests; O(permits).
    pub fn check_invariants(&self) {
        let mut held = 0;
        for (session, node) in &self.sessions {
            node.check_invariants();
            for id in node.ids() {
                held += 1;
                assert_eq!(
                    self.permits.get(&id).map(|granted| granted.session),
                    Some(*session),
                    "a line holds what the book does not know"
                );
            }
        }
        assert_eq!(held, self.permits.len(), "a permit without a line");
        assert!(self.revoked.len() <= REMEMBERED && self.revoked_in_order.len() <= REMEMBERED);
    }
}
