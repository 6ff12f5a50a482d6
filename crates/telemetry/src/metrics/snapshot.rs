//! What metrics are read of: all figures of a program at one moment.

use crate::logs::LogMetrics;
use crate::standing::Standing;
use forebay_node::{NodeMetrics, PermitIssuerMetrics};

/// All figures of a program at one moment.
#[derive(Clone, Debug)]
pub enum MetricsSnapshot {
    /// Of a server.
    Server(ServerMetrics),
    /// Of an agent.
    Agent(AgentMetrics),
}

/// All figures of a server.
#[derive(Clone, Debug)]
pub struct ServerMetrics {
    /// Of its data plane.
    pub node: NodeMetrics,
    /// Of its logs and spans.
    pub logs: LogMetrics,
    /// Of itself.
    pub own: Own,
}

/// What the process knows of itself.
#[derive(Clone, Copy, Debug)]
pub struct Own {
    /// Lines of its own log that were not written.
    pub lines_dropped: u64,
    /// How it is.
    pub standing: Standing,
}

/// All figures of an agent.
#[derive(Clone, Debug)]
pub struct AgentMetrics {
    /// Of its data plane, whose one target is the application.
    pub node: NodeMetrics,
    /// Of what it lets in.
    pub permit_issuer: PermitIssuerMetrics,
    /// Lines of its own log that were not written.
    pub log_lines_dropped: u64,
}
