//! The wiring: store, writer, data plane, API and admin addresses, joined through the ports that `control` owns.

use crate::collector;
use crate::data_dir::make_data_dir;
use crate::datapoints::KeptDatapoints;
use crate::exposed_log::ExposedLog;
use crate::flags::{BufferMemory, UpArgs};
use crate::fleet::Instances;
use crate::notify;
use crate::places::{self, placed};
use crate::planner;
use crate::pools::PoolClaim;
use crate::shown::{Served, Shown};
use crate::ticking;
use anyhow::{Context as _, anyhow};
use forebay_control::fleet::{Image, SeenInstance, Shape};
use forebay_control::{Datapoints, Drain, Left, Observations, Publish, State};
use forebay_control_channel::Keeper;
use forebay_gateway::front;
use forebay_gateway::{ApiContext, ApiOptions, Bounds, Credentials, Hosts, SharedPorts, Writer, credentials};
use forebay_model::{Anomaly, Blueprint, HealthState, TargetHealth};
use forebay_node::logging::Logger;
use forebay_node::{Channels, ResponseTimes, Sampling};
use forebay_proxy::{Affordable, Clock, DataPlane, Options};
use forebay_store::Store;
use forebay_telemetry::export::Exporter;
use forebay_telemetry::logs::Logs;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::net::TcpSocket;
use tokio::sync::{mpsc, watch};

/// Connections that may wait in the kernel until they are taken (it may allow fewer).
const QUEUED: u32 = 4096;
/// Connections to the admin address at once: a few who scrape.
const ADMIN_CONNECTIONS: usize = 64;

/// A running Forebay.
pub struct Daemon {
    /// Where the APIs are served.
    pub api: SocketAddr,
    /// Where metrics and health are served.
    pub admin: SocketAddr,
    /// Where state and credentials are kept.
    pub data_dir: PathBuf,
    /// The file of its keys.
    pub credentials: PathBuf,
    plane: Arc<DataPlane>,
    logs: Arc<Logs>,
    /// What ends with its sender: the collector, then the keeper of datapoints.
    threads: Vec<(Sender<()>, JoinHandle<()>)>,
    exporters: Vec<Exporter>,
    sending: notify::Sending,
    context: Arc<ApiContext>,
    shown: Arc<Shown>,
    instances: Arc<Instances>,
    stop: watch::Sender<bool>,
    /// Ends the admin address, which is the last to go.
    ended: watch::Sender<bool>,
    serving: tokio::task::JoinHandle<std::io::Result<()>>,
    drain: Duration,
    /// No other process may have these meanwhile.
    _pools: PoolClaim,
}

/// Hands each state's blueprint to the data plane, made from the one before: it costs what changed.
struct Publisher {
    plane: Arc<DataPlane>,
    instances: Arc<Instances>,
    adoptions: Arc<ResponseTimes>,
    exposed: Vec<IpAddr>,
    last: Mutex<Option<(Arc<State>, Blueprint)>>,
    told: ExposedLog,
}

impl Publisher {
    fn new(plane: &Arc<DataPlane>, instances: &Arc<Instances>, exposed: Vec<IpAddr>) -> Publisher {
        Publisher {
            plane: Arc::clone(plane),
            instances: Arc::clone(instances),
            adoptions: Arc::default(),
            told: ExposedLog::new(&exposed),
            exposed,
            last: Mutex::new(None),
        }
    }
}

impl Publish for Publisher {
    fn publish(&self, state: &Arc<State>) {
        let stored = Instant::now();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        self.instances
            .publish(last.as_ref().map(|(old, _)| &**old), state);
        let blueprint = match &*last {
            Some((old, before)) => state.blueprint_since(old, before),
            None => Blueprint {
                exposed: self.exposed.clone(),
                ..state.blueprint()
            },
        };
        *last = Some((Arc::clone(state), blueprint.clone()));
        self.plane.apply(blueprint);
        // `last` is locked still: one at a time.
        self.adoptions.record(stored.elapsed());
        self.told.look(&self.plane.served());
    }
}

/// The observations of the data plane and of the launcher, as `control` asks for them.
struct Plane(Arc<DataPlane>, Arc<Instances>);

impl Observations for Plane {
    fn target_health(&self, group_arn: &str, target_id: &str, port: u16) -> Option<TargetHealth> {
        self.0.health(group_arn, target_id, port)
    }

    fn target_anomaly(&self, group_arn: &str, target_id: &str, port: u16) -> Option<Anomaly> {
        self.0.anomaly(group_arn, target_id, port)
    }

    fn left_in_flight(&self, drains: &[Drain]) -> Vec<Option<Left>> {
        let mut places = BTreeMap::new();
        let mut left = vec![None; drains.len()];
        self.0.with_node(|node| {
            for (place, drain) in drains.iter().enumerate() {
                let health = node.health(&drain.group_arn, &drain.id, drain.port);
                if health.is_some_and(|health| health.state == HealthState::Draining) {
                    places.insert((&*drain.group_arn, &*drain.id, drain.port), place);
                }
            }
            for (arn, id, port, _, stats) in node.targets() {
                if let Some(&place) = places.get(&(arn, id, port)) {
                    left[place] = Some(Left {
                        in_flight: stats.in_flight.load(Relaxed),
                        is_cut: stats.cut.load(Relaxed),
                    });
                }
            }
        });
        left
    }

    fn instance(&self, id: &str) -> Option<SeenInstance> {
        self.1.seen(id)
    }

    fn images(&self) -> Vec<Image> {
        self.1.images()
    }

    fn shapes(&self) -> Vec<Shape> {
        self.1.shapes()
    }

    fn refuses_user_data(&self) -> Option<String> {
        self.1.refuses_user_data()
    }

    fn in_flight(&self, target_ids: &[&str]) -> Vec<u32> {
        let mut counts: BTreeMap<&str, u32> = target_ids.iter().map(|id| (*id, 0)).collect();
        self.0.with_node(|node| {
            for (_, id, _, _, stats) in node.targets() {
                if let Some(count) = counts.get_mut(id) {
                    *count += stats.in_flight.load(Relaxed);
                }
            }
        });
        let counts = target_ids.iter().map(|id| counts[id]);
        counts.collect()
    }
}

impl Daemon {
    /// Starts everything. When it returns, traffic is served and calls are answered.
    pub async fn start(args: UpArgs) -> anyhow::Result<Daemon> {
        args.check()?;
        forebay_proxy::raise_descriptor_limit();
        let (api, admin) = (listen(args.api, "--api")?, listen(args.admin, "--admin")?);
        let keys = keys(&args)?;
        let (api_address, admin_address) = (api.local_addr()?, admin.local_addr()?);
        // From now on, and to the very end: whoever probes must be told of the start and of the drain.
        let (shown, ended) = show(admin, hosts(&args))?;
        let (store, kept) = Store::open(&args.data.data_dir.join("state.redb"))?;
        let (state, pools) = configured(&args, kept)?;
        let clock = Clock::start();
        let seed = getrandom::u64().context("the system has no random numbers")?;
        let (sender, drained) = mpsc::unbounded_channel();
        let logs = start_logs(&args, seed)?;
        let node = format!("forebay-{seed:016x}");
        let channels = Keeper::start(node, seed, Arc::new(move || clock.now()))
            .context("the control channels could not start")?;
        let options = plane_options(&args, seed, &logs, Arc::new(channels));
        let plane = Arc::new(DataPlane::start(options, clock, sender)?);
        let instances = Instances::start(&args, api_address, &state, &keys)?;
        let seen = Arc::new(Plane(Arc::clone(&plane), Arc::clone(&instances)));
        let publish = Publisher::new(&plane, &instances, args.exposed()?);
        let adoptions = Arc::clone(&publish.adoptions);
        let (datapoints, keeper) = keep_datapoints(&args, clock).await?;
        let (actions, sending) = notifications(&args, &shown, clock)?;
        let ports = SharedPorts {
            datapoints: Arc::clone(&datapoints) as Arc<dyn Datapoints>,
            actions,
            ..SharedPorts::observing(seen)
        };
        let shared = ports.clone();
        // Publishing waits for the workers, so it must not hold a thread that drives tasks.
        let started =
            tokio::task::spawn_blocking(move || Writer::start(state, store, publish, ports, seed)).await?;
        let (writer, _) = started.context("the writer thread could not start")?;
        tokio::spawn(ticking::tick(writer.clone(), drained, Arc::clone(&instances)));
        let plans = planner::start(&plane, &writer, clock, &instances, shared);
        shown.serves(Served {
            plane: Arc::clone(&plane),
            logs: Arc::clone(&logs),
            writer: writer.clone(),
            adoptions,
            datapoints: Arc::clone(&datapoints),
            plans,
            began: Instant::now(),
        });
        let exporters = crate::exports::start(&args, admin_address, &shown)?;
        let collector = collect(&shown, datapoints, writer.clone(), clock, Arc::clone(&instances))?;
        let context = ApiContext::new(api_options(&args), Credentials::new(&keys), writer, seed);
        let context = Arc::new(context);
        let (stop, stopped) = watch::channel(false);
        let serving = serve(api, &context, stopped);
        Ok(Daemon {
            api: api_address,
            admin: admin_address,
            data_dir: args.data.data_dir,
            credentials: keys,
            plane,
            logs,
            threads: vec![collector, keeper],
            exporters,
            sending,
            context,
            shown,
            instances,
            stop,
            ended,
            serving,
            drain: Duration::from_secs(args.drain_seconds),
            _pools: pools,
        })
    }

    /// What had to be said on standard output is said: log lines may follow there.
    pub fn announced(&self) {
        self.logs.go();
    }

    /// Tells in the log what becomes of targets from now on.
    pub fn watch(&self) {
        crate::health_log::start(&self.plane);
    }

    /// Opens logs anew and reads the credentials again; traffic does not notice.
    pub fn look_again(&self) {
        if !self.logs.reopen() {
            tracing::warn!("a log's writer is far behind: its files were not opened anew");
        }
        self.context.read_again();
        self.instances.look_again();
    }

    /// Answers open calls and lets requests finish, both at once and within the drain time; ends.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.shown.leaves();
        self.instances.leave();
        self.stop.send_replace(true);
        let (plane, drain) = (self.plane, self.drain);
        let (logs, threads, exporters) = (self.logs, self.threads, self.exporters);
        let leaving = tokio::task::spawn_blocking(move || {
            plane.leave(drain);
            exporters.into_iter().for_each(Exporter::finish);
            logs.finish();
            for (go_on, thread) in threads {
                drop(go_on);
                if thread.join().is_err() {
                    tracing::error!("a thread that keeps datapoints had panicked");
                }
            }
        });
        // An API connection that stays half open is left behind when the data plane is done.
        let serving = tokio::time::timeout(drain, self.serving);
        let (served, left, ()) = tokio::join!(serving, leaving, self.sending.finish());
        left?;
        if let Ok(served) = served {
            served??;
        }
        self.ended.send_replace(true);
        Ok(())
    }
}

/// Who tells webhooks what alarms have to say.
fn notifications(
    args: &UpArgs,
    shown: &Shown,
    clock: Clock,
) -> anyhow::Result<(Arc<notify::Notifier>, notify::Sending)> {
    let data_dir = &args.data.data_dir;
    notify::start(&args.notify, data_dir, shown.notifications(), move || {
        clock.wall()
    })
}

/// Waits for this long; false once the sender is gone.
fn goes_on(told: &Receiver<()>, time: Duration) -> bool {
    matches!(told.recv_timeout(time), Err(RecvTimeoutError::Timeout))
}

/// The datapoints that were kept, and the thread that keeps more.
async fn keep_datapoints(
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

fn collect(
    shown: &Arc<Shown>,
    datapoints: Arc<KeptDatapoints>,
    writer: Writer,
    clock: Clock,
    instances: Arc<Instances>,
) -> anyhow::Result<(Sender<()>, JoinHandle<()>)> {
    let (go_on, told) = channel();
    let thread = collector::start(
        Arc::clone(shown),
        datapoints,
        instances,
        move || writer.state(),
        move || clock.wall(),
        move |time| goes_on(&told, time),
    );
    Ok((go_on, thread.context("the collector of metrics could not start")?))
}

/// Serves the APIs until told to stop.
fn serve(
    api: TcpListener,
    context: &Arc<ApiContext>,
    stopped: watch::Receiver<bool>,
) -> tokio::task::JoinHandle<std::io::Result<()>> {
    let bounds = Bounds {
        connections: Affordable::now().api,
    };
    let context = Arc::clone(context);
    tokio::spawn(forebay_gateway::serve(api, bounds, context, until(stopped)))
}

/// How calls are treated.
fn api_options(args: &UpArgs) -> ApiOptions {
    ApiOptions {
        account: args.account_id.clone(),
        region: args.region.clone(),
        check_signatures: !args.no_auth,
        hosts: hosts(args),
        allow_reset: args.enable_reset,
    }
}

fn hosts(args: &UpArgs) -> Hosts {
    Hosts {
        allowed: args.allowed_host.clone(),
    }
}

/// The credentials file in its directory, both made if need be.
fn keys(args: &UpArgs) -> anyhow::Result<PathBuf> {
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

/// Serves the admin address until what comes back is told to end, or is gone.
fn show(admin: TcpListener, hosts: Hosts) -> anyhow::Result<(Arc<Shown>, watch::Sender<bool>)> {
    let shown = Arc::new(Shown::new(hosts));
    admin.set_nonblocking(true)?;
    let admin = tokio::net::TcpListener::from_std(admin)?;
    let (ended, end) = watch::channel(false);
    let pages = Arc::clone(&shown);
    tokio::spawn(front::serve(admin, ADMIN_CONNECTIONS, pages, until(end)));
    Ok((shown, ended))
}

/// How the data plane is to run.
fn plane_options(args: &UpArgs, seed: u64, logs: &Arc<Logs>, channels: Arc<dyn Channels>) -> Options {
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
        permit_issuer: None,
    }
}

fn start_logs(args: &UpArgs, seed: u64) -> anyhow::Result<Arc<Logs>> {
    let logs = Logs::start(args.data.data_dir.join("logs"), &args.live_log, seed);
    let mut logs = logs.context("the log writers could not start")?;
    if let Some(endpoint) = &args.otlp_endpoint {
        let sampling = Sampling::new(args.otlp_sample);
        logs = logs
            .with_spans(endpoint.clone(), sampling)
            .context("the sender of spans could not start")?;
    }
    Ok(Arc::new(logs))
}

fn listen(address: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    let bind = || -> std::io::Result<TcpListener> {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        // Who comes among thousands must find a place in the kernel's queue: else its client knocks again after a second.
        socket.listen(QUEUED)?.into_std()
    };
    bind().with_context(|| format!("cannot listen on {address}: is another forebay running? Choose another {flag}, such as 127.0.0.1:0"))
}

fn drawn_secret() -> anyhow::Result<[u8; 32]> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(|error| anyhow!("the system has no random numbers: {error}"))?;
    Ok(secret)
}

/// The state to begin with, as the flags have it, and the claim of its pools.
fn configured(args: &UpArgs, kept: Option<State>) -> anyhow::Result<(State, PoolClaim)> {
    let quotas = args.quota.iter().cloned().collect();
    let state = placed(args, kept)?.configured(args.dialect(), quotas);
    let state = state.in_domain(&args.domain);
    let pools = PoolClaim::take(&places::pools(&state), &args.data.data_dir, None)?;
    Ok((state.secured(drawn_secret()?), pools))
}

async fn until(mut stopped: watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
}
