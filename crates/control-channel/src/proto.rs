//! The messages, generated from `proto/targetcontrol.proto`, and the protocol's version.

pub(crate) use messages::*;

/// The version of the protocol that this crate speaks.
pub const VERSION: u32 = 1;

#[allow(missing_docs, unreachable_pub, clippy::all)]
mod messages {
    include!(concat!(env!("OUT_DIR"), "/forebay.targetcontrol.v1.rs"));
}
