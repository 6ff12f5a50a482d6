//! Scaling activities: the history of a group.

use crate::api::context::View;
use crate::autoscaling::lookup::{listed, owned, texts, time};
use crate::autoscaling::records::Activity;
use forebay_awswire::ApiError;
use serde_json::{Value, json};
use std::sync::Arc;

/// An activity as answers show it.
pub(super) fn shown(activity: &Activity) -> Value {
    let mut value = json!({
        "ActivityId": activity.id,
        "AutoScalingGroupName": activity.group,
        "AutoScalingGroupARN": activity.group_arn,
        "Description": activity.description,
        "Cause": activity.cause,
        "StartTime": time(activity.began),
        "StatusCode": activity.status,
        "Progress": activity.progress,
        "Details": activity.details,
    });
    if let Some(ended) = activity.ended {
        value["EndTime"] = time(ended);
    }
    if let Some(message) = &activity.message {
        value["StatusMessage"] = json!(message);
    }
    value
}

/// The newest activity comes first, as on AWS.
pub(crate) fn describe(view: &View<'_>) -> Result<Value, ApiError> {
    let given = &view.request.input;
    let ids = texts(&given["ActivityIds"]);
    let region = view.region();
    let mut activities: Vec<&Arc<Activity>> = match given["AutoScalingGroupName"].as_str() {
        Some(name) => {
            region.scaling_group(name)?;
            owned(&region.activities, name).collect()
        }
        None => region.activities.values().collect(),
    };
    activities.retain(|activity| ids.is_empty() || ids.contains(&activity.id));
    activities.sort_by_key(|activity| core::cmp::Reverse((activity.began, activity.number)));
    // Pages ascend by key, so the key is smallest for the newest activity.
    let items = activities.into_iter().map(|activity| {
        let age = u64::MAX - activity.began.0.unsigned_abs();
        let key = format!("{age:020}{:020}{}", u64::MAX - activity.number, activity.id);
        (key, shown(activity))
    });
    listed(view, "Activities", items)
}
