//! What was sent lately with ids that name what they are sent for. Whoever does not know whether such a message was written, since it was
//! killed meanwhile, sends it again, and it is there once: also if it has been received and deleted by then.

use forebay_queues::{Accepted, MessageId, QueueId};
use std::collections::{BTreeMap, VecDeque};

/// So many are remembered: more than are sent in the moments before a kill.
const MOST: usize = 20_000;

/// The latest of them.
#[derive(Debug, Default)]
pub(crate) struct Named {
    known: BTreeMap<(QueueId, MessageId), Accepted>,
    order: VecDeque<(QueueId, MessageId)>,
}

impl Named {
    /// A message was sent. Others than such are not remembered.
    pub(crate) fn sent(&mut self, queue: QueueId, accepted: Accepted) {
        let key = (queue, accepted.id);
        if !accepted.id.is_naming() || self.known.insert(key, accepted).is_some() {
            return;
        }
        self.order.push_back(key);
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    /// What came of the same message before.
    pub(crate) fn find(&self, queue: QueueId, id: MessageId) -> Option<Accepted> {
        let known = self.known.get(&(queue, id)).copied();
        known.map(|accepted| Accepted {
            duplicate: true,
            ..accepted
        })
    }
}
