//! Resource Groups Tagging: finds what has tags and changes them, whichever service it belongs to.

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
