//! The queue of all future events, in the order of their times.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Next {
    Act(usize),
    /// The oldest probes under way have ended.
    Probed,
    Deadline,
    /// The next user of a crowd arrives.
    User(usize),
    /// A client begins.
    Client(usize),
    /// The next request of a flow arrives.
    Flow(usize),
    /// A user sends the next request.
    Request(usize),
    /// A request is done at its target; the flag says whether it held a thread.
    Done(usize, bool),
    /// A request has waited for a slot as long as it may.
    Late(u64),
    /// Workers handle their deadlines.
    Deadlines,
    /// A controller looks.
    Look,
    /// An instance's start-up is over.
    Started(u64),
    /// The backoff of orders after a failure is over.
    Settle,
    /// The state at a second is recorded.
    Second,
    /// The run ends, if nobody is left.
    Until,
}

impl Next {
    /// Whether the simulation must go on for this event.
    fn is_live(self) -> bool {
        matches!(
            self,
            Next::User(_)
                | Next::Client(_)
                | Next::Flow(_)
                | Next::Request(_)
                | Next::Done(..)
                | Next::Act(_)
                | Next::Until
        )
    }
}

/// The time, the event's sequence number, and the event.
type Event = (u64, u64, Next);

/// Events of about a millisecond share a bucket.
const BUCKET_BITS: u32 = 20;

/// All future events. Adding one and taking the first cost O(log events of a millisecond + log milliseconds), so that not
/// every operation pays for a heap of many thousands of distant events.
#[derive(Debug, Default)]
pub(crate) struct Events {
    /// Events of the current bucket, or of earlier ones.
    near: BinaryHeap<Reverse<Event>>,
    bucket: u64,
    far: BTreeMap<u64, Vec<Event>>,
    added: u64,
    live: usize,
}

impl Events {
    /// Adds an event. Events of the same time come in the order in which they were added.
    pub(crate) fn add(&mut self, time: u64, next: Next) {
        self.added += 1;
        self.live += usize::from(next.is_live());
        let (event, bucket) = ((time, self.added, next), time >> BUCKET_BITS);
        if bucket <= self.bucket {
            self.near.push(Reverse(event));
        } else {
            self.far.entry(bucket).or_default().push(event);
        }
    }

    /// Removes the first event, and returns it with its time.
    pub(crate) fn pop(&mut self) -> Option<(u64, Next)> {
        if self.near.is_empty() {
            let (bucket, events) = self.far.pop_first()?;
            self.bucket = bucket;
            self.near = events.into_iter().map(Reverse).collect();
        }
        let Reverse((time, _, next)) = self.near.pop()?;
        self.live -= usize::from(next.is_live());
        Some((time, next))
    }

    /// Whether an event is left for which the simulation must go on.
    pub(crate) fn is_live(&self) -> bool {
        self.live > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_and_then_in_the_order_in_which_they_were_added() {
        let mut events = Events::default();
        for (time, user) in [(9_000_000_000, 1), (5, 2), (3_000_000, 3), (5, 4), (3_000_001, 5)] {
            events.add(time, Next::User(user));
        }
        let mut order = Vec::new();
        while let Some((time, Next::User(user))) = events.pop() {
            order.push(user);
            if user == 3 {
                events.add(time, Next::User(6));
            }
        }
        assert_eq!(order, [2, 4, 3, 6, 5, 1]);
        assert!(!events.is_live());
    }
}
