//! Systems Manager: the public parameters that name the newest images, so that whoever asks for one gets ours.

mod parameters;

use crate::api::context::OperationSpec;

/// All operations that are served.
pub(crate) const OPERATIONS: &[OperationSpec] = &[
    OperationSpec::read("GetParameter", parameters::get),
    OperationSpec::read("GetParameters", parameters::get_many),
];
