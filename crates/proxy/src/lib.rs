//! The I/O of the data plane: sockets, HTTP, TLS, pooled connections, probes. It executes what `node` decides.
//! It never decides where a request goes, whether it is sent again, or which targets are healthy.
//!
//! A request passes eight stages, one module each: `accept`, `secure`, `read`, `route`, `choose`, `forward`, `respond`,
//! `log`. HTTP/2 has its own entry, `h2`, and joins at `route`. Around the stages, in reading order: `worker` (the state of
//! one thread) and `worker_pool` (all of them), `slow` (the thread that runs the node and its probes), `deadlines`,
//! `buffers` and `memory` (what requests may hold), `pool` (idle connections to targets), `tls`.
#![cfg_attr(test, allow(clippy::too_many_lines, clippy::unwrap_used))]

mod accept;
mod answer;
mod authority;
mod buffers;
mod choose;
mod chunked;
mod clock;
mod connection;
mod cookies;
mod deadlines;
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
mod invocation;
mod keep_alive;
mod linger;
mod listener_address;
mod listening;
mod local_routes;
mod log;
mod memory;
mod names;
mod options;
mod outgoing;
mod pool;
mod probe;
mod proxied;
mod proxy_protocol;
mod pump;
mod queue;
mod read;
mod request;
mod request_log;
mod respond;
mod route;
mod secure;
mod session;
mod slow;
mod socket;
mod spans;
mod task_pool;
mod thread;
mod tls;
mod wanted;
mod wire;
mod worker;
mod worker_log;
mod worker_pool;

pub use clock::Clock;
pub use descriptors::Affordable;
pub use listening::{Inherited, explain};
pub use local_routes::is_routed_here;
pub use memory::affordable_memory;
pub use options::Options;
pub use slow::{DataPlane, Drained, Served, Tickets};
pub use tls::TicketKey;
pub use worker_pool::{BindFailure, Farewell, raise_descriptor_limit};
