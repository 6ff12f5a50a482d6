//! Tracks which instance has which messages in flight: those of a Spot Instance that was taken away become visible again at
//! once, and an instance that must go gets no more. Kept in memory only; after a restart, visibility timeouts have the same
//! effect.

use forebay_control::sqs::Holder;
use forebay_queues::{QueueId, Receipt, Sequence};
use forebay_units::Wall;
use forebay_units::lock::lock;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};
use tokio::sync::watch;

/// Most messages of one instance that are tracked; for more, the visibility timeout ends.
const MOST: usize = 10_000;
/// Most instances that are tracked.
const MOST_INSTANCES: usize = 10_000;

/// The messages in flight at instances.
#[derive(Debug, Default)]
pub(crate) struct Holders {
    held: Mutex<Held>,
    /// Instances that must not get more messages.
    leaving: watch::Sender<BTreeSet<String>>,
}

/// A message of a queue.
type Key = (QueueId, Sequence);

#[derive(Debug, Default)]
struct Held {
    /// By instance: the latest receipt of each message, and the end of its visibility timeout.
    by_instance: BTreeMap<String, BTreeMap<Key, (Receipt, Wall)>>,
    /// The instance that has a message.
    by_message: BTreeMap<Key, String>,
}

impl Holders {
    fn held(&self) -> MutexGuard<'_, Held> {
        lock(&self.held)
    }

    /// Starts to track an instance that waits for messages, so that it can be told to go.
    pub(crate) fn waits(&self, instance: &str) {
        let held = &mut *self.held();
        if held.by_instance.len() < MOST_INSTANCES && !held.by_instance.contains_key(instance) {
            held.by_instance.insert(instance.to_owned(), BTreeMap::new());
        }
    }

    /// Notes that a tracked instance has received these messages.
    pub(crate) fn hold(
        &self,
        instance: &str,
        queue: QueueId,
        now: Wall,
        receipts: impl Iterator<Item = (Receipt, Wall)>,
    ) {
        let held = &mut *self.held();
        let Some(known) = held.by_instance.get_mut(instance) else {
            return;
        };
        if known.len() >= MOST {
            // Messages whose visibility timeout is over belong to nobody.
            let by_message = &mut held.by_message;
            known.retain(|key, (_, until)| {
                let lasts = *until > now;
                if !lasts && by_message.get(key).is_some_and(|by| by == instance) {
                    by_message.remove(key);
                }
                lasts
            });
        }
        for (receipt, until) in receipts.take(MOST.saturating_sub(known.len())) {
            let key = (queue, receipt.sequence);
            known.insert(key, (receipt, until));
            held.by_message.insert(key, instance.to_owned());
        }
    }

    /// Notes that a message was deleted.
    pub(crate) fn done(&self, queue: QueueId, receipt: Receipt) {
        let held = &mut *self.held();
        let key = (queue, receipt.sequence);
        let Some(instance) = held.by_message.remove(&key) else {
            return;
        };
        if let Some(known) = held.by_instance.get_mut(&instance) {
            known.remove(&key);
        }
    }

    /// Checks all tracked instances. Returns the messages in flight at those that have ended, once.
    pub(crate) fn look(&self, stands: impl Fn(&str) -> Holder) -> Vec<(QueueId, Receipt)> {
        let held = &mut *self.held();
        let mut released = Vec::new();
        let mut leaving = BTreeSet::new();
        held.by_instance.retain(|id, known| match stands(id) {
            Holder::AtWork => true,
            Holder::Leaving => {
                leaving.insert(id.clone());
                true
            }
            Holder::Ended => {
                for (key, (receipt, _)) in core::mem::take(known) {
                    held.by_message.remove(&key);
                    released.push((key.0, receipt));
                }
                false
            }
        });
        self.leaving.send_if_modified(|known| {
            let is_other = *known != leaving;
            if is_other {
                *known = leaving;
            }
            is_other
        });
        released
    }

    /// Returns once the instance must not get more messages.
    pub(crate) async fn leaves(&self, instance: &str) {
        let mut leaving = self.leaving.subscribe();
        if leaving.wait_for(|known| known.contains(instance)).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE: QueueId = QueueId(1);

    fn receipt(sequence: u64, receive: u32) -> Receipt {
        Receipt {
            sequence: Sequence(sequence),
            receive,
        }
    }

    #[test]
    fn what_an_instance_had_is_told_when_it_has_ended() {
        let holders = Holders::default();
        let until = |receipt| (receipt, Wall(0));
        holders.waits("i-1");
        holders.waits("i-2");
        holders.hold(
            "i-1",
            QUEUE,
            Wall(0),
            [receipt(1, 1), receipt(2, 1)].into_iter().map(until),
        );
        holders.hold("i-2", QUEUE, Wall(0), [receipt(3, 1)].into_iter().map(until));
        holders.done(QUEUE, receipt(1, 1));
        assert_eq!(holders.look(|_| Holder::AtWork), []);
        assert_eq!(holders.look(|_| Holder::Leaving), []);
        assert!(holders.leaving.borrow().contains("i-1"));
        let stands = |id: &str| {
            if id == "i-1" {
                Holder::Ended
            } else {
                Holder::AtWork
            }
        };
        assert_eq!(holders.look(stands), [(QUEUE, receipt(2, 1))]);
        assert_eq!(holders.look(stands), []);
        // The later receiver has it.
        holders.waits("i-2");
        holders.hold("i-2", QUEUE, Wall(0), [receipt(2, 2)].into_iter().map(until));
        assert_eq!(
            holders.look(|_| Holder::Ended),
            [(QUEUE, receipt(2, 2)), (QUEUE, receipt(3, 1))]
        );
    }
}
