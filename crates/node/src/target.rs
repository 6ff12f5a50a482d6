//! A target as workers see it.

use crate::ids::TargetId;
use crate::stats::TargetStats;
use core::net::SocketAddr;
use forebay_balance::Mark;
use forebay_model::{ProtocolVersion, TargetTls};
use std::sync::Arc;

/// A target.
#[derive(Debug)]
pub struct TargetView {
    /// The target's id.
    pub id: TargetId,
    /// The id that it was registered with.
    pub name: String,
    /// The port it was registered with.
    pub port: u16,
    /// Its address; `None` for a function, whose ARN is its name.
    pub address: Option<SocketAddr>,
    /// How connections to it are secured.
    pub tls: TargetTls,
    /// The protocol version spoken to it.
    pub version: ProtocolVersion,
    /// Whether connections to it begin with a PROXY header, so that each belongs to one client.
    pub proxy_protocol: bool,
    /// Its share of work relative to other targets. A limit on concurrent requests applies to each unit of weight.
    pub weight: u32,
    /// Counters, shared by all snapshots and workers.
    pub stats: Arc<TargetStats>,
}

impl TargetView {
    /// Its name in sticky cookies.
    pub(crate) fn mark(&self) -> Mark {
        self.address.map_or_else(Mark::function, Mark::target)
    }

    /// Whether it is a function.
    pub fn is_function(&self) -> bool {
        self.version == ProtocolVersion::Lambda
    }
}
