//! Receiving, and who waits for it.

use crate::change::{Change, Why};
use crate::message::{Delivered, Held, NEVER, NO_GROUP, Receipt, Sequence};
use crate::queue::Queue;
use crate::settings::limits;
use crate::verdicts::{Empty, ReceiveRefusal, Taken};
use crate::waiters::{Served, Ticket, Woken};
use core::time::Duration;
use forebay_units::Wall;
use std::sync::Arc;

/// A receive moves no more messages than this to the dead-letter queue; the next one goes on.
const DEAD_MAX: usize = 100;

/// What a receive asks for.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    /// So many messages at most; from one to ten.
    pub most: usize,
    /// For how long they are hidden, if not for as long as the queue says.
    pub visibility: Option<Duration>,
    /// `ReceiveRequestAttemptId`: within five minutes the same gives the same messages again (FIFO).
    pub attempt: Option<Arc<str>>,
}

impl<B: Clone> Queue<B> {
    /// Receives what is visible, the oldest first; of a FIFO queue as many as there are of the first group that may go, then of the
    /// next. It does not look at who waits: call `wake` before, or after whatever made messages visible.
    ///
    /// # Errors
    /// If the queue has as many messages in flight as it may (standard), or the visibility is too long.
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
        if taken.empty == Some(Empty::InFlightMax) && !self.settings.fifo() {
            return Err(ReceiveRefusal::OverLimit);
        }
        Ok(taken)
    }

    /// Lets a receive wait that got nothing, until then at most. One that waits is never told `OverLimit` (developer guide, quotas).
    pub fn wait(&mut self, ask: Ask, until: Wall) -> Ticket {
        self.waiters.join(ask.most, ask.visibility, ask.attempt, until)
    }

    /// Whoever waits by this ticket is gone; false if it waits no more.
    pub fn forget(&mut self, ticket: Ticket) -> bool {
        self.waiters.leave(ticket).is_some()
    }

    /// The first that waits is sent away; for a queue that ends.
    pub fn dismiss(&mut self) -> Option<Ticket> {
        let ticket = self.waiters.first()?.0;
        self.waiters.leave(ticket)?;
        Some(ticket)
    }

    /// How many receives wait.
    pub fn waiting(&self) -> usize {
        self.waiters.len()
    }

    /// Serves who waits, in order, as far as there are messages; and those whose time is over, with nothing.
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
                break;
            }
        }
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
        // Hidden for no time at all: they are visible again, but not for this receive.
        self.advance(now, changes);
        taken
    }

    /// The next message that may be received, after one of this group.
    fn next(&self, group: u32) -> Option<Sequence> {
        let same = || {
            let first = *self.groups.at(group)?.waiting.first()?;
            (self.messages.get(&first)?.held == Held::No).then_some(first)
        };
        // A group that this receive has begun with has messages in flight, and offers nothing; to this receive it gives more.
        let same = if self.settings.fifo() { same() } else { None };
        same.or_else(|| self.ready.first().copied())
    }

    /// The messages of an attempt once more, with the same receipts, hidden anew; none if any of them was deleted, was hidden
    /// for another time or is visible again, so that this is a receive like others.
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
        // The receive that it was, until another time.
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
