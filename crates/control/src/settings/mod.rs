//! Settings as data: what people may set by an attribute or by a tag of Forebay's own, one row for each.
//!
//! A row ([`Setting`]) says everything about a setting: its key, what has it, which values it takes, its default, what it is
//! for, and how it changes the configuration that the data plane is given. Validation, errors, defaults, the blueprint and the
//! pages docs/attributes.md and docs/tags.md are made from the rows. A new setting is a new row, and a field to set.
//!
//! Read `holder` (what may have a setting), `values` (which values it takes), `setting` (a row), and `nearest` (what a misspelt
//! key may have meant). The rows themselves are in `elbv2` (`balancer_attributes`, `listener_attributes`, `group_attributes`)
//! and `own_tags`.

pub(crate) mod holder;
pub(crate) mod nearest;
pub(crate) mod setting;
pub(crate) mod values;

pub use holder::Holder;
pub use setting::{Row, Setting};
pub use values::Values;
