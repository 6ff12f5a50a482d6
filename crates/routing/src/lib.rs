//! Decides which rule of a listener a request matches, and what its action means: which group, or which answer. Never
//! reads a socket, a clock or a random source: facts, and the draw for weighted groups, are passed in.
//!
//! In reading order:
//! - `facts`: what conditions see of a request; `normal` and `strict`: the forms of its path.
//! - `rules`: a listener's rules, compiled; `condition`: one condition.
//! - `pattern` and `expression`: wildcards and regular expressions, as a `table` or as `spots`; `lanes` reads a long
//!   text for several tables at once.
//! - `redirect`, `transform`, `error`: the rest of a rule.
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
