//! IPv6 prefixes that belong to this machine only by a route (`ip -6 route add local PREFIX dev lo`). Unlike with IPv4, the
//! kernel binds sockets to addresses in them only with the freebind option.

use std::net::Ipv6Addr;

/// The kernel's list of IPv6 routes.
const ROUTES: &str = "/proc/net/ipv6_route";
/// The flag of routes that lead to this machine itself.
const LOCAL: u32 = 0x8000_0000;

/// Whether a route says that this address belongs to this machine. Reads one line per route.
pub fn is_routed_here(address: Ipv6Addr) -> bool {
    let routes = std::fs::read_to_string(ROUTES).unwrap_or_default();
    routes.lines().any(|line| leads_here(line, address))
}

/// Whether the line is a local route for the address: the prefix comes first, in hexadecimal, and the flags last but one.
fn leads_here(line: &str, address: Ipv6Addr) -> bool {
    let mut words = line.split_whitespace();
    let (Some(prefix), Some(length), Some(flags)) = (words.next(), words.next(), words.nth(6)) else {
        return false;
    };
    let parsed = (
        u128::from_str_radix(prefix, 16),
        u32::from_str_radix(length, 16),
        u32::from_str_radix(flags, 16),
    );
    let (Ok(prefix), Ok(length @ 0..=128), Ok(flags)) = parsed else {
        return false;
    };
    let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
    // A local route to everything would not be one that the user made for addresses.
    length > 0 && flags & LOCAL != 0 && (u128::from(address) ^ prefix) & mask == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_routes_are_told_from_others() {
        let line = |length: &str, flags: &str| {
            format!(
                "fd0000f0000000000000000000000000 {length} 00000000000000000000000000000000 00 00000000000000000000000000000000 00000400 00000001 00000000 {flags}       lo"
            )
        };
        let leads = |length, flags, address: &str| leads_here(&line(length, flags), address.parse().unwrap());
        assert!(leads("40", "80000001", "fd00:f0::5"));
        assert!(!leads("40", "80000001", "fd00:f1::5"));
        assert!(
            !leads("40", "00000001", "fd00:f0::5"),
            "a network that is reached"
        );
        assert!(leads("80", "80000001", "fd00:f0::"));
        assert!(!leads("80", "80000001", "fd00:f0::1"));
        assert!(!leads("00", "80000001", "fd00:f0::1"));
        assert!(!leads_here("", Ipv6Addr::LOCALHOST));
        assert!(!leads_here("zz 40 0 0 0 0 0 0 80000001 lo", Ipv6Addr::LOCALHOST));
    }
}
