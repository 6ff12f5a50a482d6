//! Systems Manager: the Parameter Store. Secure strings are stored unencrypted, in a store that only its owner can
//! read: there is no KMS.
//!
//! Read `records`, `names`, `parameters`, `listing`.

mod listing;
mod names;
mod parameters;
pub mod records;
#[cfg(test)]
mod tests;

use crate::api::context::OperationSpec;

/// All operations that are served.
pub(crate) const OPERATIONS: &[OperationSpec] = &[
    OperationSpec::write("AddTagsToResource", parameters::add_tags),
    OperationSpec::write("DeleteParameter", parameters::delete),
    OperationSpec::write("DeleteParameters", parameters::delete_many),
    OperationSpec::read("DescribeParameters", listing::describe),
    OperationSpec::read("GetParameter", parameters::get),
    OperationSpec::read("GetParameterHistory", listing::history),
    OperationSpec::read("GetParameters", parameters::get_many),
    OperationSpec::read("GetParametersByPath", listing::by_path),
    OperationSpec::write("LabelParameterVersion", listing::label),
    OperationSpec::read("ListTagsForResource", parameters::list_tags),
    OperationSpec::write("PutParameter", parameters::put),
    OperationSpec::write("RemoveTagsFromResource", parameters::remove_tags),
    OperationSpec::write("UnlabelParameterVersion", listing::unlabel),
];
