//! Messages that were sent lately under ids that name their purpose. A sender that was killed, and does not know whether
//! such a message was written, sends it again; it exists once, even if it has been received and deleted meanwhile.

use forebay_queues::{Accepted, MessageId, QueueId};
use std::collections::{BTreeMap, VecDeque};

/// Number of messages that are remembered: more than are sent in the moments before a kill.
const MOST: usize = 20_000;

/// The latest of these messages.
#[derive(Debug, Default)]
pub(crate) struct Named {
    known: BTreeMap<(QueueId, MessageId), Accepted>,
    order: VecDeque<(QueueId, MessageId)>,
}

impl Named {
    /// Notes a sent message, if it has a naming id.
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

    /// The earlier acceptance of the same message.
    pub(crate) fn find(&self, queue: QueueId, id: MessageId) -> Option<Accepted> {
        let known = self.known.get(&(queue, id)).copied();
        known.map(|accepted| Accepted {
            duplicate: true,
            ..accepted
        })
    }
}
