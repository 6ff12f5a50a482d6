//! Whether a client's requests go on to the same target.

use core::fmt;

/// Stickiness of a target group. Durations are 1 to 604,800 seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Stickiness {
    /// Each request is a choice of its own.
    #[default]
    Off,
    /// By cookies of the load balancer's own, for this many seconds after the last answer.
    Balancer {
        /// Seconds.
        seconds: u64,
    },
    /// From when a target sets its own cookie, for as long as the client brings that back, but no longer than this.
    App {
        /// The name of the target's cookie.
        cookie: String,
        /// Seconds.
        seconds: u64,
    },
}

/// What all nodes derive the keys of their cookies from. Shows nothing of itself in logs.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Secret(pub [u8; 32]);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
