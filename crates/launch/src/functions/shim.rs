//! The process that supervises one environment. It ends when Forebay says so or is no more, and nothing of the environment outlives it.
//!
//! Its standard input is a socket to Forebay: the first line says what to run, the other end's closing says to end, and the last line
//! back says how the program ended. Standard output and standard error are the environment's log.

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

/// The hidden subcommand that makes a program the shim of an environment.
pub(crate) const SHIM: &str = "function-shim";
/// The most bytes of what is to be run: Lambda allows 4 KB of variables, and roots' paths are repeated in them.
const SPEC_BYTES: u64 = 1 << 20;
/// Open files, as Lambda has it.
const FILES: u64 = 1024;
/// Processes and threads. The kernel counts those of all environments of a user, so it is no bound of one, but of a flood.
const PROCESSES: u64 = 8192;
/// How long what was killed may take to end.
const DYING: Duration = Duration::from_secs(10);
/// What Lambda's functions may write to.
pub(super) const TMP: &str = "/tmp";
/// For calls that take something optional.
const NONE: Option<&str> = None;
/// How often a program is tried that is open for writing: a process that was just forked may hold it for a moment.
const BUSY_TRIES: u32 = 100;

/// What is to be run.
#[derive(Serialize, Deserialize)]
pub(super) struct ShimSpec {
    /// The program and its arguments.
    pub(super) argv: Vec<String>,
    /// All variables.
    pub(super) env: Vec<(String, String)>,
    /// The working directory.
    pub(super) work: PathBuf,
    /// User and group to change to.
    pub(super) user: Option<(u32, u32)>,
    /// Control groups to enter.
    pub(super) cgroups: Vec<PathBuf>,
    /// What the user sees of the files; none for all.
    pub(super) view: Option<View>,
}

/// What another user sees of the files.
#[derive(Serialize, Deserialize)]
pub(super) struct View {
    /// A directory on the way to what is shown that is closed to the user: nothing else of it is there.
    pub(super) hidden: Option<PathBuf>,
    /// What is shown, at the paths that it has.
    pub(super) shown: Vec<PathBuf>,
    /// What is `/tmp`; none for everybody's.
    pub(super) tmp: Option<PathBuf>,
}

/// How an environment's program ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Exit {
    /// By itself, with this status.
    Status(i32),
    /// By this signal.
    Signal(i32),
    /// It never ran.
    NotStarted(String),
    /// Nobody knows.
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
    // It fails if this is a session's leader already.
    let _ = rustix::process::setsid();
    close_fds::set_fds_cloexec(3, &[]);
    let spec = read_spec(control)?;
    prepare(&spec)?;
    let child = start(&spec)?;
    cgroup::leave(&spec.cgroups);
    // Not earlier: the program would begin with signals blocked. From here on, only a kill ends this process before its time.
    SigSet::all().thread_block().tried(|| "hold signals".to_owned())?;
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

/// Gives up what a program may not have, as far as its children get it from here.
fn prepare(spec: &ShimSpec) -> Result<(), String> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .tried(|| "adopt orphans".to_owned())?;
    cgroup::join(&spec.cgroups).tried(|| "enter the control groups".to_owned())?;
    if let Some(view) = &spec.view
        && let Err(why) = show(view)
        && let Some(hidden) = &view.hidden
    {
        return Err(format!(
            "functions' files are below {}, which is closed to --function-user, and they cannot be shown in another way: {why}",
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
    // Whoever started this may have held some, and the program would get that from here.
    SigSet::all()
        .thread_unblock()
        .tried(|| "let signals come".to_owned())?;
    rustix::thread::set_no_new_privs(true).tried(|| "give up new privileges".to_owned())?;
    if spec.user.is_some() {
        for capability in CapabilitySet::all().iter() {
            // One that this kernel does not know is not there either.
            let _ = rustix::thread::remove_capability_from_bounding_set(capability);
        }
    }
    Ok(())
}

/// Makes this process's view of the files: puts an empty directory over what is hidden, and into that what is shown.
fn show(view: &View) -> Result<(), String> {
    let open = |path: &PathBuf| {
        let flags = OFlags::PATH | OFlags::CLOEXEC | OFlags::DIRECTORY;
        rustix::fs::open(path, flags, Mode::empty()).tried(|| format!("open {}", path.display()))
    };
    let put = |from: &OwnedFd, path: &Path| {
        let from = format!("/proc/self/fd/{}", from.as_raw_fd());
        mount(Some(&*from), path, NONE, MsFlags::MS_BIND, NONE).tried(|| format!("show {}", path.display()))
    };
    unshare(CloneFlags::CLONE_NEWNS).tried(|| "have a view of the files of their own".to_owned())?;
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_SLAVE, NONE)
        .tried(|| "keep mounts to themselves".to_owned())?;
    // Of this view, and before it is hidden: what is open of another cannot be shown in it.
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
        // The other groups are left with it.
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

/// Returns when the program has ended, or is to.
fn watch(mut control: &UnixStream, child: Pid) -> Result<Exit, String> {
    let mut mask = SigSet::empty();
    mask.add(Nix::SIGCHLD);
    let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .tried(|| "read signals".to_owned())?;
    loop {
        // Orphans come to this process and are waited for here as well.
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

/// Ends all that is left. Whatever loses its parent becomes this process's child, so there is nothing more when there are no children.
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
        // What stands still starts nothing new. So all that fork are caught first, and then killed together.
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
