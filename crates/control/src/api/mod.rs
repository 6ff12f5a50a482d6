//! What the services' operations stand on. Nothing in here names a service's operations.

pub(crate) mod context;
pub(crate) mod tagging;
