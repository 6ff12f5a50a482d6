//! Probes for the caller to make.

use crate::ids::TargetId;
use core::net::SocketAddr;
use core::time::Duration;
use forebay_model::{ProbeKind, TargetTls};

/// A probe to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeOrder {
    /// The target.
    pub target: TargetId,
    /// The address to probe.
    pub address: SocketAddr,
    /// Path and query to request.
    pub path: String,
    /// How the connection is secured.
    pub tls: TargetTls,
    /// What the probe speaks.
    pub kind: ProbeKind,
    /// Whether the connection begins with a PROXY header, which then names no client.
    pub proxy_protocol: bool,
    /// The timeout.
    pub timeout: Duration,
}

/// A function to probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionProbe {
    /// The target.
    pub target: TargetId,
    /// Its ARN, perhaps qualified.
    pub function: String,
    /// Its group's ARN.
    pub group: String,
    /// Path and query to request.
    pub path: String,
    /// Whether the event carries all values of a header or parameter.
    pub multi_value_headers: bool,
    /// The timeout.
    pub timeout: Duration,
}
