//! AWS's rules one by one, and arbitrary histories compared with a naive model.

mod fifo;
mod model;
mod naive;
mod rules;
mod waiting;

use crate::{Ask, Change, Delivered, Kind, Letter, MessageId, Queue, RawSettings, Receipt, Scope, Settings};
use forebay_units::Wall;
use std::sync::Arc;

const FIFO: Kind = Kind::Fifo(Scope::Queue);

/// A queue with the changes it has made.
struct Bench {
    queue: Queue<u32>,
    changes: Vec<Change<u32>>,
    settings: Settings,
}

fn at(second: i64) -> Wall {
    Wall::from_seconds(1_000_000 + second)
}

impl Bench {
    fn new(raw: RawSettings) -> Bench {
        let settings = Settings::new(raw).unwrap();
        Bench {
            queue: Queue::new(settings),
            changes: Vec::new(),
            settings,
        }
    }

    fn of(kind: Kind) -> Bench {
        Bench::new(RawSettings::of(kind))
    }

    fn send(&mut self, second: i64, body: u32) {
        let letter = Letter {
            id: MessageId(body.into()),
            group: None,
            deduplication: None,
            delay: None,
            body,
        };
        self.queue.send(at(second), letter, &mut self.changes).unwrap();
    }

    fn send_to(&mut self, second: i64, group: &str, body: u32) {
        let letter = Letter {
            id: MessageId(body.into()),
            group: Some(Arc::from(group)),
            deduplication: Some(Arc::from(body.to_string())),
            delay: None,
            body,
        };
        self.queue.send(at(second), letter, &mut self.changes).unwrap();
    }

    fn receive(&mut self, second: i64, most: usize) -> Vec<Delivered<u32>> {
        let ask = Ask {
            most,
            ..Ask::default()
        };
        let taken = self.queue.receive(at(second), &ask, &mut self.changes).unwrap();
        assert_eq!(taken.messages.is_empty(), taken.empty.is_some());
        taken.messages
    }

    fn bodies(&mut self, second: i64, most: usize) -> Vec<u32> {
        bodies(&self.receive(second, most))
    }

    fn delete(&mut self, second: i64, receipt: Receipt) {
        self.queue.delete(at(second), receipt, &mut self.changes).unwrap();
    }

    /// The numbers of visible, in-flight and delayed messages.
    fn counts(&mut self, second: i64) -> (usize, usize, usize) {
        let counts = self.queue.counts(at(second), &mut self.changes);
        (counts.visible, counts.in_flight, counts.delayed)
    }

    /// The queue rebuilt from its changes.
    fn again(&self) -> Queue<u32> {
        let mut queue = Queue::new(self.settings);
        for change in &self.changes {
            queue.apply(change);
        }
        queue
    }
}

fn bodies(messages: &[Delivered<u32>]) -> Vec<u32> {
    messages.iter().map(|message| message.body).collect()
}
