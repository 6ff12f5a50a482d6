//! Resource Groups Tagging: finds tagged resources of all services, and changes their tags.
//!
//! Read `resources`, `changes`, `pages`.

mod changes;
mod pages;
mod resources;
#[cfg(test)]
mod tests;

use crate::api::context::OperationSpec;

/// All operations that are served.
pub(crate) const OPERATIONS: &[OperationSpec] = &[
    OperationSpec::read("GetResources", resources::resources),
    OperationSpec::read("GetTagKeys", resources::keys),
    OperationSpec::read("GetTagValues", resources::values),
    OperationSpec::write("TagResources", changes::tag),
    OperationSpec::write("UntagResources", changes::untag),
];
