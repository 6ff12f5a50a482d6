//! Long random runs over small files, with restarts: nothing is lost, nothing comes back, and the log stays short.

use super::{ORDERED, WORK, ask, at, open, send};
use crate::messages::Engine;
use forebay_queues::{Deleted, QueueId, Receipt};
use forebay_units::Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const SEGMENT: u64 = 4096;

/// A receipt and its message.
type Given = (QueueId, Receipt, u128);

struct Course<'a> {
    directory: &'a Path,
    engine: Engine,
    rng: Rng,
    ms: i64,
    /// Bodies of existing messages.
    there: BTreeMap<u128, Vec<u8>>,
    receipts: Vec<Given>,
    next: u128,
    /// Both as they were at the last commit.
    committed: (BTreeMap<u128, Vec<u8>>, Vec<Given>),
}

impl Course<'_> {
    fn step(&mut self) {
        self.ms += self.rng.below(50) as i64;
        let now = at(self.ms);
        let queue = if self.rng.below(3) == 0 { ORDERED } else { WORK };
        match self.rng.below(10) {
            0..4 => {
                self.next += 1;
                let body = vec![self.next as u8; self.rng.below(300) as usize];
                send(&mut self.engine, now, queue, self.next, &body);
                self.there.insert(self.next, body);
            }
            4..7 => {
                let most = 1 + self.rng.below(10) as usize;
                let given = self.engine.receive(now, queue, &ask(most)).unwrap();
                for message in given.messages {
                    // A message sent in the same commit is read, too.
                    self.receipts.push((queue, message.receipt, message.id.0));
                }
            }
            7..9 if !self.receipts.is_empty() => {
                let place = self.rng.below(self.receipts.len() as u64) as usize;
                let (queue, receipt, id) = self.receipts.swap_remove(place);
                let deleted = self.engine.delete(now, queue, receipt);
                if matches!(deleted, Ok(Deleted::Now(_))) {
                    self.there.remove(&id);
                }
            }
            _ => self.finish(),
        }
    }

    fn finish(&mut self) {
        let now = at(self.ms);
        self.engine.wake(now);
        self.engine.tidy().unwrap();
        // A crash before the commit: nobody was answered, and nothing has happened.
        if self.rng.below(20) == 0 {
            (self.there, self.receipts) = self.committed.clone();
            return self.restart();
        }
        self.engine.commit(at(0)).unwrap();
        self.committed = (self.there.clone(), self.receipts.clone());
        if self.rng.below(4) > 0 {
            self.engine.sweep(now).unwrap();
        }
        if self.rng.below(20) == 0 {
            self.restart();
        }
    }

    fn restart(&mut self) {
        self.engine.let_go();
        let (engine, found) = open(self.directory, SEGMENT, at(self.ms));
        assert_eq!((found.messages, found.left_out), (self.there.len(), 0));
        self.engine = engine;
    }
}

#[test]
fn nothing_is_lost_and_nothing_comes_back() {
    for seed in 0..4 {
        let place = tempfile::tempdir().unwrap();
        let mut course = Course {
            directory: place.path(),
            engine: open(place.path(), SEGMENT, at(0)).0,
            rng: Rng::named(seed, "course"),
            ms: 0,
            there: BTreeMap::new(),
            receipts: Vec::new(),
            next: 0,
            committed: Default::default(),
        };
        for _ in 0..1500 {
            course.step();
        }
        course.finish();
        let now = at(course.ms + 3_600_000);
        let mut found = BTreeMap::new();
        for queue in [WORK, ORDERED, super::DEAD] {
            loop {
                let given = course.engine.receive(now, queue, &ask(10)).unwrap();
                course.engine.commit(at(0)).unwrap();
                if given.messages.is_empty() {
                    break;
                }
                for message in given.messages {
                    assert!(found.insert(message.id.0, message.body.read().unwrap()).is_none());
                    course.engine.delete(now, queue, message.receipt).unwrap();
                }
            }
        }
        assert_eq!(found, course.there, "seed {seed}");
        // All messages are gone, and so are the files except the one that is being written.
        course.engine.commit(at(0)).unwrap();
        course.engine.sweep(now).unwrap();
        assert!(
            course.engine.size().1 < SEGMENT * 3,
            "seed {seed}: {:?}",
            course.engine.size()
        );
    }
}

/// A few messages that are never received stay in front of a million that come and go: files must not pile up behind them.
#[test]
fn old_messages_are_copied_on() {
    let place = tempfile::tempdir().unwrap();
    let (mut engine, _) = open(place.path(), SEGMENT, at(0));
    let old: BTreeSet<u128> = (1_000_000..1_000_010).collect();
    for &id in &old {
        send(&mut engine, at(0), super::DEAD, id, &[9; 100]);
    }
    let mut most = 0;
    for id in 0..500 {
        let now = at(id as i64);
        send(&mut engine, now, WORK, id, &[1; 200]);
        let given = engine.receive(now, WORK, &ask(1)).unwrap();
        engine.delete(now, WORK, given.messages[0].receipt).unwrap();
        engine.tidy().unwrap();
        engine.commit(at(0)).unwrap();
        engine.sweep(now).unwrap();
        most = most.max(engine.size().1);
    }
    let live = 10 * (100 + 64);
    assert!(most <= 2 * live + 4 * SEGMENT, "{most} bytes for {live}");
    drop(engine);
    let (mut engine, found) = open(place.path(), SEGMENT, at(3000));
    assert_eq!(found.messages, 10);
    let given = engine.receive(at(3000), super::DEAD, &ask(10)).unwrap().messages;
    let ids: BTreeSet<u128> = given.iter().map(|message| message.id.0).collect();
    assert_eq!(ids, old);
    assert!(
        given
            .iter()
            .all(|message| message.body.read().unwrap() == [9; 100])
    );
}
