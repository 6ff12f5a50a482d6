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
    /// Which.
    pub id: TargetId,
    /// The id it was registered by.
    pub name: String,
    /// The port it was registered with.
    pub port: u16,
    /// Where it is reached; none for a function, whose ARN is its name.
    pub address: Option<SocketAddr>,
    /// How connections to it are secured.
    pub tls: TargetTls,
    /// What is spoken to it.
    pub version: ProtocolVersion,
    /// Connections to it begin with a PROXY header, so each is one client's alone.
    pub proxy_protocol: bool,
    /// Its share of work beside others'; a limit of requests at a time is for each unit.
    pub weight: u32,
    /// Counters, shared by all snapshots and workers.
    pub stats: Arc<TargetStats>,
}

impl TargetView {
    /// What cookies call it.
    pub(crate) fn mark(&self) -> Mark {
        self.address.map_or_else(Mark::function, Mark::target)
    }

    /// Whether it is a function.
    pub fn is_function(&self) -> bool {
        self.version == ProtocolVersion::Lambda
    }
}
