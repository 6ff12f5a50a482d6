//! The I/O of the data plane: sockets, HTTP, TLS, pooled connections, probes. It executes what `node` decides.
//! It never decides where a request goes, whether it is sent again, or which targets are healthy.
//!
//! A request passes eight stages, one module each: `accept`, `secure`, `read`, `route`, `choose`, `forward`, `respond`,
//! `log`. HTTP/2 has its own entry, `h2`, and joins at `route`. Around the stages, in reading order:
//! - What the stages are given: `session`, `request`, `connection`, `listener_address`, `wire`, `request_log`.
//! - A connection: `listening`, `local_routes`, `socket`, `proxied` and `proxy_protocol`, `tls`, `keep_alive`, `linger`.
//! - Heads: `head`, `fields`, `framing`, `chunked`, `names`, `authority`, `wanted`, `desync`; `outgoing` writes a request's, `answer`
//!   and `cookies` an answer's.
//! - Bodies: `pump`. Waiting for a slot: `queue`. Functions: `invocation`. Logs: `spans`, `worker_log`.
//! - Threads: `worker` (the state of one) and `worker_pool` (all of them), `slow` (the one that runs the node) with its `probe`s,
//!   `thread`, `clock`, `options`.
//! - Bounds: `deadlines`, `buffers`, `memory`, `descriptors`, `task_pool`, `pool` (idle connections to targets).
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
