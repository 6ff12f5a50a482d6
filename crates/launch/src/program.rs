//! The last steps before a program runs: its control groups, its network, its user; then it replaces this process.
//!
//! The process has one thread and was started for this only, so ordinary calls do; nothing runs between a fork and an exec.

use crate::cgroup;
use crate::errors::Tried as _;
use crate::record::{Record, Spec};
use nix::sys::signal::SigSet;
use rustix::process::{Gid, Signal, Uid};
use rustix::thread::{CapabilitySet, LinkNameSpaceType};
use std::fs::File;
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

/// The shim's argument for the script that runs first.
pub(crate) const FIRST: &str = "first";
/// The shim's argument for the program.
pub(crate) const MAIN: &str = "main";
/// The exit status when there was nothing to run, as in shells.
pub(crate) const NOT_STARTED: u8 = 127;

/// Becomes the program of an instance. Returns only if that fails.
pub(crate) fn become_program(dir: &Path, which: &str, shim: &str) -> String {
    match prepare(dir, which, shim) {
        Ok(argv) => {
            let Some((program, args)) = argv.split_first() else {
                return "there is no program to start".to_owned();
            };
            let error = Command::new(program).args(args).exec();
            format!("cannot start {program}: {error}")
        }
        Err(why) => why,
    }
}

fn prepare(dir: &Path, which: &str, shim: &str) -> Result<Vec<String>, String> {
    let spec = Record::new(dir)
        .spec()
        .ok_or("what is to be started cannot be read")?;
    cgroup::join(&spec.cgroups).tried(|| "enter the control groups".to_owned())?;
    if let Some(network) = &spec.network {
        let file =
            File::open(network).tried(|| format!("open the network namespace {}", network.display()))?;
        rustix::thread::move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
            .tried(|| "enter the network namespace".to_owned())?;
    }
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    change_user(&spec)?;
    rustix::thread::set_no_new_privs(true).tried(|| "give up new privileges".to_owned())?;
    // After the change of user, which resets it. The shim may have ended before this, so that is checked next.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .tried(|| "follow the shim".to_owned())?;
    let parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get().to_string());
    if parent.as_deref() != Some(shim) {
        return Err("its shim has ended".to_owned());
    }
    SigSet::all()
        .thread_unblock()
        .tried(|| "let signals come".to_owned())?;
    Ok(match which {
        FIRST => spec.first.into_iter().collect(),
        _ => spec.argv,
    })
}

/// Gives up everything that the shim may do and its instance may not.
fn change_user(spec: &Spec) -> Result<(), String> {
    let Some((user, group)) = spec.user else {
        return Ok(());
    };
    for capability in CapabilitySet::all().iter() {
        // Capabilities that the kernel does not know are not there either.
        let _ = rustix::thread::remove_capability_from_bounding_set(capability);
    }
    let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
    rustix::thread::set_thread_groups(&[]).tried(|| "leave all groups".to_owned())?;
    rustix::thread::set_thread_res_gid(group, group, group).tried(|| "change the group".to_owned())?;
    rustix::thread::set_thread_res_uid(user, user, user).tried(|| "change the user".to_owned())?;
    let nothing = rustix::thread::CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, nothing).tried(|| "give up capabilities".to_owned())
}
