//! The AWS APIs over HTTP: decode, authenticate, call `control`, commit, encode; and the one writer of the state.
//! Decides nothing about any operation: what a call means is `control`'s, what it looks like on the wire is `awswire`'s.
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
