//! A network namespace for each instance, so that programs that listen on the same port of all addresses can run side by
//! side, each at its own address.
//!
//! The address is a loopback address (127.0.0.0/8), which the kernel delivers locally unless a longer prefix in the table
//! `local` says otherwise. Such a route leads it through a pair of virtual interfaces into the namespace; the way back is
//! made alike.

use crate::errors::Tried as _;
use core::str::FromStr;
use rustix::thread::LinkNameSpaceType;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

/// Where `ip netns` keeps namespaces.
const NAMESPACES: &str = "/run/netns";
/// The machine's address as seen from within.
const HOST: Ipv4Addr = Ipv4Addr::new(169, 254, 77, 1);
/// The address at which AWS's tools expect the metadata service.
pub(crate) const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
/// MAC addresses of the two ends of a pair. No two pairs share a network, so all can have the same.
const HOST_MAC: &str = "02:00:00:00:77:01";
const INSIDE_MAC: &str = "02:00:00:00:77:02";

/// Whether instances get network namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum NetworkMode {
    /// If that works here.
    #[default]
    Auto,
    /// Required: otherwise nothing starts.
    Always,
    /// They share the network of the machine.
    Never,
}

impl FromStr for NetworkMode {
    type Err = String;

    fn from_str(text: &str) -> Result<NetworkMode, String> {
        match text {
            "auto" => Ok(NetworkMode::Auto),
            "always" => Ok(NetworkMode::Always),
            "never" => Ok(NetworkMode::Never),
            _ => Err("it is auto, always or never".to_owned()),
        }
    }
}

/// The namespaces of one Forebay's instances.
#[derive(Clone, Debug)]
pub(crate) struct Networks {
    /// Prefix of its namespaces' names, unique among all Forebays on the machine.
    prefix: String,
    /// The pool of addresses of load balancers and instances.
    pool: String,
}

impl Networks {
    /// Namespaces, if they are wanted and work.
    pub(crate) fn find(mode: NetworkMode, owner: &str, pool: &str) -> Result<Option<Networks>, String> {
        if mode == NetworkMode::Never {
            return Ok(None);
        }
        let networks = Networks {
            prefix: format!("fb-{owner}-"),
            pool: pool.to_owned(),
        };
        let probe = format!("probe{owner}");
        // Another Forebay may probe at the same time, so each uses an address of its own for that.
        let [.., high, low] =
            (std::process::id() ^ u32::from_str_radix(owner, 16).unwrap_or_default()).to_be_bytes();
        let works = networks.make(&probe, Ipv4Addr::new(169, 254, 80 | (high & 0x0f), low));
        networks.remove(&probe);
        match (works, mode) {
            (Ok(_), _) => Ok(Some(networks)),
            (Err(error), NetworkMode::Always) => Err(format!(
                "network namespaces for instances do not work here: {error}"
            )),
            (Err(error), _) => {
                tracing::warn!(
                    error,
                    "instances have no network namespaces: each must listen on FOREBAY_ADDRESS and PORT"
                );
                Ok(None)
            }
        }
    }

    /// Makes an instance's namespace anew; returns the file through which it is entered.
    pub(crate) fn make(&self, id: &str, address: Ipv4Addr) -> Result<PathBuf, String> {
        self.remove(id);
        let made = self.try_make(id, address);
        if made.is_err() {
            self.remove(id);
        }
        made
    }

    fn try_make(&self, id: &str, address: Ipv4Addr) -> Result<PathBuf, String> {
        let (space, link, pool) = (self.name(id), link(id), &self.pool);
        ip(&["netns", "add", &space], "")?;
        // It may be left from an instance whose namespace is gone already.
        let _ = ip(&["link", "del", &link], "");
        let outside = format!(
            "link add {link} address {HOST_MAC} type veth peer name eth0 address {INSIDE_MAC} netns {space}\n\
             addr add {HOST}/32 dev {link}\n\
             link set {link} up\n\
             neigh replace {address} lladdr {INSIDE_MAC} dev {link} nud permanent\n\
             route add {address}/32 dev {link} table local\n"
        );
        ip(&["-batch", "-"], &outside).map_err(|error| match error.contains("File exists") {
            true => format!(
                "{address} already leads to another instance: does another Forebay on this machine use the same --address-pool? ({error})"
            ),
            false => error,
        })?;
        accept_loopback(&link)?;
        let inside = format!(
            "link set lo up\n\
             addr add {METADATA}/32 dev lo\n\
             link set eth0 up\n\
             addr add {address}/32 dev eth0\n\
             neigh replace {HOST} lladdr {HOST_MAC} dev eth0 nud permanent\n\
             route add {HOST}/32 dev eth0 src {address}\n\
             route add {pool} via {HOST} dev eth0 onlink table local src {address}\n\
             route add default via {HOST} dev eth0 onlink src {address}\n"
        );
        ip(&["-n", &space, "-batch", "-"], &inside)?;
        self.inside(id, || accept_loopback("eth0"))
            .tried(|| "enter a namespace".to_owned())??;
        Ok(self.path(id))
    }

    /// Removes an instance's namespace, if there is one. Processes that are still in it keep it alive, without a name.
    pub(crate) fn remove(&self, id: &str) {
        if self.path(id).exists() {
            // Deleting either end removes the pair; the namespace itself may be held by a socket for a moment.
            let _ = ip(&["link", "del", &link(id)], "");
            if let Err(error) = ip(&["netns", "del", &self.name(id)], "") {
                tracing::warn!(instance = id, error, "cannot remove a network namespace");
            }
        }
    }

    /// The instances that have namespaces.
    pub(crate) fn list(&self) -> Vec<String> {
        let entries = fs::read_dir(NAMESPACES).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| Some(entry.file_name().to_str()?.strip_prefix(&self.prefix)?.to_owned()))
            .collect()
    }

    /// Listens within an instance's namespace.
    pub(crate) fn listen(&self, id: &str, address: SocketAddr) -> io::Result<TcpListener> {
        self.inside(id, || TcpListener::bind(address))?
    }

    /// The file through which an instance's namespace is entered.
    pub(crate) fn path(&self, id: &str) -> PathBuf {
        Path::new(NAMESPACES).join(self.name(id))
    }

    fn name(&self, id: &str) -> String {
        format!("{}{id}", self.prefix)
    }

    /// Calls `act` in an instance's namespace, on a thread that ends afterwards.
    fn inside<T: Send>(&self, id: &str, act: impl FnOnce() -> T + Send) -> io::Result<T> {
        let space = File::open(self.path(id))?;
        thread::scope(|scope| {
            let entered = scope.spawn(move || {
                rustix::thread::move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network))?;
                Ok(act())
            });
            entered
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("a thread panicked")))
        })
    }
}

/// The machine's end of an instance's pair. Names of interfaces have at most 15 characters.
fn link(id: &str) -> String {
    let end = id.len().saturating_sub(13);
    format!("fb{}", id.get(end..).unwrap_or(id))
}

/// Bytes that an instance received and sent.
pub(crate) fn traffic(id: &str) -> Option<(u64, u64)> {
    let count = |name: &str| {
        let path = format!("/sys/class/net/{}/statistics/{name}", link(id));
        fs::read_to_string(path).ok()?.trim().parse().ok()
    };
    // The machine's end sends what the instance receives.
    Some((count("tx_bytes")?, count("rx_bytes")?))
}

/// Allows loopback addresses on an interface, which the kernel refuses by default.
fn accept_loopback(interface: &str) -> Result<(), String> {
    for (key, value) in [("route_localnet", "1"), ("rp_filter", "0")] {
        let path = format!("/proc/sys/net/ipv4/conf/{interface}/{key}");
        fs::write(&path, value).tried(|| format!("write {path}"))?;
    }
    Ok(())
}

/// Runs iproute2 with these lines as input.
fn ip(args: &[&str], lines: &str) -> Result<(), String> {
    let mut child = Command::new("ip")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .tried(|| "run `ip` (of iproute2)".to_owned())?;
    if let Some(mut stdin) = child.stdin.take() {
        // If it has ended already, its status says why.
        let _ = stdin.write_all(lines.as_bytes());
    }
    let output = child.wait_with_output().tried(|| "wait for `ip`".to_owned())?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("`ip {}` failed: {}", args.join(" "), said.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_interfaces_are_short_enough() {
        let name = link("i-0123456789abcdef0");
        assert_eq!(name, "fb456789abcdef0");
        assert_eq!(name.len(), 15);
        assert_eq!(link("i-1"), "fbi-1");
    }
}
