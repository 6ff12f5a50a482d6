//! Flags that say where nodes of load balancers are: the zones, the pools, and addresses of the machine that are given to nodes.

use anyhow::bail;
use clap::Args;
use forebay_control::MOST_ZONES;
use ipnet::{IpNet, Ipv4Net};
use std::net::IpAddr;
use std::str::FromStr;

/// Addresses of a pool that each subnet takes.
pub(crate) const SUBNET_ADDRESSES: u64 = 32;

/// Where nodes are to be.
#[derive(Args, Debug, Clone)]
pub struct PlaceArgs {
    /// Where subnets, nodes and instances take their addresses; a second process on the machine needs another. A second time, with an
    /// IPv6 prefix such as fd00:f0::/64 that is local to the machine (`ip -6 route add local fd00:f0::/64 dev lo`): where nodes of
    /// dualstack load balancers take their IPv6 addresses [default: 127.64.0.0/10, or what the data directory was made with]
    #[arg(
        long,
        env = "FOREBAY_ADDRESS_POOL",
        value_name = "CIDR",
        value_delimiter = ','
    )]
    pub address_pool: Vec<IpNet>,
    /// Availability zones of each region, from 1 to 26: local-1a, local-1b... [default: 3, or what the data directory was made with]
    #[arg(long, env = "FOREBAY_ZONES", value_name = "N", value_parser = clap::value_parser!(u8).range(1..=i64::from(MOST_ZONES)))]
    pub zones: Option<u8>,
    /// Addresses of this machine, IPv4 and IPv6, for nodes of load balancers in a zone, instead of those of the pool: each node has one
    /// of its own. May be repeated; a blank stands between two in the variable
    #[arg(
        long,
        env = "FOREBAY_NODE_ADDRESSES",
        value_name = "ZONE=ADDR[,ADDR...]",
        value_delimiter = ' '
    )]
    pub node_addresses: Vec<ZoneAddresses>,
}

impl PlaceArgs {
    /// As many zones as there are, with addresses of this pool.
    pub(crate) fn of_pool(pool: Ipv4Net) -> PlaceArgs {
        PlaceArgs {
            address_pool: vec![pool.into()],
            zones: None,
            node_addresses: Vec::new(),
        }
    }

    /// One pool of each family at most, and large enough.
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

/// What `--node-addresses` was given: a zone, and addresses for its nodes.
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
                    "'{text}' is no IP address that a node could have, such as 192.0.2.10 or 2001:db8::10"
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
