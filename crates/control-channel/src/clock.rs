//! The clock that both ends of a channel are given.

use forebay_units::Mono;
use std::sync::Arc;

/// Reads the clock that gates and permit issuers use.
pub type Now = Arc<dyn Fn() -> Mono + Send + Sync>;
