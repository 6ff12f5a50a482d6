//! Processes as /proc describes them: whether one is still the one that was meant, and which belong together.

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use std::cell::OnceCell;
use std::fs;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;

/// The identity of a process. Process ids are reused, and start anew after a reboot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessId {
    /// Its process id.
    pub(crate) pid: i32,
    /// Its start time, in kernel ticks since the boot.
    pub(crate) started: u64,
    /// Id of the boot.
    pub(crate) boot: String,
}

/// Fields of /proc/PID/stat.
struct Stat {
    state: char,
    parent: i32,
    session: i32,
    started: u64,
}

impl ProcessId {
    /// The calling process.
    pub(crate) fn own() -> Option<ProcessId> {
        ProcessId::of(i32::try_from(std::process::id()).ok()?)
    }

    /// The process that has this id now.
    pub(crate) fn of(pid: i32) -> Option<ProcessId> {
        Some(ProcessId {
            pid,
            started: stat(pid)?.started,
            boot: boot()?.to_owned(),
        })
    }

    /// Whether it lives. A zombie does not.
    pub(crate) fn is_alive(&self) -> bool {
        let same = stat(self.pid)
            .is_some_and(|stat| stat.started == self.started && !matches!(stat.state, 'Z' | 'X'));
        same && boot() == Some(&*self.boot)
    }

    /// A pidfd of it, which cannot refer to another process; none if it has ended.
    pub(crate) fn descriptor(&self) -> Option<OwnedFd> {
        let descriptor = pidfd_open(Pid::from_raw(self.pid)?, PidfdFlags::empty()).ok()?;
        // Checked after opening: before that, the id might have gone to another process.
        self.is_alive().then_some(descriptor)
    }

    /// Sends it a signal; false if it has ended.
    pub(crate) fn signal(&self, signal: Signal) -> bool {
        self.descriptor()
            .is_some_and(|descriptor| pidfd_send_signal(descriptor, signal).is_ok())
    }

    /// Kills what is left of the session that it led. Only for one that has ended: as long as any process of its session
    /// lives, the kernel does not reuse its id for a new session.
    pub(crate) fn kill_session(&self) {
        if boot() != Some(&*self.boot) {
            return;
        }
        // Processes that fork during a search are found by the next one.
        for _ in 0..20 {
            let left: Vec<i32> = all()
                .filter(|(_, stat)| {
                    stat.session == self.pid && stat.started >= self.started && stat.state != 'Z'
                })
                .map(|(pid, _)| pid)
                .collect();
            if left.is_empty() {
                return;
            }
            left.into_iter().for_each(kill);
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}

/// Kills all descendants of a process.
pub(crate) fn kill_descendants(of: i32) {
    descendants(of).into_iter().for_each(kill);
}

/// All descendants of a process, parents before their children.
pub(crate) fn descendants(of: i32) -> Vec<i32> {
    let mut found = Vec::new();
    let mut parents = vec![of];
    // Without the kernel's lists of children, all processes are read, but only once.
    let all: OnceCell<Vec<(i32, i32)>> = OnceCell::new();
    while let Some(parent) = parents.pop() {
        let listed = children(parent).unwrap_or_else(|| {
            let all = all.get_or_init(|| all_parents().collect());
            all.iter()
                .filter(|(_, of)| *of == parent)
                .map(|&(pid, _)| pid)
                .collect()
        });
        // Ids are reused, so following one twice could go on forever.
        let new: Vec<i32> = listed.into_iter().filter(|pid| !found.contains(pid)).collect();
        found.extend(&new);
        parents.extend(new);
    }
    found
}

/// The children of a process and its threads from the kernel's list; none if the kernel has no such lists.
fn children(of: i32) -> Option<Vec<i32>> {
    static HAS_LISTS: OnceLock<bool> = OnceLock::new();
    let own = std::process::id();
    let look = || fs::exists(format!("/proc/{own}/task/{own}/children")).unwrap_or(false);
    if !*HAS_LISTS.get_or_init(look) {
        return None;
    }
    let mut found = Vec::new();
    for thread in fs::read_dir(format!("/proc/{of}/task"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let text = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        found.extend(
            text.split_ascii_whitespace()
                .filter_map(|pid| pid.parse::<i32>().ok()),
        );
    }
    Some(found)
}

fn all_parents() -> impl Iterator<Item = (i32, i32)> {
    all().map(|(pid, stat)| (pid, stat.parent))
}

/// Kills a process by its id. Only for processes that cannot have ended unobserved.
pub(crate) fn kill(pid: i32) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = rustix::process::kill_process(pid, Signal::KILL);
    }
}

fn all() -> impl Iterator<Item = (i32, Stat)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        Some((pid, stat(pid)?))
    })
}

fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in parentheses and may contain anything, even parentheses.
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}

/// Id of the current boot, which does not change as long as this process lives.
fn boot() -> Option<&'static str> {
    static BOOT: OnceLock<Option<String>> = OnceLock::new();
    let read = || {
        let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        Some(text.trim().to_owned())
    };
    BOOT.get_or_init(read).as_deref()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_from_a_later_one_with_its_number() {
        let own = ProcessId::own().unwrap();
        assert!(own.is_alive());
        let earlier = ProcessId {
            started: own.started - 1,
            ..own.clone()
        };
        assert!(!earlier.is_alive());
        let before_a_reboot = ProcessId {
            boot: "another".to_owned(),
            ..own
        };
        assert!(!before_a_reboot.is_alive());
    }
}
