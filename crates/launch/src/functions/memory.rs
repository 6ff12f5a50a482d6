//! Looks ten times a second how much memory environments have: where no control group does, this is what bounds them.

use crate::errors::Tried as _;
use crate::processes;
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(100);

/// An environment that is looked at.
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

/// Whoever looks.
#[derive(Default)]
pub(super) struct MemoryWatch {
    state: Mutex<State>,
    changed: Condvar,
}

impl MemoryWatch {
    /// Starts to look. `exceeds` is told of an environment that has more than it may, perhaps several times.
    pub(super) fn start(exceeds: impl Fn(u64) + Send + 'static) -> Result<Arc<MemoryWatch>, String> {
        let watch = Arc::new(MemoryWatch::default());
        let looker = Arc::clone(&watch);
        std::thread::Builder::new()
            .name("function-memory".to_owned())
            .spawn(move || looker.run(&exceeds))
            .tried(|| "start a thread".to_owned())?;
        Ok(watch)
    }

    /// Looks at an environment, by its shim; the most that it has had is kept in the value.
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

    /// Looks no more at an environment. Before its shim has been waited for: its number is free then.
    pub(super) fn forget(&self, environment: u64) {
        self.state().watched.retain(|one| one.environment != environment);
    }

    /// Ends.
    pub(super) fn stop(&self) {
        self.state().is_over = true;
        self.changed.notify_all();
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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

/// Looks once. Whether it is too much.
pub(super) fn look(shim: i32, limit: u64, peak: &AtomicU64) -> bool {
    let processes = processes::descendants(shim);
    let mut used: u64 = processes.iter().map(|&pid| resident(pid)).sum();
    if used > limit {
        // Processes share pages, so the sum may be more than they have. This tells the truth, and takes longer.
        used = processes.iter().filter_map(|&pid| proportional(pid)).sum();
    }
    peak.fetch_max(used, Ordering::Relaxed);
    used > limit
}

/// Bytes of a process that are in memory.
fn resident(pid: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    let pages: u64 = text
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse().ok())
        .unwrap_or(0);
    pages * rustix::param::page_size() as u64
}

/// The same with shared pages divided among those who share them.
fn proportional(pid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib << 10)
}
