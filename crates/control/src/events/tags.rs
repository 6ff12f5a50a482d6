//! Tags of rules.

use super::errors::no_rule;
use crate::api::context::{Answered, Tx, View};
use crate::api::tagging::tags_value;
use crate::schedules::lists;
use forebay_awswire::ApiError;
use serde_json::json;

fn rule(view: &View<'_>) -> Result<String, ApiError> {
    let arn = view.request.input["ResourceARN"].as_str().unwrap_or_default();
    let name = arn.rsplit('/').next().unwrap_or_default();
    let rule = view.region().event_rules.get(name).filter(|rule| rule.arn == arn);
    rule.map(|rule| rule.arn.clone()).ok_or_else(|| no_rule(name))
}

pub(super) fn list(view: &View<'_>) -> Answered {
    let arn = rule(view)?;
    Ok(json!({"Tags": tags_value(view.region(), &arn)}))
}

pub(super) fn tag(tx: &mut Tx<'_>) -> Answered {
    let arn = rule(tx)?;
    lists::tag(tx, &arn)
}

pub(super) fn untag(tx: &mut Tx<'_>) -> Answered {
    let arn = rule(tx)?;
    lists::untag(tx, &arn)
}
