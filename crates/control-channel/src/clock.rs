//! Time, as whoever starts an end of a channel gives it.

use forebay_units::Mono;
use std::sync::Arc;

/// Reads the clock that everything else goes by.
pub type Now = Arc<dyn Fn() -> Mono + Send + Sync>;
