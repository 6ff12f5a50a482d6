//! Which probes the shell is to make.

use crate::ids::TargetId;
use core::net::SocketAddr;
use core::time::Duration;
use forebay_model::{ProbeKind, TargetTls};

/// A probe to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeOrder {
    /// Which target.
    pub target: TargetId,
    /// Where to.
    pub address: SocketAddr,
    /// Path and query to ask for.
    pub path: String,
    /// How the connection is secured.
    pub tls: TargetTls,
    /// What is spoken.
    pub kind: ProbeKind,
    /// It begins with a PROXY header that says that nobody else asks.
    pub proxy_protocol: bool,
    /// How long it may take.
    pub timeout: Duration,
}

/// A function to probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionProbe {
    /// Which target.
    pub target: TargetId,
    /// Its ARN, perhaps qualified.
    pub function: String,
    /// Its group's ARN.
    pub group: String,
    /// Path and query to ask for.
    pub path: String,
    /// Whether it is told all values of a header or a parameter.
    pub multi_value_headers: bool,
    /// How long it may take.
    pub timeout: Duration,
}
