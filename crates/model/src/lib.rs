//! forebay-model
