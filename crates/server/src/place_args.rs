//! Flags of places: the zones, the address pools, and addresses of the machine that are given to nodes.

use anyhow::bail;
use clap::Args;
use forebay_control::MOST_ZONES;
use ipnet::{IpNet, Ipv4Net};
use std::net::IpAddr;
use std::str::FromStr;

/// Addresses of a pool that each subnet takes.
pub(crate) const SUBNET_ADDRESSES: u64 = 32;

/// Zones and addresses of nodes.
#[derive(Args, Debug, Clone)]
pub struct PlaceArgs {
    /// Prefix from which subnets, nodes and instances get their addresses; a second process on the machine needs another.
    /// Given a second time, an IPv6 prefix that is local to the machine, such as fd00:f0::/64 (`ip -6 route add local
    /// fd00:f0::/64 dev lo`), from which nodes of dualstack load balancers get their IPv6 addresses [default:
    /// 127.64.0.0/10, or what the data directory was made with]
    #[arg(
        long,
        env = "FOREBAY_ADDRESS_POOL",
        value_name = "CIDR",
        value_delimiter = ','
    )]
    pub address_pool: Vec<IpNet>,
    /// Number of availability zones in each region, from 1 to 26: local-1a, local-1b... [default: 3, or what the data
    /// directory was made with]
    #[arg(long, env = "FOREBAY_ZONES", value_name = "N", value_parser = clap::value_parser!(u8).range(1..=i64::from(MOST_ZONES)))]
    pub zones: Option<u8>,
    /// IPv4 and IPv6 addresses of this machine for nodes of load balancers in a zone, instead of addresses from the pool:
    /// each node gets one of its own. May be repeated; in the variable, separate values with a blank
    #[arg(
        long,
        env = "FOREBAY_NODE_ADDRESSES",
        value_name = "ZONE=ADDR[,ADDR...]",
        value_delimiter = ' '
    )]
    pub node_addresses: Vec<ZoneAddresses>,
}

impl PlaceArgs {
    /// The default zones, with addresses from this pool.
    pub(crate) fn of_pool(pool: Ipv4Net) -> PlaceArgs {
        PlaceArgs {
            address_pool: vec![pool.into()],
            zones: None,
            node_addresses: Vec::new(),
        }
    }

    /// Allows one pool per IP version, if it is large enough.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let pools = &self.address_pool;
        for pool in pools {
            let family = |other: &&IpNet| other.addr().is_ipv4() == pool.addr().is_ipv4();
            if pools.iter().filter(family).count() > 1 {
                bail!(
                    "--address-pool is given twice for one version of IP: it is one IPv4 prefix and one IPv6 prefix at most"
                );
            }
            if pool.max_prefix_len() - pool.prefix_len() < 8 {
                let least = pool.max_prefix_len() - 8;
                bail!(
                    "--address-pool {pool} is too small: each subnet takes {SUBNET_ADDRESSES} addresses; use at least a /{least}"
                );
            }
        }
        Ok(())
    }
}

/// A value of `--node-addresses`: a zone, and addresses for its nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneAddresses {
    /// The zone's name.
    pub zone: String,
    /// Addresses of this machine.
    pub addresses: Vec<IpAddr>,
}

impl FromStr for ZoneAddresses {
    type Err = String;

    fn from_str(text: &str) -> Result<ZoneAddresses, String> {
        let (zone, list) = text
            .split_once('=')
            .filter(|(zone, _)| !zone.is_empty())
            .ok_or("it is ZONE=ADDR[,ADDR...], such as local-1a=192.0.2.10,2001:db8::10")?;
        let address = |text: &str| {
            let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
            let address: Option<IpAddr> = bare.unwrap_or(text).parse().ok();
            let one = address.filter(|address| !address.is_unspecified() && !address.is_multicast());
            one.ok_or_else(|| {
                format!(
                    "'{text}' is not an IP address that a node can have, such as 192.0.2.10 or 2001:db8::10"
                )
            })
        };
        Ok(ZoneAddresses {
            zone: zone.to_owned(),
            addresses: list.split(',').map(address).collect::<Result<_, _>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_addresses_are_a_zone_and_a_list() {
        let read: ZoneAddresses = "local-1a=192.0.2.10,[2001:db8::10],2001:db8::11".parse().unwrap();
        assert_eq!((read.zone.as_str(), read.addresses.len()), ("local-1a", 3));
        for wrong in [
            "",
            "local-1a",
            "=192.0.2.1",
            "local-1a=",
            "local-1a=192.0.2.1,,",
            "local-1a=0.0.0.0",
            "local-1a=eth0",
        ] {
            assert!(wrong.parse::<ZoneAddresses>().is_err(), "{wrong}");
        }
    }
}
