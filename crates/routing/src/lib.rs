//! Decides which rule of a listener a request meets, and what its action says: where to, or which answer.
//! Never reads a socket, a clock or a random source: facts, and the draw for weighted groups, come in.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod condition;
mod facts;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod normal;
mod pattern;
mod redirect;
mod rules;
mod strict;
mod transform;

pub use facts::{Facts, Headers};
pub use normal::normal_path;
pub use pattern::Pattern;
pub use redirect::{RedirectFacts, RedirectTemplate};
pub use rules::{CompileError, Match, Route, Rules, Split};
pub use strict::{Ambiguous, strict_path};
pub use transform::{TransformError, Transforms};

/// A compiled regular expression may take this much memory; the API's 128 characters never need more.
const REGEX_BYTES: usize = 1 << 20;
