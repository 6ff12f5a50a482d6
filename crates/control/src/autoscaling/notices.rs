//! Notifications to topics about a group. They are stored in the same change as what they report and sent afterwards,
//! so nothing is reported that did not happen.

use crate::api::context::Tx;
use crate::autoscaling::lookup::numbered;
use crate::autoscaling::records::{Activity, Group, Hook, Notice, Waiting};
use crate::ports::Notification;
use forebay_awswire::timestamp;
use forebay_units::Wall;
use serde_json::{Value, json};
use std::sync::Arc;

/// The most unsent notices of a region. They wait only for the next tick; without ticks, the newest are dropped.
const LIMIT: usize = 10_000;

/// Stores what an ended activity means for the group's topics.
pub(super) fn of_activity(tx: &mut Tx<'_>, group: &Group, activity: &Activity) {
    let launch = activity.description.starts_with("Launching a new EC2 instance");
    let terminate = activity.description.starts_with("Terminating EC2 instance");
    let (event, what) = match (launch, terminate, activity.status.as_str()) {
        (true, _, "Successful") => ("autoscaling:EC2_INSTANCE_LAUNCH", "launch"),
        (true, _, "Failed") => ("autoscaling:EC2_INSTANCE_LAUNCH_ERROR", "failed launch"),
        (_, true, "Successful") => ("autoscaling:EC2_INSTANCE_TERMINATE", "termination"),
        (_, true, "Failed") => ("autoscaling:EC2_INSTANCE_TERMINATE_ERROR", "failed termination"),
        _ => return,
    };
    let at = timestamp(tx.request.now.0 as f64 / 1e6);
    let topics = group
        .notifications
        .iter()
        .filter(|(_, kinds)| kinds.contains(event));
    for (topic, _) in topics {
        let id = activity.description.rsplit_once(": ").map_or("", |(_, id)| id);
        let details: Value = serde_json::from_str(&activity.details).unwrap_or_default();
        let message = json!({
            "Event": event,
            "Service": "AWS Auto Scaling",
            "Time": at,
            "AccountId": tx.request.account,
            "AutoScalingGroupName": group.name,
            "AutoScalingGroupARN": group.arn,
            "ActivityId": activity.id,
            "RequestId": activity.id,
            "Description": activity.description,
            "Cause": activity.cause,
            "StartTime": timestamp(activity.began.0 as f64 / 1e6),
            "EndTime": at,
            "Progress": activity.progress,
            "StatusCode": activity.status,
            "StatusMessage": activity.message.clone().unwrap_or_default(),
            "EC2InstanceId": id,
            "Details": details,
        });
        let subject = format!("Auto Scaling: {what} for group \"{}\"", group.name);
        write(tx, topic, subject, &message);
    }
}

/// Stores the notice that an instance waits for a hook, for those who complete it.
pub(super) fn of_hook(tx: &mut Tx<'_>, hook: &Hook, id: &str, waiting: &Waiting) {
    let Some(topic) = hook
        .target_arn
        .clone()
        .filter(|arn| arn.starts_with("arn:aws:sns:"))
    else {
        return;
    };
    let transition = if hook.launching {
        "LAUNCHING"
    } else {
        "TERMINATING"
    };
    let (from, to) = if hook.launching {
        ("EC2", "AutoScalingGroup")
    } else {
        ("AutoScalingGroup", "EC2")
    };
    let mut message = json!({
        "Service": "AWS Auto Scaling",
        "Time": timestamp(tx.request.now.0 as f64 / 1e6),
        "AccountId": tx.request.account,
        "AutoScalingGroupName": hook.group,
        "EC2InstanceId": id,
        "LifecycleActionToken": waiting.token,
        "LifecycleHookName": hook.name,
        "LifecycleTransition": format!("autoscaling:EC2_INSTANCE_{transition}"),
        "Origin": from,
        "Destination": to,
    });
    if let Some(metadata) = &hook.metadata {
        message["NotificationMetadata"] = json!(metadata);
    }
    let subject = format!("Auto Scaling: Lifecycle action '{transition}' for instance {id}");
    write(tx, &topic, subject, &message);
}

/// Stores the test notification that a new topic gets.
pub(super) fn test(tx: &mut Tx<'_>, group: &Group, topic: &str) {
    let message = json!({
        "Event": "autoscaling:TEST_NOTIFICATION",
        "Service": "AWS Auto Scaling",
        "Time": timestamp(tx.request.now.0 as f64 / 1e6),
        "AccountId": tx.request.account,
        "AutoScalingGroupName": group.name,
        "AutoScalingGroupARN": group.arn,
    });
    let subject = format!("Auto Scaling: test notification for group \"{}\"", group.name);
    write(tx, topic, subject, &message);
}

fn write(tx: &mut Tx<'_>, topic: &str, subject: String, message: &Value) {
    if tx.region().notices.len() >= LIMIT {
        return;
    }
    let last = tx.region().notices.keys().next_back();
    let next = last.and_then(|key| key.rsplit('\u{1f}').next()?.parse::<u64>().ok());
    let notice = Notice {
        topic: topic.to_owned(),
        subject,
        message: message.to_string(),
        at: tx.request.now,
    };
    let key = numbered("", next.map_or(0, |next| next + 1));
    tx.region_mut().notices.insert(key, Arc::new(notice));
}

impl Notice {
    /// The notification for subscribers.
    pub(crate) fn notification(&self) -> Notification {
        let at: Wall = self.at;
        Notification {
            subject: self.subject.clone(),
            message: self.message.clone(),
            timestamp: timestamp(at.0 as f64 / 1e6),
        }
    }
}
