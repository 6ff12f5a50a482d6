//! What the operations of all services share. Nothing in this folder names an operation of a service.
//!
//! Read `context` (what an operation sees and may change), `errors`, `arns`, `paging`, `filtering` and `tagging`.

pub(crate) mod arns;
pub(crate) mod context;
pub(crate) mod errors;
pub(crate) mod filtering;
pub(crate) mod paging;
pub(crate) mod tagging;
