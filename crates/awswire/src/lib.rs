//! forebay-awswire
