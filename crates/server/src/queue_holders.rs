//! Which instance has which messages in flight: what a Spot Instance had when it was taken away is visible again at once, and whoever is told
//! to go gets no more. Known in memory only: after a restart, visibility timeouts do it.

use forebay_control::sqs::Holder;
use forebay_queues::{QueueId, Receipt, Sequence};
use forebay_units::Wall;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Messages of one instance that are remembered; of more, the visibility timeout ends.
const MOST: usize = 10_000;
/// Instances that are.
const MOST_INSTANCES: usize = 10_000;

/// What is in flight at instances.
#[derive(Debug, Default)]
pub(crate) struct Holders {
    held: Mutex<Held>,
    /// Those that are to have no more.
    leaving: watch::Sender<BTreeSet<String>>,
}

/// A message of a queue.
type Key = (QueueId, Sequence);

#[derive(Debug, Default)]
struct Held {
    /// By instance: the latest receipt of each message, and until when it is hidden by it.
    by_instance: BTreeMap<String, BTreeMap<Key, (Receipt, Wall)>>,
    /// Who has a message.
    by_message: BTreeMap<Key, String>,
}

impl Holders {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An instance begins to wait: it is to be told if it must go.
    pub(crate) fn waits(&self, instance: &str) {
        let held = &mut *self.held();
        if held.by_instance.len() < MOST_INSTANCES && !held.by_instance.contains_key(instance) {
            held.by_instance.insert(instance.to_owned(), BTreeMap::new());
        }
    }

    /// An instance that was known to wait has received these.
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
            // Those whose visibility is over are nobody's.
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

    /// A message is done with.
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

    /// Looks how instances stand that have something, or had. What those have in flight that have ended is told once.
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

    /// Returns once an instance is to have no more.
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
        // Whoever received it since has it.
        holders.waits("i-2");
        holders.hold("i-2", QUEUE, Wall(0), [receipt(2, 2)].into_iter().map(until));
        assert_eq!(
            holders.look(|_| Holder::Ended),
            [(QUEUE, receipt(2, 2)), (QUEUE, receipt(3, 1))]
        );
    }
}
