//! Listening sockets: how they are made, taken over from another process, and kept by one worker.

use crate::accept;
use crate::listener_address::ListenerAddress;
use crate::local_routes::is_routed_here;
use crate::worker::Worker;
use socket2::{Domain, Protocol as SocketProtocol, Socket, Type};
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd as _, OwnedFd};
use std::rc::Rc;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Connections that the kernel holds until they are accepted.
const BACKLOG: i32 = 4096;

/// Listening sockets of another process, by address. Connections that wait at them are not lost, because they belong to the
/// socket.
pub type Inherited = BTreeMap<SocketAddr, Vec<TcpListener>>;

/// One socket for each of `count` workers, the inherited ones first.
pub(crate) fn sockets(
    address: SocketAddr,
    count: usize,
    shares: bool,
    inherited: &mut Inherited,
) -> io::Result<Vec<TcpListener>> {
    let Some(mut sockets) = inherited.remove(&address) else {
        return bind(address, count, shares);
    };
    for socket in &sockets {
        socket.set_nonblocking(true)?;
    }
    // There are more workers than before. If there are fewer, some get several sockets: a connection at a socket that
    // nobody accepts from would wait forever.
    if sockets.len() < count {
        sockets.extend(bind(address, count - sockets.len(), true)?);
    }
    Ok(sockets)
}

/// One socket per worker on this address. With SO_REUSEPORT, a port could be shared unnoticed with another process of the
/// same user; so the first try is without it, unless it would only conflict with our own sockets (`shares`). Between a
/// specific address and the wildcard, the kernel prefers the specific one.
fn bind(address: SocketAddr, count: usize, shares: bool) -> io::Result<Vec<TcpListener>> {
    let socket = |shared: bool| -> io::Result<Socket> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(SocketProtocol::TCP),
        )?;
        socket.set_reuse_address(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_reuse_port(shared)?;
        match (socket.bind(&address.into()), address) {
            // The kernel binds to an address that is local only by a route if told to.
            (Err(error), SocketAddr::V6(address))
                if error.kind() == io::ErrorKind::AddrNotAvailable && is_routed_here(*address.ip()) =>
            {
                socket.set_freebind_v6(true)?;
                socket.bind(&address.into())?;
            }
            (bound, _) => bound?,
        }
        Ok(socket)
    };
    if !shares {
        socket(false)?;
    }
    (0..count)
        .map(|_| {
            let socket = socket(true)?;
            socket.listen(BACKLOG)?;
            socket.set_nonblocking(true)?;
            Ok(socket.into())
        })
        .collect()
}

/// Whether one of two addresses is the wildcard and covers the other.
pub(crate) fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() == other.port()
        && one.is_ipv4() == other.is_ipv4()
        && (one.ip().is_unspecified() || other.ip().is_unspecified())
}

/// The error with a hint what to do about an address that cannot be bound.
pub fn explain(error: &io::Error, address: SocketAddr) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => format!(
            "{error}: port {} needs a privilege; allow it with 'sysctl net.ipv4.ip_unprivileged_port_start=0' or choose a port above 1023",
            address.port()
        ),
        io::ErrorKind::AddrInUse => {
            format!("{error}: another process listens there; stop it or choose another port")
        }
        io::ErrorKind::AddrNotAvailable => {
            format!(
                "{error}: this machine has no such address; choose another --address-pool, or other --node-addresses"
            )
        }
        _ => error.to_string(),
    }
}

/// A socket, and the task that accepts its connections.
struct Socketed {
    listener_address: Rc<Cell<ListenerAddress>>,
    socket: Rc<tokio::net::TcpListener>,
    /// None while connections are not accepted.
    accepting: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Socketed {
    fn begin(&mut self, worker: &Rc<Worker>) {
        let (close, closed) = oneshot::channel();
        let task = tokio::task::spawn_local(accept::listen(
            Rc::clone(worker),
            Rc::clone(&self.socket),
            Rc::clone(&self.listener_address),
            closed,
        ));
        self.accepting = Some((close, task));
    }

    async fn end(&mut self) {
        if let Some((close, task)) = self.accepting.take() {
            drop(close);
            let _ = task.await;
        }
    }
}

/// The sockets of one worker.
pub(crate) struct Listening {
    worker: Rc<Worker>,
    /// By address, with a number where a worker has several for one.
    sockets: HashMap<(SocketAddr, usize), Socketed>,
    accepts: bool,
}

impl Listening {
    pub(crate) fn new(worker: &Rc<Worker>) -> Listening {
        Listening {
            worker: Rc::clone(worker),
            sockets: HashMap::new(),
            accepts: true,
        }
    }

    /// Listens on these addresses, and no longer on others.
    pub(crate) async fn at(
        &mut self,
        open: Vec<(SocketAddr, TcpListener)>,
        listener_addresses: &BTreeMap<SocketAddr, ListenerAddress>,
    ) {
        let gone = self
            .sockets
            .extract_if(|(address, _), socketed| match listener_addresses.get(address) {
                Some(&listener_address) => {
                    socketed.listener_address.set(listener_address);
                    false
                }
                None => true,
            });
        let gone: Vec<Socketed> = gone.map(|(_, socketed)| socketed).collect();
        for mut socketed in gone {
            // The socket closes when its task has ended; only then can another listener bind the address.
            socketed.end().await;
        }
        for (address, socket) in open {
            let Some(&listener_address) = listener_addresses.get(&address) else {
                continue;
            };
            match tokio::net::TcpListener::from_std(socket) {
                Ok(socket) => {
                    let mut socketed = Socketed {
                        listener_address: Rc::new(Cell::new(listener_address)),
                        socket: Rc::new(socket),
                        accepting: None,
                    };
                    if self.accepts {
                        socketed.begin(&self.worker);
                    }
                    let number = (0..).find(|number| !self.sockets.contains_key(&(address, *number)));
                    self.sockets
                        .insert((address, number.unwrap_or_default()), socketed);
                }
                Err(error) => tracing::error!(%error, %address, "a listening socket could not be used"),
            }
        }
    }

    /// Accepts connections, or leaves them in the kernel's queue.
    pub(crate) async fn accept(&mut self, accepts: bool) {
        self.accepts = accepts;
        for socketed in self.sockets.values_mut() {
            if !accepts {
                socketed.end().await;
            } else if socketed.accepting.is_none() {
                socketed.begin(&self.worker);
            }
        }
    }

    /// Duplicates of the descriptors of these sockets.
    pub(crate) fn copies(&self) -> io::Result<Vec<(SocketAddr, OwnedFd)>> {
        let sockets = self.sockets.iter();
        sockets
            .map(|((address, _), socketed)| Ok((*address, socketed.socket.as_fd().try_clone_to_owned()?)))
            .collect()
    }
}
