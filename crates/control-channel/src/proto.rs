//! The messages, as `proto/targetcontrol.proto` has them, and their version.

pub(crate) use messages::*;

/// The version of the protocol that is spoken here.
pub const VERSION: u32 = 1;

#[allow(missing_docs, unreachable_pub, clippy::all)]
mod messages {
    include!(concat!(env!("OUT_DIR"), "/forebay.targetcontrol.v1.rs"));
}
