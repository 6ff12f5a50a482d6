//! A running Forebay: how it starts, alone or in place of another, and how it ends.

use crate::backlogs::{self, Backlogs};
use crate::feeding;
use crate::flags::UpArgs;
use crate::fleet::Instances;
use crate::functions::HostedFunctions;
use crate::notify;
use crate::parts::{
    Ending, FrontAddress, Standing, Writing, claim, collect, configured, context, hosts, keys, serve, show,
    store_path,
};
use crate::planner;
use crate::pools::PoolClaim;
use crate::queues::KeptMessages;
use crate::schedules;
use crate::served::Lookers;
use crate::service_manager;
use crate::shown::{Served, Shown};
use crate::takeover::{Before, Predecessor, Successor, Yields};
use crate::ticking;
use forebay_control::Publish as _;
use forebay_gateway::{ApiContext, Internal};
use forebay_proxy::{DataPlane, Farewell};
use forebay_store::Store;
use forebay_telemetry::export::Exporter;
use forebay_telemetry::logs::Logs;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// A running Forebay.
pub struct Daemon {
    /// The address of the APIs.
    pub api: SocketAddr,
    /// The address of metrics and health.
    pub admin: SocketAddr,
    /// The directory of state and credentials.
    pub data_dir: PathBuf,
    /// The credentials file.
    pub credentials: PathBuf,
    plane: Arc<DataPlane>,
    logs: Arc<Logs>,
    /// The collector, then the keeper of datapoints: in the order in which they must end.
    threads: Vec<Ending>,
    /// Tasks that check again and again whether something must be changed.
    tasks: Vec<tokio::task::JoinHandle<()>>,
    exporters: Vec<Exporter>,
    sending: notify::Sending,
    context: Arc<ApiContext>,
    /// The messages of queues, and the thread that keeps them.
    messages: (Arc<KeptMessages>, std::thread::JoinHandle<()>),
    shown: Arc<Shown>,
    backlogs: Backlogs,
    instances: Arc<Instances>,
    functions: Arc<HostedFunctions>,
    predecessor: Predecessor,
    stop: watch::Sender<bool>,
    /// Ends the admin address, which is closed last.
    ended: watch::Sender<bool>,
    serving: tokio::task::JoinHandle<std::io::Result<()>>,
    drain: Duration,
    /// Keeps other processes from using the address pools.
    pools: Option<PoolClaim>,
    /// The process that this one took over from.
    before: Option<Before>,
}

/// The sockets that are served beside traffic, and what belongs to them.
struct FrontSockets {
    api: TcpListener,
    admin: TcpListener,
    shown: Arc<Shown>,
    ended: watch::Sender<bool>,
    keys: PathBuf,
    pools: PoolClaim,
}

/// Starts the tasks that run schedules and feed functions.
fn scheduled(args: &UpArgs, context: &Arc<ApiContext>, lookers: Lookers) -> [tokio::task::JoinHandle<()>; 2] {
    let internal = Internal::new(Arc::clone(context));
    let looking = args.functions.looking();
    [
        schedules::start(internal.clone(), lookers.schedules, looking),
        feeding::start(internal, lookers.functions),
    ]
}

/// Time that functions have to finish at least, even if the drain time is over.
const FUNCTIONS_END: Duration = Duration::from_secs(2);

/// Runs blocking work on a thread for that.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work).await?
}

impl Daemon {
    /// Starts everything. When it returns, traffic is served and calls are answered.
    pub async fn start(args: UpArgs) -> anyhow::Result<Daemon> {
        args.check()?;
        forebay_proxy::raise_descriptor_limit();
        if args.take_over {
            Daemon::take_over(args).await
        } else {
            Daemon::begin(args).await
        }
    }

    async fn begin(args: UpArgs) -> anyhow::Result<Daemon> {
        let (api, admin) = (
            crate::parts::listen(args.api, "--api")?,
            crate::parts::listen(args.admin, "--admin")?,
        );
        let keys = keys(&args)?;
        let shown = Arc::new(Shown::new(hosts(&args)));
        let (ended, end) = watch::channel(false);
        // Shown from now on to the very end: probes must see the start and the drain.
        show(admin.try_clone()?, &shown, end)?;
        let (store, kept) = Store::open(&store_path(&args))?;
        let state = configured(&args, kept)?;
        let pools = claim(&args, &state, None)?;
        let (standing, publish) = Standing::new(&args, &state, api.local_addr()?, &keys, &shown, true)?;
        let writing = standing.write(&args, state, store, publish).await?;
        let fronts = FrontSockets {
            api,
            admin,
            shown,
            ended,
            keys,
            pools,
        };
        Daemon::serve(args, standing, writing, fronts)
    }

    /// Starts in place of the running process, which takes everything back if this one fails before it serves.
    async fn take_over(args: UpArgs) -> anyhow::Result<Daemon> {
        let data_dir = args.data.data_dir.clone();
        let mut running = blocking(move || Successor::meet(&data_dir)).await?;
        let api = FrontAddress::open(args.api, "--api", Some(running.api))?;
        let admin = FrontAddress::open(args.admin, "--admin", Some(running.admin))?;
        let keys = keys(&args)?;
        let shown = Arc::new(Shown::new(hosts(&args)));
        let (ended, end) = watch::channel(false);
        // Everything that takes time and works beside the running process is done first: once frozen, it holds back writes.
        let state = configured(&args, Some(running.state()?))?;
        let pools = claim(&args, &state, Some(running.process))?;
        let (standing, publish) = Standing::new(&args, &state, api.address, &keys, &shown, false)?;
        let first = Arc::new(state);
        let publish = blocking(move || {
            // Instances stay with the running process for now; this publishes to the data plane.
            publish.publish(&first);
            Ok(publish)
        });
        let publish = publish.await?;
        let follower = publish.follower();
        // Only now is the store's lock free. The state is read again, because it may have changed since the first copy.
        let (running, yielded) = blocking(move || running.freeze().map(|yielded| (running, yielded))).await?;
        let (store, _) = Store::open(&store_path(&args))?;
        let state = configured(&args, Some(yielded.state))?;
        let writing = standing.write(&args, state, store, publish).await?;
        let (plane, datapoints) = (Arc::clone(&standing.plane), Arc::clone(&writing.datapoints));
        let (clock, seed, process) = (standing.clock, standing.seed, running.process);
        let before = blocking(move || {
            plane.listen(yielded.inherited);
            running.serve(&plane, &datapoints, &follower, clock, seed)
        })
        .await?;
        tracing::info!("took over from process {process}");
        // Only the process that serves may change anything or answer calls, so the APIs are served last.
        let admin = admin.own.unwrap_or(yielded.admin);
        show(admin.try_clone()?, &shown, end)?;
        let fronts = FrontSockets {
            api: api.own.unwrap_or(yielded.api),
            admin,
            shown,
            ended,
            keys,
            pools,
        };
        let mut daemon = Daemon::serve(args, standing, writing, fronts)?;
        daemon.before = Some(before);
        Ok(daemon)
    }

    /// Starts to answer calls, and the tasks that run by time.
    fn serve(
        args: UpArgs,
        standing: Standing,
        writing: Writing,
        fronts: FrontSockets,
    ) -> anyhow::Result<Daemon> {
        let Standing {
            clock,
            plane,
            instances,
            logs,
            ..
        } = standing;
        let writer = writing.writer.clone();
        let shown = fronts.shown;
        let (api_address, admin_address) = (fronts.api.local_addr()?, fronts.admin.local_addr()?);
        let yields = Yields {
            plane: Arc::clone(&plane),
            writer: writer.clone(),
            instances: Arc::clone(&instances),
            datapoints: Arc::clone(&writing.datapoints),
            messages: Arc::clone(&writing.messages),
            clock,
            exposed: args.exposed()?,
            api: fronts.api.try_clone()?,
            admin: fronts.admin,
        };
        let predecessor = Predecessor::wait(&args.data.data_dir, yields);
        let ticking = ticking::tick(writer.clone(), standing.drained, Arc::clone(&instances));
        let sizing = backlogs::start(&writing.backlogs, &writer, clock, writing.ports.clone());
        let (plans, planning) = planner::start(&plane, &writer, clock, &instances, writing.ports.clone());
        shown.serves(Served {
            plane: Arc::clone(&plane),
            logs: Arc::clone(&logs),
            writer,
            adoptions: standing.adoptions,
            datapoints: Arc::clone(&writing.datapoints),
            plans,
            backlogs: writing.backlogs.clone(),
            began: Instant::now(),
            clock,
        });
        let exporters = crate::exports::start(&args, admin_address, &shown)?;
        let functions = standing.functions;
        let collector = collect(&shown, &writing, clock, &instances, &functions)?;
        let context = context(&args, &fronts.keys, &writing, &functions, standing.seed);
        let [running, feeding] = scheduled(&args, &context, standing.lookers);
        let (stop, stopped) = watch::channel(false);
        let serving = serve(fronts.api, &context, stopped);
        Ok(Daemon {
            api: api_address,
            admin: admin_address,
            data_dir: args.data.data_dir,
            credentials: fronts.keys,
            plane,
            logs,
            threads: vec![collector, writing.keeper],
            tasks: vec![tokio::spawn(ticking), planning, sizing, running, feeding],
            exporters,
            sending: standing.sending,
            context,
            messages: (writing.messages, writing.messages_thread),
            shown,
            backlogs: writing.backlogs,
            instances,
            functions,
            predecessor,
            stop,
            ended: fronts.ended,
            serving,
            drain: Duration::from_secs(args.drain_seconds),
            pools: Some(fronts.pools),
            before: None,
        })
    }

    /// The backlogs of queues, by which groups of workers are sized.
    pub fn backlogs(&self) -> &Backlogs {
        &self.backlogs
    }

    /// Called once everything that belongs on standard output was written: log lines may follow there.
    pub fn announced(&self) {
        self.logs.go();
        service_manager::ready(&format!(
            "APIs at {}, metrics and health at {}",
            self.api, self.admin
        ));
        service_manager::watch(Arc::downgrade(&self.plane));
    }

    /// Logs from now on when targets fail and recover.
    pub fn watch(&self) {
        crate::health_log::start(&self.plane);
    }

    /// Reopens log files and reads the credentials again; traffic is not affected.
    pub fn look_again(&self) {
        if !self.logs.reopen() {
            tracing::warn!("a log writer is far behind: its files were not reopened");
        }
        self.context.read_again();
        self.instances.look_again();
    }

    /// Returns the process id of another Forebay once it serves in place of this one.
    pub async fn taken_over(&self) -> u32 {
        let process = self.predecessor.taken().await;
        service_manager::replaced_by(process);
        process
    }

    /// Ends: finishes open calls and requests, both at once and within the drain time.
    pub async fn stop(self) -> anyhow::Result<()> {
        service_manager::stopping();
        self.predecessor.close();
        self.instances.leave();
        let farewell = Farewell::within(self.drain);
        self.end(farewell, false).await
    }

    /// Like [`Daemon::stop`], when another Forebay serves already: that one answers new clients, and decides about slots
    /// until the last request here has ended.
    pub async fn retire(mut self) -> anyhow::Result<()> {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
        // The pools belong to the successor, and later to its own successor.
        self.pools = None;
        // Probes are answered by the successor, at the same address.
        self.ended.send_replace(true);
        let farewell = Farewell::unhurried(self.drain);
        self.end(farewell, true).await
    }

    async fn end(self, farewell: Farewell, has_successor: bool) -> anyhow::Result<()> {
        let began = Instant::now();
        self.shown.leaves();
        self.stop.send_replace(true);
        let (plane, logs) = (self.plane, self.logs);
        let (threads, exporters, predecessor) = (self.threads, self.exporters, self.predecessor);
        let functions = self.functions;
        let leaving = tokio::task::spawn_blocking(move || {
            plane.leave(farewell);
            // Requests to functions have ended by now; API calls and asynchronous events may still wait for them.
            functions.stop(farewell.within.saturating_sub(began.elapsed()).max(FUNCTIONS_END));
            // After the requests, so that their last figures are still sent.
            exporters.into_iter().for_each(Exporter::finish);
            logs.finish();
            for (go_on, thread) in threads {
                drop(go_on);
                if thread.join().is_err() {
                    tracing::error!("a thread of the datapoints has panicked");
                }
            }
            if has_successor {
                predecessor.finish();
            }
        });
        // A connection to the API that stays half open is dropped when the data plane is done.
        let serving = tokio::time::timeout(farewell.within, self.serving);
        let (served, left, ()) = tokio::join!(serving, leaving, self.sending.finish());
        left?;
        if let Ok(served) = served {
            served??;
        }
        // The thread is not waited for, because it runs as long as a caller holds it. Everything that came is on disk by
        // then.
        let (messages, _) = self.messages;
        let closing = blocking(move || {
            messages.close();
            Ok(())
        });
        closing.await?;
        if let Some(before) = self.before {
            // When the main process of a service ends, its service manager kills the others: the predecessor must finish
            // first.
            let left = farewell.within.saturating_sub(began.elapsed());
            let _ = tokio::time::timeout(left, before.gone()).await;
        }
        self.ended.send_replace(true);
        Ok(())
    }
}
