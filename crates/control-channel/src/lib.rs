//! The control channel between nodes and the agents beside targets, both ends: one gRPC call over TLS per node and agent.
//! Never decides who gets a permit (`admission::permits` does) or which request a permit is for (the group's gate does).
//!
//! In reading order:
//! - `proto`: the messages of `proto/targetcontrol.proto` and the protocol's version; `docs/target-control.md` describes
//!   them
//! - `wire`: gRPC framing over HTTP/2, the bounded outbox, pings
//! - `channels`: the node's end, which opens channels and passes permits to the gates
//! - `server`: the agent's end, which accepts channels and passes on what the permit issuer decides
//! - `connections`: which connections may stay on the control port
//! - `tls`, `thread`, `clock`: what both ends run on
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod channels;
mod clock;
mod connections;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod proto;
mod server;
mod thread;
mod tls;
mod wire;

pub use channels::Keeper;
pub use clock::Now;
pub use proto::VERSION;
pub use server::{Identity, Server};
