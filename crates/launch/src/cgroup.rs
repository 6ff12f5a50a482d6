//! Control groups of instances and functions, version 2 or 1: limits, freezing, and killing everything in a group.
//!
//! The files in a group show what it can do, so most of this does not depend on the version.

use crate::processes;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

const MOUNT: &str = "/sys/fs/cgroup";
/// The controllers of version 1 that are used.
const CONTROLLERS: [&str; 5] = ["cpu", "cpuacct", "memory", "pids", "freezer"];
/// Period of the kernel's processor time accounting, in microseconds.
const PERIOD_US: u64 = 100_000;
/// Most processes and threads of an instance.
const TASKS: u32 = 8192;
/// The subgroup that a daemon may be in, so that groups beside it can have limits (systemd's `DelegateSubgroup=`).
const DAEMON: &str = "daemon";

/// Limits of an instance or an environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// None for no limit.
    pub(crate) vcpus: Option<u32>,
    pub(crate) memory_mib: u32,
}

/// The parent groups of this Forebay's instances, one per hierarchy.
#[derive(Debug)]
pub(crate) struct Cgroups {
    bases: Vec<PathBuf>,
}

impl Cgroups {
    /// Finds or makes the parent groups. Those that may not be used are left out; there may be none.
    pub(crate) fn find(name: &str) -> Cgroups {
        Cgroups::find_at(Path::new(MOUNT), name)
    }

    fn find_at(mount: &Path, name: &str) -> Cgroups {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mut bases = Vec::new();
        if mount.join("cgroup.controllers").exists() {
            let above = parent(mount, path_of(&own, ""));
            let base = above.join(name);
            if fs::create_dir_all(&base).is_ok() {
                // Not permitted: then there are no limits, which is logged; freezing and killing still work.
                for at in [&above, &base] {
                    for controller in ["+cpu", "+memory", "+pids"] {
                        let _ = fs::write(at.join("cgroup.subtree_control"), controller);
                    }
                }
                bases.push(base);
            }
        } else {
            for controller in CONTROLLERS {
                let base = parent(&mount.join(controller), path_of(&own, controller)).join(name);
                if fs::create_dir_all(&base).is_ok() && base.join("cgroup.procs").exists() {
                    bases.push(base);
                }
            }
        }
        Cgroups { bases }
    }

    /// Makes the groups of an instance. The text says which limits could not be set.
    pub(crate) fn make(&self, id: &str, limits: Option<Limits>) -> (Vec<PathBuf>, Option<String>) {
        let made: Vec<PathBuf> = self
            .bases
            .iter()
            .map(|base| base.join(id))
            .filter(|group| group.exists() || fs::create_dir_all(group).is_ok())
            .collect();
        set(&made, &[("pids.max", TASKS.to_string())]);
        let Some(limits) = limits else { return (made, None) };
        let bytes = u64::from(limits.memory_mib) << 20;
        let quota = limits.vcpus.map(|vcpus| u64::from(vcpus) * PERIOD_US);
        let memory = [
            ("memory.max", bytes.to_string()),
            ("memory.limit_in_bytes", bytes.to_string()),
        ];
        let set_cpu = |quota: u64| {
            let cpu = [
                ("cpu.max", format!("{quota} {PERIOD_US}")),
                ("cpu.cfs_quota_us", quota.to_string()),
            ];
            set(&made, &cpu)
        };
        let has_cpu = quota.is_none_or(set_cpu);
        let missing: Vec<&str> = [("memory", set(&made, &memory)), ("processors", has_cpu)]
            .into_iter()
            .filter(|(_, is_set)| !is_set)
            .map(|(what, _)| what)
            .collect();
        let why = (!missing.is_empty()).then(|| {
            format!(
                "instances have no limits on {}: the control groups under {MOUNT} cannot be used for that",
                missing.join(" and ")
            )
        });
        (made, why)
    }

    /// Processor time that an instance has used; none if no group counts it.
    pub(crate) fn processor_time(&self, id: &str) -> Option<Duration> {
        self.bases.iter().find_map(|base| {
            let group = base.join(id);
            if let Ok(text) = fs::read_to_string(group.join("cpuacct.usage")) {
                return Some(Duration::from_nanos(text.trim().parse().ok()?));
            }
            let text = fs::read_to_string(group.join("cpu.stat")).ok()?;
            let used = text.lines().find_map(|line| line.strip_prefix("usage_usec "))?;
            Some(Duration::from_micros(used.trim().parse().ok()?))
        })
    }

    /// Whether the kernel has killed a process of it for lack of memory.
    pub(crate) fn was_full(&self, id: &str) -> bool {
        self.bases.iter().any(|base| {
            let kills = |file: &str| {
                let text = fs::read_to_string(base.join(id).join(file)).unwrap_or_default();
                text.lines()
                    .filter_map(|line| line.strip_prefix("oom_kill "))
                    .any(|count| count.trim() != "0")
            };
            kills("memory.events") || kills("memory.oom_control")
        })
    }

    /// Removes the groups of an instance, and kills what is left in them.
    pub(crate) fn remove(&self, id: &str) {
        let groups: Vec<PathBuf> = self.bases.iter().map(|base| base.join(id)).collect();
        remove(&groups);
    }

    /// The instances that have groups.
    pub(crate) fn list(&self) -> Vec<String> {
        let entries = self.bases.iter().filter_map(|base| fs::read_dir(base).ok());
        let names = entries.flatten().flatten();
        names
            .filter(|entry| entry.path().is_dir())
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect()
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        // Fails, as it should, while instances live in it.
        for base in &self.bases {
            let _ = fs::remove_dir(base);
        }
    }
}

/// Moves the calling process into groups.
pub(crate) fn join(groups: &[PathBuf]) -> std::io::Result<()> {
    let own = std::process::id().to_string();
    groups
        .iter()
        .try_for_each(|group| fs::write(group.join("cgroup.procs"), &own))
}

/// Limits the processes and threads of groups.
pub(crate) fn limit_tasks(groups: &[PathBuf], tasks: u32) {
    set(groups, &[("pids.max", tasks.to_string())]);
}

/// Moves the calling process out of groups, to their parent if that may contain processes.
pub(crate) fn leave(groups: &[PathBuf]) {
    let own = std::process::id().to_string();
    for above in groups.iter().filter_map(|group| group.parent()) {
        let _ = fs::write(above.join("cgroup.procs"), &own);
    }
}

/// Freezes all processes of groups, or lets them go on. False if these groups cannot.
pub(crate) fn freeze(groups: &[PathBuf], frozen: bool) -> bool {
    let (one, word) = if frozen { ("1", "FROZEN") } else { ("0", "THAWED") };
    set(
        groups,
        &[
            ("cgroup.freeze", one.to_owned()),
            ("freezer.state", word.to_owned()),
        ],
    )
}

/// Kills all processes of groups.
pub(crate) fn kill(groups: &[PathBuf]) {
    for group in groups {
        // In version 1, frozen processes cannot die.
        freeze(std::slice::from_ref(group), false);
        if fs::write(group.join("cgroup.kill"), "1").is_err() {
            let listed = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
            listed
                .lines()
                .filter_map(|pid| pid.parse().ok())
                .for_each(processes::kill);
        }
    }
}

fn remove(groups: &[PathBuf]) {
    for group in groups.iter().filter(|group| group.exists()) {
        // A killed process leaves its group a moment later.
        for _ in 0..50 {
            if fs::remove_dir(group).is_ok() {
                break;
            }
            kill(std::slice::from_ref(group));
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Writes each value where a file for it exists. Returns whether any was written.
fn set(groups: &[PathBuf], values: &[(&str, String)]) -> bool {
    let mut is_set = false;
    for group in groups {
        for (file, value) in values {
            let path = group.join(file);
            is_set |= path.exists() && fs::write(path, value).is_ok();
        }
    }
    is_set
}

/// The own group in a hierarchy, from /proc/self/cgroup.
fn path_of<'a>(own: &'a str, controller: &str) -> &'a str {
    own.lines()
        .filter_map(|line| {
            let (_, rest) = line.split_once(':')?;
            rest.split_once(':')
        })
        .find(|(controllers, _)| controllers.split(',').any(|one| one == controller))
        .map_or("/", |(_, path)| path)
}

/// The parent of groups for instances, for a daemon in the group `own`.
fn parent(mount: &Path, own: &str) -> PathBuf {
    let own = Path::new(own.trim_start_matches('/'));
    let own = if own.ends_with(DAEMON) {
        own.parent().unwrap_or(own)
    } else {
        own
    };
    let there = mount.join(own);
    // In a container, /proc may show a path outside of it.
    if there.is_dir() { there } else { mount.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In each available hierarchy, a group is frozen, thawed and killed as a whole.
    #[test]
    fn a_group_is_frozen_and_killed() {
        let mounts = [MOUNT, "/sys/fs/cgroup/unified"].map(Path::new);
        for mount in mounts.into_iter().filter(|mount| mount.exists()) {
            let groups = Cgroups::find_at(mount, &format!("forebay-test-{}", std::process::id()));
            let (made, _) = groups.make("i-1", None);
            if made.is_empty() {
                eprintln!("skipped: groups may not be made in {}", mount.display());
                continue;
            }
            assert_eq!(groups.list().first().map(String::as_str), Some("i-1"));
            let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
            for group in &made {
                fs::write(group.join("cgroup.procs"), child.id().to_string()).unwrap();
            }
            assert!(freeze(&made, true), "{made:?}");
            kill(&made);
            assert!(!child.wait().unwrap().success());
            groups.remove("i-1");
            assert!(made.iter().all(|group| !group.exists()));
        }
    }

    #[test]
    fn the_own_group_is_found_in_both_versions() {
        let old = "4:memory:/a/b\n3:cpu,cpuacct:/c\n0::/unified\n";
        assert_eq!(path_of(old, "memory"), "/a/b");
        assert_eq!(path_of(old, "cpu"), "/c");
        assert_eq!(path_of(old, "pids"), "/");
        assert_eq!(
            path_of("0::/system.slice/forebay.service/daemon\n", ""),
            "/system.slice/forebay.service/daemon"
        );
    }
}
