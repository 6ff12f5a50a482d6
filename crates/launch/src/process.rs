//! The launcher that starts instances as processes of this machine.

use crate::cgroup::{Cgroups, Limits};
use crate::ends::Ends;
use crate::errors::Tried as _;
use crate::image::{Images, StoredImage, fill};
use crate::launcher::{Facts, Launcher, Poke, StartError};
use crate::network::{NetworkMode, Networks, traffic};
use crate::record::{Exit, Lock, Record, RunPhase, Spec, now_ms};
use crate::service::Service;
use crate::shapes::ShapeFile;
use crate::shim;
use crate::user::{RunAs, Whose};
use base64::Engine as _;
use forebay_control::fleet::{SeenInstance, SeenPhase, Usage, WantedInstance};
use forebay_model::INSTANCE_TOKEN;
use forebay_units::lock::lock;
use rustix::process::Signal;
use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, Once};
use std::time::{Duration, Instant};

/// Most time until a shim has begun.
const BEGINNING: Duration = Duration::from_secs(10);
/// Most time to wait for the lock of an instance that has just ended.
const LOCK: Duration = Duration::from_secs(2);
/// The search path for programs.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Name of the user data script in the working directory.
const USER_DATA: &str = ".user-data";

/// Options of this launcher.
#[derive(Clone)]
pub struct ProcessOptions {
    /// The data directory, which contains `instances`.
    pub data_dir: PathBuf,
    /// The user that they run as.
    pub run_as: RunAs,
    /// Whether they have network namespaces.
    pub network: NetworkMode,
    /// Whether each has a systemd scope of its own, so that it does not end with Forebay's service.
    pub scopes: bool,
    /// Time between SIGTERM and SIGKILL.
    pub stop: Duration,
    /// What instances are told about this Forebay.
    pub facts: Facts,
    /// The images that they are started from.
    pub images: Arc<Images>,
    /// The resources that they may use.
    pub shapes: Arc<ShapeFile>,
}

/// Starts instances as processes.
pub struct ProcessLauncher {
    options: ProcessOptions,
    dir: PathBuf,
    networks: Option<Networks>,
    cgroups: Cgroups,
    service: Service,
    /// Shims started by this process, which must be waited for.
    shims: Mutex<Vec<Child>>,
    ends: Ends,
    told: Once,
}

impl ProcessLauncher {
    /// Finds out what this machine can do, and removes what was left behind.
    pub fn start(options: ProcessOptions) -> Result<ProcessLauncher, String> {
        let dir = options.data_dir.join("instances");
        fs::create_dir_all(&dir).tried(|| format!("make {}", dir.display()))?;
        let dir = fs::canonicalize(&dir).tried(|| format!("find {}", dir.display()))?;
        let owner = crate::image::digest(dir.as_os_str().as_encoded_bytes())[..8].to_owned();
        let launcher = ProcessLauncher {
            networks: Networks::find(options.network, &owner, &options.facts.pool)?,
            cgroups: Cgroups::find(&format!("forebay-{owner}")),
            service: Service::start(options.facts.clone())?,
            options,
            dir,
            shims: Mutex::new(Vec::new()),
            ends: Ends::start()?,
            told: Once::new(),
        };
        launcher.clear();
        Ok(launcher)
    }

    /// Removes namespaces and groups of instances that do not live, and directories whose removal was interrupted.
    fn clear(&self) {
        let lives = |id: &String| {
            let run = self.record(id).run();
            run.is_some_and(|run| run.shim.is_alive())
        };
        for id in self
            .networks
            .iter()
            .flat_map(Networks::list)
            .filter(|id| !lives(id))
        {
            if let Some(networks) = &self.networks {
                networks.remove(&id);
            }
        }
        for id in self.cgroups.list().iter().filter(|id| !lives(id)) {
            self.cgroups.remove(id);
        }
        for entry in fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(".removed-") {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }

    fn record(&self, id: &str) -> Record {
        Record::new(self.dir.join(id))
    }

    /// Writes down the end of a run whose shim died without doing so, and ends what it left. None while another holds the
    /// lock.
    fn settle(&self, id: &str, record: &Record) -> Option<Exit> {
        let lock = record.lock(Duration::ZERO).ok()?;
        self.settle_under(id, record, &lock)
    }

    fn settle_under(&self, id: &str, record: &Record, _lock: &Lock) -> Option<Exit> {
        let run = record.run()?;
        if let Some(exit) = record.exit(run.run) {
            return Some(exit);
        }
        run.shim.kill_session();
        self.cgroups.remove(id);
        let exit = Exit {
            run: run.run,
            why: "it ended unobserved: the machine was restarted, or its shim was killed".to_owned(),
            has_run: run.has_run,
            at_ms: now_ms(),
        };
        if let Err(error) = record.write_exit(&exit) {
            tracing::warn!(
                instance = id,
                error,
                "the end of an instance could not be written down"
            );
        }
        Some(exit)
    }

    fn signal(&self, id: &str, signal: Signal) -> Result<(), String> {
        if let Some(run) = self.record(id).run() {
            // If it has ended, it needs no signal, and the next look will see that.
            run.shim.signal(signal);
        }
        Ok(())
    }

    /// Does everything except the start itself, under the lock.
    fn prepare(&self, wanted: &WantedInstance, record: &Record) -> Result<(), String> {
        let image = self.options.images.find(&wanted.image_id);
        let image = image
            .ok_or_else(|| format!("there is no image {}: see `forebay image list`", wanted.image_id))?;
        let user = self.options.run_as.resolve(Whose::INSTANCES)?;
        let work = record.path("work");
        if !work.exists() {
            fill(&image, &record.path("work.new"), user)?;
            fs::rename(record.path("work.new"), &work).tried(|| format!("make {}", work.display()))?;
        }
        let is_first_boot = record.run().is_none();
        let first = match &wanted.user_data {
            Some(data) if is_first_boot => user_data(data, &work, user)?,
            _ => None,
        };
        let (cgroups, why_not) = self.cgroups.make(&wanted.id, self.limits(wanted));
        if let Some(why) = why_not {
            self.told.call_once(|| tracing::warn!("{why}"));
        }
        let network = match &self.networks {
            Some(networks) => Some(networks.make(&wanted.id, wanted.address)?),
            None => None,
        };
        record.write_spec(&Spec {
            run: wanted.run,
            argv: image.argv(),
            env: self.environment(wanted, &image)?,
            first,
            user,
            network,
            cgroups,
            stop_ms: u64::try_from(self.options.stop.as_millis()).unwrap_or(u64::MAX),
        })
    }

    fn limits(&self, wanted: &WantedInstance) -> Option<Limits> {
        let shapes = self.options.shapes.shapes();
        let shape = shapes.iter().find(|shape| shape.name == wanted.instance_type)?;
        Some(Limits {
            vcpus: Some(shape.vcpus),
            memory_mib: shape.memory_mib,
        })
    }

    fn environment(
        &self,
        wanted: &WantedInstance,
        image: &StoredImage,
    ) -> Result<Vec<(String, String)>, String> {
        let facts = &self.options.facts;
        let metadata = Service::endpoint(self.networks.is_some(), wanted.address);
        let port = match (facts.local_api(), &self.networks) {
            // Within a namespace, a listener on its loopback address leads to the API.
            (api, Some(_)) => format!("http://127.0.0.1:{}", api.port()),
            (api, None) => format!("http://{api}"),
        };
        let mut env = vec![
            ("PATH", PATH.to_owned()),
            ("FOREBAY_ADDRESS", wanted.address.to_string()),
            ("PORT", image.port.to_string()),
            ("INSTANCE_ID", wanted.id.clone()),
            ("AWS_REGION", wanted.region.clone()),
            ("AWS_DEFAULT_REGION", wanted.region.clone()),
            ("AWS_ENDPOINT_URL", port),
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata),
        ];
        if let Some(profile) = &wanted.profile {
            let keys = (facts.keys)(profile)?;
            env.push(("AWS_ACCESS_KEY_ID", keys.id));
            env.push(("AWS_SECRET_ACCESS_KEY", keys.secret));
            env.push(("AWS_SESSION_TOKEN", format!("{INSTANCE_TOKEN}{}", wanted.id)));
        }
        Ok(env
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect())
    }

    /// Starts the shim, and waits until it has begun the run.
    fn begin(&self, wanted: &WantedInstance, record: &Record) -> Result<(), StartError> {
        let log = record.path("shim.log");
        let said = File::create(&log).tried(|| format!("write {}", log.display()))?;
        let scope = format!("forebay-{}-{}", wanted.id, wanted.run);
        let mut command = shim::command(record.dir.clone(), self.options.scopes.then_some(&scope))?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said)
            .spawn()
            .tried(|| "start a shim".to_owned())?;
        let began = Instant::now();
        loop {
            if record.run().is_some_and(|run| run.run >= wanted.run) {
                lock(&self.shims).push(child);
                return Ok(());
            }
            if matches!(child.try_wait(), Ok(Some(_))) {
                if record.run().is_some_and(|run| run.run >= wanted.run) {
                    return Ok(());
                }
                let said = fs::read_to_string(&log).unwrap_or_default();
                let why = format!("its shim ended: {}", said.trim());
                // Another process's shim may have been first, with an earlier run.
                record.lock(Duration::ZERO).map_err(StartError::Busy)?;
                return Err(StartError::Failed(why));
            }
            if began.elapsed() > BEGINNING {
                // It has begun nothing, so killing it orphans nothing.
                let _ = child.kill();
                let _ = child.wait();
                return Err(StartError::Failed("its shim did not begin in time".to_owned()));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Watches the shim, so that its end is seen at once.
    fn watch(&self, record: &Record) {
        if let Some(shim) = record.run().and_then(|run| run.shim.descriptor()) {
            self.ends.watch(shim);
        }
    }

    fn reap(&self) {
        let mut shims = lock(&self.shims);
        shims.retain_mut(|shim| matches!(shim.try_wait(), Ok(None)));
    }

    fn serve(&self, wanted: &WantedInstance) {
        self.service.serve(wanted, self.networks.as_ref());
    }
}

impl Launcher for ProcessLauncher {
    fn list(&self) -> Result<Vec<String>, String> {
        let entries = fs::read_dir(&self.dir).tried(|| format!("read {}", self.dir.display()))?;
        let names = entries
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok());
        Ok(names.filter(|name| name.starts_with("i-")).collect())
    }

    fn look(&self, id: &str) -> Option<SeenInstance> {
        let record = self.record(id);
        let Some(run) = record.run() else {
            let never = SeenPhase::Stopped {
                why: "it was never started".to_owned(),
            };
            return record
                .dir
                .exists()
                .then_some(SeenInstance { run: 0, phase: never });
        };
        let is_alive = run.shim.is_alive();
        if !is_alive {
            self.reap();
        }
        // In this order, because a shim writes how the run ended before it ends itself.
        let exit = record.exit(run.run);
        let phase = match (is_alive, exit) {
            (false, None) => match self.settle(id, &record) {
                Some(exit) => ended(exit),
                None => SeenPhase::Stopping,
            },
            (false, Some(exit)) => ended(exit),
            // Its shim is about to end, and then the lock is free.
            (true, Some(_)) => SeenPhase::Stopping,
            (true, None) => match run.phase {
                RunPhase::Starting => SeenPhase::Starting,
                RunPhase::Running => SeenPhase::Running,
                RunPhase::Paused => SeenPhase::Paused,
                RunPhase::Stopping => SeenPhase::Stopping,
            },
        };
        Some(SeenInstance { run: run.run, phase })
    }

    fn start(&self, wanted: &WantedInstance) -> Result<(), StartError> {
        let record = self.record(&wanted.id);
        record.make()?;
        let lock = record.lock(LOCK).map_err(StartError::Busy)?;
        self.settle_under(&wanted.id, &record, &lock);
        self.prepare(wanted, &record)?;
        // Before the program runs, because that may ask at once.
        self.serve(wanted);
        drop(lock);
        self.begin(wanted, &record)?;
        self.watch(&record);
        Ok(())
    }

    fn pause(&self, id: &str) -> Result<(), String> {
        self.signal(id, Signal::USR1)
    }

    fn resume(&self, id: &str) -> Result<(), String> {
        self.signal(id, Signal::USR2)
    }

    fn stop(&self, id: &str) -> Result<(), String> {
        self.signal(id, Signal::TERM)
    }

    fn release(&self, id: &str) {
        self.service.end(id);
        if let Some(networks) = &self.networks {
            networks.remove(id);
        }
        self.cgroups.remove(id);
    }

    fn remove(&self, id: &str) -> Result<(), String> {
        let record = self.record(id);
        let lock = record.lock(LOCK)?;
        if let Some(run) = record.run() {
            run.shim.kill_session();
        }
        self.release(id);
        record.remove(&lock)
    }

    fn adopt(&self, wanted: &WantedInstance) {
        self.serve(wanted);
        self.watch(&self.record(&wanted.id));
    }

    fn know(&self, wanted: &[WantedInstance]) {
        self.service.know(wanted);
    }

    fn usage(&self, id: &str) -> Usage {
        Usage {
            processor: self.cgroups.processor_time(id),
            network: self.networks.as_ref().and_then(|_| traffic(id)),
        }
    }

    fn tell(&self, changed: Poke) {
        self.ends.tell(changed);
    }
}

fn ended(exit: Exit) -> SeenPhase {
    if exit.has_run {
        SeenPhase::Stopped { why: exit.why }
    } else {
        SeenPhase::Failed { why: exit.why }
    }
}

/// Writes user data that is a script to a file that can be run. None if it is something else, which only the metadata
/// service gives.
fn user_data(data: &str, work: &Path, user: Option<(u32, u32)>) -> Result<Option<String>, String> {
    let script = base64::engine::general_purpose::STANDARD
        .decode(data.trim())
        .tried(|| "read the user data, which must be base64".to_owned())?;
    if !script.starts_with(b"#!") {
        return Ok(None);
    }
    let path = work.join(USER_DATA);
    // The image may contain something with this name, even a link to elsewhere.
    let _ = fs::remove_file(&path);
    let mut file = File::create_new(&path).tried(|| format!("make {}", path.display()))?;
    file.write_all(&script)
        .tried(|| format!("write {}", path.display()))?;
    fs::set_permissions(&path, Permissions::from_mode(0o700))
        .tried(|| "make the user data executable".to_owned())?;
    if let Some((user, group)) = user {
        std::os::unix::fs::chown(&path, Some(user), Some(group))
            .tried(|| "give the user data away".to_owned())?;
    }
    Ok(Some(format!("./{USER_DATA}")))
}
