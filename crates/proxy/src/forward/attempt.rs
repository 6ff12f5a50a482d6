//! One attempt at getting an answer's head: the request goes out, its body streams, the head comes in.

use super::outcome::reason;
use super::owed::Owed;
use crate::buffers::Desk;
use crate::choose::Connection;
use crate::framing::Framing;
use crate::head::AnswerHead;
use crate::pump::{HEADROOM, Pump, PumpError, TAILROOM, poll_write_pair};
use crate::session::RequestContext;
use crate::sweep::Ended;
use crate::tls::TargetStream;
use crate::wire::Wire;
use forebay_node::{Death, Outcome, Reason, Sent};
use forebay_units::Mono;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, ReadBuf};

/// Interim answers (1xx) a target may send at once before its final one, and the time that buys it one more: a target may tell
/// of its progress for as long as it works, and not keep us busy with nothing else.
const INTERIM_ANSWERS: u32 = 128;
const INTERIM_PACE: Duration = Duration::from_millis(250);

/// Interim answers of one attempt.
pub(super) struct Interim {
    count: u32,
    since: Mono,
}

impl Interim {
    pub(super) fn begin(now: Mono) -> Interim {
        Interim { count: 0, since: now }
    }

    /// Counts one. False if it is one too many.
    pub(super) fn take(&mut self, now: Mono) -> bool {
        self.count = self.count.saturating_add(1);
        let bought = now.since(self.since).as_millis() / INTERIM_PACE.as_millis();
        u128::from(self.count) <= u128::from(INTERIM_ANSWERS) + bought
    }
}

/// How an attempt to get an answer's head ended.
pub(super) enum Attempt {
    Answered(AnswerHead),
    Failed(Outcome),
}

/// The request's body on its way to the target.
pub(super) struct Upload {
    pub(super) pump: Pump,
    /// Bytes of `desk.out` written: the head and what was at hand of the body.
    pub(super) written: usize,
    /// All of it was. What `desk.out` holds changes once the answer begins.
    pub(super) sent: bool,
    /// The target takes no more.
    pub(super) stopped: bool,
    /// The client broke off or sent no body.
    pub(super) broken: bool,
    /// Bytes from the client that came after those at hand were sent on: the request can't be sent again.
    pub(super) streamed: bool,
    /// Where the client's next request begins in the input, once the body is read.
    pub(super) next: usize,
    /// How fast the client must send it.
    pub(super) owed: Owed,
}

impl Upload {
    pub(super) fn is_done(&self, out: usize) -> bool {
        self.stopped || (self.written == out && self.pump.is_done())
    }

    /// The request's body was read and written to its end, so that both connections can carry another request. Read
    /// alone is not enough: a target that answers early and is owed bytes would take the next head for them.
    pub(super) fn is_whole(&self) -> bool {
        self.pump.is_done() && !self.broken
    }

    /// What is missing must come from the client: the target took all there is.
    pub(super) fn waits_for_client(&self) -> bool {
        self.sent && !self.stopped && !self.pump.is_read() && self.pump.is_written()
    }
}

/// What waiting for an answer's head came to.
pub(super) enum Waited {
    /// Bytes read from the target; 0 when it closed.
    Read(usize),
    /// The client left.
    ClientGone,
    /// The client's body broke off, or is none.
    ClientBroken,
}

impl<W: Wire> RequestContext<'_, W> {
    /// Until when bytes must move: for the idle timeout, or as long as a client keeps the least rate of its body.
    pub(super) fn deadline(&self, upload: &mut Upload) -> Mono {
        let now = self.session.worker.recent();
        if upload.owed.is_asked() {
            let waits = upload.waits_for_client();
            upload.owed.note(now, upload.pump.taken, waits);
        }
        upload.owed.due().min(now + self.idle_timeout())
    }

    /// Puts what is at hand of the body behind the head, and lets a waiting client send the rest.
    pub(super) async fn prepare(&mut self) -> Result<Upload, Reason> {
        let Desk {
            input,
            start,
            end,
            out,
            ..
        } = &mut *self.session.desk;
        let framing = self.incoming.framing;
        // HTTP/2 needs no length; HTTP/1.1 has chunks for that.
        let to_chunks = matches!(framing, Framing::Chunked | Framing::UntilClose);
        let mut pump = Pump::new(framing, to_chunks);
        let body = *start + self.incoming.head.length;
        let used = if pump.is_read() {
            0
        } else {
            // The head in the input stays as it is, for an attempt anew reads `out`, and an answer of ours the method.
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
            owed: Owed::new(self.listener.balancer.settings.minimum_request_rate),
        };
        self.session.desk.note.body = upload.pump.taken;
        if !upload.pump.is_read() {
            // The rest of the body passes through the input, where the head stands.
            let Desk { input, note, .. } = &mut *self.session.desk;
            note.keep(&input[body - self.incoming.head.length..body]);
            self.session
                .worker
                .desks
                .borrow_mut()
                .enlarge_input(self.session.desk);
        }
        if self.incoming.expects && !upload.pump.is_read() {
            self.touch();
            let mut written = 0;
            let interim = b"HTTP/1.1 100 Continue\r\n\r\n";
            let sent = self.session.slot.until(poll_fn(|cx| {
                poll_write_pair(cx, self.session.client, interim, &[], &mut written)
            }));
            if !matches!(sent.await, Ok(Ok(()))) {
                return Err(Reason::ClientGone);
            }
        }
        Ok(upload)
    }

    /// Sends the request over this connection and waits for an answer's head.
    pub(super) async fn attempt(&mut self, connection: &mut Connection, upload: &mut Upload) -> Attempt {
        upload.written = 0;
        upload.sent = false;
        upload.stopped = false;
        self.session.desk.open_body();
        let mut filled = HEADROOM;
        let mut interim = Interim::begin(self.session.worker.recent());
        let mut read = None;
        loop {
            match self.answer_head(&mut filled, &mut interim) {
                Ok(Some(answer)) => return self.answered(answer, filled),
                Ok(None) => {}
                Err(()) => return Attempt::Failed(Outcome::Failed(Reason::BadAnswer)),
            }
            match read {
                Some(0) if filled == HEADROOM && interim.count == 0 => {
                    return Attempt::Failed(Outcome::Died(Death {
                        reused: connection.reused,
                        sent: if upload.written == 0 {
                            Sent::Nothing
                        } else {
                            Sent::Some
                        },
                        replayable: !upload.streamed,
                    }));
                }
                Some(0) => return Attempt::Failed(Outcome::Failed(Reason::TargetClosed)),
                _ => {}
            }
            if filled + TAILROOM == self.session.desk.body.len() {
                self.session
                    .worker
                    .desks
                    .borrow_mut()
                    .enlarge_body(self.session.desk);
                if filled + TAILROOM == self.session.desk.body.len() {
                    return Attempt::Failed(Outcome::Failed(Reason::MemoryCeiling));
                }
            }
            let slot = self.session.slot;
            slot.arm(self.deadline(upload), false);
            let waited = {
                let wait = poll_fn(|cx| {
                    let mut progress = false;
                    let polled =
                        self.poll_attempt(cx, &mut connection.stream, upload, &mut filled, &mut progress);
                    if progress && polled.is_pending() {
                        slot.arm(self.deadline(upload), false);
                    }
                    polled
                });
                slot.until(wait).await
            };
            read = match waited {
                Ok(Waited::Read(read)) => Some(read),
                Ok(Waited::ClientGone) => return Attempt::Failed(Outcome::Failed(Reason::ClientGone)),
                Ok(Waited::ClientBroken) => return Attempt::Failed(Outcome::Failed(Reason::BodyBroken)),
                Err(Ended::Late) if upload.waits_for_client() => {
                    return Attempt::Failed(Outcome::Failed(Reason::ClientSilent));
                }
                Err(ended) => return Attempt::Failed(Outcome::Failed(reason(ended))),
            };
        }
    }

    /// The final answer's head, if all of it was read; passes over interim answers, of which one read may bring many.
    fn answer_head(&mut self, filled: &mut usize, interim: &mut Interim) -> Result<Option<AnswerHead>, ()> {
        while *filled > HEADROOM {
            let head = &self.session.desk.body[HEADROOM..*filled];
            match AnswerHead::parse(head, &mut self.session.desk.answer_fields) {
                Ok(Some(answer)) if answer.status == 101 && self.incoming.upgrade => return Ok(Some(answer)),
                // What nobody asked for.
                Ok(Some(answer)) if answer.status == 101 => return Err(()),
                Ok(Some(answer)) if answer.status < 200 => {
                    if !interim.take(self.session.worker.recent()) {
                        return Err(());
                    }
                    let rest = HEADROOM + answer.length;
                    self.session.desk.body.copy_within(rest..*filled, HEADROOM);
                    *filled -= answer.length;
                }
                Ok(found) => return Ok(found),
                Err(_) => return Err(()),
            }
        }
        Ok(None)
    }

    /// Remembers where the answer's body begins: the head's offsets hold from HEADROOM on.
    fn answered(&mut self, head: AnswerHead, filled: usize) -> Attempt {
        self.session.desk.body_end = filled;
        Attempt::Answered(head)
    }

    /// Sends, and reads once.
    fn poll_attempt(
        &mut self,
        cx: &mut Context<'_>,
        target: &mut TargetStream,
        upload: &mut Upload,
        filled: &mut usize,
        progress: &mut bool,
    ) -> Poll<Waited> {
        if !upload.is_done(self.session.desk.out.len()) {
            let before = upload.written;
            let wrote = poll_write_pair(cx, target, &self.session.desk.out, &[], &mut upload.written);
            *progress |= upload.written > before;
            let waited = match wrote {
                Poll::Ready(Ok(())) => {
                    upload.sent = true;
                    self.poll_upload(cx, target, upload, progress)
                }
                // It may have answered before it stopped reading: what it sent is still to be read.
                Poll::Ready(Err(_)) => {
                    upload.stopped = true;
                    None
                }
                Poll::Pending => {
                    self.session.client.gather(cx);
                    None
                }
            };
            if let Some(waited) = waited {
                return Poll::Ready(waited);
            }
        }
        let limit = self.session.desk.body.len() - TAILROOM;
        let mut room = ReadBuf::new(&mut self.session.desk.body[*filled..limit]);
        match Pin::new(&mut *target).poll_read(cx, &mut room) {
            Poll::Ready(Ok(())) => {
                let read = room.filled().len();
                *filled += read;
                return Poll::Ready(Waited::Read(read));
            }
            // A reset is a close that came without warning.
            Poll::Ready(Err(_)) => return Poll::Ready(Waited::Read(0)),
            Poll::Pending => {}
        }
        if self.has_left(cx, upload) {
            return Poll::Ready(Waited::ClientGone);
        }
        Poll::Pending
    }

    /// Whether the client left while its target is silent. While the body is read, its pump sees that; pipelined bytes say
    /// that the client is there. A wait shorter than a sweep does not pay for watching it.
    pub(super) fn has_left(&mut self, cx: &mut Context<'_>, upload: &Upload) -> bool {
        self.session.slot.waits_long()
            && upload.pump.is_done()
            && upload.next == self.session.desk.end
            && self.session.client.poll_gone(cx).is_ready()
    }

    /// Sends what comes of the request's body as far as the target takes it. All of the input that was at hand went
    /// out with the head; from here on the input is the upload's buffer.
    pub(super) fn poll_upload(
        &mut self,
        cx: &mut Context<'_>,
        target: &mut TargetStream,
        upload: &mut Upload,
        progress: &mut bool,
    ) -> Option<Waited> {
        if upload.stopped && !upload.pump.is_read() && !W::FRAMED {
            // What broke off is of no use to anybody any more: it shows when the connection is closed.
            let dropped =
                upload
                    .pump
                    .poll_discard(cx, self.session.client, &mut self.session.desk.input, progress);
            upload.streamed = true;
            upload.broken |= matches!(dropped, Poll::Ready(Err(_)));
            self.session.desk.note.body = upload.pump.taken;
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
            &mut self.session.desk.input,
            progress,
        );
        upload.streamed |= upload.pump.moved > before || upload.pump.is_read();
        self.session.desk.note.body = upload.pump.taken;
        match polled {
            Poll::Pending => {
                self.session.client.gather(cx);
                None
            }
            Poll::Ready(Ok(())) => {
                (upload.next, self.session.desk.end) = upload.pump.leftover();
                None
            }
            Poll::Ready(Err(PumpError::Sink)) => {
                upload.stopped = true;
                None
            }
            // A client that closes before its body's end may still read: ALB answers 400.
            Poll::Ready(Err(PumpError::Source | PumpError::BadChunk)) => {
                upload.broken = true;
                Some(Waited::ClientBroken)
            }
        }
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
