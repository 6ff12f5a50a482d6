//! A fleet in a directory of its own.

use forebay_control::fleet::{SeenInstance, SeenPhase, WantedInstance, WantedPhase};
use forebay_launch::{
    AccessKeys, Facts, Fleet, Images, Launcher, NetworkMode, NewImage, ProcessLauncher, ProcessOptions,
    RunAs, ShapeFile, Source,
};
use forebay_units::Wall;
use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Makes this program run a fleet in the directory that it names, and nothing else.
pub(crate) const DAEMON: &str = "LAUNCH_TEST_DAEMON";

/// A test and its name.
pub(crate) type Test = (&'static str, fn());

pub(crate) struct Bench {
    pub(crate) scratch: tempfile::TempDir,
    pub(crate) options: ProcessOptions,
    pub(crate) fleet: Option<Fleet>,
}

impl Bench {
    pub(crate) fn new() -> Bench {
        Bench::with(|_| ())
    }

    pub(crate) fn with(change: impl FnOnce(&mut ProcessOptions)) -> Bench {
        let scratch = tempfile::tempdir().unwrap();
        let mut options = options(scratch.path());
        change(&mut options);
        let fleet = Some(fleet(&options));
        Bench {
            scratch,
            options,
            fleet,
        }
    }

    /// Adds an image of a shell command; returns its id.
    pub(crate) fn image(&self, command: &str) -> String {
        image(&self.options, command)
    }

    /// Ends Forebay and starts it again.
    pub(crate) fn restart(&mut self) {
        self.fleet = None;
        self.fleet = Some(fleet(&self.options));
    }

    pub(crate) fn want(&self, wanted: &[&WantedInstance]) {
        let wanted = wanted.iter().map(|&wanted| wanted.clone()).collect();
        self.fleet.as_ref().unwrap().want(wanted);
    }

    pub(crate) fn seen(&self, wanted: &WantedInstance) -> Option<SeenInstance> {
        self.fleet.as_ref().unwrap().seen(&wanted.id)
    }

    /// Waits until it is seen in this phase.
    pub(crate) fn until(&self, wanted: &WantedInstance, run: u32, is: fn(&SeenPhase) -> bool) -> SeenPhase {
        let mut last = None;
        let met = until(|| {
            last = self.seen(wanted);
            last.as_ref()
                .is_some_and(|seen| seen.run == run && is(&seen.phase))
        });
        assert!(
            met,
            "run {run} was last seen as {last:?}; its console: {}",
            self.console(wanted)
        );
        last.unwrap().phase
    }

    pub(crate) fn until_gone(&self, wanted: &WantedInstance) {
        assert!(until(|| self.seen(wanted).is_none()), "{:?}", self.seen(wanted));
        assert!(!self.dir(wanted).exists());
    }

    pub(crate) fn dir(&self, wanted: &WantedInstance) -> PathBuf {
        self.scratch.path().join("instances").join(&wanted.id)
    }

    pub(crate) fn work(&self, wanted: &WantedInstance, file: &str) -> String {
        fs::read_to_string(self.dir(wanted).join("work").join(file)).unwrap_or_default()
    }

    pub(crate) fn console(&self, wanted: &WantedInstance) -> String {
        fs::read_to_string(self.dir(wanted).join("console.log")).unwrap_or_default()
    }

    pub(crate) fn shim(&self, wanted: &WantedInstance) -> i32 {
        let text = fs::read(self.dir(wanted).join("run.json")).unwrap();
        let run: serde_json::Value = serde_json::from_slice(&text).unwrap();
        run["shim"]["pid"].as_i64().unwrap().try_into().unwrap()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // Nothing of a test outlives it.
        self.fleet = None;
        let fleet = fleet(&self.options);
        fleet.want(Vec::new());
        let dir = self.scratch.path().join("instances");
        until(|| fs::read_dir(&dir).is_ok_and(|mut left| left.next().is_none()));
    }
}

pub(crate) fn options(dir: &Path) -> ProcessOptions {
    ProcessOptions {
        scopes: false,
        data_dir: dir.to_owned(),
        run_as: if is_root() { RunAs::Nobody } else { RunAs::Own },
        // Set LAUNCH_TEST_NETWORK=always to run everything with namespaces.
        network: std::env::var("LAUNCH_TEST_NETWORK")
            .map_or(NetworkMode::Never, |mode| mode.parse().unwrap()),
        stop: Duration::from_millis(800),
        facts: facts(),
        images: Arc::new(Images::new(dir)),
        shapes: Arc::new(ShapeFile::none()),
    }
}

pub(crate) fn facts() -> Facts {
    Facts {
        api: ([127, 0, 0, 1], 4566).into(),
        account: "123456789012".to_owned(),
        pool: "127.64.0.0/10".to_owned(),
        keys: Arc::new(|profile| {
            Ok(AccessKeys {
                id: format!("AKIA{profile}"),
                secret: "secret".to_owned(),
            })
        }),
    }
}

pub(crate) fn image(options: &ProcessOptions, command: &str) -> String {
    let new = NewImage {
        name: format!("image {}", options.images.list().len()),
        description: String::new(),
        source: Source::Nothing,
        command: Some(command.to_owned()),
        port: 8000,
    };
    options.images.add(&new).unwrap().id
}

fn fleet(options: &ProcessOptions) -> Fleet {
    let launcher = ProcessLauncher::start(options.clone()).unwrap();
    start(Arc::new(launcher))
}

pub(crate) fn start(launcher: Arc<dyn Launcher>) -> Fleet {
    Fleet::start(launcher, Arc::new(|| ())).unwrap()
}

/// An instance to run, with an id and an address that no other test uses.
pub(crate) fn instance(image: &str) -> WantedInstance {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    // Another run of these tests may be in progress on the machine.
    let [.., high, low] = std::process::id().to_be_bytes();
    let own = u8::try_from(number).unwrap();
    WantedInstance {
        id: format!("i-{:08x}{number:09x}", std::process::id()),
        run: 1,
        phase: WantedPhase::Running,
        region: "local-1".to_owned(),
        zone: "local-1a".to_owned(),
        address: Ipv4Addr::new(127, 96 | (high & 0x1f), low, own),
        image_id: image.to_owned(),
        instance_type: "c6i.large".to_owned(),
        user_data: None,
        profile: None,
        is_spot: false,
        group_name: None,
        target_lifecycle_state: None,
        interrupted_at: None,
        tags: BTreeMap::new(),
        launched: Wall::from_seconds(1_700_000_000),
    }
}

/// The instance with another run, or in another phase.
pub(crate) fn but(wanted: &WantedInstance, run: u32, phase: WantedPhase) -> WantedInstance {
    WantedInstance {
        run,
        phase,
        ..wanted.clone()
    }
}

pub(crate) fn running(phase: &SeenPhase) -> bool {
    *phase == SeenPhase::Running
}

pub(crate) fn paused(phase: &SeenPhase) -> bool {
    *phase == SeenPhase::Paused
}

pub(crate) fn stopped(phase: &SeenPhase) -> bool {
    matches!(phase, SeenPhase::Stopped { .. })
}

pub(crate) fn failed(phase: &SeenPhase) -> bool {
    matches!(phase, SeenPhase::Failed { .. })
}

/// Why it ended.
pub(crate) fn why(phase: SeenPhase) -> String {
    match phase {
        SeenPhase::Stopped { why } | SeenPhase::Failed { why } => why,
        other => panic!("{other:?}"),
    }
}

/// Waits for a condition, for a while.
pub(crate) fn until(mut is_met: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(20) {
        if is_met() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

/// Whether a process lives and is not a zombie.
pub(crate) fn lives(pid: i32) -> bool {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = text
        .rsplit_once(')')
        .and_then(|(_, rest)| rest.trim_start().chars().next());
    state.is_some_and(|state| state != 'Z')
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A process with a fleet of its own that wants one instance; it can be killed like any other.
pub(crate) fn spawn_daemon(dir: &Path, wanted: &WantedInstance) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .env(DAEMON, dir)
        .env("LAUNCH_TEST_ID", &wanted.id)
        .env("LAUNCH_TEST_RUN", wanted.run.to_string())
        .env("LAUNCH_TEST_IMAGE", &wanted.image_id)
        .spawn()
        .unwrap()
}

/// What that process does.
pub(crate) fn daemon(dir: &Path) -> ! {
    let of = |name: &str| std::env::var(name).unwrap();
    let mut wanted = instance(&of("LAUNCH_TEST_IMAGE"));
    wanted.id = of("LAUNCH_TEST_ID");
    wanted.run = of("LAUNCH_TEST_RUN").parse().unwrap();
    let fleet = fleet(&options(dir));
    fleet.want(vec![wanted]);
    loop {
        std::thread::park();
    }
}
