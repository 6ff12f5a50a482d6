//! Which topics are notified of what happens to a group.

use crate::api::context::{Tx, View};
use crate::api::errors::{error, validation};
use crate::autoscaling::lookup::{asked_group, key, listed, put_group, texts};
use crate::autoscaling::notices;
use crate::autoscaling::records::Group;
use crate::autoscaling::types::NOTIFICATIONS;
use forebay_awswire::ApiError;
use serde_json::{Value, json};

/// The most topics of a group.
const LIMIT: usize = 10;

pub(crate) fn put(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let mut group = Group::clone(&*asked_group(tx)?);
    let kinds = texts(&tx.request.input["NotificationTypes"]);
    if let Some(unknown) = kinds.iter().find(|kind| !NOTIFICATIONS.contains(&kind.as_str())) {
        return Err(validation(format!(
            "The notification type {unknown} is invalid. Valid ones are {}.",
            NOTIFICATIONS.join(", ")
        )));
    }
    let topic = tx.request.input["TopicARN"].as_str().unwrap_or_default();
    if group.notifications.len() >= LIMIT && !group.notifications.contains_key(topic) {
        return Err(error(
            "LimitExceeded",
            format!("An Auto Scaling group can notify {LIMIT} topics at most."),
        ));
    }
    let topic = topic.to_owned();
    notices::test(tx, &group, &topic);
    group.notifications.insert(topic, kinds.into_iter().collect());
    put_group(tx, group);
    Ok(json!({}))
}

pub(crate) fn delete(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let mut group = Group::clone(&*asked_group(tx)?);
    let topic = tx.request.input["TopicARN"].as_str().unwrap_or_default();
    if group.notifications.remove(topic).is_none() {
        return Err(validation(format!(
            "Notification Topic '{topic}' doesn't exist for '{}'",
            group.name
        )));
    }
    put_group(tx, group);
    Ok(json!({}))
}

pub(crate) fn describe(view: &View<'_>) -> Result<Value, ApiError> {
    let names = texts(&view.request.input["AutoScalingGroupNames"]);
    let groups = view.region().scaling_groups.values();
    let asked = groups.filter(|group| names.is_empty() || names.contains(&group.name));
    let items = asked.flat_map(|group| {
        group.notifications.iter().flat_map(move |(topic, kinds)| {
            kinds.iter().map(move |kind| {
                let value = json!({
                    "AutoScalingGroupName": group.name, "TopicARN": topic, "NotificationType": kind,
                });
                (key(&group.name, &format!("{topic}/{kind}")), value)
            })
        })
    });
    let items: Vec<(String, Value)> = items.collect();
    listed(view, "NotificationConfigurations", items)
}
