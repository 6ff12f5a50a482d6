//! HTTP/2: frames are the `h2` crate's affair; here each stream becomes a request that passes the same stages as one of
//! HTTP/1.1, in the same words.

mod answer;
mod guard;
pub(crate) mod hpack;
mod inflow;
mod links;
pub(crate) mod request;
mod serve;
mod spell;
mod stream;
pub(crate) mod target;

pub(crate) use answer::{add_extras, head_bytes, is_too_long, is_trailers_only, own_head, relayed_head};
pub(crate) use inflow::Inflow;
pub(crate) use links::{Links, Passport, Share};
pub(crate) use serve::serve;
pub(crate) use spell::spell;
pub(crate) use stream::{Stream, poll_room};
