//! A running Forebay: how it starts, in place of nobody or of another one, and how it ends.

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
    /// The collector, then the keeper of datapoints.
    threads: Vec<Ending>,
    /// What looks again and again whether something is to be changed.
    tasks: Vec<tokio::task::JoinHandle<()>>,
    exporters: Vec<Exporter>,
    sending: notify::Sending,
    context: Arc<ApiContext>,
    /// Messages of queues, and the thread that keeps them.
    messages: (Arc<KeptMessages>, std::thread::JoinHandle<()>),
    shown: Arc<Shown>,
    backlogs: Backlogs,
    instances: Arc<Instances>,
    functions: Arc<HostedFunctions>,
    predecessor: Predecessor,
    stop: watch::Sender<bool>,
    /// Ends the admin address, which is the last to go.
    ended: watch::Sender<bool>,
    serving: tokio::task::JoinHandle<std::io::Result<()>>,
    drain: Duration,
    /// No other process may have these meanwhile.
    pools: Option<PoolClaim>,
    /// The process that this one took over from.
    before: Option<Before>,
}

/// What is served beside traffic.
struct FrontSockets {
    api: TcpListener,
    admin: TcpListener,
    shown: Arc<Shown>,
    ended: watch::Sender<bool>,
    keys: PathBuf,
    pools: PoolClaim,
}

/// Starts what runs schedules, and what feeds functions.
fn scheduled(args: &UpArgs, context: &Arc<ApiContext>, lookers: Lookers) -> [tokio::task::JoinHandle<()>; 2] {
    let internal = Internal::new(Arc::clone(context));
    let looking = args.functions.looking();
    [
        schedules::start(internal.clone(), lookers.schedules, looking),
        feeding::start(internal, lookers.functions),
    ]
}

/// How long functions may go on at least, however late it is.
const FUNCTIONS_END: Duration = Duration::from_secs(2);

/// Does what blocks on a thread for that.
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
        // From now on, and to the very end: whoever probes must be told of the start and of the drain.
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

    /// In place of the one that runs. Until that has been told that this one serves, it takes everything back if this one fails.
    async fn take_over(args: UpArgs) -> anyhow::Result<Daemon> {
        let data_dir = args.data.data_dir.clone();
        let mut running = blocking(move || Successor::meet(&data_dir)).await?;
        let api = FrontAddress::open(args.api, "--api", Some(running.api))?;
        let admin = FrontAddress::open(args.admin, "--admin", Some(running.admin))?;
        let keys = keys(&args)?;
        let shown = Arc::new(Shown::new(hosts(&args)));
        let (ended, end) = watch::channel(false);
        // All that takes time and can be done beside the running process is done before that lets go of anything.
        let state = configured(&args, Some(running.state()?))?;
        let pools = claim(&args, &state, Some(running.process))?;
        let (standing, publish) = Standing::new(&args, &state, api.address, &keys, &shown, false)?;
        let first = Arc::new(state);
        let publish = blocking(move || {
            // Instances stay where they are.
            publish.publish(&first);
            Ok(publish)
        });
        let publish = publish.await?;
        let follower = publish.follower();
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
        // Nothing is changed, and no call answered, before this process is the one that serves.
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

    /// Answers calls, and does what is due.
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

    /// What is told of queues sizes the groups of their workers.
    pub fn backlogs(&self) -> &Backlogs {
        &self.backlogs
    }

    /// What had to be said on standard output is said: log lines may follow there.
    pub fn announced(&self) {
        self.logs.go();
        service_manager::ready(&format!(
            "APIs at {}, metrics and health at {}",
            self.api, self.admin
        ));
        service_manager::watch(Arc::downgrade(&self.plane));
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

    /// Returns the process id of another Forebay that serves in this one's place.
    pub async fn taken_over(&self) -> u32 {
        let process = self.predecessor.taken().await;
        service_manager::replaced_by(process);
        process
    }

    /// Answers open calls and lets requests finish, both at once and within the drain time; ends.
    pub async fn stop(self) -> anyhow::Result<()> {
        service_manager::stopping();
        self.predecessor.close();
        self.instances.leave();
        let farewell = Farewell::within(self.drain);
        self.end(farewell, false).await
    }

    /// The same once another Forebay serves: it answers whoever comes, and decides about slots until the last request here has ended.
    pub async fn retire(mut self) -> anyhow::Result<()> {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
        // They are the successor's, and then its successor's.
        self.pools = None;
        // Whoever probes is answered by the successor, at the same address.
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
            // Requests that they answer have ended by now; calls and events may wait for them still.
            functions.stop(farewell.within.saturating_sub(began.elapsed()).max(FUNCTIONS_END));
            exporters.into_iter().for_each(Exporter::finish);
            logs.finish();
            for (go_on, thread) in threads {
                drop(go_on);
                if thread.join().is_err() {
                    tracing::error!("a thread that keeps datapoints had panicked");
                }
            }
            if has_successor {
                predecessor.finish();
            }
        });
        // An API connection that stays half open is left behind when the data plane is done.
        let serving = tokio::time::timeout(farewell.within, self.serving);
        let (served, left, ()) = tokio::join!(serving, leaving, self.sending.finish());
        left?;
        if let Ok(served) = served {
            served??;
        }
        // Their thread is not waited for: it goes on as long as anybody could still call it. All that came is on disk by then.
        let (messages, _) = self.messages;
        let closing = blocking(move || {
            messages.close();
            Ok(())
        });
        closing.await?;
        if let Some(before) = self.before {
            // A service manager ends whoever is left of a service when its main process has.
            let left = farewell.within.saturating_sub(began.elapsed());
            let _ = tokio::time::timeout(left, before.gone()).await;
        }
        self.ended.send_replace(true);
        Ok(())
    }
}
