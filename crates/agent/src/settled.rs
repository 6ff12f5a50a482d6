//! The settings of an agent, with everything looked up.

use super::identity::{Files, Pair};
use forebay_model::ProtocolVersion;
use forebay_process::log::LogFormat;
use std::net::SocketAddr;

/// The highest limit that AWS documents.
pub(crate) const MOST_CONCURRENT: u32 = 1000;

/// The settings of an agent. Nothing is left to be looked up or read.
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
    /// The files that the certificate was read from; none if it was made at start.
    pub(super) files: Option<Files>,
    pub(super) identity: Pair,
}
