//! Elastic Load Balancing's operations, a file for each noun.

pub mod draining;
pub mod records;

use crate::operate::Entry;

/// All operations that are served.
pub(crate) const OPERATIONS: &[Entry] = &[];
