//! Sending, deleting, hiding, purging, and moving to another queue.

use crate::change::{Change, Sent, Why};
use crate::message::{Departed, Held, MessageId, NEVER, Receipt, Sequence};
use crate::queue::Queue;
use crate::settings::{Kind, QueueId, Scope, limits};
use crate::verdicts::{Accepted, DeleteRefusal, Deleted, PurgeRefusal, SendRefusal, VisibilityRefusal};
use core::time::Duration;
use forebay_units::Wall;
use std::sync::Arc;

/// A message to send.
#[derive(Clone, Debug)]
pub struct Letter<B> {
    /// Its id, drawn by the caller.
    pub id: MessageId,
    /// Its message group. A standard queue returns it and otherwise ignores it.
    pub group: Option<Arc<str>>,
    /// Its deduplication id: the sender's, or the SHA-256 of the body.
    pub deduplication: Option<Arc<str>>,
    /// Its own delay, instead of the queue's.
    pub delay: Option<Duration>,
    /// The sender's content.
    pub body: B,
}

impl<B: Clone> Queue<B> {
    /// Accepts a message.
    ///
    /// # Errors
    /// If the message does not fit the queue's kind, or its delay is too long.
    pub fn send(
        &mut self,
        now: Wall,
        letter: Letter<B>,
        changes: &mut Vec<Change<B>>,
    ) -> Result<Accepted, SendRefusal> {
        self.advance(now, changes);
        self.fits(&letter)?;
        if let Some((sequence, id)) = self.sent_before(&letter) {
            return Ok(Accepted {
                id,
                sequence,
                duplicate: true,
            });
        }
        let delay = letter.delay.unwrap_or(self.settings.delay());
        let sequence = self.next_sequence(now);
        let id = letter.id;
        let sent = Sent {
            sequence,
            id,
            sent: now,
            held: if delay.is_zero() { Held::No } else { Held::Delayed },
            due: now + delay,
            receives: 0,
            first_received: NEVER,
            received: NEVER,
            group: letter.group,
            deduplication: letter.deduplication,
            origin: None,
            body: letter.body,
        };
        self.commit(Change::Sent(sent), changes);
        Ok(Accepted {
            id,
            sequence,
            duplicate: false,
        })
    }

    fn fits(&self, letter: &Letter<B>) -> Result<(), SendRefusal> {
        if letter.delay.is_some_and(|delay| delay > limits::DELAY_MAX) {
            return Err(SendRefusal::Delay);
        }
        match self.settings.fifo() {
            false if letter.deduplication.is_some() => Err(SendRefusal::Deduplication),
            true if letter.group.is_none() => Err(SendRefusal::NoGroup),
            true if letter.deduplication.is_none() => Err(SendRefusal::NoDeduplication),
            true if letter.delay.is_some_and(|delay| !delay.is_zero()) => Err(SendRefusal::DelayOfMessage),
            _ => Ok(()),
        }
    }

    /// The message sent with the same deduplication id within the deduplication interval, if any. The new one is then not delivered,
    /// even if the first one was deleted (API reference, SendMessage).
    fn sent_before(&self, letter: &Letter<B>) -> Option<(Sequence, MessageId)> {
        let Kind::Fifo(scope) = self.settings.kind() else {
            return None;
        };
        let group = letter.group.clone().filter(|_| scope == Scope::Group);
        self.sends.find(&(group, letter.deduplication.clone()?))
    }

    /// Deletes a message by a receipt.
    ///
    /// In a standard queue any receipt of the message is accepted, also one whose visibility timeout is over or that is
    /// older than the last receive. The work is done, and the message's present receiver will find it gone. SQS's
    /// reference says that such a delete may have no effect; in practice it behaves as here. In a FIFO queue such a
    /// receipt has expired, because the group may continue with this message at any time.
    ///
    /// # Errors
    /// If the receipt has expired (FIFO).
    pub fn delete(
        &mut self,
        now: Wall,
        receipt: Receipt,
        changes: &mut Vec<Change<B>>,
    ) -> Result<Deleted, DeleteRefusal> {
        self.advance(now, changes);
        let Some(message) = self.messages.get(&receipt.sequence) else {
            return Ok(Deleted::Before);
        };
        let latest = message.receives == receipt.receive;
        if self.settings.fifo() && !(latest && message.held == Held::InFlight) {
            return Err(DeleteRefusal::Expired);
        }
        let took = now.since(message.received);
        let (sequence, why) = (receipt.sequence, Why::Deleted);
        self.commit(Change::Gone { sequence, why }, changes);
        Ok(if latest { Deleted::Now(took) } else { Deleted::Late })
    }

    /// Sets the visibility timeout of a message in flight, counted from now; zero makes it visible at once.
    ///
    /// # Errors
    /// If it is not in flight by this receipt, or would be hidden for more than 12 hours since its receive.
    pub fn change_visibility(
        &mut self,
        now: Wall,
        receipt: Receipt,
        timeout: Duration,
        changes: &mut Vec<Change<B>>,
    ) -> Result<(), VisibilityRefusal> {
        if timeout > limits::VISIBILITY_MAX {
            return Err(VisibilityRefusal::Visibility);
        }
        self.advance(now, changes);
        let Some(message) = self.messages.get(&receipt.sequence) else {
            return Err(VisibilityRefusal::Gone);
        };
        // As with deletes, an older receipt of a standard queue's message is accepted.
        if self.settings.fifo() && message.receives != receipt.receive {
            return Err(VisibilityRefusal::Stale);
        }
        if message.held != Held::InFlight {
            return Err(VisibilityRefusal::NotInFlight);
        }
        // SQS does not shorten a timeout by itself: more than what is left is an error.
        let last = message.received + limits::VISIBILITY_MAX;
        if now + timeout > last {
            return Err(VisibilityRefusal::TooLong {
                left: last.since(now),
            });
        }
        let (sequence, until) = (receipt.sequence, now + timeout);
        self.commit(Change::Hidden { sequence, until }, changes);
        // A timeout of zero takes effect at once.
        self.advance(now, changes);
        Ok(())
    }

    /// Makes a message visible at once if it is in flight by exactly this receipt, because its receiver is gone. False
    /// if it is not.
    pub fn release(&mut self, now: Wall, receipt: Receipt, changes: &mut Vec<Change<B>>) -> bool {
        self.advance(now, changes);
        let is_held = |message: &crate::message::Message<B>| {
            message.receives == receipt.receive && message.held == Held::InFlight
        };
        if !self.messages.get(&receipt.sequence).is_some_and(is_held) {
            return false;
        }
        let (sequence, until) = (receipt.sequence, now);
        self.commit(Change::Hidden { sequence, until }, changes);
        self.advance(now, changes);
        true
    }

    /// Deletes all messages in any state. Sends stay remembered, so a FIFO queue still recognises duplicates.
    ///
    /// # Errors
    /// If the last purge was less than a minute ago.
    pub fn purge(&mut self, now: Wall, changes: &mut Vec<Change<B>>) -> Result<usize, PurgeRefusal> {
        self.advance(now, changes);
        if self.purged.is_some_and(|at| at + limits::PURGE > now) {
            return Err(PurgeRefusal::InProgress);
        }
        let gone = self.messages.len();
        self.commit(Change::Purged { at: now }, changes);
        Ok(gone)
    }

    /// Takes out up to `most` visible messages, the oldest first, for a move task.
    pub fn depart(&mut self, now: Wall, most: usize, changes: &mut Vec<Change<B>>) -> Vec<Departed<B>> {
        self.advance(now, changes);
        let mut departed = Vec::new();
        while departed.len() < most {
            let Some(&sequence) = self.ready.first() else {
                break;
            };
            // One at a time: a FIFO group offers its next message only once this one has left.
            departed.extend(self.take_out(sequence, Why::Moved, changes));
        }
        departed
    }

    /// The origin of the message that `depart` would take next; `None` if there is none.
    pub fn next_origin(&self) -> Option<Option<QueueId>> {
        Some(self.messages.get(self.ready.first()?)?.origin)
    }

    pub(crate) fn take_out(
        &mut self,
        sequence: Sequence,
        why: Why,
        changes: &mut Vec<Change<B>>,
    ) -> Option<Departed<B>> {
        let message = self.messages.get(&sequence)?;
        let departed = Departed {
            sequence,
            id: message.id,
            sent: message.sent,
            first_received: Some(message.first_received).filter(|&at| at != NEVER),
            receives: message.receives,
            group: self.groups.name(message.group),
            origin: message.origin,
            body: message.body.clone(),
        };
        self.commit(Change::Gone { sequence, why }, changes);
        Some(departed)
    }

    /// Accepts a dead letter of the queue `from`: the same message, with its id and its number of receives. In a
    /// standard queue it keeps the time when it was sent, so its retention continues; in a FIFO queue its retention
    /// starts anew. Its deduplication id is ignored, or one of two messages with the same id would be lost (developer
    /// guide, "Dead-letter queues").
    pub fn bury(
        &mut self,
        now: Wall,
        from: QueueId,
        departed: Departed<B>,
        changes: &mut Vec<Change<B>>,
    ) -> Sequence {
        let sent = if self.settings.fifo() { now } else { departed.sent };
        let arrival = Sent {
            receives: departed.receives,
            first_received: departed.first_received.unwrap_or(NEVER),
            origin: Some(from),
            ..self.arrival(now, departed.id, sent, departed.group, departed.body)
        };
        self.take_in(arrival, changes)
    }

    /// Accepts a message from a move task: a new message with a new id, sent now and never received (developer guide,
    /// "Dead-letter queue redrive").
    pub fn redrive(
        &mut self,
        now: Wall,
        id: MessageId,
        departed: Departed<B>,
        changes: &mut Vec<Change<B>>,
    ) -> Sequence {
        let arrival = self.arrival(now, id, now, departed.group, departed.body);
        self.take_in(arrival, changes)
    }

    fn arrival(&self, now: Wall, id: MessageId, sent: Wall, group: Option<Arc<str>>, body: B) -> Sent<B> {
        // A FIFO queue could never deliver a message without a group, so it gets a group of its own.
        let alone = || Arc::from(format!("{:032x}", id.0));
        Sent {
            sequence: self.next_sequence(now),
            id,
            sent,
            held: Held::No,
            due: now,
            receives: 0,
            first_received: NEVER,
            received: NEVER,
            group: group.or_else(|| self.settings.fifo().then(alone)),
            deduplication: None,
            origin: None,
            body,
        }
    }

    fn take_in(&mut self, arrival: Sent<B>, changes: &mut Vec<Change<B>>) -> Sequence {
        let sequence = arrival.sequence;
        self.commit(Change::Sent(arrival), changes);
        sequence
    }
}
