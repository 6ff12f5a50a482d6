//! What load balancer attributes say of logs, and of requests whose framing could be read in two ways.

/// Where a load balancer's log goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogPlace {
    /// The bucket, which is a folder's name here.
    pub bucket: String,
    /// The folder in it; empty for none.
    pub prefix: String,
}

/// What becomes of requests that servers may read differently (`routing.http.desync_mitigation_mode`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DesyncMode {
    /// All pass.
    Monitor,
    /// Severe ones are refused; after ambiguous ones both connections are closed.
    #[default]
    Defensive,
    /// Only those that follow the RFC pass.
    Strictest,
}
