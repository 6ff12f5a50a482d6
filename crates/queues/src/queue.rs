//! One queue: its messages and the indexes over them. All changes go through `apply`, both live and after a restart, so
//! the two cannot differ.

use crate::change::{Change, Sent, Why};
use crate::deduplication::{Attempts, Sends};
use crate::groups::Groups;
use crate::message::{Held, Message, NEVER, NO_GROUP, Sequence};
use crate::settings::{Kind, Scope, Settings};
use crate::waiters::Waiters;
use core::time::Duration;
use forebay_units::Wall;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Numbers of messages. Approximate in SQS, exact here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// `ApproximateNumberOfMessages`: neither in flight nor delayed. Messages of a FIFO group that has others in flight
    /// are included.
    pub visible: usize,
    /// `ApproximateNumberOfMessagesNotVisible`: in flight.
    pub in_flight: usize,
    /// `ApproximateNumberOfMessagesDelayed`.
    pub delayed: usize,
}

/// A queue. Every operation on a message costs O(log n). A message takes about 260 bytes of memory with a 12-byte
/// reference to its body: 96 for its record, 8 for its sequence, 16 for its expiry, 8 to 24 for its position, all in
/// B-trees that are little more than half full (measured by `cargo run --release -p forebay-store --example messages`).
/// A message group takes 200 bytes and its name while it has messages, and 20 more for each of its messages that waits.
#[derive(Clone, Debug)]
pub struct Queue<B> {
    pub(crate) settings: Settings,
    pub(crate) messages: BTreeMap<Sequence, Message<B>>,
    /// The messages that may be received next: the visible ones of a standard queue, or the one that each group of a
    /// FIFO queue offers.
    pub(crate) ready: BTreeSet<Sequence>,
    /// Delayed messages and those in flight, by the time when that ends.
    timed: BTreeSet<(Wall, Sequence)>,
    /// All messages, by when they were sent.
    expiring: BTreeSet<(Wall, Sequence)>,
    pub(crate) groups: Groups,
    pub(crate) in_flight: usize,
    delayed: usize,
    pub(crate) sends: Sends,
    pub(crate) attempts: Attempts,
    pub(crate) waiters: Waiters,
    last: Sequence,
    pub(crate) purged: Option<Wall>,
    /// Bodies of messages that are gone, until the caller takes them.
    gone: Vec<B>,
}

impl<B: Clone> Queue<B> {
    /// An empty queue.
    pub fn new(settings: Settings) -> Queue<B> {
        Queue {
            settings,
            messages: BTreeMap::new(),
            ready: BTreeSet::new(),
            timed: BTreeSet::new(),
            expiring: BTreeSet::new(),
            groups: Groups::default(),
            in_flight: 0,
            delayed: 0,
            sends: Sends::default(),
            attempts: Attempts::default(),
            waiters: Waiters::default(),
            last: Sequence(0),
            purged: None,
            gone: Vec::new(),
        }
    }

    /// The attributes.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Replaces the attributes; the kind cannot change. A new retention and a new dead-letter queue apply to all
    /// messages, a new visibility timeout to later receives. A new delay applies to later messages, and in a FIFO queue
    /// also to those still delayed (developer guide, "Delay queues").
    pub fn configure(&mut self, now: Wall, settings: Settings, changes: &mut Vec<Change<B>>) {
        let delay = settings.delay();
        let again = settings.fifo() && delay != self.settings.delay();
        // Whatever was over under the old attributes stays over.
        self.advance(now, changes);
        if settings.fifo() != self.settings.fifo() {
            return;
        }
        self.settings = settings;
        if again {
            let delayed: Vec<(Sequence, Wall)> = self
                .timed
                .iter()
                .filter_map(|&(_, sequence)| {
                    let message = self.messages.get(&sequence)?;
                    (message.held == Held::Delayed).then_some((sequence, message.sent + delay))
                })
                .collect();
            for (sequence, until) in delayed {
                self.commit(Change::Hidden { sequence, until }, changes);
            }
        }
        self.advance(now, changes);
    }

    /// The counts as of now.
    pub fn counts(&mut self, now: Wall, changes: &mut Vec<Change<B>>) -> Counts {
        self.advance(now, changes);
        Counts {
            visible: self.messages.len() - self.in_flight - self.delayed,
            in_flight: self.in_flight,
            delayed: self.delayed,
        }
    }

    /// Number of messages in any state.
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether there are no messages.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// How long the oldest message has been in this queue (`ApproximateAgeOfOldestMessage`); in a dead-letter queue
    /// since it arrived there, as in SQS. Unlike in SQS, a message that was received three times still counts.
    pub fn oldest_age(&self, now: Wall) -> Option<Duration> {
        let (sequence, _) = self.messages.first_key_value()?;
        Some(now.since(Wall(i64::try_from(sequence.0).unwrap_or(i64::MAX))))
    }

    /// The body of a message.
    pub fn body(&self, sequence: Sequence) -> Option<&B> {
        self.messages.get(&sequence).map(|message| &message.body)
    }

    /// Takes the bodies of messages that are gone. Callers that store bodies call this after each operation; they
    /// accumulate until then.
    pub fn take_gone(&mut self) -> Vec<B> {
        core::mem::take(&mut self.gone)
    }

    /// A message as a change that recreates it in its present state, for writing a shorter log.
    pub fn copy(&self, sequence: Sequence) -> Option<Sent<B>> {
        let message = self.messages.get(&sequence)?;
        Some(Sent {
            sequence,
            id: message.id,
            sent: message.sent,
            held: message.held,
            due: message.due,
            receives: message.receives,
            first_received: message.first_received,
            received: message.received,
            group: self.groups.name(message.group),
            deduplication: None,
            origin: message.origin,
            body: message.body.clone(),
        })
    }

    /// When `wake` must be called next: a waiting receive times out, a message becomes visible for one, or a message
    /// expires. `None` if there is nothing to wait for.
    pub fn next_deadline(&self) -> Option<Wall> {
        let expires = self
            .expiring
            .first()
            .map(|&(sent, _)| sent + self.settings.retention());
        let waited = self.waiters.deadline();
        // The end of a visibility timeout matters only to a receive that waits.
        let visible = waited.and_then(|_| self.timed.first().map(|&(due, _)| due));
        // A receive waits although a message is ready: the change that made it so has not been followed by `wake` yet.
        let ready =
            waited.filter(|_| !self.ready.is_empty() && self.in_flight < self.settings.in_flight_max());
        let at_once = ready.map(|_| Wall(0));
        [expires, waited, visible, at_once].into_iter().flatten().min()
    }

    /// Does what time alone does: ends delays and visibility timeouts, and removes expired messages.
    pub fn advance(&mut self, now: Wall, changes: &mut Vec<Change<B>>) {
        while let Some(&(due, sequence)) = self.timed.first() {
            if due > now {
                break;
            }
            // Not recorded as a change: a queue that is rebuilt from its log finds it from the time.
            self.alter(sequence, |message| message.held = Held::No);
        }
        while let Some(&(sent, sequence)) = self.expiring.first() {
            if sent + self.settings.retention() > now {
                break;
            }
            let why = Why::Expired;
            self.commit(Change::Gone { sequence, why }, changes);
        }
        self.sends.forget(now);
        self.attempts.forget(now);
    }

    /// Applies a change and records it.
    pub(crate) fn commit(&mut self, change: Change<B>, changes: &mut Vec<Change<B>>) {
        self.apply(&change);
        changes.push(change);
    }

    /// Applies a change. Changes of messages that do not exist have no effect: a log may begin in the middle of a
    /// message's life and contain a whole copy of the message later.
    pub fn apply(&mut self, change: &Change<B>) {
        match change {
            Change::Sent(sent) => self.enter(sent),
            Change::Received {
                receipt,
                at,
                until,
                attempt,
            } => {
                self.alter(receipt.sequence, |message| {
                    message.held = Held::InFlight;
                    message.due = *until;
                    message.received = *at;
                    message.receives = receipt.receive;
                    if message.first_received == NEVER {
                        message.first_received = *at;
                    }
                });
                if let Some(attempt) = attempt {
                    self.attempts.add(attempt, *at, *until, *receipt);
                }
            }
            Change::Hidden { sequence, until } => self.alter(*sequence, |message| message.due = *until),
            Change::Gone { sequence, .. } => self.leave(*sequence),
            Change::Purged { at } => {
                let messages = core::mem::take(&mut self.messages);
                self.gone
                    .extend(messages.into_values().map(|message| message.body));
                self.ready.clear();
                self.timed.clear();
                self.expiring.clear();
                self.groups = Groups::default();
                self.in_flight = 0;
                self.delayed = 0;
                // `last`, sends and attempts stay: receipts of purged messages must not fit later ones, and duplicates
                // of purged messages are still duplicates.
                self.purged = Some(*at);
            }
        }
    }

    /// The sequence for a message that arrives now.
    pub(crate) fn next_sequence(&self, now: Wall) -> Sequence {
        let now = u64::try_from(now.0).unwrap_or(0);
        // Above the last one even if the clock was set back: with a sequence used twice, an old receipt could delete
        // another message.
        Sequence(now.max(self.last.0 + 1))
    }

    fn enter(&mut self, sent: &Sent<B>) {
        let sequence = sent.sequence;
        // A copy in a shortened log may meet the message that it copies.
        self.leave(sequence);
        let message = Message {
            id: sent.id,
            sent: sent.sent,
            due: sent.due,
            first_received: sent.first_received,
            received: sent.received,
            receives: sent.receives,
            group: self.groups.join(sent.group.as_ref()),
            origin: sent.origin,
            body: sent.body.clone(),
            held: sent.held,
        };
        if let (Kind::Fifo(scope), Some(id)) = (self.settings.kind(), &sent.deduplication) {
            let group = sent.group.clone().filter(|_| scope == Scope::Group);
            self.sends
                .insert((group, Arc::clone(id)), sent.sent, sequence, sent.id);
        }
        let group = message.group;
        self.expiring.insert((sent.sent, sequence));
        self.messages.insert(sequence, message);
        // A copy in a shortened log comes after messages that are newer than it.
        self.last = self.last.max(sequence);
        self.index(sequence);
        self.offer(group);
    }

    fn leave(&mut self, sequence: Sequence) {
        self.unindex(sequence);
        let Some(message) = self.messages.remove(&sequence) else {
            return;
        };
        self.expiring.remove(&(message.sent, sequence));
        // Before the group loses its member: without its last one it is dropped, and its offer would stay in `ready`.
        self.offer(message.group);
        self.groups.leave(message.group);
        self.gone.push(message.body);
    }

    fn alter(&mut self, sequence: Sequence, change: impl FnOnce(&mut Message<B>)) {
        // Out of the indexes before it changes: they are keyed by its present state, and could not be found by the new
        // one.
        self.unindex(sequence);
        let Some(message) = self.messages.get_mut(&sequence) else {
            return;
        };
        change(message);
        let group = message.group;
        self.index(sequence);
        self.offer(group);
    }

    fn index(&mut self, sequence: Sequence) {
        let Some(message) = self.messages.get(&sequence) else {
            return;
        };
        let (held, due, group) = (message.held, message.due, message.group);
        match held {
            Held::No if !self.settings.fifo() => drop(self.ready.insert(sequence)),
            Held::No => {}
            Held::Delayed => self.delayed += 1,
            Held::InFlight => self.in_flight += 1,
        }
        if held != Held::No {
            self.timed.insert((due, sequence));
        }
        if let Some(group) = self.fifo_group(group) {
            match held {
                Held::InFlight => group.in_flight += 1,
                _ => drop(group.waiting.insert(sequence)),
            }
        }
    }

    fn unindex(&mut self, sequence: Sequence) {
        let Some(message) = self.messages.get(&sequence) else {
            return;
        };
        let (held, due, group) = (message.held, message.due, message.group);
        match held {
            Held::No if !self.settings.fifo() => drop(self.ready.remove(&sequence)),
            Held::No => {}
            Held::Delayed => self.delayed -= 1,
            Held::InFlight => self.in_flight -= 1,
        }
        if held != Held::No {
            self.timed.remove(&(due, sequence));
        }
        if let Some(group) = self.fifo_group(group) {
            match held {
                Held::InFlight => group.in_flight -= 1,
                _ => drop(group.waiting.remove(&sequence)),
            }
        }
    }

    fn fifo_group(&mut self, place: u32) -> Option<&mut crate::groups::Group> {
        self.settings.fifo().then(|| self.groups.at_mut(place))?
    }

    /// Updates what a FIFO group offers: its first message, if that is visible and none of the group is in flight.
    fn offer(&mut self, place: u32) {
        if place == NO_GROUP || !self.settings.fifo() {
            return;
        }
        let Some(group) = self.groups.at_mut(place) else {
            return;
        };
        // Only the first: behind a delayed message the later ones of its group wait too, or the order would be lost.
        let first = group.waiting.first().filter(|_| group.in_flight == 0);
        let visible = |sequence: &&Sequence| {
            self.messages
                .get(sequence)
                .is_some_and(|message| message.held == Held::No)
        };
        let offered = first.filter(visible).copied();
        if let Some(before) = group.offered.take() {
            self.ready.remove(&before);
        }
        group.offered = offered;
        if let Some(sequence) = offered {
            self.ready.insert(sequence);
        }
    }
}
