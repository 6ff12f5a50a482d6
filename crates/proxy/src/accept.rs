//! Stage one: takes connections and keeps each for its lifetime.

use crate::clerk::{self, Counter};
use crate::connection::{Next, Visit};
use crate::descriptors::Held;
use crate::h2;
use crate::keep_alive::idle_deadline;
use crate::log;
use crate::place::Place;
use crate::read;
use crate::respond;
use crate::secure::{HANDSHAKE_TIMEOUT, secure};
use crate::socket::Socket;
use crate::sweep::{Ended, Slot};
use crate::tls;
use crate::wire::readable;
use crate::worker::{Attended, Guest, Worker};
use forebay_node::Reason;
use forebay_node::journal::ConnectionId;
use std::cell::Cell;
use std::convert::Infallible;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// Takes connections until `closed` fires or is dropped.
pub(crate) async fn listen(
    worker: Rc<Worker>,
    socket: TcpListener,
    place: Rc<Cell<Place>>,
    mut closed: oneshot::Receiver<()>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            _ = &mut closed => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let mut visit = Visit {
                    place: place.get(),
                    peer,
                    accepted: worker.now(),
                    id: ConnectionId(core::array::from_fn(|_| worker.mind.borrow_mut().draw())),
                    tls: None,
                    spare: false,
                    spoke: Cell::new(false),
                };
                let Some(held) = take_in(&worker, &stream, &mut visit) else {
                    continue;
                };
                let (worker, open) = (Rc::clone(&worker), Open::new(&worker, &visit, held));
                if visit.place.secure {
                    tokio::task::spawn_local(secure_connection(worker, stream, visit, open));
                } else if visit.place.sniffs {
                    tokio::task::spawn_local(sniffed(worker, stream, visit, open));
                } else {
                    tokio::task::spawn_local(connection(worker, stream, visit, open));
                }
            }
            // The client was gone before it was taken: its own affair.
            Err(error) if is_clients(&error) => {}
            Err(error) => {
                worker.tell_of_shortage(&error);
                // Out of descriptors or memory: by the next sweep some will be free.
                tokio::select! {
                    () = worker.swept.notified() => {}
                    _ = &mut closed => return,
                }
            }
        }
    }
}

/// A descriptor for a client's connection. One connection too many is told so and closed: at once if it is in clear, else once it
/// can be told. What is open keeps its memory and descriptors.
fn take_in(worker: &Worker, stream: &TcpStream, visit: &mut Visit) -> Option<Held> {
    let descriptors = &worker.descriptors;
    if descriptors.has_room() || (worker.pools.borrow_mut().close_one() && descriptors.has_room()) {
        return Some(descriptors.take_client());
    }
    let spare = visit.place.secure.then(|| descriptors.take_spare()).flatten();
    if spare.is_none() {
        refuse(worker, stream, visit);
    }
    visit.spare = spare.is_some();
    spare
}

fn refuse(worker: &Worker, stream: &TcpStream, visit: &Visit) {
    let picture = worker.picture();
    if let Some(listener) = picture.listener(visit.place.listener) {
        let stats = listener.balancer.stats.of(worker.mind.borrow().worker);
        stats.rejected.fetch_add(1, Relaxed);
        if !visit.place.secure {
            let page = respond::page(worker, Reason::TooManyConnections, &listener.settings);
            // A fresh socket takes this much at once.
            let _ = stream.try_write(&page);
        }
    }
    worker.tell_of_shortage(&io::Error::other(
        "as many connections are open as may be; --max-connections or the limit on open files says how many",
    ));
}

/// Errors of one connection that accept passes on (accept(2)); all others would come again at once.
fn is_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, HostUnreachable, NetworkUnreachable, TimedOut};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | HostUnreachable | NetworkUnreachable | TimedOut
    )
}

/// One connection in clear, from accept to close. Its future is what an idle connection costs, so all that only an
/// active request needs is behind a box.
async fn connection(worker: Rc<Worker>, stream: TcpStream, visit: Visit, _open: Open) {
    let _ = stream.set_nodelay(true);
    let slot = worker.sweep.slot(visit.place);
    log::log_connection(&worker, &visit, None);
    keep(&worker, Socket(stream), visit, slot).await;
}

/// What a connection begins with.
enum First {
    Tls,
    Http1,
    Http2,
    /// It ended before it began.
    Nothing,
}

/// One connection to an agent: in clear or over TLS, HTTP/1.1 or HTTP/2, as its first bytes say.
async fn sniffed(worker: Rc<Worker>, stream: TcpStream, mut visit: Visit, open: Open) {
    let Some(deadline) = idle_deadline(&worker, &visit) else {
        return;
    };
    let slot = worker.sweep.slot(visit.place);
    slot.arm(deadline, true);
    let first = slot.until(sniff(&worker, &stream)).await;
    drop(slot);
    // A handshake's time begins with its first byte.
    visit.accepted = worker.now();
    let http2 = {
        let picture = worker.picture();
        let listener = visit.listener(&picture);
        listener.is_some_and(|listener| listener.balancer.settings.http2)
    };
    match first {
        Ok(First::Tls) => Box::pin(secure_connection(worker, stream, visit, open)).await,
        Ok(First::Http2) if http2 => {
            let _ = stream.set_nodelay(true);
            let slot = worker.sweep.slot(visit.place);
            log::log_connection(&worker, &visit, None);
            Box::pin(h2::serve(&worker, Socket(stream), visit, slot)).await;
        }
        Ok(First::Http1 | First::Http2) => Box::pin(connection(worker, stream, visit, open)).await,
        Ok(First::Nothing) | Err(_) => {}
    }
}

async fn sniff(worker: &Worker, stream: &TcpStream) -> First {
    /// A TLS record that holds handshake messages (RFC 8446 section 5.1).
    const HANDSHAKE: u8 = 22;
    /// RFC 9113 section 3.4.
    const PREFACE: &[u8] = b"PRI * HTTP/2.0";
    loop {
        let mut first = [0; PREFACE.len()];
        match stream.peek(&mut first).await {
            Ok(0) | Err(_) => return First::Nothing,
            Ok(_) if first[0] == HANDSHAKE => return First::Tls,
            Ok(read) if first[..read] != PREFACE[..read] => return First::Http1,
            Ok(read) if read == PREFACE.len() => return First::Http2,
            // It could still become either, and stays readable: looked at again with the next sweep.
            Ok(_) => worker.swept.notified().await,
        }
    }
}

/// The same over TLS.
async fn secure_connection(worker: Rc<Worker>, stream: TcpStream, mut visit: Visit, _open: Open) {
    let _ = stream.set_nodelay(true);
    let slot = worker.sweep.slot(visit.place);
    // Who says nothing costs no more than in clear.
    slot.arm(visit.accepted + HANDSHAKE_TIMEOUT, true);
    let spoke = slot.until(stream.peek(&mut [0])).await;
    if !matches!(spoke, Ok(Ok(1..))) {
        log::log_connection(&worker, &visit, Some("UnmappedConnectionError"));
        return;
    }
    if visit.place.shared
        && let Ok(Some(name)) = slot.until(tls::server_name(&stream, &worker.swept)).await
        && let Some(own) = visit.to(&worker.picture(), name.as_bytes())
    {
        visit = own;
    }
    let Some(tls) = worker.tls.borrow().get(visit.place.listener).cloned() else {
        return;
    };
    let shaken = Box::pin(secure(&worker, stream, &tls, &visit, &slot)).await;
    // Not held on to: a certificate that was replaced must not stay in memory for as long as its connections.
    drop(tls);
    let Some(shaken) = shaken else {
        log::log_connection(&worker, &visit, Some("UnmappedConnectionError"));
        return;
    };
    visit.tls = Some(Rc::new(shaken.facts));
    log::log_connection(&worker, &visit, None);
    if visit.tls.as_ref().is_some_and(|tls| tls.http2) {
        Box::pin(h2::serve(&worker, shaken.stream, visit, slot)).await;
    } else {
        keep(&worker, shaken.stream, visit, slot).await;
    }
}

/// Serves a connection's requests until it ends.
async fn keep<W: Attended>(worker: &Rc<Worker>, mut stream: W, visit: Visit, slot: Slot) {
    let (visit, slot) = (Rc::new(visit), Rc::new(slot));
    let (mut first, mut left) = (true, None);
    while let Some(fresh) = idle_deadline(worker, &visit) {
        // Who sent nothing that counts has not begun anew.
        let deadline = left.take().unwrap_or(fresh);
        slot.arm(deadline, true);
        match slot.until(readable(&mut stream)).await {
            Ok(()) => {}
            Err(Ended::Late) if first => {
                Box::pin(read::silent(worker, &mut stream, &visit, &slot)).await;
                return;
            }
            Err(_) => return stream.farewell(),
        }
        let guest = Guest {
            worker: Rc::clone(worker),
            stream,
            visit: Rc::clone(&visit),
            slot: Rc::clone(&slot),
        };
        let next;
        (stream, next) = clerk::serve(W::clerks(worker), guest, |counter| Box::pin(attend(counter))).await;
        match next {
            Next::Idle if !worker.leaving.get() => first = false,
            Next::Nothing if !worker.leaving.get() => left = Some(deadline),
            Next::Idle | Next::Nothing => return stream.farewell(),
            Next::Close => return,
        }
    }
}

/// What a clerk does: it serves the requests of guest after guest.
async fn attend<W: Attended>(counter: Rc<Counter<Guest<W>, (W, Next)>>) -> Infallible {
    loop {
        let Guest {
            worker,
            mut stream,
            visit,
            slot,
        } = counter.guest().await;
        let next = read::serve(&worker, &mut stream, &visit, &slot).await;
        counter.part((stream, next));
    }
}

/// Counts a connection as open until dropped.
struct Open {
    stats: Option<Arc<forebay_node::Shards<forebay_node::BalancerStats>>>,
    worker: usize,
    _held: Held,
}

impl Open {
    fn new(worker: &Worker, visit: &Visit, held: Held) -> Open {
        let picture = worker.picture();
        let stats = picture
            .listener(visit.place.listener)
            .map(|view| Arc::clone(&view.balancer.stats));
        let open = Open {
            stats,
            worker: worker.mind.borrow().worker,
            _held: held,
        };
        if let Some(stats) = &open.stats {
            let shard = stats.of(open.worker);
            shard.connections.fetch_add(1, Relaxed);
            shard.open.fetch_add(1, Relaxed);
        }
        open
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(stats) = &self.stats {
            stats.of(self.worker).open.fetch_sub(1, Relaxed);
        }
    }
}
