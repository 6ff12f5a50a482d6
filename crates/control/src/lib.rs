//! forebay-control
