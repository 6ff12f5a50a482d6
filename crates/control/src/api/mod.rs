//! What the services' operations stand on. Nothing in here names a service's operations.

pub(crate) mod arns;
pub(crate) mod context;
pub(crate) mod errors;
pub(crate) mod filtering;
pub(crate) mod paging;
pub(crate) mod tagging;
