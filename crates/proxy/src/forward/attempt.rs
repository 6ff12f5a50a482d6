//! One attempt to get an answer from one target: the request goes out, its body streams, and the head of an answer comes in
//! and is passed on, or something else is done instead. Common to all protocols of targets.

use super::outcome::Instead;
use super::upload::Upload;
use crate::connection::Next;
use crate::deadlines::Ended;
use crate::session::RequestContext;
use crate::wire::Wire;
use forebay_node::{Candidate, Outcome, Reason, Reuse, Step, TargetView};
use forebay_units::Mono;
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

/// A request in progress at its target, until it is answered or has failed.
pub(super) trait Upstream<W: Wire>: Sized {
    /// The head of an answer.
    type Head;

    /// Takes a pooled connection or makes one, and starts to send the request over it.
    async fn open(
        context: &mut RequestContext<'_, W>,
        target: &TargetView,
        reuse: Reuse,
        upload: &mut Upload,
    ) -> Result<Self, Instead>;

    /// The time by which something must move.
    fn until(&mut self, context: &RequestContext<'_, W>, upload: &mut Upload) -> Mono;

    /// Sends the parts of the request as they arrive, and waits for an answer's head. Sets `progress` if anything moved.
    fn poll_head(
        &mut self,
        context: &mut RequestContext<'_, W>,
        cx: &mut Context<'_>,
        upload: &mut Upload,
        progress: &mut bool,
    ) -> Poll<Result<Self::Head, Outcome>>;

    /// The reason for the failure when the wait for a head was ended by `ended`.
    fn blame(&self, context: &RequestContext<'_, W>, upload: &Upload, ended: Ended) -> Reason;

    fn status(head: &Self::Head) -> u16;

    /// The facts by which it is decided whether an answer is passed on.
    fn candidate(context: &RequestContext<'_, W>, head: &Self::Head, upload: &Upload) -> Candidate;

    /// Passes the answer on, and settles the exchange. Not an `async fn`, which would store its arguments twice.
    fn relay(
        self,
        context: &mut RequestContext<'_, W>,
        target: &TargetView,
        upload: &mut Upload,
        head: Self::Head,
    ) -> impl Future<Output = Next>;

    /// Gives the attempt up: no answer of this target is passed on, `instead` is done.
    fn abandon(self, context: &mut RequestContext<'_, W>, upload: &Upload, instead: &Instead);
}

/// Interim answers (1xx) that a target may send at once before its final one, and the time that allows one more. A target
/// may report its progress as long as it works, but a flood of them would keep the worker busy for nothing.
const INTERIM_ANSWERS: u32 = 128;
const INTERIM_PACE: Duration = Duration::from_millis(250);

/// Counts the interim answers of one attempt.
pub(super) struct Interim {
    pub(super) count: u32,
    since: Mono,
}

impl Interim {
    pub(super) fn begin(now: Mono) -> Interim {
        Interim { count: 0, since: now }
    }

    /// Counts one more. False if it exceeds the allowance.
    pub(super) fn take(&mut self, now: Mono) -> bool {
        self.count = self.count.saturating_add(1);
        let bought = now.since(self.since).as_millis() / INTERIM_PACE.as_millis();
        u128::from(self.count) <= u128::from(INTERIM_ANSWERS) + bought
    }
}

impl<W: Wire> RequestContext<'_, W> {
    /// Sends the request to this target and passes the answer on. An error says what to do next; it is returned only while
    /// no answer has begun.
    pub(super) async fn attempt<U: Upstream<W>>(
        &mut self,
        target: &TargetView,
        reuse: Reuse,
        upload: &mut Upload,
    ) -> Result<Next, Instead> {
        let mut upstream = U::open(self, target, reuse, upload).await?;
        let deadline = self.session.deadline;
        deadline.arm(upstream.until(self, upload), false);
        let waited = {
            let wait = poll_fn(|cx| {
                let mut progress = false;
                let polled = upstream.poll_head(self, cx, upload, &mut progress);
                // Not re-armed without progress: a client or target that moves nothing must reach the deadline.
                if progress && polled.is_pending() {
                    deadline.arm(upstream.until(self, upload), false);
                }
                polled
            });
            deadline.until(wait).await
        };
        let instead = match waited {
            Ok(Ok(head)) => match self.reconsider::<U>(&head, upload) {
                Some(step) => Instead::Step(step),
                None => return Ok(upstream.relay(self, target, upload, head).await),
            },
            Ok(Err(outcome)) => outcome.into(),
            Err(ended) => Outcome::Failed(upstream.blame(self, upload, ended)).into(),
        };
        upstream.abandon(self, upload, &instead);
        Err(instead)
    }

    /// The next step, if the request is to be sent again instead of passing this answer on.
    fn reconsider<U: Upstream<W>>(&mut self, head: &U::Head, upload: &Upload) -> Option<Step> {
        // Checked first: most answers are final, and the facts for the decision cost a scan of the head.
        if !self.exchange.may_reconsider(U::status(head)) {
            return None;
        }
        let candidate = U::candidate(self, head, upload);
        let worker = self.session.worker;
        let snapshot = worker.snapshot();
        let state = &mut worker.state.borrow_mut();
        self.exchange
            .reconsider(worker.now(), candidate, self.listener, &snapshot, state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_may_be_told_for_long() {
        // The 17th was one too many, whenever it came.
        let mut interim = Interim::begin(Mono::ZERO);
        for _ in 0..INTERIM_ANSWERS {
            assert!(interim.take(Mono::ZERO));
        }
        assert!(!interim.take(Mono::ZERO));
        for second in 1..=1_000 {
            assert!(interim.take(Mono::from_millis(second * 1_000)), "{second}");
        }
    }
}
