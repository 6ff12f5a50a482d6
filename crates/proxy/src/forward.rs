//! Room six: the request goes to its target, the answer comes back. Bodies stream both ways at once.

use crate::answer::write_answer_head;
use crate::buffers::Desk;
use crate::choose::{self, Missing};
use crate::connection::{Next, Visit};
use crate::cookies::Extra;
use crate::framing::{self, Framing};
use crate::h2;
use crate::head::AnswerHead;
use crate::keep_alive::still_keeps;
use crate::line;
use crate::linger::{self, Owes};
use crate::pump::{HEADROOM, Pump, PumpError, poll_write_pair};
use crate::request::Incoming;
use crate::sweep::{Ended, Slot};
use crate::tls::TargetStream;
use crate::wire::Wire;
use crate::worker::Worker;
use forebay_model::ProtocolVersion;
use forebay_node::{Exchange, ListenerView, Outcome, Reason, Reuse, Step, TargetView};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

mod attempt;
mod extras;
mod outlive;
mod owed;
mod passage;
mod streams;
mod tunnel;

use attempt::{Attempt, Upload};
use passage::{Instead, Passage, reason};

/// Answers up to this size are copied behind their head and sent in one write; larger ones go out as two pieces.
const COPIED_BYTES: usize = 8 * 1024;

/// Sends the request (its head is in `desk.out`) and passes the answer on.
#[expect(clippy::too_many_arguments, reason = "a room's things, all used once")]
pub(crate) fn forward<'a, W: Wire>(
    worker: &'a Rc<Worker>,
    client: &'a mut W,
    visit: &'a Visit,
    slot: &'a Slot,
    desk: &'a mut Desk,
    incoming: &'a Incoming,
    listener: &'a ListenerView,
    exchange: &'a mut Exchange,
    mut step: Step,
    mut keep: bool,
) -> impl Future<Output = Next> + 'a {
    let (head, idle_timeout) = (incoming.head, listener.balancer.settings.idle_timeout);
    let mut passage = Passage {
        worker,
        client,
        visit,
        slot,
        desk,
        head,
        incoming,
        listener,
        idle_timeout,
    };
    // An asynchronous function would hold what it is given twice.
    async move {
        let mut upload = match passage.prepare().await {
            Ok(upload) => upload,
            Err(reason) => {
                exchange.withdraw();
                return passage.fail(reason, exchange, false).await;
            }
        };
        loop {
            if let Step::Wait { ticket, until } = step {
                let Passage {
                    worker,
                    client,
                    slot,
                    listener,
                    ..
                } = &mut passage;
                let wait = line::wait(worker, *client, slot, None, exchange, listener, ticket, until);
                step = Box::pin(wait).await;
                keep = keep && still_keeps(passage.worker, passage.visit, passage.incoming);
                continue;
            }
            let Step::Send { target, reuse } = step else {
                let keep = keep && !upload.streamed && upload.is_whole();
                return passage.end(exchange, &step, keep).await;
            };
            passage.aim(exchange, &target);
            let passed = if target.version == ProtocolVersion::Http1 {
                passage.http1(exchange, &target, reuse, &mut upload, keep).await
            } else {
                Box::pin(passage.streams(exchange, &target, reuse, &mut upload.streamed)).await
            };
            step = match passed {
                Ok(next) => return next,
                Err(Instead::Outcome(outcome)) => passage.decide(exchange, outcome),
                Err(Instead::Step(instead)) => instead,
            };
        }
    }
}

impl<W: Wire> Passage<'_, W> {
    /// Sends the request to a target that speaks HTTP/1.1 and passes the answer on.
    async fn http1(
        &mut self,
        exchange: &mut Exchange,
        target: &Arc<TargetView>,
        reuse: Reuse,
        upload: &mut Upload,
        keep: bool,
    ) -> Result<Next, Instead> {
        let made = choose::connection(self.worker, self.slot, target, reuse, &self.desk.out).await;
        let mut connection = match made {
            Ok(connection) => connection,
            Err(Missing::Error(error)) => return Err(Outcome::NotConnected(error).into()),
            Err(Missing::Ended(ended)) => return Err(Outcome::Failed(reason(ended)).into()),
        };
        if !connection.reused {
            self.connected(exchange);
        }
        match self.attempt(&mut connection, upload).await {
            Attempt::Answered(head) => match self.reconsider(exchange, &head, upload) {
                Some(instead) => Err(Instead::Step(instead)),
                None => Ok(self
                    .relay(connection.stream, target, upload, exchange, head, keep)
                    .await),
            },
            Attempt::Failed(outcome) => {
                if let Outcome::Failed(reason) = outcome {
                    self.outlive(exchange, connection.stream, reason);
                }
                Err(outcome.into())
            }
        }
    }

    /// Where the answer's body ends, whether it goes out in chunks, and its first part, decoded; none if it is broken from the start.
    fn answer_body(&mut self, head: &AnswerHead) -> Option<(Framing, bool, Pump)> {
        let Desk {
            body,
            body_end,
            answer_fields,
            ..
        } = &mut *self.desk;
        let bytes = &body[HEADROOM..*body_end];
        let framing = framing::of_answer(answer_fields, bytes, head.status, self.incoming.to_head).ok()?;
        let to_chunks =
            !W::FRAMED && !self.head.http_10 && matches!(framing, Framing::Chunked | Framing::UntilClose);
        let mut pump = Pump::of_answer(framing, to_chunks);
        pump.decode(body, HEADROOM + head.length, *body_end).ok()?;
        Some((framing, to_chunks, pump))
    }

    /// Passes the answer on, and settles.
    #[expect(
        clippy::manual_async_fn,
        reason = "an asynchronous function holds what it is given twice"
    )]
    fn relay<'s>(
        &'s mut self,
        mut stream: TargetStream,
        target: &'s TargetView,
        upload: &'s mut Upload,
        exchange: &'s mut Exchange,
        head: AnswerHead,
        keep: bool,
    ) -> impl Future<Output = Next> + 's {
        async move {
            if head.status == 101 {
                return Box::pin(self.tunnel(stream, exchange, &head, upload.next)).await;
            }
            // An answer that came before the request was sent: the rest of it has no use any more.
            upload.stopped |= upload.written < self.desk.out.len();
            let Some((framing, to_chunks, mut pump)) = self.answer_body(&head) else {
                // Nothing of it has gone out, so the client can be told.
                let keep = keep && !upload.streamed && upload.is_whole();
                return self.fail(Reason::BadAnswer, exchange, keep).await;
            };
            self.decide(exchange, Outcome::Answered(head.status));
            let ends_with_close =
                self.head.http_10 && matches!(framing, Framing::Chunked | Framing::UntilClose);
            // It may be time to leave since the request came: its client is told now, or not at all.
            let keep = keep && !ends_with_close && upload.is_whole() && !self.worker.leaving.get();
            let target_keeps = !head.http_10 && !head.says.close;
            let extras = self.extras(exchange, head.says.dated);
            self.begin_answer(&head, framing, to_chunks, keep, &extras);
            if let Some(reason) = self.pass_body(&mut stream, upload, &mut pump).await {
                self.outlive(exchange, stream, reason);
                self.decide(exchange, Outcome::Failed(reason));
                self.slot.watch(None);
                let now = self.now();
                self.log(exchange, now);
                return self.cut(reason, ends_with_close).await;
            }
            self.slot.watch(None);
            // A short answer went out at once, when its head came: the clock was read a moment ago.
            let now = if pump.moved <= COPIED_BYTES as u64 {
                self.worker.recent()
            } else {
                self.now()
            };
            let (from, to) = pump.leftover();
            let clean = from == to && framing != Framing::UntilClose && upload.is_whole() && !upload.stopped;
            if target_keeps && clean && !self.desk.note.suspect {
                self.worker
                    .pools
                    .borrow_mut()
                    .put(target.id, stream, now, self.idle_timeout);
            }
            self.log(exchange, now);
            if keep {
                self.desk.start = upload.next;
                Next::Idle
            } else {
                let owes = Owes::of(upload.pump.left(), self.idle_timeout);
                Box::pin(linger::linger(
                    self.worker,
                    self.client,
                    self.slot,
                    self.desk,
                    owes,
                ))
                .await;
                Next::Close
            }
        }
    }

    /// Closes behind an answer that broke off. A client whose next requests are unread would get a reset, which takes
    /// earlier answers along that are still on their way (RFC 9112 section 9.6); so what it sends is read for a moment.
    /// Not where only the reset tells that the answer is not whole: where it ends with its connection or stream.
    async fn cut(&mut self, reason: Reason, ends_with_close: bool) -> Next {
        if ends_with_close {
            self.client.break_off();
        } else if !W::FRAMED && reason != Reason::ClientGone {
            let owes = Owes::of(0, self.idle_timeout);
            Box::pin(linger::linger(
                self.worker,
                self.client,
                self.slot,
                self.desk,
                owes,
            ))
            .await;
        }
        Next::Close
    }

    /// Puts the answer's head where it goes: into `out`, or out in a frame.
    fn begin_answer(
        &mut self,
        head: &AnswerHead,
        framing: Framing,
        to_chunks: bool,
        keep: bool,
        extras: &[Extra],
    ) {
        let Desk {
            out,
            body,
            body_end,
            answer_fields: fields,
            note,
            ..
        } = &mut *self.desk;
        let bytes = &body[HEADROOM..*body_end];
        let (to_head, settings) = (self.incoming.to_head, &self.listener.settings);
        if W::FRAMED {
            let answer = h2::relayed_head(bytes, fields, head, framing, to_head, settings, extras);
            out.clear();
            note.sent += h2::head_bytes(&answer);
            let ends = matches!(framing, Framing::None | Framing::Length(0));
            // A client that is gone is found out by the body's first byte, or does not matter any more.
            let _ = self.client.send_head(answer, ends);
        } else {
            write_answer_head(
                out, bytes, fields, head, framing, to_head, to_chunks, keep, settings, extras,
            );
        }
    }

    /// Passes the answer's head on and its body, whose first part was decoded, while the request's body may still go up. None when
    /// all is through.
    async fn pass_body(
        &mut self,
        target: &mut TargetStream,
        upload: &mut Upload,
        pump: &mut Pump,
    ) -> Option<Reason> {
        pump.frame(&mut self.desk.body);
        if !pump.is_read() {
            self.worker.desks.borrow_mut().enlarge_body(self.desk);
        }
        let ready = pump.take_ready();
        let Desk { out, body, .. } = &mut *self.desk;
        let mut first = ready;
        if ready.1 - ready.0 <= COPIED_BYTES {
            out.extend_from_slice(&body[ready.0..ready.1]);
            first = (0, 0);
        }
        let mut written = 0;
        // The clock is read only if the first try to write did not do: the answer's head came a moment ago.
        let (mut tried, mut responded) = (false, None);
        let total = out.len() + first.1 - first.0;
        let (slot, worker) = (self.slot, self.worker);
        slot.arm(self.deadline(upload), false);
        let moved = slot
            .until(poll_fn(|cx| {
                let mut progress = false;
                if self.poll_upload(cx, target, upload, &mut progress).is_some() {
                    upload.stopped = true;
                }
                let waiting = written == 0 && tried;
                let polled = self.poll_download(cx, target, pump, first, &mut written, total, &mut progress);
                if waiting && written > 0 {
                    responded = Some(worker.now());
                }
                tried = true;
                if polled.is_pending() {
                    if progress {
                        slot.arm(self.deadline(upload), false);
                    }
                    if self.has_left(cx, upload) {
                        return Poll::Ready(Err(Reason::ClientGone));
                    }
                }
                polled
            }))
            .await;
        self.desk.note.sent += written as u64 + pump.written;
        self.desk.note.responded = responded;
        match moved {
            Ok(result) => result.err(),
            // The client's silence: it sends too slowly, or does not take what has come.
            Err(Ended::Late)
                if upload.owed.is_late(worker.recent()) || written < total || !pump.is_written() =>
            {
                Some(Reason::ClientSilent)
            }
            Err(ended) => Some(reason(ended)),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the state of one write")]
    fn poll_download(
        &mut self,
        cx: &mut Context<'_>,
        target: &mut TargetStream,
        pump: &mut Pump,
        first: (usize, usize),
        written: &mut usize,
        total: usize,
        progress: &mut bool,
    ) -> Poll<Result<(), Reason>> {
        if *written < total {
            let before = *written;
            let second = &self.desk.body[first.0..first.1];
            let wrote = poll_write_pair(cx, self.client, &self.desk.out, second, written);
            *progress |= *written > before;
            match wrote {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Reason::ClientGone)),
                Poll::Pending => return Poll::Pending,
            }
        }
        if !pump.is_done() {
            let moved = ready!(pump.poll(cx, target, self.client, &mut self.desk.body, progress));
            moved.map_err(|error| match error {
                PumpError::Source => Reason::TargetClosed,
                PumpError::BadChunk => Reason::BadAnswer,
                PumpError::Sink => Reason::ClientGone,
            })?;
        }
        Poll::Ready(self.client.finish().map_err(|_| Reason::ClientGone))
    }
}
