//! forebay-telemetry
