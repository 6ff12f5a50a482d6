//! Records that all services share: tags and addresses.

use core::net::IpAddr;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The tags of one resource.
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
    /// Both versions.
    pub const ALL: [IpVersion; 2] = [IpVersion::V4, IpVersion::V6];

    /// The version of an address.
    pub fn of(address: IpAddr) -> IpVersion {
        match address {
            IpAddr::V4(_) => IpVersion::V4,
            IpAddr::V6(_) => IpVersion::V6,
        }
    }

    /// The version's name.
    pub fn word(self) -> &'static str {
        match self {
            IpVersion::V4 => "IPv4",
            IpVersion::V6 => "IPv6",
        }
    }
}

/// Addresses for nodes that are used instead of the pools', by zone, in the order in which they are taken.
pub type NodeAddresses = BTreeMap<String, Vec<IpAddr>>;

/// An address in use: from a pool, or one of those listed for nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// The subnet whose slice it is part of, or in which its node is.
    pub subnet_id: String,
    /// ARN or id of its owner.
    pub owner: String,
}
