//! Settings as data: what users may set by an attribute or by one of Forebay's own tags, one row for each.
//!
//! A row ([`Setting`]) says everything about a setting: its key, which resources have it, which values it takes, its
//! default, what it is for, and how it changes the configuration that the data plane is given. Validation, errors,
//! defaults, the blueprint and the pages docs/attributes.md and docs/tags.md are made from the rows. A new setting is a
//! new row, and a field to set.
//!
//! Read `holder` (which resources have settings), `values` (which values a setting takes), `setting` (a row), and
//! `nearest` (the likely meaning of a misspelt key). The rows themselves are in `elbv2` (`balancer_attributes`,
//! `listener_attributes`, `group_attributes`) and `own_tags`.

pub(crate) mod holder;
pub(crate) mod nearest;
pub(crate) mod setting;
pub(crate) mod values;

pub use holder::Holder;
pub use setting::{Row, Setting};
pub use values::Values;
