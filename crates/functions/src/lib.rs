//! What functions are, how they are asked, and what of them needs no process to decide, as AWS Lambda defines it.
//! Never does I/O, reads no clock, and never starts a function itself.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod alb;
mod invoke;
mod pool;
mod spec;

pub use invoke::{Begin, Done, FunctionError, Functions, Invocation, InvokeError, Invoked, NoFunctions};
pub use pool::{Cold, Placed, Pool, PoolLimits, Published, Rest};
pub use spec::{FunctionSpec, Runtime};
