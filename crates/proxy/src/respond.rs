//! Stage seven: answers made here, and how they are sent.

use crate::buffers::RequestBuffers;
use crate::connection::{ClientConnection, Next};
use crate::deadlines::Deadline;
use crate::framing::Framing;
use crate::h2;
use crate::linger::{LINGER, Owes, linger};
use crate::log::{self, Closing};
use crate::pump::poll_write_pair;
use crate::request::Incoming;
use crate::session::{RequestContext, Session};
use crate::spans;
use crate::wire::Wire;
use crate::worker::Worker;
use forebay_model::ListenerSettings;
use forebay_node::logging::Kind;
use forebay_node::{Answer, Exchange, Reason};
use std::future::poll_fn;
use std::io::Write as _;
use std::pin::Pin;
use std::task::{Poll, ready};
use tokio::io::ReadBuf;

/// Most bytes that are read from a client that is turned away without request buffers.
const TURNED_AWAY_BYTES: usize = 4 * 1024 * 1024;

/// Refuses a request whose head could not be accepted, and closes.
pub(crate) async fn refuse<W: Wire>(session: &mut Session<'_, W>, reason: Reason) -> Next {
    let worker = session.worker;
    let snapshot = worker.snapshot();
    let Some(listener) = session.connection.listener(&snapshot) else {
        return Next::Close;
    };
    let now = worker.now();
    let zone = session.connection.listener_address.zone;
    let mut record = Exchange::refused(now, reason, zone, listener, &worker.state.borrow());
    if worker.worker_log.sampling.is_some() {
        refused_span(worker, session.connection, session.buffers);
    }
    let idle_timeout = listener.balancer.settings().idle_timeout;
    session.deadline.arm(now + idle_timeout, false);
    let answer = Answer::page(reason);
    let buffers = &*session.buffers;
    let method = buffers
        .request_log
        .head
        .map(|head| head.method(&buffers.input[buffers.start..]));
    let to_head = method == Some(b"HEAD");
    let _ = send(session, &answer, listener.settings(), false, to_head).await;
    record.ended = worker.now();
    log::log(session, listener, &record, Closing::of(&answer));
    // Without a valid head it is unknown where the body ends, or whether there is one.
    let left = if reason == Reason::ClientSilent {
        0
    } else {
        u64::MAX
    };
    Box::pin(linger(session, Owes::of(left, idle_timeout))).await;
    Next::Close
}

/// Takes the span of a request that was refused, perhaps before its head was understood.
fn refused_span(worker: &Worker, connection: &ClientConnection, buffers: &mut RequestBuffers) {
    if buffers.request_log.span.is_none() {
        let length = buffers.request_log.head.map_or(0, |head| head.length);
        let head = &buffers.input[buffers.start..buffers.start + length];
        // Without a head, the lines are absent or those of an incomplete head.
        let fields = if length > 0 { &buffers.fields[..] } else { &[] };
        buffers.request_log.span = spans::begin(worker, connection, head, fields);
    }
    if let Some(span) = &mut buffers.request_log.span {
        span.answering = Some(worker.recent());
    }
}

/// Counts a request that is refused without request buffers, and therefore without a log line.
pub(crate) fn count_turned_away(worker: &Worker, connection: &ClientConnection) {
    let snapshot = worker.snapshot();
    if let Some(listener) = connection.listener(&snapshot) {
        let _ = Exchange::refused(
            worker.now(),
            Reason::MemoryCeiling,
            connection.listener_address.zone,
            listener,
            &worker.state.borrow(),
        );
    }
}

/// Tells a client that all memory is in use, without using any for it, and closes.
pub(crate) async fn turn_away<W: Wire>(
    worker: &Worker,
    client: &mut W,
    connection: &ClientConnection,
    deadline: &Deadline,
) {
    let snapshot = worker.snapshot();
    let Some(listener) = connection.listener(&snapshot) else {
        return;
    };
    count_turned_away(worker, connection);
    let answer = page(worker, Reason::MemoryCeiling, listener.settings());
    deadline.arm(worker.now() + LINGER, false);
    let (mut written, mut read) = (0, 0);
    let ended = deadline.until(poll_fn(|cx| {
        let _ = ready!(poll_write_pair(cx, client, &answer, &[], &mut written));
        let _ = ready!(Pin::new(&mut *client).poll_shutdown(cx));
        // Like `linger`, but into a buffer on the stack: there are no request buffers.
        let mut rest = [0; 2048];
        loop {
            let mut room = ReadBuf::new(&mut rest);
            match ready!(Pin::new(&mut *client).poll_read(cx, &mut room)) {
                Ok(()) if !room.filled().is_empty() && read < TURNED_AWAY_BYTES => {
                    read += room.filled().len()
                }
                _ => return Poll::Ready(()),
            }
        }
    }));
    let _ = ended.await;
}

/// A complete answer, for a client whose request is not read.
pub(crate) fn page(worker: &Worker, reason: Reason, settings: &ListenerSettings) -> Vec<u8> {
    let answer = Answer::page(reason);
    let mut out = Vec::new();
    write_answer(worker, &mut out, &answer, settings, false);
    out.extend_from_slice(answer.content.as_ref().map_or(&[], |content| &content.1));
    out
}

/// Sends an answer made here. `keep`: the connection stays open; `to_head`: the request was HEAD.
async fn send<W: Wire>(
    session: &mut Session<'_, W>,
    answer: &Answer,
    settings: &ListenerSettings,
    keep: bool,
    to_head: bool,
) -> bool {
    let Session {
        worker,
        client,
        deadline,
        buffers,
        ..
    } = session;
    let grpc = W::FRAMED && buffers.request_log.kind == Some(Kind::Grpcs);
    let bodiless = to_head || h2::is_trailers_only(answer, grpc);
    let body = answer
        .content
        .as_ref()
        .filter(|_| !bodiless)
        .map(|content| &content.1[..]);
    if W::FRAMED {
        buffers.out.clear();
        let head = h2::own_head(worker, answer, settings, grpc);
        buffers.request_log.sent += h2::head_bytes(&head);
        if client.send_head(head, body.is_none_or(<[u8]>::is_empty)).is_err() {
            return false;
        }
    } else {
        write_answer(worker, &mut buffers.out, answer, settings, keep);
    }
    buffers.out.extend_from_slice(body.unwrap_or_default());
    let mut written = 0;
    let sent = deadline
        .until(poll_fn(|cx| {
            poll_write_pair(cx, *client, &buffers.out, &[], &mut written)
        }))
        .await;
    buffers.request_log.sent += written as u64;
    matches!(sent, Ok(Ok(()))) && client.finish().is_ok()
}

fn write_answer(
    worker: &Worker,
    out: &mut Vec<u8>,
    answer: &Answer,
    settings: &ListenerSettings,
    keep: bool,
) {
    out.clear();
    let _ = write!(out, "HTTP/1.1 {} {}\r\n", answer.status, answer.phrase());
    if settings.server_header && !answer.bare {
        out.extend_from_slice(b"Server: awselb/2.0\r\n");
    }
    out.extend_from_slice(b"Date: ");
    worker.write_date(out);
    out.extend_from_slice(b"\r\n");
    if let Some((kind, _)) = &answer.content {
        let _ = write!(out, "Content-Type: {kind}\r\n");
    }
    let length = answer.content.as_ref().map_or(0, |content| content.1.len());
    if answer.status != 204 {
        let _ = write!(out, "Content-Length: {length}\r\n");
    }
    out.extend_from_slice(if keep {
        b"Connection: keep-alive\r\n"
    } else {
        b"Connection: close\r\n"
    });
    if let Some(seconds) = answer.retry_after {
        let _ = write!(out, "Retry-After: {seconds}\r\n");
    }
    if let Some(location) = &answer.location {
        let _ = write!(out, "Location: {location}\r\n");
    }
    if let Some(word) = answer.reason.work_refused() {
        let _ = write!(out, "X-Forebay-Work-Refused: {word}\r\n");
    }
    for (name, value) in &settings.response_headers {
        let _ = write!(out, "{name}: {value}\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// Sends an answer made here instead of forwarding, and skips the request's body if all of it has come.
pub(crate) async fn own_answer<W: Wire>(
    context: &mut RequestContext<'_, W>,
    answer: &Answer,
    keep: bool,
) -> Next {
    let (worker, incoming, idle_timeout) = (context.session.worker, context.incoming, context.idle_timeout());
    let Session {
        buffers, deadline, ..
    } = &mut context.session;
    // Once a body was streamed through the input, the bounds there are no longer this request's; `keep` is false then.
    let at_hand = (keep && !answer.bare && !worker.leaving.get())
        .then(|| body_at_hand(buffers, incoming))
        .flatten();
    if let Some(span) = &mut buffers.request_log.span {
        span.answering = Some(worker.recent());
    }
    deadline.watch(None);
    deadline.arm(worker.recent() + idle_timeout, false);
    // A body that has not come in full would be parsed as the next request, so its connection is closed.
    let (settings, keep) = (context.listener.settings(), at_hand.is_some());
    let sent = send(&mut context.session, answer, settings, keep, incoming.to_head).await;
    let buffers = &mut *context.session.buffers;
    if buffers.request_log.body == 0 && !buffers.request_log.is_kept() {
        buffers.request_log.body = body_come(buffers, incoming);
    }
    context.log_own(worker.now(), answer);
    let buffers = &mut *context.session.buffers;
    match at_hand {
        Some(length) if sent => {
            buffers.start += incoming.head.length + length;
            Next::Idle
        }
        _ => {
            let left = match incoming.framing {
                Framing::None => 0,
                Framing::Length(length) => length.saturating_sub(buffers.request_log.body),
                Framing::Chunked | Framing::UntilClose => u64::MAX,
            };
            Box::pin(linger(&mut context.session, Owes::of(left, idle_timeout))).await;
            Next::Close
        }
    }
}

/// Bytes of the body that were read along with the head.
fn body_come(buffers: &RequestBuffers, incoming: &Incoming) -> u64 {
    let come = buffers.unread().len().saturating_sub(incoming.head.length) as u64;
    match incoming.framing {
        Framing::None | Framing::UntilClose => 0,
        Framing::Length(length) => come.min(length),
        Framing::Chunked => come,
    }
}

/// The body's length, if all of it was read already and it needs no decoding to skip.
fn body_at_hand(buffers: &RequestBuffers, incoming: &Incoming) -> Option<usize> {
    match incoming.framing {
        Framing::None => Some(0),
        Framing::Length(length) => {
            let length = usize::try_from(length).ok()?;
            (buffers.unread().len().saturating_sub(incoming.head.length) >= length).then_some(length)
        }
        Framing::Chunked | Framing::UntilClose => None,
    }
}
