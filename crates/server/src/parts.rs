//! The parts of a daemon, made from the flags.

use crate::backlogs::Backlogs;
use crate::collector::{self, LookedAt};
use crate::data_dir::make_data_dir;
use crate::datapoints::KeptDatapoints;
use crate::flags::{BufferMemory, UpArgs};
use crate::fleet::Instances;
use crate::functions::HostedFunctions;
use crate::notify;
use crate::places::{self, placed};
use crate::pools::PoolClaim;
use crate::queues::KeptMessages;
use crate::served::{Lookers, Plane, Publisher};
use crate::shown::Shown;
use anyhow::{Context as _, anyhow};
use forebay_control::{Datapoints, State};
use forebay_control_channel::Keeper;
use forebay_functions::Functions;
use forebay_gateway::front;
use forebay_gateway::{
    ApiContext, ApiOptions, Beside, Bounds, Credentials, Hosts, SharedPorts, Writer, credentials,
};
use forebay_node::logging::Logger;
use forebay_node::{Channels, ResponseTimes, Sampling};
use forebay_proxy::{Affordable, Clock, DataPlane, Drained, Options};
use forebay_store::Store;
use forebay_telemetry::logs::Logs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::TcpSocket;
use tokio::sync::{mpsc, watch};

/// Most connections that wait in the kernel until they are accepted (the kernel may allow fewer).
const QUEUED: u32 = 4096;
/// Most connections to the admin address at once: a few scrapers.
const ADMIN_CONNECTIONS: usize = 64;

/// A thread that ends when its sender is dropped.
pub(crate) type Ending = (Sender<()>, JoinHandle<()>);

/// The parts that exist before anything is written or served.
pub(crate) struct Standing {
    pub(crate) clock: Clock,
    pub(crate) seed: u64,
    pub(crate) logs: Arc<Logs>,
    pub(crate) plane: Arc<DataPlane>,
    pub(crate) drained: mpsc::UnboundedReceiver<Drained>,
    pub(crate) instances: Arc<Instances>,
    actions: Arc<notify::Notifier>,
    pub(crate) sending: notify::Sending,
    pub(crate) adoptions: Arc<ResponseTimes>,
    pub(crate) lookers: Lookers,
    pub(crate) functions: Arc<HostedFunctions>,
}

impl Standing {
    /// Made from this state, with the APIs at `api`; `listens` unless another process has the sockets.
    pub(crate) fn new(
        args: &UpArgs,
        state: &State,
        api: SocketAddr,
        keys: &Path,
        shown: &Shown,
        listens: bool,
    ) -> anyhow::Result<(Standing, Publisher)> {
        let clock = Clock::start();
        let seed = getrandom::u64().context("the system's random number generator failed")?;
        let (sender, drained) = mpsc::unbounded_channel();
        let logs = start_logs(args, seed)?;
        let node = format!("forebay-{seed:016x}");
        let channels = Keeper::start(node, seed, Arc::new(move || clock.now()))
            .context("cannot start the control channels")?;
        let functions = Arc::new(HostedFunctions::new(args, api, keys));
        let runs = Arc::clone(&functions) as Arc<dyn Functions>;
        let options = plane_options(args, seed, &logs, Arc::new(channels), runs, listens);
        let plane = Arc::new(DataPlane::start(options, clock, sender)?);
        let instances = Instances::prepare(args, api, state, keys)?;
        let publish = Publisher::new(&plane, &instances, &functions, args.exposed()?);
        let (actions, sending) = notifications(args, shown, clock)?;
        let standing = Standing {
            clock,
            seed,
            logs,
            plane,
            drained,
            instances,
            actions,
            sending,
            adoptions: Arc::clone(&publish.adoptions),
            lookers: publish.lookers.clone(),
            functions,
        };
        Ok((standing, publish))
    }

    /// Serves this state, writes changes to the store, and starts the instances that the state wants.
    pub(crate) async fn write(
        &self,
        args: &UpArgs,
        state: State,
        store: Store,
        publish: Publisher,
    ) -> anyhow::Result<Writing> {
        let (datapoints, keeper) = keep_datapoints(args, self.clock).await?;
        let backlogs = Backlogs::new();
        let (messages, messages_thread) =
            keep_messages(args, &state, self.clock, self.seed, &backlogs).await?;
        publish.keep(&messages);
        let seen = Arc::new(Plane(Arc::clone(&self.plane), Arc::clone(&self.instances)));
        let ports = SharedPorts {
            datapoints: Arc::clone(&datapoints) as Arc<dyn Datapoints>,
            actions: Arc::clone(&self.actions) as _,
            ..SharedPorts::observing(seen)
        };
        let (shared, seed) = (ports.clone(), self.seed);
        // Publishing waits for the workers, so it must not block a thread that runs tasks.
        let started =
            tokio::task::spawn_blocking(move || Writer::start(state, store, publish, ports, seed)).await?;
        let (writer, _) = started.context("cannot start the writer thread")?;
        self.instances.take_up()?;
        Ok(Writing {
            writer,
            ports: shared,
            backlogs,
            datapoints,
            keeper,
            messages,
            messages_thread,
        })
    }
}

/// The parts that write.
pub(crate) struct Writing {
    pub(crate) writer: Writer,
    pub(crate) ports: SharedPorts,
    /// The backlogs of queues.
    pub(crate) backlogs: Backlogs,
    pub(crate) datapoints: Arc<KeptDatapoints>,
    pub(crate) keeper: Ending,
    pub(crate) messages: Arc<KeptMessages>,
    pub(crate) messages_thread: JoinHandle<()>,
}

/// An address that is served, on a socket of this process or on one from another process.
pub(crate) struct FrontAddress {
    pub(crate) address: SocketAddr,
    pub(crate) own: Option<TcpListener>,
}

impl FrontAddress {
    /// Listens, unless the running process does so at the address that the flag names.
    pub(crate) fn open(
        wanted: SocketAddr,
        flag: &str,
        running: Option<SocketAddr>,
    ) -> anyhow::Result<FrontAddress> {
        let fits = |running: &SocketAddr| {
            wanted.ip() == running.ip() && (wanted.port() == 0 || wanted.port() == running.port())
        };
        if let Some(address) = running.filter(fits) {
            return Ok(FrontAddress { address, own: None });
        }
        let own = listen(wanted, flag)?;
        Ok(FrontAddress {
            address: own.local_addr()?,
            own: Some(own),
        })
    }
}

/// The path of the state's file.
pub(crate) fn store_path(args: &UpArgs) -> PathBuf {
    args.data.data_dir.join("state.redb")
}

/// The sender of alarms' notifications.
pub(crate) fn notifications(
    args: &UpArgs,
    shown: &Shown,
    clock: Clock,
) -> anyhow::Result<(Arc<notify::Notifier>, notify::Sending)> {
    let data_dir = &args.data.data_dir;
    notify::start(&args.notify, data_dir, shown.notifications(), move || {
        clock.wall()
    })
}

/// Waits for this long; false once the sender was dropped.
fn goes_on(told: &Receiver<()>, time: Duration) -> bool {
    matches!(told.recv_timeout(time), Err(RecvTimeoutError::Timeout))
}

/// The stored datapoints, and the thread that keeps them.
pub(crate) async fn keep_datapoints(
    args: &UpArgs,
    clock: Clock,
) -> anyhow::Result<(Arc<KeptDatapoints>, (Sender<()>, JoinHandle<()>))> {
    let directory = args.data.data_dir.join("datapoints");
    let (go_on, told) = channel();
    let started = tokio::task::spawn_blocking(move || {
        let started =
            KeptDatapoints::start(&directory, move || clock.wall(), move |time| goes_on(&told, time));
        started.with_context(|| format!("cannot keep datapoints in {}", directory.display()))
    });
    let (datapoints, thread) = started.await??;
    Ok((datapoints, (go_on, thread)))
}

/// The messages of this state's queues, and the thread that keeps them.
async fn keep_messages(
    args: &UpArgs,
    state: &State,
    clock: Clock,
    seed: u64,
    backlogs: &Backlogs,
) -> anyhow::Result<(Arc<KeptMessages>, JoinHandle<()>)> {
    let directory = args.data.data_dir.join("messages");
    let bounds = args.messages.bounds();
    let (state, told) = (state.clone(), backlogs.clone());
    let open = move || KeptMessages::open(&directory, bounds, &state, clock, seed, told);
    let (messages, thread) = tokio::task::spawn_blocking(open).await??;
    let messages = Arc::new(messages);
    let weak = Arc::downgrade(&messages);
    backlogs.refresh_by(move |arn| {
        if let Some(messages) = weak.upgrade() {
            messages.refresh(arn);
        }
    });
    Ok((messages, thread))
}

/// Starts the collector of datapoints.
pub(crate) fn collect(
    shown: &Arc<Shown>,
    writing: &Writing,
    clock: Clock,
    instances: &Arc<Instances>,
    functions: &Arc<HostedFunctions>,
) -> anyhow::Result<Ending> {
    let (go_on, told) = channel();
    let writer = writing.writer.clone();
    let thread = collector::start(
        Arc::clone(shown),
        Arc::clone(&writing.datapoints) as _,
        LookedAt {
            instances: Arc::clone(instances),
            messages: Arc::clone(&writing.messages),
            functions: Arc::clone(functions),
        },
        move || writer.state(),
        move || clock.wall(),
        move |time| goes_on(&told, time),
    );
    Ok((go_on, thread.context("cannot start the collector of metrics")?))
}

/// The context of API calls.
pub(crate) fn context(
    args: &UpArgs,
    keys: &Path,
    writing: &Writing,
    functions: &Arc<HostedFunctions>,
    seed: u64,
) -> Arc<ApiContext> {
    Arc::new(ApiContext::new(
        api_options(args),
        Credentials::new(keys),
        writing.writer.clone(),
        Beside {
            messages: Arc::clone(&writing.messages) as _,
            functions: Arc::clone(functions) as _,
            code: Arc::clone(functions) as _,
        },
        seed,
    ))
}

/// Serves the APIs until told to stop.
pub(crate) fn serve(
    api: TcpListener,
    context: &Arc<ApiContext>,
    stopped: watch::Receiver<bool>,
) -> tokio::task::JoinHandle<std::io::Result<()>> {
    let affordable = Affordable::now();
    let bounds = Bounds {
        connections: affordable.api,
        polls: affordable.polls,
    };
    let context = Arc::clone(context);
    tokio::spawn(forebay_gateway::serve(api, bounds, context, until(stopped)))
}

/// The options of API calls.
fn api_options(args: &UpArgs) -> ApiOptions {
    ApiOptions {
        account: args.account_id.clone(),
        region: args.region.clone(),
        check_signatures: !args.no_auth,
        hosts: hosts(args),
        allow_reset: args.enable_reset,
    }
}

pub(crate) fn hosts(args: &UpArgs) -> Hosts {
    Hosts {
        allowed: args.allowed_host.clone(),
    }
}

/// The path of the credentials file in its directory, both created if necessary.
pub(crate) fn keys(args: &UpArgs) -> anyhow::Result<PathBuf> {
    make_data_dir(&args.data.data_dir)?;
    let keys = args.data.data_dir.join("credentials");
    credentials::tighten(&keys)?;
    if !keys.exists() {
        credentials::create(&keys, "default").context("cannot write the credentials file")?;
    }
    if !args.no_auth {
        credentials::check(&keys)?;
    }
    Ok(keys)
}

/// Serves the admin address until told to end.
pub(crate) fn show(admin: TcpListener, shown: &Arc<Shown>, end: watch::Receiver<bool>) -> anyhow::Result<()> {
    admin.set_nonblocking(true)?;
    let admin = tokio::net::TcpListener::from_std(admin)?;
    let pages = Arc::clone(shown);
    tokio::spawn(front::serve(
        admin,
        Bounds::of(ADMIN_CONNECTIONS),
        pages,
        until(end),
    ));
    Ok(())
}

/// The options of the data plane.
fn plane_options(
    args: &UpArgs,
    seed: u64,
    logs: &Arc<Logs>,
    channels: Arc<dyn Channels>,
    functions: Arc<dyn Functions>,
    listens: bool,
) -> Options {
    let affordable = Affordable::now();
    Options {
        workers: args.workers.map_or_else(
            || std::thread::available_parallelism().map_or(1, usize::from),
            usize::from,
        ),
        connections: args.max_connections.unwrap_or(usize::MAX),
        descriptors: affordable.traffic,
        probes: affordable.probes,
        buffer_bytes: match args.max_buffer_memory {
            BufferMemory::Bytes(bytes) => bytes,
            BufferMemory::Auto => forebay_proxy::affordable_memory().map_or(usize::MAX, |bytes| {
                usize::try_from(bytes / 2).unwrap_or(usize::MAX)
            }),
        },
        seed,
        logger: Some(Arc::clone(logs) as Arc<dyn Logger>),
        channels: Some(channels),
        functions,
        permit_issuer: None,
        listens,
    }
}

fn start_logs(args: &UpArgs, seed: u64) -> anyhow::Result<Arc<Logs>> {
    let logs = Logs::start(args.data.data_dir.join("logs"), &args.live_log, seed);
    let mut logs = logs
        .and_then(|logs| logs.with_retention(args.log_retention))
        .context("cannot start the log writers")?;
    if let Some(endpoint) = &args.otlp_endpoint {
        let sampling = Sampling::new(args.otlp_sample);
        logs = logs
            .with_spans(endpoint.clone(), sampling)
            .context("cannot start the sender of spans")?;
    }
    Ok(Arc::new(logs))
}

pub(crate) fn listen(address: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    let bind = || -> std::io::Result<TcpListener> {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        // With thousands of clients, a new connection must find a place in the kernel's queue, or it is retried after a
        // second.
        socket.listen(QUEUED)?.into_std()
    };
    bind().with_context(|| format!("cannot listen on {address}: is another forebay running? Choose another {flag}, such as 127.0.0.1:0"))
}

fn drawn_secret() -> anyhow::Result<[u8; 32]> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret)
        .map_err(|error| anyhow!("the system's random number generator failed: {error}"))?;
    Ok(secret)
}

/// The initial state, with the settings from the flags.
pub(crate) fn configured(args: &UpArgs, kept: Option<State>) -> anyhow::Result<State> {
    let quotas = args.quota.iter().cloned().collect();
    let state = placed(args, kept)?.configured(args.dialect(), quotas);
    let state = state.in_domain(&args.domain);
    Ok(state.secured(drawn_secret()?))
}

/// Claims the state's pools, which only the predecessor may hold as well.
pub(crate) fn claim(args: &UpArgs, state: &State, running: Option<u32>) -> anyhow::Result<PoolClaim> {
    PoolClaim::take(&places::pools(state), &args.data.data_dir, running)
}

async fn until(mut stopped: watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
}
