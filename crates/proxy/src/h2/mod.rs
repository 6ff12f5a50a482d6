//! HTTP/2: the `h2` crate does the framing; here each stream becomes a request that passes the same stages as one of
//! HTTP/1.1, in the same form.
//!
//! For clients: `serve` (one connection), `guard` and `hpack` (checks on its frames before `h2` sees them), `request` (a
//! head written as HTTP/1.1), `stream` and `inflow` (bodies), `answer` (heads of answers). For targets: `target` (takes or
//! makes a connection), `links` (the shared connections of a worker), `spell` (a request's head as HTTP/2).

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
