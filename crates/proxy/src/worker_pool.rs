//! The workers: one thread each, with sockets of their own on shared ports.

use crate::accept;
use crate::clock::Clock;
use crate::deadlines::SWEEP_INTERVAL;
use crate::descriptors::Descriptors;
use crate::listener_address::ListenerAddress;
use crate::local_routes::is_routed_here;
use crate::memory::{Memory, Meter};
use crate::options::Options;
use crate::thread::essential;
use crate::tls::Listeners;
use crate::worker::Worker;
use crate::worker_log::WorkerLog;
use forebay_model::Protocol;
use forebay_node::{Event, Snapshot, WorkerState};
use socket2::{Domain, Protocol as SocketProtocol, Socket, Type};
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Connections the kernel holds until they are taken.
const BACKLOG: i32 = 4096;

/// How long a worker that leaves waits for the next request of an idle connection, to tell its client that it will be closed: who is
/// not told may send one at the moment it is.
const IDLE_GRACE: Duration = Duration::from_secs(1);

/// Turns of its tasks a worker that leaves waits for idle connections to end.
const ENDING_TURNS: usize = 4;

/// An address that could not be listened on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindFailure {
    /// The address.
    pub address: SocketAddr,
    /// The listener's ARN.
    pub listener: String,
    /// What the system said.
    pub error: String,
}

enum Command {
    /// Decide by this snapshot; listen on these; move or close those.
    Adopt {
        snapshot: Arc<Snapshot>,
        tls: Arc<Listeners>,
        open: Vec<(SocketAddr, TcpListener)>,
        listener_addresses: Arc<BTreeMap<SocketAddr, ListenerAddress>>,
        done: oneshot::Sender<()>,
    },
    /// Look at deadlines, pools and logs.
    DeadlineTable,
    /// Finish what is under way and end.
    Leave { within: Duration },
}

/// All workers.
pub(crate) struct WorkerPool {
    commands: Vec<mpsc::UnboundedSender<Command>>,
    threads: Vec<JoinHandle<()>>,
    bound: BTreeMap<SocketAddr, ListenerAddress>,
    /// What the workers speak TLS by: the next snapshot's is made from it.
    tls: Arc<Listeners>,
    descriptors: Arc<Descriptors>,
    /// Channels to agents.
    channels: usize,
    clock: Clock,
}

impl WorkerPool {
    /// Starts the workers, each on a thread of its own.
    pub(crate) fn start(
        options: &Options,
        clock: Clock,
        events: &mpsc::Sender<Event>,
    ) -> io::Result<WorkerPool> {
        let (count, seed) = (options.workers, options.seed);
        let descriptors = Arc::new(Descriptors::new(options.connections, options.descriptors));
        let memory = Arc::new(Memory::new(options.buffer_bytes, count));
        let mut worker_pool = WorkerPool {
            commands: Vec::new(),
            threads: Vec::new(),
            bound: BTreeMap::new(),
            tls: Arc::default(),
            descriptors: Arc::clone(&descriptors),
            channels: 0,
            clock,
        };
        for index in 0..count {
            let (sender, receiver) = mpsc::unbounded_channel();
            let events = events.clone();
            let logger = options.logger.clone();
            let own = Arc::clone(&descriptors);
            let meter = Meter::new(Arc::clone(&memory), index);
            let thread = essential(format!("worker-{index}"), move || {
                // Without timers: tokio would read the clock twice each time it waits, and a worker waits twice a request.
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_io()
                    .build_local(Default::default());
                match runtime {
                    Ok(runtime) => {
                        let worker = Rc::new(Worker::new(
                            clock,
                            WorkerState::new(index, seed),
                            events,
                            WorkerLog::new(logger.as_deref()),
                            own,
                            meter,
                        ));
                        runtime.block_on(run(worker, receiver));
                    }
                    Err(error) => tracing::error!(%error, "a worker could not start"),
                }
            })?;
            worker_pool.commands.push(sender);
            worker_pool.threads.push(thread);
        }
        let commands: Vec<_> = worker_pool
            .commands
            .iter()
            .map(mpsc::UnboundedSender::downgrade)
            .collect();
        essential("sweeps".into(), move || tell_of_sweeps(&commands))?;
        Ok(worker_pool)
    }

    /// Gives every worker this snapshot and the sockets it needs; returns once all decide by it.
    pub(crate) async fn adopt(&mut self, snapshot: &Arc<Snapshot>) -> Vec<BindFailure> {
        let mut failures = Vec::new();
        let mut opened: Vec<(SocketAddr, Vec<TcpListener>)> = Vec::new();
        let mut listener_addresses = BTreeMap::new();
        self.tls = Arc::new(Listeners::of(snapshot, &self.tls, self.clock));
        for listener in snapshot
            .listeners
            .iter()
            .filter(|listener| listener.protocol == Protocol::Http || listener.tls.is_some())
        {
            for node in &listener.nodes {
                let address = SocketAddr::new(node.address, listener.port);
                let listener_address = ListenerAddress {
                    listener: listener.id,
                    zone: node.zone,
                    port: listener.port,
                    secure: listener.protocol == Protocol::Https,
                    shared: node.exposed && listener.is_shared(),
                    sniffs: listener.permit_issuer.is_some(),
                };
                if listener_addresses.contains_key(&address) {
                    continue;
                }
                if !self.bound.contains_key(&address) {
                    let ours = self.bound.keys().chain(opened.iter().map(|(address, _)| address));
                    let shares = ours.clone().any(|known| overlap(*known, address));
                    match bind(address, self.commands.len(), shares) {
                        Ok(sockets) => opened.push((address, sockets)),
                        Err(error) => {
                            let error = explain(&error, address);
                            failures.push(BindFailure {
                                address,
                                listener: listener.arn.clone(),
                                error,
                            });
                            continue;
                        }
                    }
                }
                listener_addresses.insert(address, listener_address);
            }
        }
        self.bound.clone_from(&listener_addresses);
        self.count_fixed();
        let listener_addresses = Arc::new(listener_addresses);
        let mut waits = Vec::new();
        for command in &self.commands {
            let open = opened
                .iter_mut()
                .filter_map(|(address, sockets)| Some((*address, sockets.pop()?)))
                .collect();
            let (done, wait) = oneshot::channel();
            let adopt = Command::Adopt {
                snapshot: Arc::clone(snapshot),
                tls: Arc::clone(&self.tls),
                open,
                listener_addresses: Arc::clone(&listener_addresses),
                done,
            };
            if command.send(adopt).is_ok() {
                waits.push(wait);
            }
        }
        for wait in waits {
            let _ = wait.await;
        }
        failures
    }

    /// Notes how many channels to agents stand.
    pub(crate) fn set_channels(&mut self, channels: usize) {
        self.channels = channels;
        self.count_fixed();
    }

    fn count_fixed(&self) {
        let listening = self.bound.len() * self.commands.len();
        self.descriptors.set_fixed(listening + self.channels);
    }

    /// Lets every worker finish what is under way, at most `within`, and ends them.
    pub(crate) fn leave(self, within: Duration) {
        for command in &self.commands {
            let _ = command.send(Command::Leave { within });
        }
        for thread in self.threads {
            let _ = thread.join();
        }
    }
}

/// Tells every worker when a sweep is due, until there is none left.
fn tell_of_sweeps(commands: &[mpsc::WeakUnboundedSender<Command>]) {
    let tell = |command: &mpsc::WeakUnboundedSender<Command>| {
        command
            .upgrade()
            .is_some_and(|command| command.send(Command::DeadlineTable).is_ok())
    };
    // Each is told, so none may be passed over once one was found.
    while commands.iter().filter(|command| tell(command)).count() > 0 {
        std::thread::sleep(SWEEP_INTERVAL);
    }
}

/// Whether one of two addresses is any, and takes what the other would.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() == other.port()
        && one.is_ipv4() == other.is_ipv4()
        && (one.ip().is_unspecified() || other.ip().is_unspecified())
}

/// One socket per worker on this address. SO_REUSEPORT would share a port silently with another process of the same
/// user, so the first try is without it, unless it would only meet sockets of our own (`shares`): of an address and of any address the
/// kernel chooses the one that was asked for.
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

fn explain(error: &io::Error, address: SocketAddr) -> String {
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

/// Raises the soft limit on open files to the hard one: each proxied connection takes two descriptors.
pub fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    ) {
        tracing::warn!(%error, "the limit on open files stays as it was");
    }
}

struct Socketed {
    listener_address: Rc<Cell<ListenerAddress>>,
    close: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<()>,
}

async fn run(worker: Rc<Worker>, mut commands: mpsc::UnboundedReceiver<Command>) {
    let mut sockets: HashMap<SocketAddr, Socketed> = HashMap::new();
    let within = loop {
        match commands.recv().await {
            Some(Command::Adopt {
                snapshot,
                tls,
                open,
                listener_addresses,
                done,
            }) => {
                worker.adopt(snapshot, tls);
                listen_at(&worker, &mut sockets, open, &listener_addresses).await;
                let _ = done.send(());
            }
            Some(Command::DeadlineTable) => sweep(&worker),
            Some(Command::Leave { within }) => break within,
            None => break Duration::ZERO,
        }
    };
    sockets.clear();
    worker.leaving.set(true);
    worker.sweep.wake_all();
    let now = worker.now();
    let (deadline, patience) = (now + within, now + IDLE_GRACE.min(within / 2));
    while worker.sweep.len() > 0 && worker.now() < deadline {
        // Most connections were idle and end now.
        for _ in 0..ENDING_TURNS {
            tokio::task::yield_now().await;
        }
        if worker.sweep.len() > 0 {
            // A command, or nobody left to send one: either way it is time to look again.
            let _ = commands.recv().await;
        }
        sweep(&worker);
        if worker.recent() >= patience {
            worker.sweep.close_idle(None);
        }
    }
}

fn sweep(worker: &Worker) {
    let now = worker.tick();
    worker.sweep.sweep(now);
    worker
        .pools
        .borrow_mut()
        .sweep(now, worker.descriptors.is_scarce());
    worker.links.borrow_mut().sweep(now);
    worker.state.borrow_mut().expire(now);
    worker.worker_log.flush();
    worker.swept.notify_waiters();
}

/// Listens where it is told to, and no longer elsewhere.
async fn listen_at(
    worker: &Rc<Worker>,
    sockets: &mut HashMap<SocketAddr, Socketed>,
    open: Vec<(SocketAddr, TcpListener)>,
    listener_addresses: &BTreeMap<SocketAddr, ListenerAddress>,
) {
    let gone = sockets.extract_if(|address, socketed| match listener_addresses.get(address) {
        Some(&listener_address) => {
            socketed.listener_address.set(listener_address);
            false
        }
        None => true,
    });
    let gone: Vec<Socketed> = gone.map(|(_, socketed)| socketed).collect();
    for Socketed { close, task, .. } in gone {
        drop(close);
        // Its socket is closed once the task is over; only then can another listener take the address.
        let _ = task.await;
    }
    for (address, socket) in open {
        let Some(&listener_address) = listener_addresses.get(&address) else {
            continue;
        };
        match tokio::net::TcpListener::from_std(socket) {
            Ok(socket) => {
                let listener_address = Rc::new(Cell::new(listener_address));
                let (close, closed) = oneshot::channel();
                let task = tokio::task::spawn_local(accept::listen(
                    Rc::clone(worker),
                    socket,
                    Rc::clone(&listener_address),
                    closed,
                ));
                sockets.insert(
                    address,
                    Socketed {
                        listener_address,
                        close,
                        task,
                    },
                );
            }
            Err(error) => tracing::error!(%error, %address, "a socket could not be used"),
        }
    }
}
