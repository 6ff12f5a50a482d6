//! forebay-store
