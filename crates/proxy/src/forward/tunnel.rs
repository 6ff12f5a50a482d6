//! After a 101: bytes pass both ways uninterpreted, except that the ends of WebSocket frames are tracked.

use super::frame_bounds::{FrameBounds, GOING_AWAY, GOING_AWAY_MASKED};
use super::outcome::reason;
use crate::answer::{Relayed, write_upgrade_head};
use crate::buffers::RequestBuffers;
use crate::connection::Next;
use crate::deadlines::Ended;
use crate::framing::Framing;
use crate::head::AnswerHead;
use crate::pump::HEADROOM;
use crate::session::RequestContext;
use crate::tls::TargetStream;
use crate::wire::Wire;
use forebay_node::logging::Kind;
use forebay_node::{Outcome, Reason};
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// One direction of a tunnel.
#[derive(Debug, Default)]
struct Way {
    /// The range of the buffer that was read and not written yet.
    from: usize,
    to: usize,
    moved: u64,
    /// The source has ended, and the sink was shut down.
    ended: bool,
    /// A read filled the buffer, so a larger one would be better.
    full: bool,
    bounds: FrameBounds,
    /// A last frame for the sink. Once set, only the rest of the current frame is passed on before it.
    farewell: Option<&'static [u8]>,
    /// Bytes of the farewell that were written.
    said: usize,
}

/// The side of a direction that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    Source,
    Sink,
}

impl Way {
    /// Ends this direction with `farewell`, as soon as it does not cut a frame in two.
    fn end_with(&mut self, farewell: &'static [u8]) {
        self.farewell = Some(farewell);
    }

    /// Writes the farewell once the last frame is complete. True when all of it is out.
    fn poll_farewell<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        sink: &mut W,
    ) -> Poll<Result<bool, Broken>> {
        let Some(farewell) = self.farewell.filter(|_| self.bounds.is_between() && !self.ended) else {
            return Poll::Ready(Ok(false));
        };
        while self.said < farewell.len() {
            match ready!(Pin::new(&mut *sink).poll_write(cx, &farewell[self.said..])) {
                Ok(count @ 1..) => self.said += count,
                Ok(0) | Err(_) => return Poll::Ready(Err(Broken::Sink)),
            }
        }
        ready!(Pin::new(&mut *sink).poll_flush(cx)).map_err(|_| Broken::Sink)?;
        Poll::Ready(Ok(true))
    }

    fn poll<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut R,
        sink: &mut W,
        buffer: &mut [u8],
        progress: &mut bool,
    ) -> Poll<Result<(), Broken>> {
        loop {
            while self.from < self.to {
                match ready!(Pin::new(&mut *sink).poll_write(cx, &buffer[self.from..self.to])) {
                    Ok(count @ 1..) => {
                        self.from += count;
                        self.moved += count as u64;
                        *progress = true;
                    }
                    Ok(0) | Err(_) => return Poll::Ready(Err(Broken::Sink)),
                }
            }

            // Before more is read: a message must not stay in a TLS buffer until the next one comes.
            ready!(Pin::new(&mut *sink).poll_flush(cx)).map_err(|_| Broken::Sink)?;
            if self.ended {
                return Poll::Ready(Ok(()));
            }
            let is_out = ready!(self.poll_farewell(cx, sink))?;
            let mut room = ReadBuf::new(buffer);
            ready!(Pin::new(&mut *source).poll_read(cx, &mut room)).map_err(|_| Broken::Source)?;
            (self.from, self.to) = (0, room.filled().len());
            self.full |= room.remaining() == 0;
            if is_out && self.to > 0 {
                // Nothing may follow a close frame. But the peer's answer to it may come, and a closed socket would reset
                // the connection.
                self.to = 0;
                continue;
            }
            let bound = self.bounds.follow(&buffer[..self.to]);
            // Bytes after the current frame are dropped, so that the farewell stands at a frame boundary.
            if let (Some(bound), true) = (bound.filter(|_| self.to > 0), self.farewell.is_some()) {
                (self.to, self.bounds) = (bound, FrameBounds::default());
                continue;
            }
            if self.to == 0 {
                // Only this half is closed: the other direction goes on until its own end.
                ready!(Pin::new(&mut *sink).poll_shutdown(cx)).map_err(|_| Broken::Sink)?;
                self.ended = true;
                *progress = true;
            }
        }
    }
}

impl<W: Wire> RequestContext<'_, W> {
    /// Passes the 101 on, and then everything else, until both sides have ended, one failed, or both were silent for too
    /// long.
    pub(super) async fn tunnel(&mut self, mut target: TargetStream, head: &AnswerHead, next: usize) -> Next {
        self.decide(Outcome::Answered(head.status));
        self.session.buffers.request_log.kind = Some(if self.session.connection.listener_address.secure {
            Kind::Wss
        } else {
            Kind::Ws
        });
        let extras = self.extras(true);
        let RequestBuffers {
            input,
            start,
            end,
            out,
            body,
            body_end,
            answer_fields,
            request_log,
            ..
        } = &mut *self.session.buffers;
        // The input is reused as the tunnel's buffer, and the log line needs the head.
        request_log.keep(&input[*start..*start + self.incoming.head.length]);
        let bytes = &body[HEADROOM..*body_end];
        let answer = Relayed {
            bytes,
            fields: answer_fields,
            head,
            framing: Framing::None,
            to_head: false,
            settings: self.listener.settings(),
            extras: &extras,
        };
        write_upgrade_head(out, &answer);
        // Either side may have sent bytes of the new protocol along with its head.
        out.extend_from_slice(&bytes[head.length..]);
        let mut up = Way {
            from: next,
            to: *end,
            ..Way::default()
        };
        up.bounds.follow(&input[next..*end]);
        let mut down = Way::default();
        down.bounds.follow(&bytes[head.length..]);
        self.session.deadline.carries_tunnel();
        let ended = self.run(&mut target, &mut up, &mut down).await;
        self.session.buffers.request_log.body += up.moved;
        self.session.buffers.request_log.sent += self.session.buffers.out.len() as u64 + down.moved;
        self.session.deadline.watch(None);
        if let Some(reason) = ended {
            self.decide(Outcome::Failed(reason));
        }
        let now = self.now();
        self.log(now);
        Next::Close
    }

    async fn run(&mut self, target: &mut TargetStream, up: &mut Way, down: &mut Way) -> Option<Reason> {
        let mut written = 0;
        loop {
            self.touch();

            let (deadline, idle_timeout, worker) =
                (self.session.deadline, self.idle_timeout(), self.session.worker);
            let moved = deadline
                .until(poll_fn(|cx| {
                    let mut progress = false;
                    let polled = self.poll_both(cx, target, up, down, &mut written, &mut progress);
                    if progress && polled.is_pending() {
                        deadline.arm(worker.recent() + idle_timeout, false);
                    }
                    polled
                }))
                .await;
            match moved {
                Ok(Ok(true)) => {
                    // A read that filled its buffer shows bulk data. Quiet tunnels, of which there may be many, keep small
                    // buffers.
                    let mut buffer_pool = self.session.worker.buffer_pool.borrow_mut();
                    if core::mem::take(&mut up.full) {
                        buffer_pool.enlarge_input(self.session.buffers);
                    }
                    if core::mem::take(&mut down.full) {
                        buffer_pool.enlarge_body(self.session.buffers);
                    }
                }
                Ok(Ok(false)) => return None,
                Ok(Err(reason)) => return Some(reason),
                // This process is about to end: both peers get a close frame with status 1001 and may reconnect elsewhere.
                Err(Ended::Closing) => {
                    deadline.ends_tunnel();
                    up.end_with(&GOING_AWAY_MASKED);
                    down.end_with(&GOING_AWAY);
                }
                // Neither side owed the other anything, so nobody is to blame but the idle client.
                Err(Ended::Late) => return Some(Reason::ClientSilent),
                Err(ended) => return Some(reason(ended)),
            }
        }
    }

    /// Moves both directions. True if a larger buffer is wanted, false if both have ended.
    fn poll_both(
        &mut self,
        cx: &mut Context<'_>,
        target: &mut TargetStream,
        up: &mut Way,
        down: &mut Way,
        written: &mut usize,
        progress: &mut bool,
    ) -> Poll<Result<bool, Reason>> {
        let RequestBuffers { input, out, body, .. } = &mut *self.session.buffers;
        let sent = crate::pump::poll_write_pair(cx, self.session.client, out, &[], written);
        // The client's bytes need not wait for the head: its target has switched protocols already.
        let rising = up.poll(cx, self.session.client, target, input, progress);
        if let Poll::Ready(Err(broken)) = rising {
            return Poll::Ready(Err(match broken {
                Broken::Source => Reason::ClientGone,
                Broken::Sink => Reason::TargetClosed,
            }));
        }
        // The head must be out before the first byte of the new protocol.
        ready!(sent).map_err(|_| Reason::ClientGone)?;
        let falling = down.poll(cx, target, self.session.client, body, progress);
        match (rising, falling) {
            (_, Poll::Ready(Err(Broken::Source))) => Poll::Ready(Err(Reason::TargetClosed)),
            (_, Poll::Ready(Err(Broken::Sink))) => Poll::Ready(Err(Reason::ClientGone)),
            (Poll::Ready(_), Poll::Ready(_)) => Poll::Ready(Ok(false)),
            _ if up.full && up.from == up.to && input.len() < LARGE => Poll::Ready(Ok(true)),
            _ if down.full && down.from == down.to && body.len() < LARGE => Poll::Ready(Ok(true)),
            _ => Poll::Pending,
        }
    }
}

/// A buffer of this size is not enlarged.
const LARGE: usize = 32 * 1024;
