//! LaunchInstances: launches at once and reports the result, instead of leaving it to the next pass.

use crate::api::context::Tx;
use crate::api::errors::{error, validation};
use crate::autoscaling::desired::desire;
use crate::autoscaling::launching::{Wish, launch_as};
use crate::autoscaling::lookup::asked_group;
use crate::autoscaling::pass::Pass;
use crate::autoscaling::records::{Group, LaunchCall, Member};
use crate::ec2::zones::zone_id;
use forebay_awswire::ApiError;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How many calls of a group are remembered, so that a repeated client token does not launch twice. (AWS remembers
/// calls for eight hours.)
const REMEMBERED: usize = 100;

pub(crate) fn launch(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let group = asked_group(tx)?;
    let given = tx.request.input.clone();
    let token = given["ClientToken"].as_str().unwrap_or_default();
    if let Some(known) = group.launch_calls.iter().find(|known| known.token == token) {
        if known.input == given {
            return Ok(known.answer.clone());
        }
        return Err(error(
            "IdempotentParameterMismatch",
            "The ClientToken was used for another call, with other parameters.",
        ));
    }
    let place = place(tx, &group)?;
    let wanted = given["RequestedCapacity"].as_u64().unwrap_or(0);
    let wanted = u32::try_from(wanted).unwrap_or(u32::MAX);
    if group.desired.saturating_add(wanted) > group.max {
        return Err(validation(format!(
            "The requested capacity {wanted} and the desired capacity {} are more than the maximum size {} of the group.",
            group.desired, group.max
        )));
    }
    let Some(mut pass) = Pass::begin(tx, &group.name) else {
        return Err(crate::autoscaling::lookup::no_group(&group.name));
    };
    let (members, problem) = launched(&mut pass, &place, wanted);
    let mut answer = json!({
        "AutoScalingGroupName": group.name,
        "ClientToken": token,
        "Instances": collections(&pass, &members),
        "Errors": [],
    });
    let mut more = members
        .iter()
        .map(|member| member.weight.unwrap_or(1))
        .sum::<u32>();
    if let Some(problem) = problem {
        let zone = place.zone.as_ref().or_else(|| group.zones.first());
        let zone = zone.cloned().unwrap_or_default();
        answer["Errors"] = json!([{"AvailabilityZone": zone, "AvailabilityZoneId": zone_id(&zone),
            "ErrorCode": "LaunchFailed", "ErrorMessage": problem}]);
        if given["RetryStrategy"] == "retry-with-group-configuration" {
            // The desired capacity is raised anyway, so `capacity` launches what is missing.
            more = more.max(wanted);
        }
    }
    // Otherwise `capacity` would take the new instances out again.
    let desired = pass.group.desired.saturating_add(more);
    let why = format!("At {} a user request launched instances", pass.clock());
    desire(&mut pass.group, desired, &why);
    let calls = &mut pass.group.launch_calls;
    calls.push(LaunchCall {
        token: token.to_owned(),
        input: given.clone(),
        answer: answer.clone(),
    });
    if calls.len() > REMEMBERED {
        calls.remove(0);
    }
    pass.finish();
    Ok(answer)
}

/// Where a call wants its instances to be launched.
struct Place {
    zone: Option<String>,
    subnet: Option<String>,
}

/// The place that a call names, which must be one of the group's.
fn place(tx: &Tx<'_>, group: &Group) -> Result<Place, ApiError> {
    let given = &tx.request.input;
    let names = ["AvailabilityZones", "AvailabilityZoneIds", "SubnetIds"];
    let named: Vec<(&str, &str)> = names
        .iter()
        .filter_map(|name| Some((*name, given[*name][0].as_str()?)))
        .collect();
    let (kind, value) = match named[..] {
        [] => {
            return Ok(Place {
                zone: None,
                subnet: None,
            });
        }
        [one] => one,
        _ => {
            return Err(validation(
                "Either AvailabilityZones, AvailabilityZoneIds or SubnetIds can be given.",
            ));
        }
    };
    let foreign = || validation(format!("{value} is none of the group's."));
    if kind == "SubnetIds" {
        let known = group.subnets.iter().find(|id| *id == value);
        let subnet = known
            .and_then(|id| tx.region().subnets.get(id))
            .ok_or_else(foreign)?;
        return Ok(Place {
            zone: Some(subnet.zone.clone()),
            subnet: Some(subnet.id.clone()),
        });
    }
    let mut zones = group.zones.iter();
    let zone = zones.find(|zone| *zone == value || zone_id(zone) == value);
    Ok(Place {
        zone: Some(zone.ok_or_else(foreign)?.clone()),
        subnet: None,
    })
}

/// The instances that were launched, and the problem if there are fewer than wanted.
fn launched(pass: &mut Pass<'_, '_>, place: &Place, wanted: u32) -> (Vec<Member>, Option<String>) {
    let (mut members, mut capacity) = (Vec::new(), 0_u32);
    while capacity < wanted {
        let cause = format!(
            "At {} an instance was launched in response to a user request.",
            pass.clock()
        );
        let wish = Wish {
            cause: &cause,
            warmed: false,
            zone: place.zone.as_deref(),
            subnet: place.subnet.as_deref(),
            refresh: None,
        };
        let Some(member) = launch_as(pass, &wish) else {
            let newest = pass.group.next_activity.checked_sub(1);
            let told = newest.and_then(|number| pass.activity(number)?.message.clone());
            return (members, Some(told.unwrap_or_default()));
        };
        capacity = capacity.saturating_add(member.weight.unwrap_or(1).max(1));
        members.push(member);
    }
    (members, None)
}

/// The instances, grouped by what they have in common.
fn collections(pass: &Pass<'_, '_>, members: &[Member]) -> Value {
    let mut kinds: BTreeMap<(String, bool, String, String), Vec<&str>> = BTreeMap::new();
    for member in members {
        let instance = pass.tx.region().instances.get(&member.id);
        let subnet = instance.map_or_else(String::new, |instance| instance.subnet_id.clone());
        let kind = (
            member.instance_type.clone(),
            member.is_spot,
            member.zone.clone(),
            subnet,
        );
        kinds.entry(kind).or_default().push(&member.id);
    }
    let shown = kinds.into_iter().map(|((shape, is_spot, zone, subnet), ids)| {
        json!({
            "InstanceType": shape, "MarketType": if is_spot { "spot" } else { "on-demand" }, "AvailabilityZone": zone,
            "AvailabilityZoneId": zone_id(&zone), "SubnetId": subnet, "InstanceIds": ids,
        })
    });
    shown.collect()
}
