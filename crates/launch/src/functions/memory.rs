//! Checks the memory of environments ten times a second. Where control groups do not limit it, this does.

use crate::errors::Tried as _;
use crate::processes;
use forebay_units::lock::lock;
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Interval between two checks.
const LOOK: Duration = Duration::from_millis(100);

/// An environment that is checked.
#[derive(Clone)]
struct Watched {
    environment: u64,
    shim: i32,
    limit: u64,
    peak: Arc<AtomicU64>,
}

#[derive(Default)]
struct State {
    watched: Vec<Watched>,
    is_over: bool,
}

/// Checks environments.
#[derive(Default)]
pub(super) struct MemoryWatch {
    state: Mutex<State>,
    changed: Condvar,
}

impl MemoryWatch {
    /// Starts checking. `exceeds` is called for an environment that uses more than it may, perhaps several times.
    pub(super) fn start(exceeds: impl Fn(u64) + Send + 'static) -> Result<Arc<MemoryWatch>, String> {
        let watch = Arc::new(MemoryWatch::default());
        let looker = Arc::clone(&watch);
        std::thread::Builder::new()
            .name("function-memory".to_owned())
            .spawn(move || looker.run(&exceeds))
            .tried(|| "start a thread".to_owned())?;
        Ok(watch)
    }

    /// Starts to check an environment, by its shim; the returned value holds its peak.
    pub(super) fn watch(&self, environment: u64, shim: i32, limit: u64) -> Arc<AtomicU64> {
        let peak = Arc::new(AtomicU64::new(0));
        let watched = Watched {
            environment,
            shim,
            limit,
            peak: Arc::clone(&peak),
        };
        self.state().watched.push(watched);
        self.changed.notify_all();
        peak
    }

    /// Stops checking an environment. To be called before its shim is waited for, after which the process id is free.
    pub(super) fn forget(&self, environment: u64) {
        self.state().watched.retain(|one| one.environment != environment);
    }

    /// Stops checking.
    pub(super) fn stop(&self) {
        self.state().is_over = true;
        self.changed.notify_all();
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn run(&self, exceeds: &impl Fn(u64)) {
        loop {
            let mut state = self.state();
            while state.watched.is_empty() && !state.is_over {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if state.is_over {
                return;
            }
            let watched = state.watched.clone();
            drop(state);
            for one in watched {
                if look(one.shim, one.limit, &one.peak) {
                    exceeds(one.environment);
                }
            }
            std::thread::sleep(LOOK);
        }
    }
}

/// Checks once. Returns whether the limit is exceeded.
pub(super) fn look(shim: i32, limit: u64, peak: &AtomicU64) -> bool {
    let processes = processes::descendants(shim);
    let mut used: u64 = processes.iter().map(|&pid| resident(pid)).sum();
    if used > limit {
        // Processes share pages, so the sum may be too high. This count is exact, but takes longer.
        used = processes.iter().filter_map(|&pid| proportional(pid)).sum();
    }
    peak.fetch_max(used, Ordering::Relaxed);
    used > limit
}

/// Resident bytes of a process.
fn resident(pid: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    let pages: u64 = text
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse().ok())
        .unwrap_or(0);
    pages * rustix::param::page_size() as u64
}

/// Like [`resident`], with shared pages divided among the processes that share them.
fn proportional(pid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib << 10)
}
