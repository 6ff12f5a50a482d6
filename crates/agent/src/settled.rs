//! What an agent is to do.

use super::identity::{Files, Pair};
use forebay_model::ProtocolVersion;
use forebay_process::log::LogFormat;
use std::net::SocketAddr;

/// What AWS documents as the most.
pub(crate) const MOST_CONCURRENT: u32 = 1000;

/// All that an agent is to do: nothing is left to be looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settled {
    pub(super) data: SocketAddr,
    pub(super) control: SocketAddr,
    pub(super) destination: SocketAddr,
    pub(super) limit: u32,
    pub(super) version: ProtocolVersion,
    pub(super) policy: String,
    pub(super) workers: u8,
    pub(super) buffer_bytes: usize,
    pub(super) drain_seconds: u64,
    pub(super) log: String,
    pub(super) log_format: LogFormat,
    pub(super) admin: Option<SocketAddr>,
    pub(super) allowed_host: Vec<String>,
    /// Where the identity was read; none if it was made.
    pub(super) files: Option<Files>,
    pub(super) identity: Pair,
}
