//! The control channel between nodes and the agents beside targets: gRPC over TLS, both ends.
//! Never decides who gets a permit (`admission::permits` does) or which request one is for (the group's gate does).
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod channels;
mod door;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod server;
mod thread;
mod tls;
mod wire;

/// The messages, as `proto/targetcontrol.proto` has them.
#[allow(missing_docs, unreachable_pub, clippy::all)]
mod proto {
    include!(concat!(env!("OUT_DIR"), "/forebay.targetcontrol.v1.rs"));
}

pub use channels::Keeper;
pub use server::{Identity, Server};

/// The version of the protocol that is spoken here.
pub const VERSION: u32 = 1;

/// Reads the clock that everything else goes by.
pub type Now = std::sync::Arc<dyn Fn() -> forebay_units::Mono + Send + Sync>;
