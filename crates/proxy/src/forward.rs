//! Room six: the request goes to its target, the answer comes back. Bodies stream both ways at once.

use crate::buffers::{Desk, Field};
use crate::choose::{self, Connection, Missing};
use crate::framing::{self, Framing};
use crate::head::{AnswerHead, RequestHead, has_word};
use crate::pump::{HEADROOM, Pump, PumpError, TAILROOM, poll_write_pair};
use crate::read::{Incoming, Next};
use crate::route;
use crate::secure::Wire;
use crate::settle;
use crate::sweep::{Ended, Slot};
use crate::worker::Worker;
use forebay_model::ListenerSettings;
use forebay_node::{Death, Exchange, ListenerView, Outcome, Reason, Sent, Step, TargetView, phrase};
use std::future::poll_fn;
use std::io::Write as _;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

/// Answers up to this size are copied behind their head and sent in one write; larger ones go out as two pieces.
const COPIED_BYTES: usize = 8 * 1024;
/// Interim answers (1xx) a target may send before its final one.
const INTERIM_ANSWERS: u32 = 16;

/// How an attempt to get an answer's head ended.
enum Attempt {
    Answered(AnswerHead),
    Failed(Outcome),
}

/// The request's body on its way to the target.
struct Upload {
    pump: Pump,
    /// Bytes of `desk.out` written: the head and what was at hand of the body.
    written: usize,
    /// The target takes no more.
    stopped: bool,
    /// The client broke off or sent no body.
    broken: bool,
    /// Bytes from the client that came after those at hand were sent on: the request can't be sent again.
    streamed: bool,
    /// Where the client's next request begins in the input, once the body is read.
    next: usize,
}

impl Upload {
    fn is_done(&self, out: usize) -> bool {
        self.stopped || (self.written == out && self.pump.is_done())
    }

    /// The request's body was read and written to its end, so that both connections can carry another request. Read
    /// alone is not enough: a target that answers early and is owed bytes would take the next head for them.
    fn is_whole(&self) -> bool {
        self.pump.is_done() && !self.broken
    }

    /// What is missing must come from the client: the target took all there is.
    fn waits_for_client(&self, out: usize) -> bool {
        self.written == out && !self.stopped && !self.pump.is_read() && self.pump.is_written()
    }
}

/// Everything about one request in this room.
struct Passage<'a, W> {
    worker: &'a Rc<Worker>,
    client: &'a mut W,
    slot: &'a Slot,
    desk: &'a mut Desk,
    head: RequestHead,
    incoming: &'a Incoming,
    listener: &'a ListenerView,
    idle_timeout: Duration,
}

/// Sends the request (its head is in `desk.out`) and passes the answer on.
#[expect(clippy::too_many_arguments, reason = "a room's things, all used once")]
pub(crate) async fn forward<W: Wire>(
    worker: &Rc<Worker>,
    client: &mut W,
    slot: &Slot,
    desk: &mut Desk,
    incoming: &Incoming,
    listener: &ListenerView,
    mut exchange: Exchange,
    mut step: Step,
    keep: bool,
) -> Next {
    let idle_timeout = listener.balancer.settings.idle_timeout;
    let mut passage = Passage {
        worker,
        client,
        slot,
        desk,
        head: incoming.head,
        incoming,
        listener,
        idle_timeout,
    };
    let mut upload = match passage.prepare().await {
        Ok(upload) => upload,
        Err(reason) => return passage.fail(reason, exchange, false).await,
    };
    loop {
        let (target, reuse) = match step {
            Step::Send { target, reuse } => (target, reuse),
            Step::Answer(answer) => {
                let keep = keep && !upload.streamed && upload.is_whole();
                return route::own_answer(
                    worker,
                    passage.client,
                    slot,
                    passage.desk,
                    incoming,
                    listener,
                    exchange,
                    &answer,
                    keep,
                )
                .await;
            }
            Step::Relay | Step::Abort => {
                settle::log(&exchange.settle(worker.now(), None, listener, &worker.mind.borrow()));
                return Next::Close;
            }
        };
        slot.watch(Some(Arc::clone(&target.stats)));
        let outcome = match choose::connection(worker, slot, &target, reuse).await {
            Ok(mut connection) => match passage.attempt(&mut connection, &mut upload).await {
                Attempt::Answered(head) => {
                    return passage
                        .relay(connection, &target, upload, exchange, head, keep)
                        .await;
                }
                Attempt::Failed(outcome) => outcome,
            },
            Err(Missing::Error(error)) => Outcome::NotConnected(error),
            Err(Missing::Ended(ended)) => Outcome::Failed(reason(ended)),
        };
        let picture = worker.picture();
        step = exchange.on(
            worker.now(),
            outcome,
            listener,
            &picture,
            &mut worker.mind.borrow_mut(),
        );
    }
}

fn reason(ended: Ended) -> Reason {
    match ended {
        Ended::Late => Reason::TargetSilent,
        Ended::Cut | Ended::Closing => Reason::DeregistrationOver,
    }
}

impl<W: Wire> Passage<'_, W> {
    fn now(&self) -> forebay_units::Mono {
        self.worker.now()
    }

    fn touch(&self) {
        self.slot.arm(self.worker.recent() + self.idle_timeout, false);
    }

    /// Puts what is at hand of the body behind the head, and lets a waiting client send the rest.
    async fn prepare(&mut self) -> Result<Upload, Reason> {
        let Desk {
            input,
            start,
            end,
            out,
            ..
        } = &mut *self.desk;
        let mut pump = Pump::new(self.incoming.framing, self.incoming.framing == Framing::Chunked);
        let body = *start + self.head.length;
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
            stopped: false,
            broken: false,
            streamed: false,
            next: body + used,
        };
        if self.incoming.expects && !upload.pump.is_read() {
            self.touch();
            let mut written = 0;
            let interim = b"HTTP/1.1 100 Continue\r\n\r\n";
            let sent = self.slot.until(poll_fn(|cx| {
                poll_write_pair(cx, self.client, interim, &[], &mut written)
            }));
            if !matches!(sent.await, Ok(Ok(()))) {
                return Err(Reason::ClientGone);
            }
        }
        Ok(upload)
    }

    /// Sends the request over this connection and waits for an answer's head.
    async fn attempt(&mut self, connection: &mut Connection, upload: &mut Upload) -> Attempt {
        upload.written = 0;
        upload.stopped = false;
        self.desk.open_body();
        let mut filled = HEADROOM;
        let mut interim = 0;
        let mut read = None;
        loop {
            match self.answer_head(&mut filled, &mut interim) {
                Ok(Some(answer)) => return self.answered(answer, filled),
                Ok(None) => {}
                Err(()) => return Attempt::Failed(Outcome::Failed(Reason::BadAnswer)),
            }
            match read {
                Some(0) if filled == HEADROOM && interim == 0 => {
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
            self.touch();
            let waited = {
                let (slot, idle_timeout, worker) = (self.slot, self.idle_timeout, self.worker);
                let wait = poll_fn(|cx| {
                    let mut progress = false;
                    let polled =
                        self.poll_attempt(cx, &mut connection.stream, upload, &mut filled, &mut progress);
                    if progress && polled.is_pending() {
                        slot.arm(worker.recent() + idle_timeout, false);
                    }
                    polled
                });
                slot.until(wait).await
            };
            read = match waited {
                Ok(Waited::Read(read)) => Some(read),
                Ok(Waited::ClientGone) => return Attempt::Failed(Outcome::Failed(Reason::ClientGone)),
                Ok(Waited::ClientBroken) => return Attempt::Failed(Outcome::Failed(Reason::BodyBroken)),
                Err(Ended::Late) if upload.waits_for_client(self.desk.out.len()) => {
                    return Attempt::Failed(Outcome::Failed(Reason::ClientSilent));
                }
                Err(ended) => return Attempt::Failed(Outcome::Failed(reason(ended))),
            };
        }
    }

    /// The final answer's head, if all of it was read; passes over interim answers, of which one read may bring many.
    fn answer_head(&mut self, filled: &mut usize, interim: &mut u32) -> Result<Option<AnswerHead>, ()> {
        while *filled > HEADROOM {
            let head = &self.desk.body[HEADROOM..*filled];
            match AnswerHead::parse(head, &mut self.desk.answer_fields) {
                // Upgrade was not asked for: it never goes to a target here.
                Ok(Some(answer)) if answer.status == 101 => return Err(()),
                Ok(Some(answer)) if answer.status < 200 => {
                    *interim += 1;
                    if *interim > INTERIM_ANSWERS {
                        return Err(());
                    }
                    let rest = HEADROOM + answer.length;
                    self.desk.body.copy_within(rest..*filled, HEADROOM);
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
        self.desk.body_end = filled;
        Attempt::Answered(head)
    }

    /// Sends, and reads once.
    fn poll_attempt(
        &mut self,
        cx: &mut Context<'_>,
        target: &mut TcpStream,
        upload: &mut Upload,
        filled: &mut usize,
        progress: &mut bool,
    ) -> Poll<Waited> {
        if !upload.is_done(self.desk.out.len()) {
            let before = upload.written;
            let wrote = poll_write_pair(cx, target, &self.desk.out, &[], &mut upload.written);
            *progress |= upload.written > before;
            let waited = match wrote {
                Poll::Ready(Ok(())) => self.poll_upload(cx, target, upload, progress),
                // It may have answered before it stopped reading: what it sent is still to be read.
                Poll::Ready(Err(_)) => {
                    upload.stopped = true;
                    None
                }
                Poll::Pending => None,
            };
            if let Some(waited) = waited {
                return Poll::Ready(waited);
            }
        }
        let limit = self.desk.body.len() - TAILROOM;
        let mut room = ReadBuf::new(&mut self.desk.body[*filled..limit]);
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
        // While the body is read, its pump sees the client leave. Pipelined bytes say that it is there.
        if upload.pump.is_done() && upload.next == self.desk.end && self.client.poll_gone(cx).is_ready() {
            return Poll::Ready(Waited::ClientGone);
        }
        Poll::Pending
    }

    /// Sends what comes of the request's body as far as the target takes it. All of the input that was at hand went
    /// out with the head; from here on the input is the upload's buffer.
    fn poll_upload(
        &mut self,
        cx: &mut Context<'_>,
        target: &mut TcpStream,
        upload: &mut Upload,
        progress: &mut bool,
    ) -> Option<Waited> {
        if upload.stopped || upload.pump.is_done() {
            return None;
        }
        let before = upload.pump.moved;
        let polled = upload
            .pump
            .poll(cx, self.client, target, &mut self.desk.input, progress);
        upload.streamed |= upload.pump.moved > before || upload.pump.is_read();
        match polled {
            Poll::Pending => None,
            Poll::Ready(Ok(())) => {
                (upload.next, self.desk.end) = upload.pump.leftover();
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

    /// Passes the answer on, and settles.
    async fn relay(
        mut self,
        connection: Connection,
        target: &Arc<TargetView>,
        mut upload: Upload,
        mut exchange: Exchange,
        head: AnswerHead,
        keep: bool,
    ) -> Next {
        let mut stream = connection.stream;
        let picture = self.worker.picture();
        let to_head = self.incoming.to_head;
        // An answer that came before the request was sent: the rest of it has no use any more.
        upload.stopped |= upload.written < self.desk.out.len();
        let bytes = &self.desk.body[HEADROOM..self.desk.body_end];
        let Ok(framing) = framing::of_answer(&self.desk.answer_fields, bytes, head.status, to_head) else {
            let keep = keep && !upload.streamed && upload.is_whole();
            return self.fail(Reason::BadAnswer, exchange, keep).await;
        };
        let now = self.now();
        exchange.on(
            now,
            Outcome::Answered(head.status),
            self.listener,
            &picture,
            &mut self.worker.mind.borrow_mut(),
        );
        let to_chunks = !self.head.http_10 && matches!(framing, Framing::Chunked | Framing::UntilClose);
        let ends_with_close = self.head.http_10 && matches!(framing, Framing::Chunked | Framing::UntilClose);
        let keep = keep && !ends_with_close && upload.is_whole();
        let target_keeps = !head.http_10 && !says_close(&self.desk.answer_fields, bytes);
        write_answer_head(
            &mut self.desk.out,
            bytes,
            &self.desk.answer_fields,
            &head,
            framing,
            to_head,
            to_chunks,
            keep,
            &self.listener.settings,
        );
        let mut pump = Pump::new(framing, to_chunks);
        if let Some(reason) = self
            .pass_body(&mut stream, &mut upload, &mut pump, head.length)
            .await
        {
            exchange.on(
                self.now(),
                Outcome::Failed(reason),
                self.listener,
                &picture,
                &mut self.worker.mind.borrow_mut(),
            );
            self.slot.watch(None);
            settle::log(&exchange.settle(self.now(), None, self.listener, &self.worker.mind.borrow()));
            return Next::Close;
        }
        self.slot.watch(None);
        let now = self.now();
        let (from, to) = pump.leftover();
        let clean = from == to && framing != Framing::UntilClose && upload.is_whole() && !upload.stopped;
        if target_keeps && clean {
            self.worker
                .pools
                .borrow_mut()
                .put(target.id, stream, now, self.idle_timeout);
        }
        exchange.settle(now, None, self.listener, &self.worker.mind.borrow());
        if keep {
            self.desk.start = upload.next;
            Next::Idle
        } else {
            settle::linger(self.worker, self.client, self.slot, self.desk).await;
            Next::Close
        }
    }

    /// Ends the exchange for this reason, before an answer has begun.
    async fn fail(self, reason: Reason, mut exchange: Exchange, keep: bool) -> Next {
        let picture = self.worker.picture();
        let step = exchange.on(
            self.now(),
            Outcome::Failed(reason),
            self.listener,
            &picture,
            &mut self.worker.mind.borrow_mut(),
        );
        let Step::Answer(answer) = step else {
            return Next::Close;
        };
        let (incoming, listener) = (self.incoming, self.listener);
        route::own_answer(
            self.worker,
            &mut *self.client,
            self.slot,
            self.desk,
            incoming,
            listener,
            exchange,
            &answer,
            keep,
        )
        .await
    }

    /// Passes the answer's head and body on, while the request's body may still go up. None when all is through.
    async fn pass_body(
        &mut self,
        target: &mut TcpStream,
        upload: &mut Upload,
        pump: &mut Pump,
        head_length: usize,
    ) -> Option<Reason> {
        let (from, to) = (HEADROOM + head_length, self.desk.body_end);
        if pump.feed(&mut self.desk.body, from, to).is_err() {
            return Some(Reason::BadAnswer);
        }
        let ready = pump.take_ready();
        let Desk { out, body, .. } = &mut *self.desk;
        let mut first = ready;
        if ready.1 - ready.0 <= COPIED_BYTES {
            out.extend_from_slice(&body[ready.0..ready.1]);
            first = (0, 0);
        }
        let mut written = 0;
        let total = out.len() + first.1 - first.0;
        self.touch();
        let (slot, idle_timeout, worker) = (self.slot, self.idle_timeout, self.worker);
        let moved = slot
            .until(poll_fn(|cx| {
                let mut progress = false;
                if self.poll_upload(cx, target, upload, &mut progress).is_some() {
                    upload.stopped = true;
                }
                let polled = self.poll_download(cx, target, pump, first, &mut written, total, &mut progress);
                if progress && polled.is_pending() {
                    slot.arm(worker.recent() + idle_timeout, false);
                }
                polled
            }))
            .await;
        match moved {
            Ok(result) => result.err(),
            Err(ended) => Some(reason(ended)),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the state of one write")]
    fn poll_download(
        &mut self,
        cx: &mut Context<'_>,
        target: &mut TcpStream,
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
        if pump.is_done() {
            return Poll::Ready(Ok(()));
        }
        pump.poll(cx, target, self.client, &mut self.desk.body, progress)
            .map_err(|error| match error {
                PumpError::Source => Reason::TargetClosed,
                PumpError::BadChunk => Reason::BadAnswer,
                PumpError::Sink => Reason::ClientGone,
            })
    }
}

/// What waiting for an answer's head came to.
enum Waited {
    /// Bytes read from the target; 0 when it closed.
    Read(usize),
    /// The client left.
    ClientGone,
    /// The client's body broke off, or is none.
    ClientBroken,
}

/// Values of an answer's Connection headers.
fn connection_words<'a>(fields: &'a [Field], head: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    fields
        .iter()
        .filter(|field| {
            let name = field.name(head);
            name.len() == 10 && name.eq_ignore_ascii_case(b"connection")
        })
        .map(|field| field.value(head))
}

fn says_close(fields: &[Field], head: &[u8]) -> bool {
    connection_words(fields, head).any(|value| has_word(value, b"close"))
}

/// Whether the answer calls this header its connection's own (RFC 9110 section 7.6.1). The length of a body that HEAD
/// or 304 leave out cannot be called away.
fn is_named(fields: &[Field], head: &[u8], name: &[u8]) -> bool {
    !name.eq_ignore_ascii_case(b"content-length")
        && connection_words(fields, head).any(|value| has_word(value, name))
}

/// Header lines of an answer that are of the target's connection only, or written anew.
fn is_dropped(name: &[u8], keeps_length: bool) -> bool {
    match name.len() {
        7 => name.eq_ignore_ascii_case(b"upgrade") || name.eq_ignore_ascii_case(b"trailer"),
        10 => name.eq_ignore_ascii_case(b"connection") || name.eq_ignore_ascii_case(b"keep-alive"),
        14 => !keeps_length && name.eq_ignore_ascii_case(b"content-length"),
        16 => name.eq_ignore_ascii_case(b"proxy-connection"),
        17 => name.eq_ignore_ascii_case(b"transfer-encoding"),
        _ => false,
    }
}

#[expect(clippy::too_many_arguments, reason = "all that a head says")]
fn write_answer_head(
    out: &mut Vec<u8>,
    bytes: &[u8],
    fields: &[Field],
    head: &AnswerHead,
    framing: Framing,
    to_head: bool,
    to_chunks: bool,
    keep: bool,
    settings: &ListenerSettings,
) {
    out.clear();
    out.extend_from_slice(b"HTTP/1.1 ");
    let _ = write!(out, "{:03} ", head.status);
    let text = &bytes[head.phrase.0 as usize..head.phrase.1 as usize];
    out.extend_from_slice(if text.is_empty() {
        phrase(head.status).as_bytes()
    } else {
        text
    });
    out.extend_from_slice(b"\r\n");
    // HEAD and 304 say how long the body would be; they have none.
    let keeps_length = to_head || head.status == 304;
    let names_others = connection_words(fields, bytes)
        .any(|value| !value.eq_ignore_ascii_case(b"keep-alive") && !value.eq_ignore_ascii_case(b"close"));
    for field in fields {
        let name = field.name(bytes);
        let overridden = || {
            settings
                .response_headers
                .iter()
                .any(|set| set.0.as_bytes().eq_ignore_ascii_case(name))
        };
        if is_dropped(name, keeps_length)
            || (!settings.response_headers.is_empty() && overridden())
            || (names_others && is_named(fields, bytes, name))
        {
            continue;
        }
        out.extend_from_slice(name);
        out.extend_from_slice(b": ");
        out.extend_from_slice(field.value(bytes));
        out.extend_from_slice(b"\r\n");
    }
    for (name, value) in &settings.response_headers {
        let _ = write!(out, "{name}: {value}\r\n");
    }
    if to_chunks {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    } else if let Framing::Length(length) = framing {
        let _ = write!(out, "Content-Length: {length}\r\n");
    }
    out.extend_from_slice(if keep {
        b"Connection: keep-alive\r\n\r\n"
    } else {
        b"Connection: close\r\n\r\n"
    });
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
            stopped: false,
            broken: false,
            streamed: true,
            next: 0,
        };
        assert!(upload.pump.is_read() && !upload.is_whole() && !upload.waits_for_client(0));
        upload.pump.take_ready();
        assert!(upload.is_whole());
    }
}
