//! The workers: one thread each, with their own sockets on shared ports.

use crate::clock::Clock;
use crate::deadlines::SWEEP_INTERVAL;
use crate::descriptors::Descriptors;
use crate::listener_address::ListenerAddress;
use crate::listening::{Inherited, Listening, explain, overlap, sockets};
use crate::memory::{Memory, Meter};
use crate::options::Options;
use crate::thread::essential;
use crate::tls::Listeners;
use crate::worker::Worker;
use crate::worker_log::WorkerLog;
use forebay_model::Protocol;
use forebay_node::{Event, Snapshot, WorkerState};
use forebay_units::Mono;
use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How long a leaving worker keeps an idle connection for its next request, whose answer can say that it will be closed: a
/// client that is not told may send a request just as it closes.
const IDLE_GRACE: Duration = Duration::from_secs(1);

/// Time that WebSockets have to end after they were told to.
const TUNNEL_GRACE: Duration = Duration::from_secs(1);

/// Times that a leaving worker yields to let idle connections end.
const ENDING_TURNS: usize = 4;

/// An address that could not be bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindFailure {
    /// The address.
    pub address: SocketAddr,
    /// The listener's ARN.
    pub listener: String,
    /// The system's error, with a hint.
    pub error: String,
}

enum Command {
    /// Decide by this snapshot; open, move or close these sockets.
    Adopt {
        snapshot: Arc<Snapshot>,
        tls: Arc<Listeners>,
        open: Vec<(SocketAddr, TcpListener)>,
        listener_addresses: Arc<BTreeMap<SocketAddr, ListenerAddress>>,
        done: oneshot::Sender<()>,
    },
    /// Accept connections, or leave them in the kernel's queue.
    Accept {
        accepts: bool,
        done: oneshot::Sender<()>,
    },
    /// Confirm that commands are being processed.
    Answer(oneshot::Sender<()>),
    /// Return duplicates of all listening sockets.
    Copies(oneshot::Sender<io::Result<Vec<(SocketAddr, OwnedFd)>>>),
    /// Check deadlines, pools and logs.
    Tick,
    /// Finish the requests in progress and end.
    Leave(Farewell),
}

/// How a data plane ends.
#[derive(Clone, Copy, Debug)]
pub struct Farewell {
    /// Time that requests have to finish.
    pub within: Duration,
    /// How long an idle connection is kept for its next request, whose answer can say that it will be closed: a client that
    /// is not told may send a request just as it closes.
    pub patience: Duration,
}

impl Farewell {
    /// For a process that is stopped.
    pub fn within(within: Duration) -> Farewell {
        Farewell {
            within,
            patience: IDLE_GRACE.min(within / 2),
        }
    }

    /// For a process whose successor serves already, so that its end is not urgent.
    pub fn unhurried(within: Duration) -> Farewell {
        Farewell {
            within,
            patience: within / 2,
        }
    }
}

/// All workers.
pub(crate) struct WorkerPool {
    commands: Vec<mpsc::UnboundedSender<Command>>,
    threads: Vec<JoinHandle<()>>,
    bound: BTreeMap<SocketAddr, ListenerAddress>,
    /// Whether it listens at all.
    listens: bool,
    /// Sockets to be used before new ones are made.
    inherited: Inherited,
    /// The TLS configurations in use; those of the next snapshot are derived from them.
    tls: Arc<Listeners>,
    descriptors: Arc<Descriptors>,
    /// Number of channels to agents.
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
            listens: options.listens,
            inherited: Inherited::new(),
            tls: Arc::default(),
            descriptors: Arc::clone(&descriptors),
            channels: 0,
            clock,
        };
        for index in 0..count {
            let (sender, receiver) = mpsc::unbounded_channel();
            let events = events.clone();
            let (logger, functions) = (options.logger.clone(), Arc::clone(&options.functions));
            let own = Arc::clone(&descriptors);
            let meter = Meter::new(Arc::clone(&memory), index);
            let thread = essential(format!("worker-{index}"), move || {
                // Without timers: tokio would read the clock twice at each wait, and a worker waits twice per request.
                // Deadlines use sweeps.
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
                            functions,
                        ));
                        runtime.block_on(run(worker, receiver));
                    }
                    Err(error) => tracing::error!(%error, "a worker thread could not start"),
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
            .filter(|listener| {
                listener.blueprint.protocol == Protocol::Http || listener.blueprint.tls.is_some()
            })
            .take_while(|_| self.listens)
        {
            for node in &listener.nodes {
                let address = SocketAddr::new(node.address, listener.blueprint.port);
                let listener_address = ListenerAddress {
                    listener: listener.id,
                    zone: node.zone,
                    port: listener.blueprint.port,
                    secure: listener.blueprint.protocol == Protocol::Https,
                    shared: node.exposed && listener.is_shared(),
                    sniffs: listener.permit_issuer.is_some(),
                    proxied: !listener.balancer.settings().proxies.is_empty(),
                    tells_clients: snapshot.tells_clients,
                };
                if listener_addresses.contains_key(&address) {
                    continue;
                }
                if !self.bound.contains_key(&address) {
                    let ours = self.bound.keys().chain(opened.iter().map(|(address, _)| address));
                    let shares = ours.clone().any(|known| overlap(*known, address));
                    match sockets(address, self.commands.len(), shares, &mut self.inherited) {
                        Ok(sockets) => opened.push((address, sockets)),
                        Err(error) => {
                            let error = explain(&error, address);
                            failures.push(BindFailure {
                                address,
                                listener: listener.blueprint.arn.clone(),
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
        let shares = self.divided(opened);
        for (command, open) in self.commands.iter().zip(shares) {
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

    /// Notes the number of channels to agents.
    pub(crate) fn set_channels(&mut self, channels: usize) {
        self.channels = channels;
        self.count_fixed();
    }

    fn count_fixed(&self) {
        let listening = self.bound.len() * self.commands.len();
        self.descriptors.set_fixed(listening + self.channels);
    }

    /// Divides the opened sockets among the workers: one each per address, or several for some.
    fn divided(&self, opened: Vec<(SocketAddr, Vec<TcpListener>)>) -> Vec<Vec<(SocketAddr, TcpListener)>> {
        let mut shares: Vec<_> = self.commands.iter().map(|_| Vec::new()).collect();
        for (address, sockets) in opened {
            for (socket, at) in sockets.into_iter().zip((0..shares.len()).cycle()) {
                shares[at].push((address, socket));
            }
        }
        shares
    }

    /// Listens from the next snapshot on, on these sockets where their addresses are served.
    pub(crate) fn listen(&mut self, inherited: Inherited) {
        self.listens = true;
        self.inherited = inherited;
    }

    /// Closes the inherited sockets that were not needed.
    pub(crate) fn drop_inherited(&mut self) {
        self.inherited.clear();
    }

    /// The TLS configurations in use.
    pub(crate) fn tls(&self) -> &Listeners {
        &self.tls
    }

    /// Tells all workers to accept connections, or to leave them in the kernel's queue.
    pub(crate) async fn accept(&self, accepts: bool) {
        let told = self.commands.iter().filter_map(|command| {
            let (done, wait) = oneshot::channel();
            command.send(Command::Accept { accepts, done }).ok()?;
            Some(wait)
        });
        for wait in told.collect::<Vec<_>>() {
            let _ = wait.await;
        }
    }

    /// Whether all workers are alive, once each has responded.
    pub(crate) async fn answers(&self) -> bool {
        for command in &self.commands {
            let (answer, answered) = oneshot::channel();
            if command.send(Command::Answer(answer)).is_err() || answered.await.is_err() {
                return false;
            }
        }
        true
    }

    /// Duplicates of all listening sockets.
    pub(crate) async fn copies(&self) -> io::Result<Vec<(SocketAddr, OwnedFd)>> {
        let mut all = Vec::new();
        for command in &self.commands {
            let (give, given) = oneshot::channel();
            if command.send(Command::Copies(give)).is_ok()
                && let Ok(copies) = given.await
            {
                all.extend(copies?);
            }
        }
        Ok(all)
    }

    /// Tells every worker to finish its requests and end. Returns a function that waits for that.
    pub(crate) fn leave(&mut self, farewell: Farewell) -> impl FnOnce() + Send + use<> {
        self.listens = false;
        for command in &self.commands {
            let _ = command.send(Command::Leave(farewell));
        }
        let threads = core::mem::take(&mut self.threads);
        move || {
            for thread in threads {
                let _ = thread.join();
            }
        }
    }
}

/// Tells every worker when a sweep is due, until none is left.
fn tell_of_sweeps(commands: &[mpsc::WeakUnboundedSender<Command>]) {
    let tell = |command: &mpsc::WeakUnboundedSender<Command>| {
        command
            .upgrade()
            .is_some_and(|command| command.send(Command::Tick).is_ok())
    };
    // `count` visits all of them: with `any`, those behind the first living worker would not be told.
    while commands.iter().filter(|command| tell(command)).count() > 0 {
        std::thread::sleep(SWEEP_INTERVAL);
    }
}

/// Raises the soft limit on open files to the hard one, because each proxied connection takes two descriptors.
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
        tracing::warn!(%error, "the soft limit on open files could not be raised to the hard one");
    }
}

async fn run(worker: Rc<Worker>, mut commands: mpsc::UnboundedReceiver<Command>) {
    let mut listening = Listening::new(&worker);
    let farewell = loop {
        match commands.recv().await {
            Some(Command::Adopt {
                snapshot,
                tls,
                open,
                listener_addresses,
                done,
            }) => {
                worker.adopt(snapshot, tls);
                listening.at(open, &listener_addresses).await;
                let _ = done.send(());
            }
            Some(Command::Accept { accepts, done }) => {
                listening.accept(accepts).await;
                let _ = done.send(());
            }
            Some(Command::Answer(answer)) => {
                let _ = answer.send(());
            }
            Some(Command::Copies(give)) => {
                let _ = give.send(listening.copies());
            }
            Some(Command::Tick) => sweep(&worker),
            Some(Command::Leave(farewell)) => break farewell,
            None => break Farewell::within(Duration::ZERO),
        }
    };
    listening.accept(false).await;
    drop(listening);
    worker.leaving.set(true);
    worker.sweep.wake_all();
    let now = worker.now();
    let (deadline, patience) = (now + farewell.within, now + farewell.patience);
    linger(&worker, &mut commands, deadline, Some(patience)).await;
    if worker.sweep.end_tunnels() {
        linger(&worker, &mut commands, deadline + TUNNEL_GRACE, None).await;
    }
}

/// Serves the open connections until they have ended, or until the deadline. Idle ones are closed after `patience`; without
/// one, this is the end, and tunnels are told.
async fn linger(
    worker: &Worker,
    commands: &mut mpsc::UnboundedReceiver<Command>,
    until: Mono,
    patience: Option<Mono>,
) {
    while worker.sweep.len() > 0 && worker.now() < until {
        // Most connections were idle and end right away.
        for _ in 0..ENDING_TURNS {
            tokio::task::yield_now().await;
        }
        if worker.sweep.len() > 0 {
            // No command (all senders are gone), or a sweep. The senders of other commands learn from the dropped channel
            // that they are not carried out.
            if let Some(Command::Adopt {
                snapshot, tls, done, ..
            }) = commands.recv().await
            {
                worker.adopt(snapshot, tls);
                let _ = done.send(());
            }
        }
        sweep(worker);
        match patience {
            Some(patience) if worker.recent() >= patience => worker.sweep.close_idle(None),
            Some(_) => {}
            // A request may become a tunnel only now.
            None => _ = worker.sweep.end_tunnels(),
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
