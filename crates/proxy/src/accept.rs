//! Room one: takes connections and keeps each for its lifetime.

use crate::read::{self, Next};
use crate::secure::readable;
use crate::sweep::{Ended, Slot};
use crate::worker::Worker;
use forebay_node::{ListenerId, ZoneId};
use forebay_units::Mono;
use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// When the process is out of descriptors or memory, time until the next try: some will be free by then.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(50);

/// Whose connections a socket takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) listener: ListenerId,
    pub(crate) zone: ZoneId,
    pub(crate) port: u16,
}

/// One client connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visit {
    pub(crate) place: Place,
    pub(crate) peer: SocketAddr,
    pub(crate) accepted: Mono,
}

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
                let visit = Visit {
                    place: place.get(),
                    peer,
                    accepted: worker.now(),
                };
                tokio::task::spawn_local(connection(Rc::clone(&worker), stream, visit));
            }
            // The client was gone before it was taken: its own affair.
            Err(error) if is_clients(&error) => {}
            Err(error) => {
                worker.tell_of_shortage(&error);
                tokio::select! {
                    () = tokio::time::sleep(OUT_OF_DESCRIPTORS) => {}
                    _ = &mut closed => return,
                }
            }
        }
    }
}

/// Errors of one connection that accept passes on (accept(2)); all others would come again at once.
fn is_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, HostUnreachable, NetworkUnreachable, TimedOut};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | HostUnreachable | NetworkUnreachable | TimedOut
    )
}

/// One connection, from accept to close. Its future is what an idle connection costs, so all that only an active
/// request needs is behind a box.
async fn connection(worker: Rc<Worker>, mut stream: TcpStream, visit: Visit) {
    let _ = stream.set_nodelay(true);
    let open = Open::new(&worker, visit);
    let slot = worker.sweep.slot(visit.place.listener);
    let mut first = true;
    while let Some(deadline) = idle_deadline(&worker, visit) {
        slot.arm(deadline, true);
        match slot.until(readable(&stream)).await {
            Ok(()) => {}
            Err(Ended::Late) if first => {
                Box::pin(read::silent(&worker, &mut stream, &visit, &slot)).await;
                break;
            }
            Err(_) => break,
        }
        match serve(&worker, &mut stream, &visit, &slot).await {
            Next::Idle if !worker.leaving.get() => first = false,
            Next::Idle | Next::Close => break,
        }
    }
    drop(open);
}

fn serve<'a>(
    worker: &'a Rc<Worker>,
    stream: &'a mut TcpStream,
    visit: &'a Visit,
    slot: &'a Slot,
) -> std::pin::Pin<Box<dyn Future<Output = Next> + 'a>> {
    Box::pin(read::serve(worker, stream, visit, slot))
}

/// Until when a connection may idle; none if its listener is gone.
fn idle_deadline(worker: &Worker, visit: Visit) -> Option<Mono> {
    let picture = worker.picture();
    let settings = &picture.listener(visit.place.listener)?.balancer.settings;
    Some(
        (worker.recent() + settings.idle_timeout)
            .min(visit.accepted + settings.client_keep_alive + settings.idle_timeout),
    )
}

/// Counts a connection as open until dropped.
struct Open {
    stats: Option<std::sync::Arc<forebay_node::Shards<forebay_node::BalancerStats>>>,
    worker: usize,
}

impl Open {
    fn new(worker: &Worker, visit: Visit) -> Open {
        let picture = worker.picture();
        let stats = picture
            .listener(visit.place.listener)
            .map(|view| std::sync::Arc::clone(&view.balancer.stats));
        let open = Open {
            stats,
            worker: worker.mind.borrow().worker,
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
