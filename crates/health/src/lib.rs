//! forebay-health
