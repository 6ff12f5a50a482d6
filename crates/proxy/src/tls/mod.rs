//! TLS with clients and targets.
//!
//! For clients: `listeners` (configurations per listener), `policy` (versions and suites), `choice` (which certificate),
//! `tickets` (resumption), `handshake`, `facts` (what it led to). For targets: `target` and `verify`. For both: `stream`
//! (plaintext over TLS) on top of `end` (rustls).

pub(crate) mod choice;
mod end;
mod facts;
mod handshake;
mod listeners;
mod policy;
mod stream;
mod target;
mod tickets;
mod verify;

pub(crate) use end::End;
pub(crate) use facts::TlsFacts;
pub(crate) use handshake::{Failed, Secured, Shaken, accept, server_name};
pub(crate) use listeners::{ListenerTls, Listeners};
pub(crate) use stream::TlsStream;
pub(crate) use target::{TargetConfigs, TargetStream, client_config, connect, name_for};
pub use tickets::TicketKey;
