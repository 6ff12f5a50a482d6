//! Control groups of instances and functions, version 2 or 1: limits, freezing, and killing all that is in one.
//!
//! What a group can do is told by the files that are in it, so most of this need not know the version.

use crate::processes;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

const MOUNT: &str = "/sys/fs/cgroup";
/// Controllers of version 1 that are used.
const CONTROLLERS: [&str; 5] = ["cpu", "cpuacct", "memory", "pids", "freezer"];
/// The kernel counts processor time in periods of this many microseconds.
const PERIOD_US: u64 = 100_000;
/// Processes and threads that an instance may have.
const TASKS: u32 = 8192;
/// The subgroup that a daemon may be put into, so that groups beside it can have limits (systemd's `DelegateSubgroup=`).
const DAEMON: &str = "daemon";

/// What an instance or an environment may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// None for as much as there is.
    pub(crate) vcpus: Option<u32>,
    pub(crate) memory_mib: u32,
}

/// Where the groups of this Forebay's instances are: one place for each hierarchy.
#[derive(Debug)]
pub(crate) struct Cgroups {
    bases: Vec<PathBuf>,
}

impl Cgroups {
    /// Finds or makes the places. Those that may not be used are left out; none may be left.
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
                // Not allowed: then there are no limits, which is told, and freezing and killing work still.
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

    /// Makes the groups of an instance. The text tells which limits could not be set.
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
                "instances have no limits of {}: the control groups under {MOUNT} may not be used for that",
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

    /// Whether the kernel has killed something of it because its memory was full.
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

    /// Removes the groups of an instance, and ends what is left in them.
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
        // Where instances live, the kernel keeps the place.
        for base in &self.bases {
            let _ = fs::remove_dir(base);
        }
    }
}

/// Puts the calling process into groups.
pub(crate) fn join(groups: &[PathBuf]) -> std::io::Result<()> {
    let own = std::process::id().to_string();
    groups
        .iter()
        .try_for_each(|group| fs::write(group.join("cgroup.procs"), &own))
}

/// Bounds the processes and threads of groups.
pub(crate) fn limit_tasks(groups: &[PathBuf], tasks: u32) {
    set(groups, &[("pids.max", tasks.to_string())]);
}

/// Takes the calling process out of groups, up to where they are, if that may have processes.
pub(crate) fn leave(groups: &[PathBuf]) {
    let own = std::process::id().to_string();
    for above in groups.iter().filter_map(|group| group.parent()) {
        let _ = fs::write(above.join("cgroup.procs"), &own);
    }
}

/// Has all processes of groups stand still, or go on. False if these groups cannot.
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
        // Of old, the kernel lets nothing die that is frozen.
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
        // What was killed leaves its group a moment later.
        for _ in 0..50 {
            if fs::remove_dir(group).is_ok() {
                break;
            }
            kill(std::slice::from_ref(group));
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Writes each value where there is a file for it. Whether any could be written.
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

/// The own group in a hierarchy, as /proc/self/cgroup tells it.
fn path_of<'a>(own: &'a str, controller: &str) -> &'a str {
    own.lines()
        .filter_map(|line| {
            let (_, rest) = line.split_once(':')?;
            rest.split_once(':')
        })
        .find(|(controllers, _)| controllers.split(',').any(|one| one == controller))
        .map_or("/", |(_, path)| path)
}

/// Where groups of instances go, of a daemon that is in `own`.
fn parent(mount: &Path, own: &str) -> PathBuf {
    let own = Path::new(own.trim_start_matches('/'));
    let own = if own.ends_with(DAEMON) {
        own.parent().unwrap_or(own)
    } else {
        own
    };
    let there = mount.join(own);
    // In a container, what /proc tells may be a path outside.
    if there.is_dir() { there } else { mount.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stops, goes on and dies with its group, in each hierarchy that there is.
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
