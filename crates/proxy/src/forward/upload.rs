//! The request's body on its way to an HTTP/1.1 target, and the state of it that all protocols share.

use super::owed::Owed;
use crate::buffers::RequestBuffers;
use crate::framing::Framing;
use crate::pump::{Pump, PumpError, poll_write_pair};
use crate::session::RequestContext;
use crate::tls::TargetStream;
use crate::wire::Wire;
use forebay_functions::alb::BODY_BYTES;
use forebay_node::Reason;
use forebay_units::Mono;
use std::future::poll_fn;
use std::task::{Context, Poll};

/// The request's body on its way to the target.
pub(super) struct Upload {
    pub(super) pump: Pump,
    /// Bytes of `buffers.out` that were written: the head and the part of the body that had already come.
    pub(super) written: usize,
    /// All of `buffers.out` was written. Kept apart, because `buffers.out` changes once the answer begins.
    pub(super) sent: bool,
    /// The target accepts no more.
    pub(super) stopped: bool,
    /// The client broke off before the body's end, or its body is invalid.
    pub(super) broken: bool,
    /// Bytes that came from the client later were sent on, and are kept nowhere: the request cannot be sent again.
    pub(super) streamed: bool,
    /// Offset in the input where the client's next request begins, once the body is read.
    pub(super) next: usize,
    /// The minimum rate at which the client must send the body.
    pub(super) owed: Owed,
}

impl Upload {
    pub(super) fn is_done(&self, out: usize) -> bool {
        self.stopped || (self.written == out && self.pump.is_done())
    }

    /// Whether the request's body was read and written to its end, so that both connections can carry another request.
    /// Reading it is not enough: a target that answers early and is still owed bytes would take the next head for them.
    pub(super) fn is_whole(&self) -> bool {
        self.pump.is_done() && !self.broken
    }

    /// Whether only the client can move things on: the target has taken all there is.
    pub(super) fn waits_for_client(&self) -> bool {
        self.sent && !self.stopped && !self.pump.is_read() && self.pump.is_written()
    }
}

impl<W: Wire> RequestContext<'_, W> {
    /// The time by which bytes must move: within the idle timeout, and as fast as the minimum rate demands of the client.
    pub(super) fn until(&self, upload: &mut Upload) -> Mono {
        let now = self.session.worker.recent();
        if upload.owed.is_asked() {
            let waits = upload.waits_for_client();
            upload.owed.observe(now, upload.pump.taken, waits);
        }
        upload.owed.due().min(now + self.idle_timeout())
    }

    /// Appends the part of the body that has come to the head in `buffers.out`, and sends 100 to a client that waits for
    /// it. A function gets the whole body, not chunked.
    pub(super) async fn prepare(&mut self, to_function: bool) -> Result<Upload, Reason> {
        let RequestBuffers {
            input,
            start,
            end,
            out,
            ..
        } = &mut *self.session.buffers;
        let framing = self.incoming.framing;
        if to_function && matches!(framing, Framing::Length(length) if length > BODY_BYTES as u64) {
            return Err(Reason::BodyTooLarge);
        }
        // A body of HTTP/2 may come without a length; HTTP/1.1 needs chunks for that.
        let to_chunks = !to_function && matches!(framing, Framing::Chunked | Framing::UntilClose);
        let mut pump = Pump::new(framing, to_chunks);
        let body = *start + self.incoming.head.length;
        let used = if pump.is_read() {
            0
        } else {
            // The head in the input is left as it is: another attempt needs `out`, and an answer of our own needs the
            // method.
            pump.feed_into(&mut input[body..*end], out)
                .map_err(|_| Reason::BodyBroken)?
        };
        let upload = Upload {
            pump,
            written: 0,
            sent: false,
            stopped: false,
            broken: false,
            streamed: false,
            next: body + used,
            owed: Owed::new(self.listener.balancer.settings().minimum_request_rate),
        };
        self.session.buffers.request_log.body = upload.pump.taken;
        if !upload.pump.is_read() {
            // The rest of the body will pass through the input and overwrite the head, which the log still needs.
            let RequestBuffers {
                input, request_log, ..
            } = &mut *self.session.buffers;
            request_log.keep(&input[body - self.incoming.head.length..body]);
            self.session
                .worker
                .buffer_pool
                .borrow_mut()
                .enlarge_input(self.session.buffers);
        }
        if self.incoming.expects && !upload.pump.is_read() {
            self.touch();
            let mut written = 0;
            let interim = b"HTTP/1.1 100 Continue\r\n\r\n";
            let sent = self.session.deadline.until(poll_fn(|cx| {
                poll_write_pair(cx, self.session.client, interim, &[], &mut written)
            }));
            if !matches!(sent.await, Ok(Ok(()))) {
                return Err(Reason::ClientGone);
            }
        }
        Ok(upload)
    }

    /// Whether the client left while its target is silent. While the body is being read, its pump notices that; pipelined
    /// bytes in the input mean that the client is there. A wait shorter than one sweep is not worth the system call.
    pub(super) fn has_left(&mut self, cx: &mut Context<'_>, upload: &Upload) -> bool {
        self.session.deadline.waits_long()
            && upload.pump.is_done()
            && upload.next == self.session.buffers.end
            && self.session.client.poll_gone(cx).is_ready()
    }

    /// Sends the request's body as far as the target takes it. All of the input that had come went out with the head; from
    /// here on the input is the upload's buffer. Some if the body broke off or is invalid.
    pub(super) fn poll_upload(
        &mut self,
        cx: &mut Context<'_>,
        target: &mut TargetStream,
        upload: &mut Upload,
        progress: &mut bool,
    ) -> Option<Reason> {
        // Read to the end all the same: many clients read their answer only once they have sent everything.
        if upload.stopped && !upload.pump.is_read() && !W::FRAMED {
            // Nobody needs a truncated body any more; `broken` makes sure that the connection is closed.
            let dropped =
                upload
                    .pump
                    .poll_discard(cx, self.session.client, &mut self.session.buffers.input, progress);
            upload.streamed = true;
            upload.broken |= matches!(dropped, Poll::Ready(Err(_)));
            self.session.buffers.request_log.body = upload.pump.taken;
            return None;
        }
        if upload.stopped || upload.pump.is_done() {
            self.session.client.gather(cx);
            return None;
        }
        let before = upload.pump.moved;
        let polled = upload.pump.poll(
            cx,
            self.session.client,
            target,
            &mut self.session.buffers.input,
            progress,
        );
        // An end without more body bytes (a last chunk) counts too: it is not in `buffers.out` either.
        upload.streamed |= upload.pump.moved > before || upload.pump.is_read();
        self.session.buffers.request_log.body = upload.pump.taken;
        match polled {
            Poll::Pending => {
                self.session.client.gather(cx);
                None
            }
            Poll::Ready(Ok(())) => {
                (upload.next, self.session.buffers.end) = upload.pump.leftover();
                None
            }
            Poll::Ready(Err(PumpError::Sink)) => {
                upload.stopped = true;
                None
            }
            // A client that closes its half before the body's end may still read: ALB answers 400.
            Poll::Ready(Err(PumpError::Source | PumpError::BadChunk)) => {
                upload.broken = true;
                Some(Reason::BodyBroken)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_was_read_and_not_written_is_not_whole() {
        let mut pump = Pump::new(Framing::Length(4), false);
        pump.feed(&mut b"body".to_vec(), 0, 4).unwrap();
        let mut upload = Upload {
            pump,
            written: 0,
            sent: false,
            stopped: false,
            broken: false,
            streamed: true,
            next: 0,
            owed: Owed::new(0),
        };
        assert!(upload.pump.is_read() && !upload.is_whole() && !upload.waits_for_client());
        upload.pump.take_ready();
        assert!(upload.is_whole());
    }
}
