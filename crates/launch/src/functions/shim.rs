//! The process that supervises one environment. It ends when Forebay says so or is gone, and nothing of the environment
//! outlives it.
//!
//! Its standard input is a socket to Forebay: the first line says what to run, the close of the other end tells it to end,
//! and the last line it sends back says how the program ended. Standard output and standard error are the environment's
//! log.

use crate::errors::Tried as _;
use crate::{cgroup, processes};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{SigSet, Signal as Nix};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Resource, Rlimit, Signal, WaitOptions, kill_process, setrlimit, wait};
use rustix::thread::CapabilitySet;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// The hidden subcommand that turns the program into an environment's shim.
pub(crate) const SHIM: &str = "function-shim";
/// Longest specification in bytes: Lambda allows 4 KB of variables, and paths are repeated in them.
const SPEC_BYTES: u64 = 1 << 20;
/// Open files, as in Lambda.
const FILES: u64 = 1024;
/// Processes and threads. The kernel counts those of all environments of a user, so this bounds a flood, not one
/// environment.
const PROCESSES: u64 = 8192;
/// Time that killed processes have to end.
const DYING: Duration = Duration::from_secs(10);
/// The directory that Lambda's functions may write to.
pub(super) const TMP: &str = "/tmp";
/// For optional arguments of system calls.
const NONE: Option<&str> = None;
/// Tries to start a program that is open for writing: a process that was just forked may hold it for a moment.
const BUSY_TRIES: u32 = 100;

/// What to run.
#[derive(Serialize, Deserialize)]
pub(super) struct ShimSpec {
    /// The program and its arguments.
    pub(super) argv: Vec<String>,
    /// The whole environment.
    pub(super) env: Vec<(String, String)>,
    /// The working directory.
    pub(super) work: PathBuf,
    /// User and group to change to.
    pub(super) user: Option<(u32, u32)>,
    /// Control groups to join.
    pub(super) cgroups: Vec<PathBuf>,
    /// The user's view of the file system; none for all of it.
    pub(super) view: Option<View>,
}

/// Another user's view of the file system.
#[derive(Serialize, Deserialize)]
pub(super) struct View {
    /// A directory on the way to the shown ones that is closed to the user; everything else in it is hidden.
    pub(super) hidden: Option<PathBuf>,
    /// Directories that are shown at their own paths.
    pub(super) shown: Vec<PathBuf>,
    /// The directory that is shown as `/tmp`; none for the real one.
    pub(super) tmp: Option<PathBuf>,
}

/// How an environment's program ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Exit {
    /// With this status.
    Status(i32),
    /// Killed by this signal.
    Signal(i32),
    /// It never ran.
    NotStarted(String),
    /// Unknown.
    Unknown,
}

/// Runs as a shim.
pub(crate) fn supervise() -> ExitCode {
    let Ok(control) = std::io::stdin().as_fd().try_clone_to_owned() else {
        return ExitCode::FAILURE;
    };
    let mut control = UnixStream::from(control);
    let exit = run(&control).unwrap_or_else(Exit::NotStarted);
    if let Ok(line) = serde_json::to_vec(&exit) {
        // Forebay may be gone.
        let _ = control.write_all(&line);
    }
    ExitCode::SUCCESS
}

fn run(control: &UnixStream) -> Result<Exit, String> {
    // Fails if this is a session leader already.
    let _ = rustix::process::setsid();
    close_fds::set_fds_cloexec(3, &[]);
    let spec = read_spec(control)?;
    prepare(&spec)?;
    let child = start(&spec)?;
    cgroup::leave(&spec.cgroups);
    // Not earlier, or the program would start with signals blocked. From here on, only SIGKILL ends this process before its
    // time.
    SigSet::all().thread_block().tried(|| "hold signals".to_owned())?;
    // When memory is short, the kernel should kill the function and not its supervisor.
    let _ = std::fs::write("/proc/self/oom_score_adj", "-900");
    let exit = watch(control, child);
    clear();
    exit
}

fn read_spec(control: &UnixStream) -> Result<ShimSpec, String> {
    let mut line = Vec::new();
    BufReader::new(control)
        .take(SPEC_BYTES)
        .read_until(b'\n', &mut line)
        .tried(|| "read what is to be started".to_owned())?;
    serde_json::from_slice(&line).tried(|| "read what is to be started".to_owned())
}

/// Gives up what the program may not have, as far as children inherit it.
fn prepare(spec: &ShimSpec) -> Result<(), String> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .tried(|| "adopt orphans".to_owned())?;
    cgroup::join(&spec.cgroups).tried(|| "enter the control groups".to_owned())?;
    if let Some(view) = &spec.view
        && let Err(why) = show(view)
        && let Some(hidden) = &view.hidden
    {
        return Err(format!(
            "functions' files are below {}, which is closed to the user of --function-user, and cannot be shown elsewhere: {why}",
            hidden.display()
        ));
    }
    rustix::process::umask(Mode::from_raw_mode(0o022));
    let limit = |what: Resource, most: u64| {
        let most = Some(most).min(rustix::process::getrlimit(what).maximum.or(Some(most)));
        let both = Rlimit {
            current: most,
            maximum: most,
        };
        setrlimit(what, both).tried(|| "set a limit".to_owned())
    };
    limit(Resource::Nofile, FILES)?;
    limit(Resource::Nproc, PROCESSES)?;
    limit(Resource::Core, 0)?;
    // The process that started this may have blocked some, and the program would inherit that.
    SigSet::all()
        .thread_unblock()
        .tried(|| "let signals come".to_owned())?;
    rustix::thread::set_no_new_privs(true).tried(|| "give up new privileges".to_owned())?;
    if spec.user.is_some() {
        for capability in CapabilitySet::all().iter() {
            // Capabilities that the kernel does not know are not there either.
            let _ = rustix::thread::remove_capability_from_bounding_set(capability);
        }
    }
    Ok(())
}

/// Makes this process's view of the file system: mounts an empty directory over what is hidden, and in it what is shown.
fn show(view: &View) -> Result<(), String> {
    let open = |path: &PathBuf| {
        let flags = OFlags::PATH | OFlags::CLOEXEC | OFlags::DIRECTORY;
        rustix::fs::open(path, flags, Mode::empty()).tried(|| format!("open {}", path.display()))
    };
    let put = |from: &OwnedFd, path: &Path| {
        let from = format!("/proc/self/fd/{}", from.as_raw_fd());
        mount(Some(&*from), path, NONE, MsFlags::MS_BIND, NONE).tried(|| format!("show {}", path.display()))
    };
    unshare(CloneFlags::CLONE_NEWNS).tried(|| "make a private view of the file system".to_owned())?;
    // Mounts made here must not appear on the machine; later mounts of the machine may appear here.
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_SLAVE, NONE)
        .tried(|| "make mounts private".to_owned())?;
    // Opened in this view and before it is hidden: a descriptor of another view cannot be mounted here.
    let shown: Vec<OwnedFd> = view.shown.iter().map(open).collect::<Result<_, _>>()?;
    let tmp = view.tmp.as_ref().map(open).transpose()?;
    if let Some(hidden) = &view.hidden {
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        let options = Some("mode=755,size=1m");
        mount(Some("forebay"), hidden, Some("tmpfs"), flags, options)
            .tried(|| format!("hide {}", hidden.display()))?;
        for (path, from) in view.shown.iter().zip(&shown) {
            std::fs::create_dir_all(path).tried(|| format!("make {}", path.display()))?;
            put(from, path)?;
        }
    }
    match tmp {
        Some(tmp) => put(&tmp, Path::new(TMP)),
        None => Ok(()),
    }
}

fn start(spec: &ShimSpec) -> Result<Pid, String> {
    let (program, args) = spec
        .argv
        .split_first()
        .ok_or("there is no program to start".to_owned())?;
    let mut command = Command::new(program);
    command
        .args(args)
        .env_clear()
        .envs(spec.env.iter().map(|(name, value)| (name, value)))
        .current_dir(&spec.work)
        .stdin(Stdio::null())
        .process_group(0);
    if let Some((user, group)) = spec.user {
        // The supplementary groups are dropped, too.
        command.uid(user).gid(group);
    }
    for _ in 0..BUSY_TRIES {
        match command.spawn() {
            Ok(child) => return Ok(Pid::from_child(&child)),
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(format!("cannot start {program}: {error}")),
        }
    }
    Err(format!("cannot start {program}: it is open for writing"))
}

/// Returns when the program has ended, or must end.
fn watch(mut control: &UnixStream, child: Pid) -> Result<Exit, String> {
    let mut mask = SigSet::empty();
    mask.add(Nix::SIGCHLD);
    let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .tried(|| "read signals".to_owned())?;
    loop {
        // Orphans are children of this process and are reaped here as well.
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if pid == child {
                let status = std::process::ExitStatus::from_raw(status.as_raw());
                return Ok(match (status.code(), status.signal()) {
                    (Some(code), _) => Exit::Status(code),
                    (None, Some(signal)) => Exit::Signal(signal),
                    _ => Exit::Unknown,
                });
            }
        }
        let mut both = [
            PollFd::new(&control, PollFlags::IN),
            PollFd::new(&signals, PollFlags::IN),
        ];
        let _ = poll(&mut both, None);
        if !both[0].revents().is_empty() && matches!(control.read(&mut [0; 64]), Ok(0) | Err(_)) {
            return Ok(Exit::Signal(Nix::SIGKILL as i32));
        }
        while let Ok(Some(_)) = signals.read_signal() {}
    }
}

/// Ends all that is left. Orphans become children of this process, so when it has no children nothing is left.
fn clear() {
    let Ok(own) = i32::try_from(std::process::id()) else {
        return;
    };
    let began = Instant::now();
    let mut still = BTreeSet::new();
    while began.elapsed() < DYING {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
        let found = processes::descendants(own);
        // A stopped process cannot fork. So all are stopped first, and then killed together.
        let new: Vec<i32> = found.iter().copied().filter(|pid| still.insert(*pid)).collect();
        for pid in new.iter().filter_map(|pid| Pid::from_raw(*pid)) {
            let _ = kill_process(pid, Signal::STOP);
        }
        if new.is_empty() {
            found.into_iter().for_each(processes::kill);
            still.clear();
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
