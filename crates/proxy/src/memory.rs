//! Counts the memory that the buffers of all workers hold, against a ceiling. Memory is counted where it is allocated, not
//! where it is used: requests that find a free buffer pay nothing.

use forebay_node::Shards;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

/// The memory of all workers' buffers.
#[derive(Debug)]
pub(crate) struct Memory {
    /// Bytes held, by worker; each writes only its own.
    held: Shards<AtomicUsize>,
    ceiling: usize,
    /// Above this many bytes a worker keeps no free buffers, because others lack them.
    frugal: usize,
}

impl Memory {
    pub(crate) fn new(ceiling: usize, workers: usize) -> Memory {
        Memory {
            held: Shards::new(workers),
            ceiling,
            frugal: ceiling / 2 / workers.max(1),
        }
    }

    fn held(&self) -> usize {
        self.held.iter().map(|held| held.load(Relaxed)).sum()
    }
}

/// One worker's counter.
#[derive(Debug)]
pub(crate) struct Meter {
    memory: Arc<Memory>,
    worker: usize,
    own: Cell<usize>,
}

impl Default for Meter {
    /// A counter on its own, without a ceiling.
    fn default() -> Meter {
        Meter::new(Arc::new(Memory::new(usize::MAX, 1)), 0)
    }
}

impl Meter {
    pub(crate) fn new(memory: Arc<Memory>, worker: usize) -> Meter {
        Meter {
            memory,
            worker,
            own: Cell::new(0),
        }
    }

    /// Takes these bytes if they are available. Workers that take at the same time may exceed the ceiling by one buffer
    /// each.
    pub(crate) fn try_take(&self, bytes: usize) -> bool {
        let fits = self.memory.held().saturating_add(bytes) <= self.memory.ceiling;
        if fits {
            self.take(bytes);
        }
        fits
    }

    /// Takes these bytes even beyond the ceiling.
    pub(crate) fn take(&self, bytes: usize) {
        self.set(self.own.get() + bytes);
    }

    pub(crate) fn give_back(&self, bytes: usize) {
        self.set(self.own.get() - bytes);
    }

    /// Whether free buffers should be returned to the system.
    pub(crate) fn is_frugal(&self) -> bool {
        self.own.get() > self.memory.frugal
    }

    fn set(&self, bytes: usize) {
        self.own.set(bytes);
        self.memory.held.of(self.worker).store(bytes, Relaxed);
    }
}

/// Bytes that one request holds in addition to its buffers. Given back when dropped.
#[derive(Debug)]
pub(crate) struct Held {
    meter: Rc<Meter>,
    bytes: usize,
}

impl Held {
    /// Nothing held yet.
    pub(crate) fn new(meter: Rc<Meter>) -> Held {
        Held { meter, bytes: 0 }
    }

    /// Takes these bytes in addition, if they are available.
    pub(crate) fn try_take(&mut self, bytes: usize) -> bool {
        let fits = self.meter.try_take(bytes);
        if fits {
            self.bytes += bytes;
        }
        fits
    }

    /// Takes these bytes, which are allocated already, in addition.
    pub(crate) fn take(&mut self, bytes: usize) {
        self.meter.take(bytes);
        self.bytes += bytes;
    }

    /// Gives back all but this many bytes.
    pub(crate) fn keep(&mut self, bytes: usize) {
        let rest = self.bytes.saturating_sub(bytes);
        self.meter.give_back(rest);
        self.bytes -= rest;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.meter.give_back(self.bytes);
    }
}

/// The memory that this process may use: the least of the machine's memory and its control groups' limits. None if neither
/// is known.
pub fn affordable_memory() -> Option<u64> {
    let number = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let kib: u64 = text
            .lines()
            .find_map(|line| line.strip_prefix("MemTotal:"))?
            .trim()
            .strip_suffix("kB")?
            .trim()
            .parse()
            .ok()?;
        Some(kib * 1024)
    });
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let groups = own
        .lines()
        .filter_map(|line| line.strip_prefix("0::"))
        .flat_map(|path| {
            // Each parent group may have a lower limit.
            std::path::Path::new(path)
                .ancestors()
                .map(|group| format!("/sys/fs/cgroup{}/memory.max", group.display()))
                .collect::<Vec<_>>()
        });
    let first = "/sys/fs/cgroup/memory/memory.limit_in_bytes".to_owned();
    groups
        .chain([first])
        .filter_map(|path| number(&path))
        .chain(machine)
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_ceiling_for_all_workers() {
        let memory = Arc::new(Memory::new(1_000, 2));
        let meters = [0, 1].map(|worker| Meter::new(Arc::clone(&memory), worker));
        assert!(meters[0].try_take(600) && meters[1].try_take(400));
        assert!(!meters[1].try_take(1));
        assert!(meters[0].is_frugal());
        meters[0].give_back(600);
        assert!(meters[1].try_take(600) && !meters[0].is_frugal());
        assert_eq!(memory.held(), 1_000);
    }

    #[test]
    fn what_a_request_held_comes_back() {
        let memory = Arc::new(Memory::new(1_000, 1));
        let meter = Rc::new(Meter::new(Arc::clone(&memory), 0));
        let mut held = Held::new(meter);
        assert!(held.try_take(600) && !held.try_take(600));
        held.take(600);
        held.keep(700);
        assert_eq!(memory.held(), 700);
        drop(held);
        assert_eq!(memory.held(), 0);
    }

    #[test]
    fn this_machine_has_memory() {
        assert!(affordable_memory().is_some_and(|bytes| bytes > 1 << 20));
    }
}
