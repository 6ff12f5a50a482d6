//! Address pools of running Forebays: no two on one network may overlap, and each process announces its own.
//!
//! A claim is an abstract Unix socket whose name contains the process and its pool. Such names belong to a network
//! namespace, like the addresses, and end with their process: nothing is left behind.

use anyhow::{Context as _, bail};
use ipnet::{IpNet, Ipv4Net};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;

/// Prefix of the names of claims.
const PREFIX: &str = "forebay-pool/";
/// The kernel's list of Unix sockets.
const NAMES: &str = "/proc/net/unix";
/// The kernel's limit on such a name, in bytes.
const LONGEST_NAME: usize = 107;
/// Number of pools that are offered in place of a claimed one: a sixteenth of the loopback network each.
const OFFERED: u8 = 12;

/// The pools of this process, claimed until this is dropped.
#[derive(Debug)]
pub struct PoolClaim {
    _held: Vec<UnixDatagram>,
}

impl PoolClaim {
    /// Claims these pools. Claims of `except_pid`, the process that is taken over from, are ignored.
    ///
    /// Two processes that start at the same moment may refuse each other. Each claims before it checks, so they never both
    /// continue.
    ///
    /// # Errors
    /// If another process has addresses of one.
    pub fn take(pools: &[IpNet], data_dir: &Path, except_pid: Option<u32>) -> anyhow::Result<PoolClaim> {
        let own = std::process::id();
        let mut held = Vec::new();
        for pool in pools {
            let name = Claim::name(own, pool, data_dir);
            let address = SocketAddr::from_abstract_name(&name).context("cannot name an address pool")?;
            match UnixDatagram::bind_addr(&address) {
                Ok(socket) => held.push(socket),
                // Two containers in one network may have the same process id.
                Err(error) => bail!(
                    "--address-pool {pool} is already claimed by a Forebay with this process id and data directory ({error}): give this one \
                     another"
                ),
            }
        }
        let all = claims();
        let is_own = |claim: &Claim| {
            let name = format!("{PREFIX}{}/{}{}", claim.pid, claim.pool, claim.data_dir);
            pools.iter().any(|pool| Claim::name(own, pool, data_dir) == name)
        };
        let others = || {
            all.iter()
                .filter(|claim| !is_own(claim) && Some(claim.pid) != except_pid)
        };
        for other in others() {
            if let Some(pool) = pools.iter().find(|pool| overlap(pool, &other.pool)) {
                bail!("{}", refusal(pool, other, &all));
            }
        }
        Ok(PoolClaim { _held: held })
    }
}

fn refusal(pool: &IpNet, other: &Claim, all: &[Claim]) -> String {
    let place = match other.data_dir.as_str() {
        "" => String::new(),
        place => format!(", data directory {place}"),
    };
    let instead = match free_among(all) {
        Some(free) if pool.addr().is_ipv4() => format!("another --address-pool, such as {free}"),
        _ => "another --address-pool".to_owned(),
    };
    format!(
        "--address-pool {pool} overlaps {}, which another Forebay has: process {}{place}. Both would give the same addresses away. Give \
         this one {instead} (and a --data-dir of its own: one that was made with a pool keeps it), or stop the other",
        other.pool, other.pid
    )
}

/// This pool, or a free one if another process has addresses of it.
pub fn free_pool(wanted: Ipv4Net) -> Ipv4Net {
    let all = claims();
    let is_taken = |pool: Ipv4Net| all.iter().any(|claim| overlap(&pool.into(), &claim.pool));
    if is_taken(wanted) {
        free_among(&all).unwrap_or(wanted)
    } else {
        wanted
    }
}

/// A pool that overlaps none of these claims.
fn free_among(claims: &[Claim]) -> Option<Ipv4Net> {
    // From the end, because the default pool is at the beginning. The last sixteenth contains loopback's broadcast address.
    let mut offered = (0..OFFERED).rev().filter_map(|at| {
        let second = 48 + 16 * at;
        Ipv4Net::new([127, second, 0, 0].into(), 12).ok()
    });
    offered.find(|pool| !claims.iter().any(|claim| overlap(&IpNet::V4(*pool), &claim.pool)))
}

fn overlap(one: &IpNet, other: &IpNet) -> bool {
    one.contains(other) || other.contains(one)
}

/// The claim of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Claim {
    pid: u32,
    pool: IpNet,
    /// Empty if the name had no room for it.
    data_dir: String,
}

impl Claim {
    /// `forebay-pool/PID/ADDRESS/LENGTH`, and the data directory if there is room.
    fn name(pid: u32, pool: &IpNet, data_dir: &Path) -> String {
        let name = format!("{PREFIX}{pid}/{pool}");
        let place = std::path::absolute(data_dir).unwrap_or_default();
        match place.to_str() {
            Some(place)
                if name.len() + place.len() < LONGEST_NAME
                    && !place.contains(|c: char| c.is_control() || c == '@') =>
            {
                format!("{name}{place}")
            }
            _ => name,
        }
    }

    /// Reads a line of the kernel's list; none if it is not a claim.
    fn of_line(line: &str) -> Option<Claim> {
        // The kernel prints the leading zero of such a name as `@`.
        let (_, name) = line.split_once(&format!(" @{PREFIX}"))?;
        let mut parts = name.splitn(4, '/');
        let (pid, address, length) = (parts.next()?, parts.next()?, parts.next()?);
        let place = parts.next().map(|place| format!("/{place}"));
        Some(Claim {
            pid: pid.parse().ok()?,
            pool: format!("{address}/{length}").parse().ok()?,
            data_dir: place.unwrap_or_default(),
        })
    }
}

/// All claims in this network; none where the kernel's list cannot be read.
fn claims() -> Vec<Claim> {
    let names = std::fs::read(NAMES).unwrap_or_default();
    let names = String::from_utf8_lossy(&names);
    names.lines().filter_map(Claim::of_line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    #[test]
    fn names_say_who_has_what() {
        for (pool, place) in [("127.64.0.0/10", "/var/lib/a b"), ("fd00:f0::/64", "/d")] {
            let name = Claim::name(77, &net(pool), Path::new(place));
            let line = format!("0000000000000000: 00000002 00000000 00000000 0002 01 4711 @{name}");
            let wanted = Claim {
                pid: 77,
                pool: net(pool),
                data_dir: place.to_owned(),
            };
            assert_eq!(Claim::of_line(&line), Some(wanted));
        }
        let long = format!("/{}", "x".repeat(100));
        assert_eq!(
            Claim::name(7, &net("127.64.0.0/10"), Path::new(&long)),
            "forebay-pool/7/127.64.0.0/10"
        );
        for line in [
            "",
            "Num RefCount Protocol Flags Type St Inode Path",
            "0: 2 0 0 1 1 9 @forebay-pool/x/127.64.0.0/10",
            "0: 2 0 0 1 1 9 @forebay-pool/7/127.64.0.0",
            "0: 2 0 0 1 1 9 /run/forebay-pool/7/127.64.0.0/10",
        ] {
            assert_eq!(Claim::of_line(line), None, "{line}");
        }
    }

    #[test]
    fn who_has_an_overlapping_pool_is_named() {
        // From the addresses for documentation, which no Forebay uses.
        let place = Path::new("/tmp/here");
        let held = PoolClaim::take(&[net("192.0.2.0/24"), net("2001:db8:77::/64")], place, None).unwrap();
        let seen = claims();
        let own = std::process::id();
        assert_eq!(
            seen.iter()
                .filter(|claim| claim.pid == own && claim.data_dir == "/tmp/here")
                .count(),
            2
        );
        // A process's own claim does not conflict, but a second one of the same process does.
        let part = PoolClaim::take(&[net("192.0.2.0/25")], Path::new("/tmp/there"), None).unwrap_err();
        assert!(
            part.to_string()
                .contains(&format!("process {own}, data directory /tmp/here")),
            "{part}"
        );
        assert!(PoolClaim::take(&[net("192.0.2.0/25")], Path::new("/tmp/there"), Some(own)).is_ok());
        let other = Claim {
            pid: 4711,
            pool: net("192.0.2.128/25"),
            data_dir: "/data".to_owned(),
        };
        let told = refusal(&net("192.0.2.0/24"), &other, &[]);
        for part in [
            "--address-pool 192.0.2.0/24 overlaps 192.0.2.128/25",
            "process 4711",
            "/data",
            "127.224.0.0/12",
        ] {
            assert!(told.contains(part), "{told}");
        }
        let again = PoolClaim::take(&[net("192.0.2.0/24")], place, None).unwrap_err();
        assert!(again.to_string().contains("this process id"), "{again}");
        drop(held);
        assert!(
            !claims()
                .iter()
                .any(|claim| claim.pid == own && claim.data_dir == "/tmp/here")
        );
    }

    #[test]
    fn a_free_pool_is_none_that_somebody_has() {
        let claim = |pool: &str| Claim {
            pid: 1,
            pool: net(pool),
            data_dir: String::new(),
        };
        let free = free_among(&[claim("127.224.0.0/14"), claim("fd00::/64")]).unwrap();
        assert_eq!(free.to_string(), "127.208.0.0/12");
        assert_eq!(free_among(&[claim("127.0.0.0/8")]), None);
        assert!(overlap(&net("127.64.0.0/10"), &net("127.80.0.0/14")));
        assert!(!overlap(&net("127.64.0.0/10"), &net("fd00:f0::/64")));
    }
}
