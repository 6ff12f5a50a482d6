//! Passes the answer of an HTTP/1.1 target to the client, while the rest of the request's body may still be sent.

use super::outcome::reason;
use super::upload::Upload;
use crate::answer::{Relayed, write_answer_head};
use crate::buffers::RequestBuffers;
use crate::connection::Next;
use crate::cookies::Extra;
use crate::deadlines::Ended;
use crate::framing::{self, Framing};
use crate::h2;
use crate::head::AnswerHead;
use crate::linger::{Owes, linger};
use crate::pump::{HEADROOM, Pump, PumpError, poll_write_pair};
use crate::session::RequestContext;
use crate::tls::TargetStream;
use crate::wire::Wire;
use forebay_node::{Outcome, Reason, TargetView};
use std::future::poll_fn;
use std::task::{Context, Poll, ready};

/// Answers up to this size are copied behind their head and sent in one write; larger ones are written as two pieces.
const COPIED_BYTES: usize = 8 * 1024;

/// An answer on its way to the client.
struct Download {
    pump: Pump,
    framing: Framing,
    /// The body is sent in chunks.
    to_chunks: bool,
    /// The range of `buffers.body` that is sent behind `buffers.out`.
    first: (usize, usize),
    /// Bytes written of `buffers.out` and `first`, and the total that they have.
    written: usize,
    total: usize,
}

impl Download {
    /// Whether the client has taken everything that has come.
    fn is_taken(&self) -> bool {
        self.written >= self.total && self.pump.is_written()
    }
}

impl<W: Wire> RequestContext<'_, W> {
    /// The answer's body with its first part decoded; none if it is invalid from the start.
    fn answer_body(&mut self, head: &AnswerHead) -> Option<Download> {
        let RequestBuffers {
            body,
            body_end,
            answer_fields,
            ..
        } = &mut *self.session.buffers;
        let bytes = &body[HEADROOM..*body_end];
        let framing = framing::of_answer(answer_fields, bytes, head.status, self.incoming.to_head).ok()?;
        // HTTP/1.0 has no chunked coding; such a client gets a body that ends with its connection.
        let to_chunks = !W::FRAMED
            && !self.incoming.head.http_10
            && matches!(framing, Framing::Chunked | Framing::UntilClose);
        let mut pump = Pump::of_answer(framing, to_chunks);
        pump.decode(body, HEADROOM + head.length, *body_end).ok()?;
        Some(Download {
            pump,
            framing,
            to_chunks,
            first: (0, 0),
            written: 0,
            total: 0,
        })
    }

    /// Passes the answer on, and settles the exchange.
    #[expect(
        clippy::manual_async_fn,
        reason = "an `async fn` stores its arguments twice in its future"
    )]
    pub(super) fn relay(
        &mut self,
        mut stream: TargetStream,
        target: &TargetView,
        upload: &mut Upload,
        head: AnswerHead,
    ) -> impl Future<Output = Next> {
        async move {
            if head.status == 101 {
                return Box::pin(self.tunnel(stream, &head, upload.next)).await;
            }
            // If the answer came before the request was sent, the rest of the request is of no use any more. To be noted before
            // `buffers.out` is reused for the answer's head.
            upload.stopped |= upload.written < self.session.buffers.out.len();
            let Some(mut download) = self.answer_body(&head) else {
                // Nothing has gone out yet, so the client can still be told with an answer of our own.
                let keep = self.keep && !upload.streamed && upload.is_whole();
                return self.fail(Reason::BadAnswer, keep).await;
            };
            self.decide(Outcome::Answered(head.status));
            let framing = download.framing;
            let ends_with_close =
                self.incoming.head.http_10 && matches!(framing, Framing::Chunked | Framing::UntilClose);
            // A request whose body is not read to its end leaves bytes in the connection that would be parsed as the next
            // request. And a drain may have begun since the request came: the client is told now or not at all, because
            // after this head there is no other chance.
            let stays = !ends_with_close && upload.is_whole() && !self.session.worker.leaving.get();
            let keep = self.keep && stays;
            let target_keeps = !head.http_10 && !head.says.close;
            let extras = self.extras(head.says.dated);
            self.begin_answer(&head, (framing, download.to_chunks), keep, &extras);
            if let Some(reason) = self.pass_body(&mut stream, upload, &mut download).await {
                self.outlive(stream, reason);
                self.decide(Outcome::Failed(reason));
                self.session.deadline.watch(None);
                let now = self.now();
                self.log(now);
                return self.cut(reason, ends_with_close).await;
            }
            self.session.deadline.watch(None);
            // A short answer went out together with its head: the clock was read a moment ago.
            let now = if download.pump.moved <= COPIED_BYTES as u64 {
                self.session.worker.recent()
            } else {
                self.now()
            };
            // Only a connection that is in step may be pooled: bytes behind the answer, or a request the target did not
            // read to its end, would be taken for parts of the next exchange, perhaps another client's.
            let (from, to) = download.pump.leftover();
            let clean = from == to && framing != Framing::UntilClose && upload.is_whole() && !upload.stopped;
            if target_keeps && clean && !self.session.buffers.request_log.suspect {
                self.session
                    .worker
                    .pools
                    .borrow_mut()
                    .put(target.id, stream, now, self.idle_timeout());
            }
            self.log(now);
            if keep {
                self.session.buffers.start = upload.next;
                Next::Idle
            } else {
                let owes = Owes::of(upload.pump.left(), self.idle_timeout());
                Box::pin(linger(&mut self.session, owes)).await;
                Next::Close
            }
        }
    }

    /// Closes the connection after a truncated answer. If the client has sent requests that were not read, the close would
    /// cause a reset, which can destroy earlier answers still in transit (RFC 9112, section 9.6); so what it sends is read
    /// for a moment. An answer that is delimited by the connection's end is reset instead, because only the reset tells the
    /// client that the answer is incomplete.
    pub(super) async fn cut(&mut self, reason: Reason, ends_with_close: bool) -> Next {
        if ends_with_close {
            self.session.client.break_off();
        } else if !W::FRAMED && reason != Reason::ClientGone {
            let owes = Owes::of(0, self.idle_timeout());
            Box::pin(linger(&mut self.session, owes)).await;
        }
        Next::Close
    }

    /// Writes the answer's head to `out`, or sends it in a frame.
    pub(super) fn begin_answer(
        &mut self,
        head: &AnswerHead,
        (framing, to_chunks): (Framing, bool),
        keep: bool,
        extras: &[Extra],
    ) {
        let RequestBuffers {
            out,
            body,
            body_end,
            answer_fields: fields,
            request_log,
            ..
        } = &mut *self.session.buffers;
        let answer = Relayed {
            bytes: &body[HEADROOM..*body_end],
            fields,
            head,
            framing,
            to_head: self.incoming.to_head,
            settings: self.listener.settings(),
            extras,
        };
        if W::FRAMED {
            let head = h2::relayed_head(&answer);
            out.clear();
            request_log.sent += h2::head_bytes(&head);
            let ends = matches!(framing, Framing::None | Framing::Length(0));
            // If the client is gone, the first byte of the body will find that out; without a body it does not matter.
            let _ = self.session.client.send_head(head, ends);
        } else {
            write_answer_head(out, &answer, to_chunks, keep);
        }
    }

    /// Passes on the answer's head and its body, whose first part was decoded, while the request's body may still be sent.
    /// None when everything is through.
    async fn pass_body(
        &mut self,
        target: &mut TargetStream,
        upload: &mut Upload,
        download: &mut Download,
    ) -> Option<Reason> {
        let pump = &mut download.pump;
        // Only now: the chunk's size line overwrites the end of the answer's head, which `begin_answer` has read.
        pump.frame(&mut self.session.buffers.body);
        if !pump.is_read() {
            self.session
                .worker
                .buffer_pool
                .borrow_mut()
                .enlarge_body(self.session.buffers);
        }
        let ready = pump.take_ready();
        let RequestBuffers { out, body, .. } = &mut *self.session.buffers;
        if ready.1 - ready.0 <= COPIED_BYTES {
            out.extend_from_slice(&body[ready.0..ready.1]);
        } else {
            download.first = ready;
        }
        download.total = out.len() + download.first.1 - download.first.0;
        // The clock is read only if the first write did not take the whole head: the answer's head came a moment ago.
        let (mut tried, mut responded) = (false, None);
        let (deadline, worker) = (self.session.deadline, self.session.worker);
        deadline.arm(self.until(upload), false);
        let moved = deadline
            .until(poll_fn(|cx| {
                let mut progress = false;
                // A client that breaks off its body may still read the answer, which has begun: only the upload stops.
                if self.poll_upload(cx, target, upload, &mut progress).is_some() {
                    upload.stopped = true;
                }
                let waiting = download.written == 0 && tried;
                let polled = self.poll_download(cx, target, download, &mut progress);
                if waiting && download.written > 0 {
                    responded = Some(worker.now());
                }
                tried = true;
                if polled.is_pending() {
                    if progress {
                        deadline.arm(self.until(upload), false);
                    }
                    if self.has_left(cx, upload) {
                        return Poll::Ready(Err(Reason::ClientGone));
                    }
                }
                polled
            }))
            .await;
        self.session.buffers.request_log.sent += download.written as u64 + download.pump.written;
        self.session.buffers.request_log.responded = responded;
        match moved {
            Ok(result) => result.err(),
            // The client was silent: it sends too slowly, or does not take what has come.
            Err(Ended::Late) if upload.owed.is_late(worker.recent()) || !download.is_taken() => {
                Some(Reason::ClientSilent)
            }
            Err(ended) => Some(reason(ended)),
        }
    }

    /// Passes on what has come of the answer, as far as the client takes it.
    fn poll_download(
        &mut self,
        cx: &mut Context<'_>,
        target: &mut TargetStream,
        download: &mut Download,
        progress: &mut bool,
    ) -> Poll<Result<(), Reason>> {
        let Download {
            pump,
            first,
            written,
            total,
            ..
        } = download;
        if *written < *total {
            let before = *written;
            let second = &self.session.buffers.body[first.0..first.1];
            let wrote = poll_write_pair(
                cx,
                self.session.client,
                &self.session.buffers.out,
                second,
                written,
            );
            *progress |= *written > before;
            match wrote {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Reason::ClientGone)),
                Poll::Pending => return Poll::Pending,
            }
        }
        if !pump.is_done() {
            let moved = ready!(pump.poll(
                cx,
                target,
                self.session.client,
                &mut self.session.buffers.body,
                progress
            ));
            moved.map_err(|error| match error {
                PumpError::Source => Reason::TargetClosed,
                PumpError::BadChunk => Reason::BadAnswer,
                PumpError::Sink => Reason::ClientGone,
            })?;
        }
        // Ends a stream of HTTP/2, whose client would otherwise wait for more data.
        Poll::Ready(self.session.client.finish().map_err(|_| Reason::ClientGone))
    }
}
