//! A request on its way to a target that speaks HTTP/1.1.

use super::attempt::{Interim, Upstream};
use super::extras::retry_after;
use super::outcome::{Instead, reason};
use super::upload::Upload;
use crate::buffers::RequestBuffers;
use crate::choose::{self, Connection};
use crate::connection::Next;
use crate::deadlines::Ended;
use crate::fields::is;
use crate::head::AnswerHead;
use crate::names::Known;
use crate::pump::{HEADROOM, TAILROOM, poll_write_pair};
use crate::session::RequestContext;
use crate::tls::TargetStream;
use crate::wire::Wire;
use forebay_node::{Candidate, Death, Outcome, Reason, Reuse, Sent, TargetView};
use forebay_units::Mono;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, ReadBuf};

/// A connection to the target; it carries one request at a time.
pub(super) struct Http1 {
    stream: TargetStream,
    reused: bool,
    /// Offset in `buffers.body` where the bytes from the target end.
    filled: usize,
    interim: Interim,
}

impl<W: Wire> Upstream<W> for Http1 {
    type Head = AnswerHead;

    async fn open(
        context: &mut RequestContext<'_, W>,
        target: &TargetView,
        reuse: Reuse,
        upload: &mut Upload,
    ) -> Result<Http1, Instead> {
        let Connection { stream, reused } = choose::connection(&context.session, target, reuse).await?;
        if !reused {
            context.connected();
        }
        // Another attempt sends `buffers.out` again from its start, which is possible only while nothing was streamed.
        upload.written = 0;
        upload.sent = false;
        upload.stopped = false;
        context.session.buffers.open_body();
        Ok(Http1 {
            stream,
            reused,
            filled: HEADROOM,
            interim: Interim::begin(context.session.worker.recent()),
        })
    }

    fn until(&mut self, context: &RequestContext<'_, W>, upload: &mut Upload) -> Mono {
        context.until(upload)
    }

    fn poll_head(
        &mut self,
        context: &mut RequestContext<'_, W>,
        cx: &mut Context<'_>,
        upload: &mut Upload,
        progress: &mut bool,
    ) -> Poll<Result<AnswerHead, Outcome>> {
        let failed = |reason| Poll::Ready(Err(Outcome::Failed(reason)));
        let mut came = false;
        loop {
            if let Some(reason) = self.poll_send(context, cx, upload, progress) {
                return failed(reason);
            }
            let Poll::Ready(read) = self.poll_read(context, cx) else {
                // If something has come, the wait starts anew; whether the client left is checked only when the wait is
                // long.
                if !came && context.has_left(cx, upload) {
                    return failed(Reason::ClientGone);
                }
                return Poll::Pending;
            };
            (came, *progress) = (true, true);
            match self.head(context) {
                Ok(Some(head)) => return Poll::Ready(Ok(head)),
                Ok(None) if read == 0 => return Poll::Ready(Err(self.closed(upload))),
                Ok(None) => {}
                Err(()) => return failed(Reason::BadAnswer),
            }
            if !self.has_room(context) {
                return failed(Reason::MemoryCeiling);
            }
        }
    }

    fn blame(&self, _: &RequestContext<'_, W>, upload: &Upload, ended: Ended) -> Reason {
        if ended == Ended::Late && upload.waits_for_client() {
            Reason::ClientSilent
        } else {
            reason(ended)
        }
    }

    fn status(head: &AnswerHead) -> u16 {
        head.status
    }

    fn candidate(context: &RequestContext<'_, W>, head: &AnswerHead, upload: &Upload) -> Candidate {
        let RequestBuffers {
            body,
            body_end,
            answer_fields: fields,
            ..
        } = &*context.session.buffers;
        let bytes = &body[HEADROOM..*body_end];
        let mut asked = fields
            .iter()
            .filter(|field| is(field.name(bytes), b"retry-after"));
        Candidate {
            status: head.status,
            retry_after: asked.next().and_then(|field| retry_after(field.value(bytes))),
            replayable: !upload.streamed,
            permit_refused: fields.iter().any(|field| field.is(Known::WorkRefused)),
        }
    }

    fn relay(
        self,
        context: &mut RequestContext<'_, W>,
        target: &TargetView,
        upload: &mut Upload,
        head: AnswerHead,
    ) -> impl Future<Output = Next> {
        context.relay(self.stream, target, upload, head)
    }

    fn abandon(self, context: &mut RequestContext<'_, W>, _: &Upload, instead: &Instead) {
        if let Instead::Outcome(Outcome::Failed(reason)) = instead {
            context.outlive(self.stream, *reason);
        }
    }
}

impl Http1 {
    /// Sends as much as the target takes. Some if the client's body broke off.
    fn poll_send<W: Wire>(
        &mut self,
        context: &mut RequestContext<'_, W>,
        cx: &mut Context<'_>,
        upload: &mut Upload,
        progress: &mut bool,
    ) -> Option<Reason> {
        let out = &context.session.buffers.out;
        if upload.is_done(out.len()) {
            return None;
        }
        let before = upload.written;
        let wrote = poll_write_pair(cx, &mut self.stream, out, &[], &mut upload.written);
        *progress |= upload.written > before;
        match wrote {
            Poll::Ready(Ok(())) => {
                upload.sent = true;
                return context.poll_upload(cx, &mut self.stream, upload, progress);
            }
            // The target may have answered before it stopped reading: what it sent is still to be read.
            Poll::Ready(Err(_)) => upload.stopped = true,
            // While the target takes nothing, the client's frames are joined: see `Inflow::gather`.
            Poll::Pending => context.session.client.gather(cx),
        }
        None
    }

    /// Reads once; returns the number of bytes, 0 when the target closed.
    fn poll_read<W>(&mut self, context: &mut RequestContext<'_, W>, cx: &mut Context<'_>) -> Poll<usize> {
        let body = &mut context.session.buffers.body;
        let limit = body.len() - TAILROOM;
        let mut room = ReadBuf::new(&mut body[self.filled..limit]);
        Pin::new(&mut self.stream).poll_read(cx, &mut room).map(|read| {
            // A reset counts as a close without warning.
            let count = read.map_or(0, |()| room.filled().len());
            self.filled += count;
            count
        })
    }

    /// The head of the final answer, if all of it was read. Skips interim answers, of which one read may bring many. The
    /// answer's body begins behind the head; its offsets count from HEADROOM.
    fn head<W>(&mut self, context: &mut RequestContext<'_, W>) -> Result<Option<AnswerHead>, ()> {
        let buffers = &mut *context.session.buffers;
        buffers.body_end = self.filled;
        while self.filled > HEADROOM {
            let head = &buffers.body[HEADROOM..self.filled];
            match AnswerHead::parse(head, &mut buffers.answer_fields) {
                Ok(Some(answer)) if answer.status == 101 && context.incoming.upgrade => {
                    return Ok(Some(answer));
                }
                // A switch of protocols that the client did not ask for: it would take the bytes that follow for an answer.
                Ok(Some(answer)) if answer.status == 101 => return Err(()),
                Ok(Some(answer)) if answer.status < 200 => {
                    if !self.interim.take(context.session.worker.recent()) {
                        return Err(());
                    }
                    let rest = HEADROOM + answer.length;
                    buffers.body.copy_within(rest..self.filled, HEADROOM);
                    self.filled -= answer.length;
                    buffers.body_end = self.filled;
                }
                Ok(found) => return Ok(found),
                Err(_) => return Err(()),
            }
        }
        Ok(None)
    }

    /// The outcome when the target closed before it answered.
    fn closed(&self, upload: &Upload) -> Outcome {
        // The target had begun to answer, so it has processed the request: sending it again could do its work twice.
        if self.filled > HEADROOM || self.interim.count > 0 {
            return Outcome::Failed(Reason::TargetClosed);
        }
        Outcome::Died(Death {
            reused: self.reused,
            // Bytes that were written may have been processed even without an answer: the exchange decides what that
            // allows.
            sent: if upload.written == 0 {
                Sent::Nothing
            } else {
                Sent::Some
            },
            replayable: !upload.streamed,
        })
    }

    /// Makes room for more of a head. False if there is no memory for that.
    fn has_room<W>(&self, context: &mut RequestContext<'_, W>) -> bool {
        let is_full = |buffers: &RequestBuffers| self.filled + TAILROOM == buffers.body.len();
        let buffers = &mut *context.session.buffers;
        if is_full(buffers) {
            context
                .session
                .worker
                .buffer_pool
                .borrow_mut()
                .enlarge_body(buffers);
        }
        !is_full(buffers)
    }
}
