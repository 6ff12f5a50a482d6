//! The AWS APIs over HTTP: decode, authenticate, call `control`, commit, encode; and the only writer of the state.
//! It never decides about an operation: `control` defines what a call means, `awswire` what it looks like on the wire.
//!
//! A call passes `front` (connections), `serve` (the stages in order), `decode`, `authenticate`, `operate` and `encode`.
//! `commit` is the writer of the state. `internal` is the entry for calls that do not come over HTTP; `ports` and
//! `messages` are what others provide; `credentials` are the keys, `pages` the protection against web pages.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod authenticate;
mod clock;
mod commit;
mod context;
pub mod credentials;
mod decode;
mod encode;
pub mod front;
mod internal;
mod messages;
mod operate;
mod pages;
mod ports;
mod serve;

pub use commit::{Change, Held, Writer};
pub use context::{ApiContext, ApiOptions};
pub use credentials::Credentials;
pub use front::Bounds;
pub use internal::Internal;
pub use messages::{Messages, NoMessages, Pending};
pub use pages::{Hosts, comes_from_a_page};
pub use ports::{Beside, FunctionCode, NoFunctionCode, SharedPorts};
pub use serve::serve;
