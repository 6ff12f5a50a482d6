//! Tags that say where something is reached.

/// Of an instance: where it is reached instead of at its own address.
pub(crate) const OF_INSTANCE: &str = "forebay:address";
/// Of a target group, followed by an instance's id: where an instance is that was not launched here.
pub(crate) const OF_TARGET: &str = "forebay:address/";
