//! forebay-routing
