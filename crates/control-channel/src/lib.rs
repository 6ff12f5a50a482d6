//! The control channel between nodes and the agents beside targets: gRPC over TLS, both ends.
//! Never decides who gets a permit (`admission::permits` does) or which request one is for (the group's gate does).
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
