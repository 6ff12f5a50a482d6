//! Load balancer attributes about logs, and about requests whose framing is ambiguous.

/// The destination of a load balancer's log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogPlace {
    /// The bucket, which here is the name of a folder.
    pub bucket: String,
    /// The folder in the bucket; empty for none.
    pub prefix: String,
}

/// How requests that servers may read differently are handled (`routing.http.desync_mitigation_mode`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DesyncMode {
    /// All are forwarded.
    Monitor,
    /// Severe ones are refused; after ambiguous ones both connections are closed.
    #[default]
    Defensive,
    /// Only those that follow the RFC are forwarded.
    Strictest,
}
