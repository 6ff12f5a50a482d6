//! Turns AWS API requests into operation values and operation values into answers: AWS Query, EC2 Query, JSON and CBOR, with
//! SigV4 and the constraint checks of the service models. Never does I/O, reads no clock and knows nothing of any operation's meaning.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod cbor;
mod encode;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod http_request;
mod json;
mod model;
mod protocol;
mod query;
mod query_names;
mod request;
mod rest;
mod route;
mod service;
pub mod sigv4;
mod tree;
mod validate;

pub use encode::{Answer, encode, left_out, timestamp};
pub use error::{ApiError, Blame};
pub use http_request::HttpRequest;
pub use protocol::Protocol;
pub use request::{Call, Refusal, answered_in, input_of, named, open};
pub use rest::is_routed;
pub use service::Service;
