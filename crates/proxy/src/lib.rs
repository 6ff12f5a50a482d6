//! The data plane's hands: sockets, HTTP/1.1, pooled connections to targets, probes. Asks `node`, obeys.
//! Never decides where a request goes, whether it is sent again, or who is healthy.
//!
//! A request passes eight stages: `accept`, `secure`, `read`, `route`, `choose`, `forward`, `respond`, `log`.
#![cfg_attr(test, allow(clippy::too_many_lines, clippy::unwrap_used))]

mod accept;
mod answer;
mod authority;
mod buffers;
mod choose;
mod chunked;
mod clerk;
mod clock;
mod connection;
mod cookies;
mod crew;
mod descriptors;
mod desync;
mod fields;
mod forward;
mod framing;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod h2;
mod head;
mod keep_alive;
mod ledger;
mod line;
mod linger;
mod log;
mod memory;
mod names;
mod note;
mod options;
mod outgoing;
mod place;
mod pool;
mod probe;
mod pump;
mod read;
mod request;
mod respond;
mod route;
mod secure;
mod session;
mod slow;
mod socket;
mod spans;
mod sweep;
mod thread;
mod tls;
mod wanted;
mod wire;
mod worker;

pub use clock::Clock;
pub use crew::{BindFailure, raise_descriptor_limit};
pub use descriptors::Affordable;
pub use memory::affordable_memory;
pub use options::Options;
pub use slow::{DataPlane, Drained, Served};
