//! The process that supervises one run of an instance. It holds the instance's lock as long as anything of it lives, and
//! outlives Forebay, which finds it again by lock and record.

use crate::cgroup;
use crate::console::{CONSOLE_LIMIT, Console};
use crate::errors::Tried as _;
use crate::functions::shim as functions;
use crate::processes::{self, ProcessId};
use crate::program::{FIRST, MAIN, NOT_STARTED, become_program};
use crate::record::{Exit, Record, Run, RunPhase, Spec, now_ms};
use nix::sys::signal::{SigSet, Signal as Nix};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process_group, wait};
use std::ffi::OsStr;
use std::io::{PipeReader, PipeWriter, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// The hidden subcommand that turns the program into a shim.
pub const SHIM: &str = "instance-shim";
/// The name of shims in lists of processes.
pub(crate) const ARG0: &str = "forebay";
/// A program that lived this long counts as started.
const BOOT: Duration = Duration::from_millis(100);
/// Most time to wait for the lock: a process that holds it for longer is running.
const LOCK: Duration = Duration::from_secs(2);
/// Interval between checks that the directory still exists. If it was removed, no instance is wanted.
const LOOK: Duration = Duration::from_secs(5);
/// Time that killed processes have to end.
const DYING: Duration = Duration::from_secs(10);

/// Runs as a shim, if the command line says so. To be called first in `main`, because a shim must have one thread.
pub fn intercept() -> Option<ExitCode> {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    if args.first().is_some_and(|word| word == functions::SHIM) {
        return Some(functions::supervise());
    }
    let [word, dir, rest @ ..] = args.as_slice() else {
        return None;
    };
    if word != SHIM {
        return None;
    }
    let dir = Path::new(dir);
    let text = |place: usize| {
        rest.get(place)
            .and_then(|text: &std::ffi::OsString| text.to_str())
    };
    let (why, code) = match (text(0), text(1)) {
        (Some(which), Some(shim)) => (become_program(dir, which, shim), NOT_STARTED),
        _ => match supervise(dir) {
            Ok(()) => return Some(ExitCode::SUCCESS),
            Err(why) => (why, 1),
        },
    };
    eprintln!("forebay: {why}");
    Some(ExitCode::from(code))
}

fn supervise(dir: &Path) -> Result<(), String> {
    // Fails if this is a session leader already.
    let _ = rustix::process::setsid();
    close_fds::set_fds_cloexec(3, &[]);
    let mut mask = SigSet::empty();
    for signal in [
        Nix::SIGTERM,
        Nix::SIGUSR1,
        Nix::SIGUSR2,
        Nix::SIGCHLD,
        Nix::SIGINT,
        Nix::SIGHUP,
    ] {
        mask.add(signal);
    }
    mask.thread_block().tried(|| "hold signals".to_owned())?;
    let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .tried(|| "read signals".to_owned())?;
    let record = Record::new(dir);
    let _lock = record.lock(LOCK)?;
    let spec = record.spec().ok_or("what is to be started cannot be read")?;
    if record.run().is_some_and(|begun| begun.run >= spec.run) {
        return Err(format!(
            "run {} was begun before, and no run is started twice",
            spec.run
        ));
    }
    let run = Run {
        run: spec.run,
        shim: ProcessId::own().ok_or("cannot read /proc")?,
        phase: RunPhase::Starting,
        has_run: false,
    };
    // From here on, this run is never started again, whatever happens: an instance must not run twice.
    record.write_run(&run)?;
    // Orphans of the instance become children of this process, so that it can end all of them.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .tried(|| "adopt orphans".to_owned())?;
    let (reader, writer) = std::io::pipe().tried(|| "make a pipe".to_owned())?;
    rustix::io::ioctl_fionbio(&reader, true).tried(|| "read a pipe".to_owned())?;
    let shim = Shim {
        console: Console::open(record.path("console.log"), CONSOLE_LIMIT),
        record,
        spec,
        run,
        signals,
        reader,
        writer,
        child: None,
        told_to_stop: false,
        kill_at: None,
        is_killed: false,
    };
    shim.run()
}

/// The running script or program.
struct Child {
    pid: Pid,
    began: Instant,
    is_first: bool,
}

struct Shim {
    record: Record,
    spec: Spec,
    run: Run,
    console: Console,
    signals: SignalFd,
    reader: PipeReader,
    writer: PipeWriter,
    child: Option<Child>,
    told_to_stop: bool,
    kill_at: Option<Instant>,
    is_killed: bool,
}

impl Shim {
    fn run(mut self) -> Result<(), String> {
        let first = self.spec.first.is_some();
        if let Err(why) = self.start(first) {
            return self.end(why);
        }
        loop {
            self.wait_for_something();
            while let Ok(Some(signal)) = self.signals.read_signal() {
                self.signalled(signal.ssi_signo);
            }
            self.read_console();
            self.look_at_the_time();
            if let Some(status) = self.reap() {
                let child = self.child.take();
                // As on EC2, an instance whose user data has failed still starts.
                if child.is_some_and(|child| child.is_first) && !self.told_to_stop {
                    if status.exit_status() != Some(0) {
                        let how = describe(status);
                        self.console.say(&format!("the user data {how}; going on"));
                    }
                    if let Err(why) = self.start(false) {
                        return self.end(why);
                    }
                    continue;
                }
                self.clear();
                let why = self.why(status);
                return self.end(why);
            }
        }
    }

    /// Starts the script that runs first (user data), or the program.
    fn start(&mut self, is_first: bool) -> Result<(), String> {
        let out = || self.writer.try_clone().tried(|| "open the console".to_owned());
        let own = std::process::id().to_string();
        let which = if is_first { FIRST } else { MAIN };
        // By way of /proc, because the program's file may have been replaced by an upgrade.
        let child = Command::new("/proc/self/exe")
            .arg0(ARG0)
            .arg(SHIM)
            .arg(&self.record.dir)
            .args([OsStr::new(which), OsStr::new(&own)])
            // The instance must not see the server's own environment.
            .env_clear()
            .envs(self.spec.env.iter().map(|(name, value)| (name, value)))
            .current_dir(self.record.path("work"))
            .stdin(Stdio::null())
            .stdout(out()?)
            .stderr(out()?)
            // A process group of its own, so that signals reach what the program has started as well.
            .process_group(0)
            .spawn()
            .tried(|| "start a process".to_owned())?;
        self.child = Some(Child {
            pid: Pid::from_child(&child),
            began: Instant::now(),
            is_first,
        });
        Ok(())
    }

    /// Returns at a signal, at output, or when something is due.
    fn wait_for_something(&self) {
        let boot = match &self.child {
            Some(child) if self.run.phase == RunPhase::Starting => Some(child.began + BOOT),
            _ => None,
        };
        let look = Instant::now() + LOOK;
        let due = boot.into_iter().chain(self.kill_at).chain([look]).min();
        let time = due.map(|due| due.saturating_duration_since(Instant::now()) + Duration::from_millis(1));
        let time = time.and_then(|time| Timespec::try_from(time).ok());
        let mut both = [
            PollFd::new(&self.signals, PollFlags::IN),
            PollFd::new(&self.reader, PollFlags::IN),
        ];
        let _ = poll(&mut both, time.as_ref());
    }

    fn signalled(&mut self, signal: u32) {
        let is = |wanted: Nix| i32::try_from(signal) == Ok(wanted as i32);
        if is(Nix::SIGTERM) && !self.told_to_stop {
            self.stop();
        } else if is(Nix::SIGUSR1) && !self.told_to_stop {
            self.still(true);
            self.becomes(RunPhase::Paused);
        } else if is(Nix::SIGUSR2) && !self.told_to_stop {
            self.still(false);
            self.becomes(RunPhase::Running);
        }
    }

    /// Asks the instance to end, and schedules the kill.
    fn stop(&mut self) {
        self.told_to_stop = true;
        self.kill_at = Some(Instant::now() + Duration::from_millis(self.spec.stop_ms));
        self.becomes(RunPhase::Stopping);
        self.tell(Signal::TERM);
        // A frozen instance could not handle the signal.
        self.still(false);
    }

    /// Freezes the whole instance, or lets it go on.
    fn still(&self, still: bool) {
        if !cgroup::freeze(&self.spec.cgroups, still) {
            self.tell(if still { Signal::STOP } else { Signal::CONT });
        }
    }

    /// Signals the process group of the running script or program.
    fn tell(&self, signal: Signal) {
        if let Some(child) = &self.child {
            let _ = kill_process_group(child.pid, signal);
        }
    }

    /// Does what is due. The record says "running" only once the program has lived for a while, so that a start that fails
    /// at once is seen as a failure.
    fn look_at_the_time(&mut self) {
        let now = Instant::now();
        let lives = self.child.as_ref().is_some_and(|child| now >= child.began + BOOT);
        if lives && self.run.phase == RunPhase::Starting && !self.has_ended() {
            self.run.has_run = true;
            self.becomes(RunPhase::Running);
        }
        // Without its record, nobody can find or end this instance any more.
        if !self.told_to_stop && !self.record.dir.exists() {
            self.stop();
        }
        if self.kill_at.is_some_and(|at| now >= at) {
            self.kill_at = None;
            self.is_killed = true;
            self.kill();
        }
    }

    /// Whether the running process has ended, although it was not waited for yet.
    fn has_ended(&self) -> bool {
        let options = rustix::process::WaitIdOptions::EXITED
            | rustix::process::WaitIdOptions::NOHANG
            | rustix::process::WaitIdOptions::NOWAIT;
        let Some(child) = &self.child else { return true };
        matches!(
            rustix::process::waitid(rustix::process::WaitId::Pid(child.pid), options),
            Ok(Some(_))
        )
    }

    fn becomes(&mut self, phase: RunPhase) {
        self.run.phase = phase;
        if let Err(error) = self.record.write_run(&self.run) {
            self.console.say(&error);
        }
    }

    fn read_console(&mut self) {
        let mut buffer = [0; 16 << 10];
        // Bounded, so that a program that writes without end can still be told to stop.
        for _ in 0..64 {
            match self.reader.read(&mut buffer) {
                Ok(count @ 1..) => self.console.write(&buffer[..count]),
                _ => return,
            }
        }
    }

    /// Waits for everything that has ended. Returns the status of the running process, if it is among it.
    fn reap(&self) -> Option<WaitStatus> {
        let mut ended = None;
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if self.child.as_ref().is_some_and(|child| child.pid == pid) {
                ended = Some(status);
            }
        }
        ended
    }

    fn kill(&self) {
        self.tell(Signal::KILL);
        cgroup::kill(&self.spec.cgroups);
        if let Ok(own) = i32::try_from(std::process::id()) {
            processes::kill_descendants(own);
        }
    }

    /// Kills what the program has left behind. Orphans become children of this process, so none escapes.
    fn clear(&mut self) {
        let began = Instant::now();
        while began.elapsed() < DYING {
            self.kill();
            self.read_console();
            match wait(WaitOptions::NOHANG) {
                Err(_) => break,
                Ok(Some(_)) => {}
                Ok(None) => std::thread::sleep(Duration::from_millis(2)),
            }
        }
        self.read_console();
    }

    /// Why it ended, with its last lines of output.
    fn why(&self, status: WaitStatus) -> String {
        let has_run = self.run.has_run;
        let words = self.console.last_lines(if has_run { 1 } else { 5 });
        if !has_run
            && status.exit_status() == Some(i32::from(NOT_STARTED))
            && let Some(why) = words.strip_prefix("forebay: ")
        {
            return why.to_owned();
        }
        let how = match (self.told_to_stop, self.is_killed) {
            (true, true) => format!(
                "was told to stop, did not within {} s, and was killed",
                self.spec.stop_ms / 1000
            ),
            (true, false) => format!("was told to stop, and {}", describe(status)),
            _ => describe(status),
        };
        if words.is_empty() {
            format!("it {how}, and said nothing")
        } else {
            format!("it {how}; its last words: {words}")
        }
    }

    fn end(mut self, why: String) -> Result<(), String> {
        self.console.say(&why);
        self.record.write_exit(&Exit {
            run: self.spec.run,
            why,
            has_run: self.run.has_run || self.told_to_stop,
            at_ms: now_ms(),
        })
    }
}

fn describe(status: WaitStatus) -> String {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => format!("ended with status {code}"),
        (None, Some(signal)) => {
            let name = Nix::try_from(signal).map_or("unknown", Nix::as_str);
            format!("was ended by signal {signal} ({name})")
        }
        _ => "ended".to_owned(),
    }
}

/// The command that starts a shim for this directory, in a systemd scope with this name if there should be one.
pub(crate) fn command(dir: PathBuf, scope: Option<&str>) -> Result<Command, String> {
    let Some(unit) = scope else {
        let mut command = Command::new("/proc/self/exe");
        command.arg0(ARG0).arg(SHIM).arg(dir).env_clear();
        return Ok(command);
    };
    // systemd-run becomes the shim inside its scope, so `/proc/self/exe` would name the wrong program.
    let program = std::env::current_exe().tried(|| "find the program that this is".to_owned())?;
    let mut command = Command::new("systemd-run");
    command
        .args([
            "--scope",
            "--quiet",
            "--collect",
            "--slice=forebay-instances.slice",
        ])
        .arg(format!("--unit={unit}"))
        .arg("--")
        .arg(program)
        .arg(SHIM)
        .arg(dir)
        .env_clear();
    if let Some(path) = std::env::var_os("PATH") {
        // Needed to find systemd-run. The environment of an instance does not come from here.
        command.env("PATH", path);
    }
    Ok(command)
}
