//! The files of one instance, which are the truth about it: what to start, which run was begun, how it ended, and the lock.
//!
//! A process that starts something of an instance, or removes it, holds the lock. Files are replaced as a whole, so readers
//! need no lock.

use crate::errors::Tried as _;
use crate::processes::ProcessId;
use rustix::fs::{FlockOperation, flock};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A larger file was not written by Forebay.
const FILE_LIMIT: u64 = 1 << 20;

/// What a shim must start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Spec {
    /// Number of the run.
    pub(crate) run: u32,
    /// The program and its arguments.
    pub(crate) argv: Vec<String>,
    /// The whole environment.
    pub(crate) env: Vec<(String, String)>,
    /// The script that runs once before the program; it is in the working directory.
    pub(crate) first: Option<String>,
    /// User and group; none keeps those of the shim.
    pub(crate) user: Option<(u32, u32)>,
    /// The file of the network namespace.
    pub(crate) network: Option<PathBuf>,
    /// Its control groups.
    pub(crate) cgroups: Vec<PathBuf>,
    /// Time between SIGTERM and SIGKILL, in milliseconds.
    pub(crate) stop_ms: u64,
}

/// The phase of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RunPhase {
    Starting,
    Running,
    Paused,
    Stopping,
}

/// The run that was begun last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Run {
    /// Its number. No run up to this one is ever started again.
    pub(crate) run: u32,
    /// Its shim.
    pub(crate) shim: ProcessId,
    /// Its phase.
    pub(crate) phase: RunPhase,
    /// Whether it was seen to live for a while.
    pub(crate) has_run: bool,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Exit {
    /// Number of the run.
    pub(crate) run: u32,
    /// The reason, for people.
    pub(crate) why: String,
    /// Whether it had been running.
    pub(crate) has_run: bool,
    /// The time, in milliseconds since 1970.
    pub(crate) at_ms: u64,
}

/// The directory of an instance.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) dir: PathBuf,
}

/// The lock of an instance, while it is held.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Record {
    /// The record in this directory, which need not exist.
    pub(crate) fn new(dir: impl Into<PathBuf>) -> Record {
        Record { dir: dir.into() }
    }

    /// A file in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Makes the directory and the lock file.
    pub(crate) fn make(&self) -> Result<(), String> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.dir);
        made.tried(|| format!("make {}", self.dir.display()))?;
        self.open_lock(true).map(drop)
    }

    /// What to start.
    pub(crate) fn spec(&self) -> Option<Spec> {
        read(&self.path("spec.json"))
    }

    /// Writes what to start.
    pub(crate) fn write_spec(&self, spec: &Spec) -> Result<(), String> {
        self.write("spec.json", spec, true)
    }

    /// The run that was begun last.
    pub(crate) fn run(&self) -> Option<Run> {
        read(&self.path("run.json"))
    }

    /// Begins a run, or writes its phase. The beginning is durable.
    pub(crate) fn write_run(&self, run: &Run) -> Result<(), String> {
        self.write("run.json", run, run.phase == RunPhase::Starting)
    }

    /// How the run with this number ended.
    pub(crate) fn exit(&self, run: u32) -> Option<Exit> {
        read::<Exit>(&self.path("exit.json")).filter(|exit| exit.run == run)
    }

    /// Writes how a run ended.
    pub(crate) fn write_exit(&self, exit: &Exit) -> Result<(), String> {
        self.write("exit.json", exit, true)
    }

    /// Takes the lock within this time. Fails if another process holds it, or if the directory was removed meanwhile.
    pub(crate) fn lock(&self, within: Duration) -> Result<Lock, String> {
        let file = self.open_lock(false)?;
        let began = Instant::now();
        while let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            if began.elapsed() >= within {
                return Err(format!("{} is in use: {error}", self.dir.display()));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        // The locked file may no longer be the one at this path; another process may hold the lock of the new one.
        let held = file.metadata().tried(|| "look at the lock".to_owned())?;
        let named = fs::metadata(self.path("lock")).tried(|| format!("find {}", self.dir.display()))?;
        if (held.dev(), held.ino()) != (named.dev(), named.ino()) {
            return Err(format!("{} was removed and created again", self.dir.display()));
        }
        Ok(Lock { _file: file })
    }

    /// Removes the directory under its lock. If this is interrupted, the rest has a name that no instance has.
    pub(crate) fn remove(&self, lock: &Lock) -> Result<(), String> {
        let _ = lock;
        let name = self
            .dir
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let gone = self.dir.with_file_name(format!(".removed-{name}"));
        let _ = fs::remove_dir_all(&gone);
        fs::rename(&self.dir, &gone).tried(|| format!("remove {}", self.dir.display()))?;
        fs::remove_dir_all(&gone).tried(|| format!("remove {}", gone.display()))
    }

    fn open_lock(&self, make: bool) -> Result<File, String> {
        let path = self.path("lock");
        OpenOptions::new()
            .write(true)
            .create(make)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .tried(|| format!("open {}", path.display()))
    }

    fn write(&self, name: &str, value: &impl Serialize, durable: bool) -> Result<(), String> {
        let path = self.path(name);
        let new = self.path(&format!("{name}.new"));
        let write = || -> std::io::Result<()> {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&new)?;
            file.write_all(&serde_json::to_vec_pretty(value)?)?;
            if durable {
                file.sync_all()?;
            }
            fs::rename(&new, &path)?;
            if durable {
                File::open(&self.dir)?.sync_all()?;
            }
            Ok(())
        };
        write().tried(|| format!("write {}", path.display()))
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    if fs::metadata(path).ok()?.len() > FILE_LIMIT {
        return None;
    }
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// The current time in milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_of_a_removed_directory_is_none() {
        let scratch = tempfile::tempdir().unwrap();
        let record = Record::new(scratch.path().join("i-1"));
        record.make().unwrap();
        let lock = record.lock(Duration::ZERO).unwrap();
        assert!(record.lock(Duration::ZERO).unwrap_err().contains("in use"));
        record.remove(&lock).unwrap();
        record.make().unwrap();
        let anew = record.lock(Duration::ZERO);
        assert!(anew.is_ok(), "the old lock says nothing about the new directory");
    }

    #[test]
    fn a_record_that_is_damaged_reads_as_none() {
        let scratch = tempfile::tempdir().unwrap();
        let record = Record::new(scratch.path());
        fs::write(record.path("run.json"), "{").unwrap();
        assert_eq!(record.run(), None);
    }
}
