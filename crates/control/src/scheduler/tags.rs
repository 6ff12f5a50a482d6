//! Tags of schedule groups. Schedules themselves have none.

use super::lookup::named;
use crate::api::context::{Answered, Tx, View};
use crate::api::tagging::tags_value;
use crate::schedules::lists;
use forebay_awswire::ApiError;
use serde_json::json;

fn group(view: &View<'_>) -> Result<String, ApiError> {
    let arn = view.request.input["ResourceArn"].as_str().unwrap_or_default();
    let name = arn.rsplit('/').next().unwrap_or_default();
    let group = named(view, name)?;
    if group.arn != arn {
        return Err(super::errors::not_found("Resource", arn));
    }
    Ok(group.arn.clone())
}

pub(super) fn list(view: &View<'_>) -> Answered {
    let arn = group(view)?;
    Ok(json!({"Tags": tags_value(view.region(), &arn)}))
}

pub(super) fn tag(tx: &mut Tx<'_>) -> Answered {
    let arn = group(tx)?;
    lists::tag(tx, &arn)
}

pub(super) fn untag(tx: &mut Tx<'_>) -> Answered {
    let arn = group(tx)?;
    lists::untag(tx, &arn)
}
