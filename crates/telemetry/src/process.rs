//! The kernel's figures of this process.

use forebay_units::lock::lock;
use std::fs;
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

/// Ticks in a second of `/proc` (proc_pid_stat(5)): the same on every machine that this runs on.
const TICKS: f64 = 100.0;
/// How long a count of descriptors is reused. Kernels before 6.2 do not report it, and listing many descriptors takes a
/// while.
const COUNTED: Duration = Duration::from_secs(15);

/// The kernel's figures of this process; none where the kernel does not report one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProcessMetrics {
    /// Seconds of processor time, in the kernel too.
    pub cpu_seconds: Option<f64>,
    /// Bytes of resident memory.
    pub resident_bytes: Option<u64>,
    /// Open file descriptors.
    pub open_descriptors: Option<u64>,
    /// Most file descriptors that may be open.
    pub max_descriptors: Option<u64>,
    /// Threads.
    pub threads: Option<u64>,
    /// When the process started, in seconds since the epoch.
    pub start_seconds: Option<f64>,
}

impl ProcessMetrics {
    /// The figures at this moment.
    pub fn now() -> ProcessMetrics {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let (stat, status) = (read("/proc/self/stat"), read("/proc/self/status"));
        ProcessMetrics {
            cpu_seconds: cpu_seconds(&stat),
            resident_bytes: field(&status, "VmRSS:").map(|kib| kib * 1024),
            open_descriptors: open_descriptors(),
            max_descriptors: field(&read("/proc/self/limits"), "Max open files"),
            threads: field(&status, "Threads:"),
            start_seconds: start_seconds(&stat),
        }
    }
}

/// The number after a name at the beginning of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// A field of `/proc/self/stat` by its number in proc_pid_stat(5). The second field, the program's name, may contain
/// anything
/// but ends with the last bracket.
fn ticks(stat: &str, number: usize) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(number - 3)?.parse().ok()
}

fn cpu_seconds(stat: &str) -> Option<f64> {
    Some((ticks(stat, 14)? + ticks(stat, 15)?) / TICKS)
}

/// When the process started. Computed once, because the machine's own start time moves when its clock is set.
fn start_seconds(stat: &str) -> Option<f64> {
    static STARTED: OnceLock<Option<f64>> = OnceLock::new();
    *STARTED.get_or_init(|| {
        let machine = field(&fs::read_to_string("/proc/stat").ok()?, "btime ")?;
        Some(machine as f64 + ticks(stat, 22)? / TICKS)
    })
}

fn open_descriptors() -> Option<u64> {
    static LAST: Mutex<Option<(Instant, u64)>> = Mutex::new(None);
    let told = fs::metadata("/proc/self/fd").ok()?.len();
    if told > 0 {
        return Some(told);
    }
    let mut last = lock(&LAST);
    match *last {
        Some((at, count)) if at.elapsed() < COUNTED => Some(count),
        _ => {
            let count = fs::read_dir("/proc/self/fd").ok()?.count() as u64;
            *last = Some((Instant::now(), count));
            Some(count)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 9 0 0 0 150 50 0 0 20 0 3 0 2000 8 9";
        assert_eq!((cpu_seconds(stat), ticks(stat, 22)), (Some(2.0), Some(2000.0)));
        assert_eq!((cpu_seconds(""), ticks("7 (a) S", 22)), (None, None));
    }

    #[test]
    fn this_process_is_there() {
        let now = ProcessMetrics::now();
        assert!(now.resident_bytes.is_some_and(|bytes| bytes > 100_000), "{now:?}");
        assert!(now.open_descriptors.is_some_and(|open| open >= 3), "{now:?}");
        assert!(
            now.max_descriptors >= now.open_descriptors && now.threads >= Some(1),
            "{now:?}"
        );
        let began = now.start_seconds.unwrap();
        let epoch = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
        assert!(
            began < epoch + 2.0 && began > epoch - 3600.0,
            "{began} of {epoch}"
        );
        assert_eq!(ProcessMetrics::now().start_seconds, now.start_seconds);
    }
}
