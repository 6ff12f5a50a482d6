//! Launch templates: none can be made yet.

use crate::api::context::View;
use crate::api::errors::error;
use forebay_awswire::ApiError;
use serde_json::Value;
use std::sync::Arc;

pub(crate) struct LaunchTemplate {
    pub(crate) id: String,
    pub(crate) name: String,
}

/// The launch template with that id or name, the number of the version that is meant, and what it says.
pub(crate) fn resolve(
    _: &View<'_>,
    named: &str,
    _: Option<&str>,
) -> Result<(Arc<LaunchTemplate>, u64, Value), ApiError> {
    Err(error(
        "InvalidLaunchTemplateId.NotFound",
        format!("The specified launch template, '{named}', does not exist."),
    ))
}
