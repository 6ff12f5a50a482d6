//! Whether a client's requests stay with one target.

use core::fmt;

/// Stickiness of a target group. Durations are 1 to 604,800 seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Stickiness {
    /// Each request is routed on its own.
    #[default]
    Off,
    /// By the load balancer's own cookies, for this long after the last answer.
    Balancer {
        /// The duration in seconds.
        seconds: u64,
    },
    /// From when the application sets its own cookie, while the client returns that, but no longer than `seconds`.
    App {
        /// The name of the application's cookie.
        cookie: String,
        /// The duration in seconds.
        seconds: u64,
    },
}

/// The secret from which all nodes derive their cookies' keys. Its debug output reveals nothing.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Secret(pub [u8; 32]);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
