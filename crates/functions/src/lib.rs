//! Decides what needs no process to decide about functions, as AWS Lambda defines them: what a function is, how it is
//! invoked, and which environment gets an invocation. Never does I/O, reads no clock, and never starts a function
//! itself.
//!
//! `spec` defines a function, `invoke` is the port through which one is invoked, `pool` places invocations in
//! environments, and `alb` translates between HTTP and events.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod alb;
mod invoke;
mod pool;
mod spec;

pub use invoke::{Begin, Done, FunctionError, Functions, Invocation, InvokeError, Invoked, NoFunctions};
pub use pool::{Cold, Placed, Pool, PoolLimits, Published, Rest};
pub use spec::{FunctionSpec, Runtime};
