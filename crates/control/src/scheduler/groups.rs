//! Schedule groups. The group `default` always exists.

use super::errors::{conflict, invalid, quota};
use super::lookup::{DEFAULT, PAGE_SIZE, key, named};
use crate::api::arns::own_arn;
use crate::api::context::{Answered, Tx, View};
use crate::api::tagging::put_tags;
use crate::schedules::forget;
use crate::schedules::lists::{checked_tags, page, with_token};
use crate::schedules::records::ScheduleGroup;
use serde_json::{Value, json};
use std::sync::Arc;

/// The most groups of a region (AWS's quota).
const GROUPS: usize = 500;

pub(super) fn create(tx: &mut Tx<'_>) -> Answered {
    let name = tx.request.input["Name"].as_str().unwrap_or_default().to_owned();
    let token = tx.request.input["ClientToken"].as_str().map(str::to_owned);
    if let Some(before) = tx.region().schedule_groups.get(&name) {
        // A client that got no answer calls again with the same token.
        return if token.is_some() && token == before.token {
            Ok(json!({"ScheduleGroupArn": before.arn}))
        } else {
            Err(conflict("Schedule group", &name))
        };
    }
    if name == DEFAULT {
        return Err(conflict("Schedule group", &name));
    }
    if tx.region().schedule_groups.len() >= GROUPS {
        return Err(quota(format!("A region has {GROUPS} schedule groups at most.")));
    }
    let group = ScheduleGroup {
        arn: own_arn(tx, "scheduler", &format!("schedule-group/{name}")),
        created: tx.request.now,
        modified: tx.request.now,
        token,
        name: name.clone(),
    };
    let arn = group.arn.clone();
    let wanted = checked_tags(&tx.request.input["Tags"], crate::records::Tags::new())?;
    put_tags(tx.region_mut(), &arn, wanted);
    tx.region_mut().schedule_groups.insert(name, Arc::new(group));
    Ok(json!({"ScheduleGroupArn": arn}))
}

pub(super) fn delete(tx: &mut Tx<'_>) -> Answered {
    let name = tx.request.input["Name"].as_str().unwrap_or_default().to_owned();
    if name == DEFAULT {
        return Err(invalid("The default schedule group cannot be deleted."));
    }
    let group = named(tx, &name)?;
    let within = tx
        .region()
        .event_schedules
        .values()
        .filter(|schedule| schedule.group == name);
    let within: Vec<_> = within.cloned().collect();
    let region = tx.region_mut();
    for schedule in within {
        region
            .event_schedules
            .remove(&key(&schedule.group, &schedule.name));
        forget(region, &schedule.arn);
    }
    region.tags.remove(&group.arn);
    region.schedule_groups.remove(&name);
    Ok(json!({}))
}

fn shown(group: &ScheduleGroup) -> Value {
    json!({
        "Arn": group.arn,
        "Name": group.name,
        "State": "ACTIVE",
        "CreationDate": group.created.seconds(),
        "LastModificationDate": group.modified.seconds(),
    })
}

pub(super) fn get(view: &View<'_>) -> Answered {
    let name = view.request.input["Name"].as_str().unwrap_or_default();
    Ok(shown(&*named(view, name)?))
}

pub(super) fn list(view: &View<'_>) -> Answered {
    let prefix = view.request.input["NamePrefix"].as_str().unwrap_or_default();
    let mut all: Vec<Arc<ScheduleGroup>> = view.region().schedule_groups.values().cloned().collect();
    all.push(named(view, DEFAULT)?);
    all.sort_by(|one, other| one.name.cmp(&other.name));
    all.retain(|group| group.name.starts_with(prefix));
    let (held, next) = page(view, PAGE_SIZE, all, |group| group.name.clone())?;
    let shown: Vec<Value> = held.iter().map(|group| shown(group)).collect();
    Ok(with_token(json!({"ScheduleGroups": shown}), next))
}
