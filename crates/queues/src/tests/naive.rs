//! The obvious implementation of a queue: one list, scanned from end to end. The real one must agree with it.

use crate::{Counts, Held, Kind, Receipt, Scope, Sequence};

const RETENTION: i64 = 300;
const VISIBILITY: i64 = 30;

/// A message.
#[derive(Clone, Debug)]
pub(super) struct Note {
    pub(super) body: u32,
    pub(super) group: u8,
    pub(super) sequence: Sequence,
    sent: i64,
    held: Held,
    due: i64,
    received: i64,
    receives: u32,
}

/// A naive queue.
#[derive(Clone, Debug)]
pub(super) struct Naive {
    kind: Kind,
    max_receives: u32,
    pub(super) notes: Vec<Note>,
    known: Vec<(i64, Option<u8>, u8, u32)>,
    purged: Option<i64>,
}

impl Naive {
    pub(super) fn new(kind: Kind, max_receives: u32) -> Naive {
        Naive {
            kind,
            max_receives,
            notes: Vec::new(),
            known: Vec::new(),
            purged: None,
        }
    }

    fn fifo(&self) -> bool {
        self.kind != Kind::Standard
    }

    fn pass(&mut self, now: i64) {
        for note in &mut self.notes {
            if note.held != Held::No && note.due <= now {
                note.held = Held::No;
            }
        }
        self.notes.retain(|note| note.sent + RETENTION > now);
        self.known.retain(|known| known.0 + 300 > now);
    }

    /// The body of the message that stands for it, if it was sent before.
    pub(super) fn sent_before(&mut self, now: i64, group: u8, id: u8) -> Option<u32> {
        self.pass(now);
        let scoped = (self.kind == Kind::Fifo(Scope::Group)).then_some(group);
        let same = |known: &&(i64, Option<u8>, u8, u32)| known.1 == scoped && known.2 == id;
        let found = self.known.iter().find(same).map(|known| known.3);
        found.filter(|_| self.fifo())
    }

    pub(super) fn send(&mut self, now: i64, group: u8, id: u8, delay: i64, body: u32, sequence: Sequence) {
        self.pass(now);
        let scoped = (self.kind == Kind::Fifo(Scope::Group)).then_some(group);
        self.known.push((now, scoped, id, body));
        self.notes.push(Note {
            body,
            group,
            sequence,
            sent: now,
            held: if delay == 0 { Held::No } else { Held::Delayed },
            due: now + delay,
            received: 0,
            receives: 0,
        });
    }

    fn in_flight(&self, group: u8) -> bool {
        self.notes
            .iter()
            .any(|note| note.group == group && note.held == Held::InFlight)
    }

    /// The bodies that a receive returns with their numbers of receives, and the dead letters' bodies.
    pub(super) fn receive(
        &mut self,
        now: i64,
        most: usize,
        timeout: Option<i64>,
    ) -> (Vec<(u32, u32)>, Vec<u32>) {
        self.pass(now);
        let (mut given, mut dead) = (Vec::new(), Vec::new());
        let mut mine: Option<u8> = None;
        while given.len() < most {
            let first_of = |group: u8| {
                self.notes
                    .iter()
                    .position(|note| note.group == group && note.held != Held::InFlight)
                    .filter(|&place| self.notes[place].held == Held::No)
            };
            let any = || {
                self.notes.iter().position(|note| {
                    note.held == Held::No
                        && (!self.fifo()
                            || !self.in_flight(note.group)
                                && first_of(note.group)
                                    .is_some_and(|first| self.notes[first].body == note.body))
                })
            };
            let next = mine.filter(|_| self.fifo()).and_then(first_of).or_else(any);
            let Some(place) = next else { break };
            let note = &mut self.notes[place];
            mine = Some(note.group);
            if note.receives >= self.max_receives {
                dead.push(self.notes.remove(place).body);
                continue;
            }
            note.receives += 1;
            note.held = Held::InFlight;
            note.received = now;
            note.due = now + timeout.unwrap_or(VISIBILITY);
            given.push((note.body, note.receives));
        }
        self.pass(now);
        (given, dead)
    }

    fn find(&self, receipt: Receipt) -> Option<usize> {
        self.notes
            .iter()
            .position(|note| note.sequence == receipt.sequence)
    }

    /// Whether this deletes the message.
    pub(super) fn delete(&mut self, now: i64, receipt: Receipt) -> bool {
        self.pass(now);
        let Some(place) = self.find(receipt) else {
            return false;
        };
        let note = &self.notes[place];
        let works = !self.fifo() || note.receives == receipt.receive && note.held == Held::InFlight;
        if works {
            self.notes.remove(place);
        }
        works
    }

    /// Whether this hides the message.
    pub(super) fn hide(&mut self, now: i64, receipt: Receipt, timeout: i64) -> bool {
        self.pass(now);
        let Some(place) = self.find(receipt) else {
            return false;
        };
        let is_fifo = self.fifo();
        let note = &mut self.notes[place];
        let works = (!is_fifo || note.receives == receipt.receive)
            && note.held == Held::InFlight
            && now + timeout <= note.received + 12 * 3600;
        if works {
            note.due = now + timeout;
        }
        self.pass(now);
        works
    }

    pub(super) fn purge(&mut self, now: i64) -> bool {
        self.pass(now);
        let works = self.purged.is_none_or(|at| at + 60 <= now);
        if works {
            self.purged = Some(now);
            self.notes.clear();
        }
        works
    }

    pub(super) fn counts(&mut self, now: i64) -> Counts {
        self.pass(now);
        let count = |held| self.notes.iter().filter(|note| note.held == held).count();
        Counts {
            visible: count(Held::No),
            in_flight: count(Held::InFlight),
            delayed: count(Held::Delayed),
        }
    }
}
