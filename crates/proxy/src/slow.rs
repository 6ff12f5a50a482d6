//! The slow path: one thread that feeds the node, makes its probes and hands its snapshots to the workers.

use crate::clock::Clock;
use crate::listening::Inherited;
use crate::options::Options;
use crate::probe::{probe, probe_function};
use crate::thread::essential;
use crate::tls::TicketKey;
use crate::worker_log::WorkerLog;
use crate::worker_pool::{BindFailure, Farewell, WorkerPool};
use forebay_functions::Functions;
use forebay_model::{Anomaly, Blueprint, ProbeKind, TargetHealth, TargetTls};
use forebay_node::logging::{Logger, ProbeFacts};
use forebay_node::{Channels, Event, KeptHealth, Node, Output, ProbeResult, Snapshot, TargetId};
use forebay_units::lock::lock;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, oneshot};

/// Capacity of the channel for events from workers.
const EVENTS: usize = 1024;
/// Interval at which addresses that could not be bound are tried again.
const BIND_RETRY: Duration = Duration::from_secs(5);

/// A deregistered target that is idle, or whose deregistration delay is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drained {
    /// The group's ARN.
    pub group: String,
    /// The target's id.
    pub target: String,
    /// The port it was registered with.
    pub port: u16,
}

/// What is served, and what could not be.
#[derive(Clone, Debug, Default)]
pub struct Served {
    /// The snapshot by which the workers decide.
    pub snapshot: Arc<Snapshot>,
    /// Addresses that could not be bound.
    pub failures: Vec<BindFailure>,
}

struct Shared {
    node: Mutex<Node>,
    served: Mutex<Served>,
}

/// Keys of session tickets, by their listeners' ARNs.
pub type Tickets = Vec<(String, Vec<TicketKey>)>;

enum Command {
    Apply(Blueprint, oneshot::Sender<()>),
    TakeHealth(Vec<KeptHealth>, oneshot::Sender<()>),
    TakeTickets(Tickets, oneshot::Sender<()>),
    GiveTickets(oneshot::Sender<Tickets>),
    Listen(Inherited, oneshot::Sender<()>),
    Accept(bool, oneshot::Sender<()>),
    Answer(oneshot::Sender<bool>),
    Copies(oneshot::Sender<io::Result<Vec<(SocketAddr, OwnedFd)>>>),
    Leave(Farewell),
}

/// The running data plane.
pub struct DataPlane {
    shared: Arc<Shared>,
    commands: mpsc::UnboundedSender<Command>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl DataPlane {
    /// Starts the workers and the slow path. Drained targets are reported through `drained`.
    pub fn start(
        options: Options,
        clock: Clock,
        drained: mpsc::UnboundedSender<Drained>,
    ) -> io::Result<DataPlane> {
        let (events, received) = mpsc::channel(EVENTS);
        let worker_pool = WorkerPool::start(&options, clock, &events)?;
        let shared = Arc::new(Shared {
            node: Mutex::new(Node::new(options.workers).guarded(options.permit_issuer.clone())),
            served: Mutex::default(),
        });
        let (commands, orders) = mpsc::unbounded_channel();
        let slow = Slow {
            shared: Arc::clone(&shared),
            worker_pool,
            clock,
            events,
            drained,
            logger: options.logger,
            channels: options.channels,
            functions: options.functions,
            probes: Arc::new(Semaphore::new(options.probes.clamp(1, Semaphore::MAX_PERMITS))),
        };
        let thread =
            essential(
                "slow-path".to_owned(),
                move || match tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build_local(Default::default())
                {
                    Ok(runtime) => {
                        runtime.block_on(slow.run(orders, received));
                    }
                    Err(error) => {
                        tracing::error!(%error, "the thread for health checks and snapshots could not start")
                    }
                },
            )?;
        Ok(DataPlane {
            shared,
            commands,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Serves this blueprint from now on. Returns once every worker decides by it: no request is routed by the previous
    /// one. Blocks; call it from a thread of its own.
    pub fn apply(&self, blueprint: Blueprint) {
        self.ask(|done| Command::Apply(blueprint, done));
    }

    /// Adopts another process's knowledge of targets' health. Blocks.
    pub fn take_health(&self, records: Vec<KeptHealth>) {
        self.ask(|done| Command::TakeHealth(records, done));
    }

    /// Adopts another process's keys of session tickets: tickets that it issued are accepted, and new ones made with them.
    /// Blocks.
    pub fn take_tickets(&self, tickets: Tickets) {
        self.ask(|done| Command::TakeTickets(tickets, done));
    }

    /// The keys of session tickets. Blocks.
    pub fn tickets(&self) -> Tickets {
        self.ask(Command::GiveTickets).unwrap_or_default()
    }

    /// Listens, without accepting connections yet: on these sockets where their addresses are served, on new ones
    /// elsewhere. Blocks.
    pub fn listen(&self, inherited: Inherited) {
        self.ask(|done| Command::Listen(inherited, done));
    }

    /// Accepts connections, or leaves them in the kernel's queue. Returns once all workers do. Blocks.
    pub fn accept(&self, accepts: bool) {
        self.ask(|done| Command::Accept(accepts, done));
    }

    /// Whether all workers and the slow path are alive: returns once each has responded. Blocks while one is busy.
    pub fn answers(&self) -> bool {
        self.ask(Command::Answer).unwrap_or(false)
    }

    /// Duplicates of the descriptors of all listening sockets. Blocks.
    pub fn copies(&self) -> io::Result<Vec<(SocketAddr, OwnedFd)>> {
        let copies = self.ask(Command::Copies);
        copies.unwrap_or_else(|| Err(io::Error::other("the data plane has ended")))
    }

    fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
        let (done, wait) = oneshot::channel();
        self.commands.send(command(done)).ok()?;
        wait.blocking_recv().ok()
    }

    /// What is known of a target's health; none if it is not registered.
    pub fn health(&self, group: &str, target: &str, port: u16) -> Option<TargetHealth> {
        lock(&self.shared.node).health(group, target, port)
    }

    /// How a target compares with its peers; none if it is not registered.
    pub fn anomaly(&self, group: &str, target: &str, port: u16) -> Option<Anomaly> {
        lock(&self.shared.node).anomaly(group, target, port)
    }

    /// What is served now.
    pub fn served(&self) -> Served {
        lock(&self.shared.served).clone()
    }

    /// Calls `read` with the node, for metrics.
    pub fn with_node<T>(&self, read: impl FnOnce(&Node) -> T) -> T {
        read(&lock(&self.shared.node))
    }

    /// Stops accepting connections, lets requests finish, and ends; blueprints applied meanwhile still take effect. Blocks.
    pub fn leave(&self, farewell: Farewell) {
        let _ = self.commands.send(Command::Leave(farewell));
        if let Some(thread) = lock(&self.thread).take() {
            let _ = thread.join();
        }
    }
}

struct Slow {
    shared: Arc<Shared>,
    worker_pool: WorkerPool,
    clock: Clock,
    events: mpsc::Sender<Event>,
    drained: mpsc::UnboundedSender<Drained>,
    logger: Option<Arc<dyn Logger>>,
    channels: Option<Arc<dyn Channels>>,
    functions: Arc<dyn Functions>,
    probes: Arc<Semaphore>,
}

/// The facts of a probe for its log line.
struct Probed {
    target: TargetId,
    /// None for a function.
    address: Option<SocketAddr>,
    kind: &'static str,
    result: ProbeResult,
    latency: Duration,
}

impl Slow {
    async fn run(
        mut self,
        mut commands: mpsc::UnboundedReceiver<Command>,
        mut events: mpsc::Receiver<Event>,
    ) {
        let worker_log = Rc::new(WorkerLog::new(self.logger.as_deref()));
        let mut come = Vec::new();
        let mut left: Option<oneshot::Receiver<()>> = None;
        let mut retry = tokio::time::interval(BIND_RETRY);
        retry.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let deadline = lock(&self.shared.node).next_deadline();
            let due = async {
                match deadline {
                    Some(at) => tokio::time::sleep_until(self.clock.instant(at).into()).await,
                    None => std::future::pending().await,
                }
            };
            let ended = async {
                match &mut left {
                    Some(left) => drop(left.await),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = ended => return,
                command = commands.recv() => match command {
                    Some(Command::Leave(farewell)) => left = Some(self.leave(farewell)),
                    Some(command) => self.carry_out(command, &worker_log).await,
                    None => return self.worker_pool.leave(Farewell::within(Duration::ZERO))(),
                },
                // All events that have come so far are handled together: if many targets become healthy at once, one
                // snapshot is published, not one each.
                1.. = events.recv_many(&mut come, EVENTS) => {
                    lock(&self.shared.node).handle_all(self.clock.now(), come.drain(..));
                    self.obey(&worker_log).await;
                }
                () = due => {
                    lock(&self.shared.node).handle_deadline(self.clock.now());
                    self.obey(&worker_log).await;
                }
                _ = retry.tick() => {
                    let served = lock(&self.shared.served).clone();
                    if !served.failures.is_empty() {
                        self.publish(served.snapshot).await;
                    }
                }
            }
        }
    }

    async fn carry_out(&mut self, command: Command, worker_log: &Rc<WorkerLog>) {
        match command {
            Command::Apply(blueprint, done) => {
                lock(&self.shared.node).apply(self.clock.now(), &blueprint);
                self.obey(worker_log).await;
                let _ = done.send(());
            }
            Command::TakeHealth(records, done) => {
                lock(&self.shared.node).take_health(self.clock.now(), &records);
                self.obey(worker_log).await;
                let _ = done.send(());
            }
            Command::TakeTickets(tickets, done) => {
                let snapshot = Arc::clone(&lock(&self.shared.served).snapshot);
                for (arn, keys) in tickets {
                    let listener = snapshot
                        .listeners
                        .iter()
                        .find(|listener| listener.blueprint.arn == arn);
                    let own = listener.and_then(|listener| self.worker_pool.tls().tickets(listener.id));
                    own.inspect(|own| own.take(&keys));
                }
                let _ = done.send(());
            }
            Command::GiveTickets(give) => {
                let snapshot = Arc::clone(&lock(&self.shared.served).snapshot);
                let keys = snapshot.listeners.iter().filter_map(|listener| {
                    let keys = self.worker_pool.tls().tickets(listener.id)?.give();
                    Some((listener.blueprint.arn.clone(), keys))
                });
                let _ = give.send(keys.collect());
            }
            Command::Listen(inherited, done) => {
                self.worker_pool.listen(inherited);
                // Sockets are made before any accepts: the process that has them now goes on accepting until it is told to
                // stop.
                self.worker_pool.accept(false).await;
                let snapshot = Arc::clone(&lock(&self.shared.served).snapshot);
                self.publish(snapshot).await;
                self.worker_pool.drop_inherited();
                let _ = done.send(());
            }
            Command::Accept(accepts, done) => {
                self.worker_pool.accept(accepts).await;
                let _ = done.send(());
            }
            Command::Answer(answer) => {
                let _ = answer.send(self.worker_pool.answers().await);
            }
            Command::Copies(give) => drop(give.send(self.worker_pool.copies().await)),
            Command::Leave(_) => {}
        }
    }

    /// Tells the workers to leave; the receiver resolves once they have.
    fn leave(&mut self, farewell: Farewell) -> oneshot::Receiver<()> {
        let join = self.worker_pool.leave(farewell);
        let (done, left) = oneshot::channel();
        let thread = std::thread::Builder::new().name("leaving".to_owned());
        // Without a thread the sender is dropped, and the wait ends at once.
        let spawned = thread.spawn(move || {
            join();
            let _ = done.send(());
        });
        if let Err(error) = spawned {
            tracing::error!(%error, "cannot wait for requests in flight; they are cut off");
        }
        left
    }

    async fn obey(&mut self, worker_log: &Rc<WorkerLog>) {
        loop {
            let output = lock(&self.shared.node).poll_output();
            match output {
                None => return,
                Some(Output::Publish(snapshot)) => self.publish(snapshot).await,
                Some(Output::Probe(order)) => {
                    let (target, address) = (order.target, Some(order.address));
                    let kind = order.kind.word(order.tls != TargetTls::Plaintext);
                    let probing = async move { probe(&order).await };
                    self.probe((target, address, kind), worker_log, probing);
                }
                Some(Output::ProbeFunction(order)) => {
                    let (target, functions) = (order.target, Arc::clone(&self.functions));
                    let probing = async move { Some(probe_function(&*functions, &order).await) };
                    let kind = ProbeKind::Function.word(false);
                    self.probe((target, None, kind), worker_log, probing);
                }
                Some(Output::Weighed {
                    group,
                    target,
                    port,
                    change,
                }) => {
                    let anomalous = change.anomalous;
                    tracing::info!(group, target, port, anomalous, reason = %change, "compared with its peers");
                }
                Some(Output::Channels(wanted)) => match &self.channels {
                    Some(channels) => {
                        self.worker_pool.set_channels(wanted.len());
                        channels.keep(wanted);
                    }
                    None => tracing::warn!("channels to agents are wanted, but this process keeps none"),
                },
                Some(Output::Drained { group, target, port }) => {
                    let _ = self.drained.send(Drained { group, target, port });
                }
            }
        }
    }

    /// Makes a probe of this target when its turn comes, and reports the result.
    fn probe(
        &self,
        (target, address, kind): (TargetId, Option<SocketAddr>, &'static str),
        worker_log: &Rc<WorkerLog>,
        probing: impl Future<Output = Option<ProbeResult>> + 'static,
    ) {
        let (events, clock) = (self.events.clone(), self.clock);
        let (shared, worker_log) = (Arc::clone(&self.shared), Rc::clone(worker_log));
        let probes = Arc::clone(&self.probes);
        tokio::task::spawn_local(async move {
            let _turn = probes.acquire().await;
            let began = clock.now();
            if let Some(result) = probing.await {
                let latency = clock.now().since(began);
                let probed = Probed {
                    target,
                    address,
                    kind,
                    result,
                    latency,
                };
                write_probe(&shared, &worker_log, clock, &probed);
                // Waits if the channel is full: a lost result would leave the target without further probes.
                let _ = events.send(Event::Probed { target, result }).await;
            }
        });
    }

    async fn publish(&mut self, snapshot: Arc<Snapshot>) {
        let failures = self.worker_pool.adopt(&snapshot).await;
        let mut served = lock(&self.shared.served);
        for failure in failures
            .iter()
            .filter(|failure| !served.failures.contains(failure))
        {
            tracing::warn!(address = %failure.address, listener = failure.listener, "cannot listen: {}", failure.error);
        }
        *served = Served { snapshot, failures };
    }
}

/// Writes a line to the health check logs of the load balancers that keep one.
fn write_probe(shared: &Shared, worker_log: &WorkerLog, clock: Clock, probed: &Probed) {
    worker_log.write(|log_writer| {
        let watch = lock(&shared.node).watch(probed.target, worker_log.wants_probes());
        let Some(watch) = watch else { return };
        log_writer.probe(&ProbeFacts {
            watch: &watch,
            address: probed.address,
            kind: probed.kind,
            wall: clock.wall(),
            latency: probed.latency,
            result: probed.result,
        });
        log_writer.flush();
    });
}
