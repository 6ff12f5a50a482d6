//! The agent's side of permits: decides which request may start at this target now.

use super::messages::{Figures, Output, Refused, Session};
use super::need::{Need, next_taker, spare, uneven};
use super::node_session::{Held, NodeSession};
use super::timing::{LATER, SOON, YOUNG};
use super::work_id::WorkId;
use core::time::Duration;
use forebay_units::Mono;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Number of revoked ids remembered, to tell a late request from a made-up id.
const REMEMBERED: usize = 1024;

/// A request in flight. Its slot is busy until this value is given to `PermitIssuer::end`.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "the slot stays busy until it is given to `end`"]
pub struct Work(Session);

/// The session that holds a permit, and the permit's place in its order.
#[derive(Clone, Copy, Debug)]
struct Granted {
    session: Session,
    order: u64,
}

/// Grants permits so that permits out and requests in flight together never exceed the limit.
///
/// After any event, call `poll_output` until it returns `None`, then ask for `next_deadline`. Costs O(log permits) per
/// request and O(sessions) per decision.
///
/// After the limit was lowered, permits that are out may exceed it for the grace, and requests in flight until they
/// end. Nothing starts meanwhile.
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
    /// The needs as of the last messages to nodes: only messages from and to nodes change them for long.
    need: Need,
    /// When free slots are granted even though nobody waits for them; `NEVER` if none are free.
    due: Mono,
    /// When a permit of a node with waiting requests becomes old enough to be recalled.
    ripe: Mono,
    last_session: u64,
    turns: u64,
    figures: Figures,
}

impl PermitIssuer {
    /// An issuer that admits at most `limit` requests at a time. `incarnation` tells this run of the agent from others.
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

    /// The number that tells this run of the agent from others.
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// Opens a session for a node that has opened a channel.
    pub fn join(&mut self, now: Mono) -> Session {
        // A new node holds no permits: free slots and idle permits must reach it at once.
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

    /// The node's queue is `waiting` long, having seen `seen` of the permits ever granted to this session. Permits
    /// still on their way to it count against the queue.
    pub fn demand(&mut self, now: Mono, session: Session, waiting: u64, seen: u64) {
        self.at(now);
        if let Some(node) = self.sessions.get_mut(&session) {
            // A node that speaks again must not wait for `LATER`: it was passed over while it was mute.
            if node.mute {
                self.due = self.now;
            }
            node.waiting(self.now, waiting, seen);
            // Free slots that were to be granted later are missed now.
            if waiting > 0 && self.due != Mono::NEVER {
                self.due = self.due.min(self.now + SOON);
            }
        }
    }

    /// The node gives permits back: recalled ones, and those whose request may never have arrived. Ids that are
    /// unknown, used, or another session's change nothing. This is also the answer to a recall, even with no id at all.
    pub fn returned(&mut self, now: Mono, session: Session, ids: &[WorkId]) {
        self.promptly(now);
        let Some(node) = self.sessions.get_mut(&session) else {
            return;
        };
        node.answers(now);
        for id in ids {
            // An id of another session must not free that session's slot.
            let Some(granted) = self.permits.get(id).filter(|granted| granted.session == session) else {
                continue;
            };
            node.give_back(granted.order);
            self.permits.remove(id);
            self.figures.returned += 1;
        }
        // This answers the soft recall in full: the node gave what it had, or had nothing to give.
        node.soft = 0;
    }

    /// The node's channel has ended. Its permits are void; its requests in flight keep their slots.
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

    /// A request has arrived with this id. If it may start, `end` must be called when it is over, however it ends.
    pub fn begin(&mut self, now: Mono, id: WorkId) -> Result<Work, Refused> {
        self.at(now);
        // Removed before anything else is decided: an id works once, whatever comes of it.
        let Some(granted) = self.permits.remove(&id) else {
            return Err(self.refuse(id));
        };
        self.turns += 1;
        if let Some(node) = self.sessions.get_mut(&granted.session) {
            node.spend(granted.order);
            node.used = self.turns;
        }
        // Checked though the permit was valid: after `set_limit` lowered the limit, permits out may still exceed it.
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

    /// Permits ever granted to the session: the number that a node which has seen them all reports in its demand.
    pub fn granted_to(&self, session: Session) -> u64 {
        self.sessions.get(&session).map_or(0, |node| node.granted)
    }

    /// A request is over and its slot is free. Nodes are told at `next_deadline`, which may be now.
    pub fn end(&mut self, now: Mono, work: Work) {
        let Work(session) = work;
        self.at(now);
        self.in_flight -= 1;
        self.hurry(session);
    }

    /// Brings `due` nearer after this session used a permit or freed a slot. At once if requests wait or the session
    /// has no permit left; soon if it is short of permits or requests waited just now; else later, with other slots
    /// that become free meanwhile.
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

    /// Sets the limit. 0 lets requests in flight finish and starts nothing.
    pub fn set_limit(&mut self, now: Mono, limit: u32) {
        self.promptly(now);
        self.limit = limit;
        self.tell_limit();
    }

    /// Grants nothing from now on. A request that is on its way may still start within the grace.
    pub fn drain(&mut self, now: Mono) {
        self.promptly(now);
        self.draining = true;
        self.tell_limit();
    }

    /// The limit that was set last.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// Whether no request is in flight and no permit is out.
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

    /// When `handle_deadline` must be called; `NEVER` if nothing is recalled and nothing is free. A late call only
    /// makes nodes wait longer.
    pub fn next_deadline(&self) -> Mono {
        let revoke = self.sessions.values().map(NodeSession::due).min();
        revoke.unwrap_or(Mono::NEVER).min(self.ripe).min(self.due)
    }

    /// When free slots are granted: the part of `next_deadline` that `begin` and `end` bring nearer. O(1).
    pub fn grants_at(&self) -> Mono {
        self.due
    }

    /// Grants what is due, and revokes permits that were recalled and neither used nor given back in time.
    pub fn handle_deadline(&mut self, now: Mono) {
        self.at(now);
        let mut ids = Vec::new();
        let before = self.permits.len();
        for (&session, node) in &mut self.sessions {
            let count = node.overdue(now, &mut ids);
            if count > 0 {
                // A stalled node must learn, when it comes back, that permits it was never asked for are gone.
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
        // Revoked permits freed slots that requests elsewhere have waited for.
        if self.permits.len() < before {
            self.due = self.now;
        }
    }

    /// The next message to a node. `draw` returns 128 unguessable bits.
    pub fn poll_output(&mut self, draw: &mut dyn FnMut() -> u128) -> Option<Output> {
        if self.unsettled {
            self.unsettled = false;
            self.need = Need::of(&self.sessions, self.now);
            let is_lined = self.need.lined_until > Mono::ZERO;
            // Slots that nobody waits for are granted together when they are due, to save messages.
            let settles = self.due <= self.now;
            if self.need.waits || settles {
                self.due = Mono::NEVER;
                if self.free() > 0 {
                    self.grant(draw);
                    // The grants changed the needs from which recalls are computed.
                    self.need = Need::of(&self.sessions, self.now);
                }
            }
            // Idle permits are spread when grants are due anyway, while requests waited just now, and when a node runs
            // short and no slot is left to grant.
            let spreads = settles || is_lined || self.free() == 0 && self.need.is_short(self.idle());
            self.recall(spreads);
        }
        self.outbox.pop_front()
    }

    /// The counters and the present state.
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
        // Callers without a clock pass zero, and times may arrive out of order.
        self.now = self.now.max(now);
        self.unsettled = true;
    }

    /// Like `at`, and free slots are granted at once.
    fn promptly(&mut self, now: Mono) {
        self.at(now);
        self.due = self.now;
    }

    /// Slots that no request holds.
    fn idle(&self) -> u32 {
        self.effective_limit().saturating_sub(self.in_flight)
    }

    /// Idle slots for which no permit is out either.
    fn free(&self) -> u32 {
        self.idle().saturating_sub(self.permits.len() as u32)
    }

    /// Grants free slots: first to the nodes where most requests wait, and the rest to those that hold least.
    fn grant(&mut self, draw: &mut dyn FnMut() -> u128) {
        let mut free = self.free();
        // Planned slot by slot and granted per node afterwards, so that each node gets one message.
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
                // Two ids never collide unless the random source is broken; the slot then stays free until the next
                // event.
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

    /// Recalls permits: those above the limit, those that other nodes wait for, and, softly and if `spreads`, idle ones
    /// to spread.
    fn recall(&mut self, spreads: bool) {
        let now = self.now;
        let held = self.permits.len() as u32;
        let limit = self.effective_limit();
        // Requests in flight cannot be recalled, so at most the permits that are out.
        let excess = (self.in_flight + held).saturating_sub(limit).min(held);
        let wanted = excess + self.need.waiting.min(u64::from(limit)) as u32;
        // Recalls under way count: without this each event would recall the same permits once more.
        let mut need = wanted.saturating_sub(self.need.owed);
        self.ripe = Mono::NEVER;
        if need == 0 {
            self.spread(wanted == 0 && spreads);
            return;
        }
        let mut richest: Vec<(u32, Session)> = self
            .sessions
            .iter()
            // Above the limit, fresh permits of waiting nodes must go too.
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
                // Strictly later than now, so that the next deadline always makes progress.
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

    /// Recalled permits may come only after the grace, because their holder is silent. They must not then go to another
    /// silent node, since each such node would cost a grace. So all nodes with waiting requests are asked for a sign of
    /// life meanwhile.
    fn probe(&mut self, besides: &BTreeMap<Session, u32>) {
        for (&session, node) in &mut self.sessions {
            if node.waits() && !besides.contains_key(&session) && node.probe() {
                node.is_asked(self.now);
                self.outbox.push_back(Output::Recall { session, count: 0 });
            }
        }
    }

    /// Moves idle permits, by soft recalls, to where they will be needed, once no more requests wait than permits are
    /// on their way. That is where requests waited just now; with `evenly`, all nodes alike.
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
                    "a session holds a permit that the issuer does not know"
                );
            }
        }
        assert_eq!(held, self.permits.len(), "a permit without a session");
        assert!(self.revoked.len() <= REMEMBERED && self.revoked_in_order.len() <= REMEMBERED);
    }
}
