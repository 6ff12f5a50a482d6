//! Receiving messages, at once or after a wait.

use crate::change::{Change, Why};
use crate::message::{Delivered, Held, NEVER, NO_GROUP, Receipt, Sequence};
use crate::queue::Queue;
use crate::settings::limits;
use crate::verdicts::{Empty, ReceiveRefusal, Taken};
use crate::waiters::{Served, Ticket, Woken};
use core::time::Duration;
use forebay_units::Wall;
use std::sync::Arc;

/// Maximum number of messages that one receive moves to the dead-letter queue; the next one continues.
const DEAD_MAX: usize = 100;

/// A receive's parameters.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    /// Maximum number of messages, from one to ten.
    pub most: usize,
    /// How long they are hidden, instead of the queue's visibility timeout.
    pub visibility: Option<Duration>,
    /// `ReceiveRequestAttemptId`: a repeated id returns the same messages within the deduplication interval (FIFO).
    pub attempt: Option<Arc<str>>,
}

impl<B: Clone> Queue<B> {
    /// Receives visible messages, the oldest first; from a FIFO queue as many as possible of the first available group,
    /// then of the next. Waiting receives are not considered: call `wake` before this, or after whatever made messages
    /// visible.
    ///
    /// # Errors
    /// If a standard queue has the maximum number of messages in flight, or the visibility timeout is too long.
    pub fn receive(
        &mut self,
        now: Wall,
        ask: &Ask,
        changes: &mut Vec<Change<B>>,
    ) -> Result<Taken<B>, ReceiveRefusal> {
        if ask.visibility.is_some_and(|time| time > limits::VISIBILITY_MAX) {
            return Err(ReceiveRefusal::Visibility);
        }
        self.advance(now, changes);
        let taken = self.take(now, ask, changes);
        // SQS reports the limit only for standard queues; a FIFO queue returns nothing.
        if taken.empty == Some(Empty::InFlightMax) && !self.settings.fifo() {
            return Err(ReceiveRefusal::OverLimit);
        }
        Ok(taken)
    }

    /// Lets a receive that got nothing wait, at most until `until`. A waiting receive never gets `OverLimit` (developer
    /// guide, quotas).
    pub fn wait(&mut self, ask: Ask, until: Wall) -> Ticket {
        self.waiters.join(ask.most, ask.visibility, ask.attempt, until)
    }

    /// Drops a waiting receive whose caller is gone; false if it no longer waits.
    pub fn forget(&mut self, ticket: Ticket) -> bool {
        self.waiters.leave(ticket).is_some()
    }

    /// Drops the receive that has waited longest; for a queue that is being deleted.
    pub fn dismiss(&mut self) -> Option<Ticket> {
        let ticket = self.waiters.first()?.0;
        self.waiters.leave(ticket)?;
        Some(ticket)
    }

    /// Number of waiting receives.
    pub fn waiting(&self) -> usize {
        self.waiters.len()
    }

    /// Serves waiting receives in order while there are messages, and ends those whose time is over with an empty
    /// answer.
    pub fn wake(&mut self, now: Wall, changes: &mut Vec<Change<B>>) -> Woken<B> {
        self.advance(now, changes);
        let mut woken = Woken {
            served: Vec::new(),
            dead: Vec::new(),
        };
        while let Some((ticket, waiter)) = self.waiters.first() {
            let ask = Ask {
                most: waiter.most,
                visibility: waiter.visibility,
                attempt: waiter.attempt.clone(),
            };
            let taken = self.take(now, &ask, changes);
            let went = !taken.dead.is_empty();
            woken.dead.extend(taken.dead);
            if !taken.messages.is_empty() {
                self.waiters.leave(ticket);
                let messages = taken.messages;
                woken.served.push(Served {
                    ticket,
                    messages,
                    empty: None,
                });
            } else if !went {
                // Had dead letters been moved, the same receive would be tried again for the messages behind them.
                break;
            }
        }
        // After the others were served: a message that is there goes even to a receive whose time has just ended.
        while let Some(ticket) = self.waiters.late(now) {
            woken.served.push(Served {
                ticket,
                messages: Vec::new(),
                empty: Some(self.why_empty()),
            });
        }
        woken
    }

    fn why_empty(&self) -> Empty {
        if self.in_flight >= self.settings.in_flight_max() {
            Empty::InFlightMax
        } else if self.settings.fifo() && self.messages.len() > self.in_flight {
            Empty::GroupsInFlight
        } else {
            Empty::NothingVisible
        }
    }

    fn take(&mut self, now: Wall, ask: &Ask, changes: &mut Vec<Change<B>>) -> Taken<B> {
        let until = now + ask.visibility.unwrap_or(self.settings.visibility());
        let mut taken = Taken {
            messages: Vec::new(),
            dead: Vec::new(),
            empty: None,
        };
        let attempt = ask.attempt.as_ref().filter(|_| self.settings.fifo());
        if let Some(again) = attempt.and_then(|id| self.again(id, until, changes)) {
            taken.messages = again;
            return taken;
        }
        let most = ask.most.clamp(1, limits::BATCH_MAX);
        let mut group = NO_GROUP;
        while taken.messages.len() < most && self.in_flight < self.settings.in_flight_max() {
            let Some(sequence) = self.next(group) else { break };
            let Some(message) = self.messages.get(&sequence) else {
                break;
            };
            group = message.group;
            let redrive = self.settings.redrive();
            if let Some(redrive) = redrive.filter(|redrive| message.receives >= redrive.max_receives) {
                let dead = self.take_out(sequence, Why::DeadLetter, changes);
                taken.dead.extend(dead.map(|dead| (redrive.to, dead)));
                if taken.dead.len() == DEAD_MAX {
                    break;
                }
                continue;
            }
            let receive = message.receives + 1;
            let change = Change::Received {
                receipt: Receipt { sequence, receive },
                at: now,
                until,
                attempt: attempt.cloned(),
            };
            self.commit(change, changes);
            taken.messages.extend(self.delivered(sequence));
        }
        if taken.messages.is_empty() {
            let why = if taken.dead.is_empty() {
                self.why_empty()
            } else {
                Empty::DeadLetters
            };
            taken.empty = Some(why);
        }
        // With a visibility timeout of zero they are visible again now, but not for this receive.
        self.advance(now, changes);
        taken
    }

    /// The next message that may be received, after one of this group.
    fn next(&self, group: u32) -> Option<Sequence> {
        let same = || {
            let first = *self.groups.at(group)?.waiting.first()?;
            (self.messages.get(&first)?.held == Held::No).then_some(first)
        };
        // The group that this receive began with has messages in flight and so offers nothing, but this receive may
        // have more of it.
        let same = if self.settings.fifo() { same() } else { None };
        same.or_else(|| self.ready.first().copied())
    }

    /// The messages of an attempt once more, with the same receipts, hidden anew. `None` if any of them was deleted,
    /// was hidden until another time or is visible again: then this is an ordinary receive.
    fn again(
        &mut self,
        id: &Arc<str>,
        until: Wall,
        changes: &mut Vec<Change<B>>,
    ) -> Option<Vec<Delivered<B>>> {
        let attempt = self.attempts.find(id)?;
        let (at, receipts) = (attempt.at, attempt.receipts.clone());
        let same = |receipt: &Receipt| {
            self.messages.get(&receipt.sequence).is_some_and(|message| {
                message.held == Held::InFlight
                    && message.receives == receipt.receive
                    && message.due == attempt.until
            })
        };
        if !receipts.iter().all(same) {
            return None;
        }
        // Recorded as the same receive with another end, so that receive counts do not grow.
        for &receipt in &receipts {
            let attempt = Some(Arc::clone(id));
            let change = Change::Received {
                receipt,
                at,
                until,
                attempt,
            };
            self.commit(change, changes);
        }
        Some(
            receipts
                .iter()
                .filter_map(|receipt| self.delivered(receipt.sequence))
                .collect(),
        )
    }

    fn delivered(&self, sequence: Sequence) -> Option<Delivered<B>> {
        let message = self.messages.get(&sequence)?;
        debug_assert_ne!(message.first_received, NEVER, "it was just received");
        Some(Delivered {
            id: message.id,
            receipt: Receipt {
                sequence,
                receive: message.receives,
            },
            sent: message.sent,
            first_received: message.first_received,
            receives: message.receives,
            until: message.due,
            group: self.groups.name(message.group),
            origin: message.origin,
            body: message.body.clone(),
        })
    }
}
