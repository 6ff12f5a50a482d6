//! Decides which rule of a listener a request meets, and what its action says: where to, or which answer.
//! Never reads a socket, a clock or a random source: facts, and the draw for weighted groups, come in.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod condition;
mod error;
mod expression;
mod facts;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod lanes;
mod normal;
mod pattern;
mod redirect;
mod rules;
mod spots;
mod strict;
mod table;
mod transform;

pub use error::{CompileError, Flaw};
pub use facts::{Facts, Headers};
pub use normal::normal_path;
pub use redirect::{RedirectFacts, RedirectTemplate};
pub use rules::{Match, Route, Rules, Split, check};
pub use strict::{Ambiguous, strict_path};
pub use transform::{TransformError, Transforms};
