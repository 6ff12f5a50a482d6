//! Turns AWS API requests into operation inputs, and operation outputs into answers: AWS Query, EC2 Query, JSON, CBOR and
//! REST-JSON, with SigV4 and the constraint checks of the service models. Never does I/O, reads no clock and knows
//! nothing of what an operation means.
//!
//! In reading order:
//! - `request`: the entry point; opens a request's envelope and reads its input. `encode` writes the answer, `error` is
//!   what fails.
//! - `service`, `protocol`, `model`: the services, their protocols, and their operations and shapes.
//! - `query` (with `tree` and `query_names`), `json`, `cbor`, `rest` (with `route`): one protocol each.
//! - `validate`: the constraints of the models; `sigv4`: signatures.
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
