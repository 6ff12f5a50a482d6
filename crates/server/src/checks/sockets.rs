//! Checks whether an address can be bound, and finds the process that has it.

use forebay_proxy::{explain, is_routed_here};
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Why an address cannot be bound, with the process that has it.
pub(super) fn why(error: &io::Error, address: SocketAddr) -> String {
    match error.kind() {
        io::ErrorKind::AddrNotAvailable => "this machine has no such address".to_owned(),
        _ => format!("{}{}", explain(error, address), holder(address)),
    }
}

/// Binds the address as a start would, for a moment.
pub(super) fn bind(address: SocketAddr) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    match (socket.bind(&address.into()), address) {
        (Err(error), SocketAddr::V6(address))
            if error.kind() == io::ErrorKind::AddrNotAvailable && is_routed_here(*address.ip()) =>
        {
            socket.set_freebind_v6(true)?;
            socket.bind(&address.into())?;
        }
        (bound, _) => bound?,
    }
    // With SO_REUSEADDR, a bind may succeed beside another socket; only a listen is certain.
    socket.listen(1)
}

/// Whether this machine has the address.
pub(super) fn has(address: IpAddr) -> bool {
    bind(SocketAddr::new(address, 0)).is_ok()
}

/// Listening sockets and their inodes, as in /proc/net/tcp (proc(5)).
fn listening() -> Vec<(SocketAddr, u64)> {
    let mut found = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let text = fs::read_to_string(table).unwrap_or_default();
        found.extend(text.lines().skip(1).filter_map(listener));
    }
    found
}

fn listener(line: &str) -> Option<(SocketAddr, u64)> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    // 0A: listening.
    if fields.get(3) != Some(&"0A") {
        return None;
    }
    let (ip, port) = fields.get(1)?.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    // 32-bit words in the machine's byte order.
    let words: Option<Vec<[u8; 4]>> = (0..ip.len() / 8)
        .map(|word| {
            let word = u32::from_str_radix(ip.get(word * 8..word * 8 + 8)?, 16).ok()?;
            Some(word.to_ne_bytes())
        })
        .collect();
    let bytes = words?.concat();
    let ip = match bytes.len() {
        4 => IpAddr::from(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        16 => IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)),
        _ => return None,
    };
    Some((SocketAddr::new(ip, port), fields.get(9)?.parse().ok()?))
}

/// Inodes of a process's sockets; none that may be seen if it belongs to another user.
fn sockets_of(process: &str) -> BTreeSet<u64> {
    let entries = fs::read_dir(format!("/proc/{process}/fd"))
        .into_iter()
        .flatten()
        .flatten();
    let inode = |entry: fs::DirEntry| {
        let target = fs::read_link(entry.path()).ok()?;
        target
            .to_str()?
            .strip_prefix("socket:[")?
            .strip_suffix(']')?
            .parse()
            .ok()
    };
    entries.filter_map(inode).collect()
}

/// Addresses at which this process listens.
pub(super) fn of_process(process: u32) -> BTreeSet<SocketAddr> {
    let own = sockets_of(&process.to_string());
    let listening = listening().into_iter();
    listening
        .filter(|(_, inode)| own.contains(inode))
        .map(|(address, _)| address)
        .collect()
}

/// The process that listens there, to be appended to an error; empty if that cannot be seen.
fn holder(address: SocketAddr) -> String {
    let inodes: BTreeSet<u64> = listening()
        .into_iter()
        .filter(|(at, _)| {
            at.port() == address.port()
                && (at.ip() == address.ip() || at.ip().is_unspecified() || address.ip().is_unspecified())
        })
        .map(|(_, inode)| inode)
        .collect();
    if inodes.is_empty() {
        return String::new();
    }
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(process) = name
            .to_str()
            .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        else {
            continue;
        };
        if !sockets_of(process).is_disjoint(&inodes) {
            let program = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            return format!(" (process {process}, {})", program.trim());
        }
    }
    String::new()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn who_listens_is_found() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(socket) = TcpListener::bind(address) else {
                continue;
            };
            let address = socket.local_addr().unwrap();
            let process = std::process::id();
            assert!(of_process(process).contains(&address), "{address}");
            assert!(holder(address).contains(&process.to_string()));
            let error = bind(address).unwrap_err();
            assert!(why(&error, address).contains("another process listens there"));
            drop(socket);
            bind(address).unwrap();
        }
        assert!(has("127.200.1.2".parse().unwrap()));
        assert!(!has("192.0.2.7".parse().unwrap()));
    }
}
