//! TLS: what listeners serve, how certificates are chosen, streams of plaintext over it, both ways.

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
