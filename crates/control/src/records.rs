//! Records that belong to no service: all of them have tags and addresses.

use core::net::IpAddr;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Tags of one resource.
pub type Tags = BTreeMap<String, String>;

/// A version of the Internet Protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum IpVersion {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl IpVersion {
    /// Both.
    pub const ALL: [IpVersion; 2] = [IpVersion::V4, IpVersion::V6];

    /// An address's.
    pub fn of(address: IpAddr) -> IpVersion {
        match address {
            IpAddr::V4(_) => IpVersion::V4,
            IpAddr::V6(_) => IpVersion::V6,
        }
    }

    /// Its name.
    pub fn word(self) -> &'static str {
        match self {
            IpVersion::V4 => "IPv4",
            IpVersion::V6 => "IPv6",
        }
    }
}

/// Addresses that nodes in a zone have instead of those of the pools, by the zone's name, in the order in which they are taken.
pub type NodeAddresses = BTreeMap<String, Vec<IpAddr>>;

/// An address in use: of a pool, or one of those that were given for nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// Whose slice it is part of, or for which subnet's node it is.
    pub subnet_id: String,
    /// ARN or id of who has it.
    pub owner: String,
}
