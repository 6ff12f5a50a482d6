//! The operations that a FIFO queue remembers for [`limits::DEDUPLICATION`]: sends by deduplication id, receives by attempt id.

use crate::message::{MessageId, Receipt, Sequence};
use crate::settings::limits;
use forebay_units::Wall;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A send: its group, if deduplication ids are unique per group, and its deduplication id.
type SendKey = (Option<Arc<str>>, Arc<str>);

/// Sends within the deduplication interval: about 150 bytes each, and the ids.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sends {
    known: BTreeMap<SendKey, (Wall, Sequence, MessageId)>,
    order: BTreeSet<(Wall, SendKey)>,
}

impl Sends {
    pub(crate) fn find(&self, key: &SendKey) -> Option<(Sequence, MessageId)> {
        self.known.get(key).map(|&(_, sequence, id)| (sequence, id))
    }

    pub(crate) fn insert(&mut self, key: SendKey, at: Wall, sequence: Sequence, id: MessageId) {
        self.known.insert(key.clone(), (at, sequence, id));
        self.order.insert((at, key));
    }

    pub(crate) fn forget(&mut self, now: Wall) {
        while self.order.first().is_some_and(|(at, _)| over(*at, now)) {
            let Some((at, key)) = self.order.pop_first() else {
                return;
            };
            // The same key may have been used again later; then this entry is outdated and the later one stays.
            if self.known.get(&key).is_some_and(|known| known.0 == at) {
                self.known.remove(&key);
            }
        }
    }
}

/// A receive: when it was, until when its messages are hidden, and their receipts.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) at: Wall,
    pub(crate) until: Wall,
    pub(crate) receipts: Vec<Receipt>,
}

/// Receives within the deduplication interval that had an attempt id.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attempts {
    known: BTreeMap<Arc<str>, Attempt>,
    order: BTreeSet<(Wall, Arc<str>)>,
}

impl Attempts {
    pub(crate) fn find(&self, id: &str) -> Option<&Attempt> {
        self.known.get(id)
    }

    /// Adds a message to a receive with this attempt id.
    pub(crate) fn add(&mut self, id: &Arc<str>, at: Wall, until: Wall, receipt: Receipt) {
        match self.known.get_mut(id) {
            // Another message of the same receive. A later receive with the same id replaces the entry instead.
            Some(attempt) if attempt.at == at => {
                attempt.until = until;
                if !attempt.receipts.contains(&receipt) {
                    attempt.receipts.push(receipt);
                }
            }
            _ => {
                let receipts = vec![receipt];
                self.known.insert(Arc::clone(id), Attempt { at, until, receipts });
                self.order.insert((at, Arc::clone(id)));
            }
        }
    }

    pub(crate) fn forget(&mut self, now: Wall) {
        while self.order.first().is_some_and(|(at, _)| over(*at, now)) {
            let Some((at, id)) = self.order.pop_first() else {
                return;
            };
            if self.known.get(&id).is_some_and(|known| known.at == at) {
                self.known.remove(&id);
            }
        }
    }
}

fn over(at: Wall, now: Wall) -> bool {
    at + limits::DEDUPLICATION <= now
}
