//! Bytes of the AWS protocols to operation values and back.
//! Never does I/O, never decides what an operation means.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod error;
mod service;

pub use error::{ApiError, Blame};
pub use service::Service;
