//! A client's HTTP/2 connection: each of its streams becomes a request.

use super::guard::{Fault, Guarded, Oddities};
use super::hpack::Odd;
use super::request;
use super::stream::Stream;
use crate::buffers::RequestBuffers;
use crate::connection::ClientConnection;
use crate::deadlines::{Deadline, Ended};
use crate::keep_alive::idle_deadline;
use crate::linger;
use crate::request::Incoming;
use crate::respond;
use crate::route;
use crate::session::Session;
use crate::wire::Wire;
use crate::worker::Worker;
use bytes::Bytes;
use forebay_node::Reason;
use h2::RecvStream;
use h2::server::{Connection, SendResponse};
use http::Request;
use std::cell::Cell;
use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Streams that a client may have open at once (ALB's figure).
const STREAMS: u32 = 128;
/// Requests after which a connection is closed with GOAWAY (ALB's figure).
const REQUESTS: u64 = 10_000;
/// Requests that a client may begin beyond that, because it has not seen the GOAWAY yet.
const GRACE: u64 = 2 * STREAMS as u64;
/// Requests in progress for one connection. A client that resets streams may open others at once while the abandoned ones
/// are still being ended; a stream beyond this limit is refused, and may be sent again later.
const AT_WORK: u32 = 2 * STREAMS;
/// Time to write what is left when the last stream of a connection without a listener has ended.
const LAST: Duration = Duration::from_secs(10);
/// Flow-control window of one stream.
const STREAM_WINDOW: u32 = 64 * 1024;
/// Flow-control window of a connection: the sum for all requests that may be in progress, so that streams whose targets
/// read nothing cannot hold up others. Their memory is counted per stream, see [`promise`].
pub(super) const CONNECTION_WINDOW: u32 = AT_WORK * STREAM_WINDOW;
/// Overhead that small frames may cause, beyond their bytes, until they are joined: a stream that sends its whole window in
/// frames of 16 bytes stays within it. The `h2` crate ends a connection that exceeds it. (While a connection to a target is
/// being made, nobody joins them.)
pub(super) const FRAME_BUDGET: usize = 1024 * 1024;
/// Bytes of an answer that are held for a stream whose client does not read.
const SEND_BUFFER: usize = 32 * 1024;
/// Streams that may be reset before anything was done for them; with one more the connection ends (CVE-2023-44487).
const PENDING_RESETS: usize = 64;
/// Streams that are remembered after we reset them, to recognise late frames.
const REMEMBERED_RESETS: usize = 32;

/// State that a connection and its streams share.
struct Shared {
    connection: ClientConnection,
    deadline: Deadline,
    open: Cell<u32>,
    /// Everything was written, and only the client's close is awaited.
    written: Rc<Cell<bool>>,
}

/// Serves one client's connection until it ends.
pub(crate) async fn serve<W: Wire + 'static>(
    worker: &Rc<Worker>,
    stream: W,
    connection: ClientConnection,
    deadline: Deadline,
) {
    let (guarded, fault, oddities) = Guarded::new(stream);
    let shared = Rc::new(Shared {
        connection,
        deadline,
        open: Cell::new(0),
        written: guarded.written(),
    });
    let mut builder = h2::server::Builder::new();
    builder
        .max_concurrent_streams(STREAMS)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(u32::try_from(shared.connection.bounds().head).unwrap_or(u32::MAX))
        .max_send_buffer_size(SEND_BUFFER)
        .data_frame_budget(FRAME_BUDGET)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_concurrent_reset_streams(REMEMBERED_RESETS);
    let Some(until) = idle_deadline(worker, &shared.connection) else {
        return;
    };
    shared.deadline.arm(until, true);
    let mut handshake = pin!(builder.handshake(guarded));
    let shaken = poll_fn(|cx| {
        let polled = handshake.as_mut().poll(cx);
        if fault.get().is_some() {
            Poll::Ready(None)
        } else {
            polled.map(Result::ok)
        }
    });
    if let Ok(Some(mut connection)) = shared.deadline.until(shaken).await {
        streams(worker, &mut connection, &fault, &oddities, &shared).await;
    }
}

async fn streams<W: Wire>(
    worker: &Rc<Worker>,
    connection: &mut Connection<Guarded<W>, Bytes>,
    fault: &Fault,
    oddities: &Oddities,
    shared: &Rc<Shared>,
) {
    let (mut begun, mut leaving) = (0, false);
    // Set when the listener is gone and all streams have ended: only what was written is still to be sent.
    let mut last = false;
    loop {
        if shared.written.get() {
            break;
        }
        if shared.open.get() == 0 {
            if let Some(until) = idle_deadline(worker, &shared.connection) {
                shared.deadline.arm(until, true);
            } else {
                last = true;
                if !core::mem::replace(&mut leaving, true) {
                    connection.graceful_shutdown();
                }
                shared.deadline.arm(worker.now() + LAST, false);
            }
        }
        let next = poll_fn(|cx| poll_stream(worker, connection, shared, fault, leaving, cx));
        match shared.deadline.until(next).await {
            Ok(None) => {}
            Ok(Some(Some(Ok((_, mut respond)))))
                if shared.open.get() >= AT_WORK || !has_listener(worker, shared) =>
            {
                begun += 1;
                // Nothing was done for it, so the client may send it again (RFC 9113, section 8.7).
                respond.send_reset(h2::Reason::REFUSED_STREAM);
            }
            Ok(Some(Some(Ok((request, respond))))) => {
                begun += 1;
                shared.open.set(shared.open.get() + 1);
                // While streams are open, their own deadlines count.
                shared.deadline.arm(forebay_units::Mono::NEVER, false);
                let odd = oddities.take(respond.stream_id().as_u32());
                tokio::task::spawn_local(one(Rc::clone(worker), Rc::clone(shared), request, odd, respond));
            }
            Ok(Some(None)) if fault.get().is_some() => break,
            Ok(Some(Some(Err(_)) | None)) => return,
            Err(Ended::Late | Ended::Closing)
                if shared.open.get() == 0 && (last || has_listener(worker, shared)) =>
            {
                break;
            }
            Err(_) => {}
        }
        let old = is_old(worker, shared);
        if !leaving && (begun >= REQUESTS || old || worker.leaving.get()) {
            leaving = true;
            // Open streams end in their own time; the client begins no others here.
            connection.graceful_shutdown();
        }
        if begun >= REQUESTS + GRACE {
            break;
        }
    }
    // Everything is written; or the connection was idle for too long, its listener is gone, its frames are invalid, or the
    // client ignores GOAWAY. Send GOAWAY with a final code, and end.
    if !shared.written.get() {
        connection.abrupt_shutdown(fault.get().unwrap_or(h2::Reason::NO_ERROR));
    }
    shared.deadline.arm(worker.now() + linger::LINGER, false);
    let _ = shared
        .deadline
        .until(poll_fn(|cx| connection.poll_closed(cx)))
        .await;
}

/// The next event on a connection: a stream, its end or its failure. None if the client must be told to leave (`told`: it
/// was), or everything is written.
fn poll_stream<W: Wire>(
    worker: &Worker,
    connection: &mut Connection<Guarded<W>, Bytes>,
    shared: &Shared,
    fault: &Fault,
    told: bool,
    cx: &mut Context<'_>,
) -> Poll<Option<Option<Accepted>>> {
    let polled = connection.poll_accept(cx);
    if fault.get().is_some() {
        return Poll::Ready(Some(None));
    }
    if polled.is_pending() && (shared.written.get() || !told && worker.leaving.get()) {
        return Poll::Ready(None);
    }
    polled.map(Some)
}

/// A stream, or the error after which there are no more.
type Accepted = Result<(Request<RecvStream>, SendResponse<Bytes>), h2::Error>;

/// Whether the connection takes no further streams, because of its age or because its listener is gone.
fn is_old(worker: &Worker, shared: &Shared) -> bool {
    let snapshot = worker.snapshot();
    shared.connection.listener(&snapshot).is_none_or(|listener| {
        let age = worker.now().since(shared.connection.accepted);
        age >= listener.balancer.settings().client_keep_alive
    })
}

fn has_listener(worker: &Worker, shared: &Shared) -> bool {
    shared.connection.listener(&worker.snapshot()).is_some()
}

/// Serves one stream, from its head to its end.
async fn one(
    worker: Rc<Worker>,
    shared: Rc<Shared>,
    request: Request<RecvStream>,
    odd: Odd,
    mut respond: SendResponse<Bytes>,
) {
    let deadline = worker.sweep.deadline(shared.connection.listener_address);
    let buffers = worker.buffer_pool.borrow_mut().take();
    if let Some(mut buffers) = buffers {
        let (mut stream, written) = write(&worker, &shared, &mut buffers, request, odd, respond);
        let mut session = Session {
            worker: &worker,
            client: &mut stream,
            connection: &shared.connection,
            deadline: &deadline,
            buffers: &mut buffers,
        };
        serve_one(&mut session, written).await;
        // The stream must end before its buffers are lent to others.
        drop(stream);
        worker.buffer_pool.borrow_mut().give_back(buffers);
    } else {
        respond::count_turned_away(&worker, &shared.connection);
        // Nothing was done for it, so its client may send it again (RFC 9113, section 8.7).
        respond.send_reset(h2::Reason::REFUSED_STREAM);
    }
    let open = shared.open.get() - 1;
    shared.open.set(open);
    if open == 0 {
        // Without a listener, the deadline is already due: the next sweep wakes the connection, and it ends.
        let until = idle_deadline(&worker, &shared.connection);
        shared.deadline.arm(until.unwrap_or(worker.recent()), true);
    }
}

/// Counts the window that the client may fill on a stream with a body.
fn promise(worker: &Worker, buffers: &mut RequestBuffers, ends: bool) {
    if !ends
        && !worker
            .buffer_pool
            .borrow()
            .promise(buffers, STREAM_WINDOW as usize)
    {
        buffers.refuses = true;
    }
}

/// Writes a request's head into the buffers, which hold nothing else: the request may wait for long.
fn write(
    worker: &Worker,
    shared: &Shared,
    buffers: &mut RequestBuffers,
    request: Request<RecvStream>,
    odd: Odd,
    respond: SendResponse<Bytes>,
) -> (Stream, Result<Incoming, Reason>) {
    promise(worker, buffers, request.body().is_end_stream());
    let (parts, body) = request.into_parts();
    let mut stream = Stream::new(body, respond);
    let ends = stream.body.is_nothing();
    let written = request::write(&parts, &odd, ends, buffers, shared.connection.bounds());
    let length = buffers.end;
    buffers.refuses |= !worker.buffer_pool.borrow().count_head(buffers, length);
    (stream, written)
}

async fn serve_one(session: &mut Session<'_, Stream>, written: Result<Incoming, Reason>) {
    match written {
        Ok(incoming) if session.connection.listener_address.shared => {
            Box::pin(route::by_name(session, &incoming)).await;
        }
        Ok(incoming) => {
            route::request(session, &incoming).await;
        }
        Err(reason) => {
            respond::refuse(session, reason).await;
        }
    }
}
