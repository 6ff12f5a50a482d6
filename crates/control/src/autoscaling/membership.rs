//! Calls about single instances of a group: attach, detach, standby, protection, health, termination.

use crate::api::context::Tx;
use crate::api::errors::{error, validation};
use crate::api::tagging::{put_tags, stored_tags};
use crate::autoscaling::activities;
use crate::autoscaling::desired::desire;
use crate::autoscaling::group_input::within;
use crate::autoscaling::leaving;
use crate::autoscaling::lookup::{asked_group, member_of, texts};
use crate::autoscaling::pass::{Begun, Pass, clock};
use crate::autoscaling::records::{Group, Lifecycle, Member, Origin, Source};
use crate::autoscaling::steps::{enter, register};
use crate::state::Dialect;
use core::time::Duration;
use forebay_awswire::ApiError;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The most ids in one call.
const IDS: usize = 20;
const PROTECTED_IDS: usize = 50;

fn asked_ids(tx: &Tx<'_>, limit: usize) -> Result<Vec<String>, ApiError> {
    let ids = texts(&tx.request.input["InstanceIds"]);
    if ids.is_empty() || ids.len() > limit {
        return Err(validation(format!(
            "Between 1 and {limit} instance ids are needed; there are {}.",
            ids.len()
        )));
    }
    Ok(ids)
}

pub(crate) fn attach(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let ids = asked_ids(tx, IDS)?;
    let group = asked_group(tx)?;
    let count = ids.len() as u32;
    if group.desired.saturating_add(count) > group.max {
        return Err(validation(format!(
            "AutoScalingGroup {} has max-size = {}, desired-size = {}. To attach {count} instance(s), please update the AutoScalingGroup sizes appropriately.",
            group.name, group.max, group.desired
        )));
    }
    for id in &ids {
        check_attachable(tx, &group, id)?;
    }
    let mut pass = Pass::asked(tx)?;
    for id in ids {
        attach_one(&mut pass, &id);
    }
    let desired = pass.group.desired + count;
    let why = format!("At {} a user request attached {count} instance(s)", pass.clock());
    desire(&mut pass.group, desired, &why);
    pass.finish();
    Ok(json!({}))
}

fn check_attachable(tx: &Tx<'_>, group: &Group, id: &str) -> Result<(), ApiError> {
    let Some(instance) = tx.region().instances.get(id) else {
        return Err(validation(format!(
            "Invalid Instance ID(s): [{id}] for Region {}",
            tx.request.region
        )));
    };
    if instance.state != "running" {
        return Err(validation(format!(
            "Instance {id} is not in the running state: it is {}.",
            instance.state
        )));
    }
    if let Some(member) = tx.region().member(id) {
        return Err(validation(format!(
            "Instance {id} is already part of AutoScalingGroup {}.",
            member.group
        )));
    }
    if !group.zones.contains(&instance.zone) {
        return Err(validation(format!(
            "Instance {id} is in zone {}, which AutoScalingGroup {} does not have.",
            instance.zone, group.name
        )));
    }
    Ok(())
}

fn attach_one(pass: &mut Pass<'_, '_>, id: &str) {
    let Some(instance) = pass.tx.region().instances.get(id).cloned() else {
        return;
    };
    let mut tags = stored_tags(pass.tx.region(), id);
    tags.insert("aws:autoscaling:groupName".to_owned(), pass.group.name.clone());
    for tag in pass.group.tags.iter().filter(|tag| tag.propagate) {
        tags.insert(tag.key.clone(), tag.value.clone());
    }
    put_tags(pass.tx.region_mut(), id, tags);
    let number = pass.start(Begun {
        description: format!("Attaching an existing EC2 instance: {id}"),
        cause: format!(
            "At {} an instance was attached in response to a user request.",
            pass.clock()
        ),
        status: "InProgress",
        progress: 50,
        zone: &instance.zone,
        subnet: Some(&instance.subnet_id),
    });
    // An attached instance goes through the launch hooks like one that was launched.
    let member = Member {
        id: id.to_owned(),
        group: pass.group.name.clone(),
        state: Lifecycle::Pending,
        since: pass.now(),
        zone: instance.zone.clone(),
        instance_type: instance.instance_type.clone(),
        image_id: instance.image_id.clone(),
        origin: match (pass.tx.dialect(), &pass.group.source) {
            // moto treats it as one that the group has launched.
            (Dialect::Moto, Source::Configuration(name)) => Origin::Configuration(name.clone()),
            _ => Origin::Attached,
        },
        weight: None,
        is_spot: instance.is_spot,
        unhealthy: None,
        protected: pass.group.protects_new,
        in_service: None,
        ready: None,
        waiting: None,
        hooks_done: BTreeSet::new(),
        is_ordered: false,
        activity: Some(number),
        refresh: None,
        replaces: None,
        ordered: None,
        was_warm: false,
    };
    pass.put(member);
}

/// Lowers the desired capacity by the weight of these instances, if the call asks for it.
fn decrement(pass: &mut Pass<'_, '_>, weight: u32) -> Result<(), ApiError> {
    if pass.tx.request.input["ShouldDecrementDesiredCapacity"] != true {
        return Ok(());
    }
    let desired = pass.group.desired.saturating_sub(weight);
    within(&pass.group, desired).map_err(|_| {
        validation(format!(
            "Currently, desiredSize equals minSize ({}). Decrementing the desired capacity by {weight} would take the group below that.",
            pass.group.min
        ))
    })?;
    let why = format!("At {} a user request took an instance out", pass.clock());
    desire(&mut pass.group, desired, &why);
    Ok(())
}

/// The instances of the group that a call names.
fn asked_members(pass: &Pass<'_, '_>, ids: &[String]) -> Result<Vec<Member>, ApiError> {
    ids.iter()
        .map(|id| member_of(pass.tx, &pass.group.name, id).map(|member| Member::clone(&member)))
        .collect()
}

fn told(pass: &Pass<'_, '_>, numbers: &[u64]) -> Value {
    let activities = numbers.iter().filter_map(|&number| pass.activity(number));
    activities.map(|activity| activities::shown(&activity)).collect()
}

/// A change that a call makes to each of its instances.
struct Move {
    description: &'static str,
    cause: &'static str,
    state: Lifecycle,
}

fn take_out(tx: &mut Tx<'_>, what: &Move) -> Result<Value, ApiError> {
    let ids = asked_ids(tx, IDS)?;
    let mut pass = Pass::asked(tx)?;
    let members = asked_members(&pass, &ids)?;
    for member in &members {
        if member.state != Lifecycle::InService && member.state != Lifecycle::Standby {
            return Err(validation(format!(
                "The instance {} is not in InService or Standby: it is in {}.",
                member.id,
                member.state.name()
            )));
        }
        if what.state == Lifecycle::EnteringStandby && member.state == Lifecycle::Standby {
            return Err(validation(format!(
                "The instance {} is in Standby already.",
                member.id
            )));
        }
    }
    let counted = members.iter().filter(|member| member.state.counts());
    let weight = counted.map(|member| member.weight.unwrap_or(1)).sum();
    decrement(&mut pass, weight)?;
    let mut numbers = Vec::new();
    for mut member in members {
        let number = pass.start(Begun {
            description: format!("{}: {}", what.description, member.id),
            cause: format!(
                "At {} instance {} was {} in response to a user request.",
                pass.clock(),
                member.id,
                what.cause
            ),
            status: "InProgress",
            progress: 50,
            zone: &member.zone,
            subnet: None,
        });
        numbers.push(number);
        member.activity = Some(number);
        leaving::deregister(&mut pass, &member.id);
        enter(&mut pass, &mut member, what.state);
    }
    let answer = told(&pass, &numbers);
    pass.finish();
    Ok(json!({"Activities": answer}))
}

pub(crate) fn detach(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    take_out(
        tx,
        &Move {
            description: "Detaching EC2 instance",
            cause: "detached",
            state: Lifecycle::Detaching,
        },
    )
}

pub(crate) fn enter_standby(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    take_out(
        tx,
        &Move {
            description: "Moving EC2 instance to Standby",
            cause: "moved to standby",
            state: Lifecycle::EnteringStandby,
        },
    )
}

pub(crate) fn exit_standby(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let ids = asked_ids(tx, IDS)?;
    let mut pass = Pass::asked(tx)?;
    let members = asked_members(&pass, &ids)?;
    if let Some(member) = members.iter().find(|member| member.state != Lifecycle::Standby) {
        return Err(validation(format!(
            "The instance {} is not in Standby: it is in {}.",
            member.id,
            member.state.name()
        )));
    }
    let weight: u32 = members.iter().map(|member| member.weight.unwrap_or(1)).sum();
    let desired = pass.group.desired + weight;
    if desired > pass.group.max {
        return Err(validation(format!(
            "AutoScalingGroup {} has max-size {}: there is no room for {weight} more.",
            pass.group.name, pass.group.max
        )));
    }
    let why = format!(
        "At {} a user request moved instances out of standby",
        pass.clock()
    );
    desire(&mut pass.group, desired, &why);
    let mut numbers = Vec::new();
    for mut member in members {
        let number = pass.start(Begun {
            description: format!("Moving EC2 instance out of Standby: {}", member.id),
            cause: format!(
                "At {} instance {} was moved out of standby in response to a user request.",
                pass.clock(),
                member.id
            ),
            status: "PreInService",
            progress: 30,
            zone: &member.zone,
            subnet: None,
        });
        numbers.push(number);
        member.activity = Some(number);
        enter(&mut pass, &mut member, Lifecycle::Pending);
    }
    let answer = told(&pass, &numbers);
    pass.finish();
    Ok(json!({"Activities": answer}))
}

pub(crate) fn set_protection(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let ids = asked_ids(tx, PROTECTED_IDS)?;
    let protected = tx.request.input["ProtectedFromScaleIn"] == true;
    let mut pass = Pass::asked(tx)?;
    for mut member in asked_members(&pass, &ids)? {
        if member.state != Lifecycle::InService {
            return Err(validation(format!(
                "The instance {} is not in InService: it is in {}.",
                member.id,
                member.state.name()
            )));
        }
        member.protected = protected;
        pass.put(member);
    }
    pass.finish();
    Ok(json!({}))
}

/// The instance that a call names without its group.
fn asked_member(tx: &Tx<'_>) -> Result<Member, ApiError> {
    let id = tx.request.input["InstanceId"].as_str().unwrap_or_default();
    let found = tx.region().member(id).map(|member| Member::clone(member));
    found.ok_or_else(|| {
        validation(format!(
            "Instance Id not found - No managed instance found for instance ID {id}"
        ))
    })
}

pub(crate) fn set_health(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let status = tx.request.input["HealthStatus"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let mut member = asked_member(tx)?;
    let respects = tx.request.input["ShouldRespectGracePeriod"] != false;
    let now = tx.request.now;
    let mut pass = Pass::of(tx, &member.group)?;
    let grace = Duration::from_secs(pass.group.grace.into());
    match status.as_str() {
        "Healthy" => member.unhealthy = None,
        // Within the grace period, reports are ignored if the call respects it.
        "Unhealthy" if respects && member.in_service.is_some_and(|since| now.since(since) < grace) => {
            if pass.tx.dialect() == Dialect::Moto {
                member.unhealthy = Some("a user health-check".to_owned());
            }
        }
        "Unhealthy" => member.unhealthy = Some("a user health-check".to_owned()),
        other => {
            return Err(validation(format!(
                "The health status {other} is invalid: it must be Healthy or Unhealthy."
            )));
        }
    }
    pass.put(member);
    pass.finish();
    Ok(json!({}))
}

pub(crate) fn terminate(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let many = texts(&tx.request.input["InstanceIds"]);
    if many.is_empty() {
        let member = asked_member(tx)?;
        let number = terminate_one(tx, member)?;
        return Ok(json!({"Activity": number}));
    }
    let mut activities = Vec::new();
    for id in many {
        let found = tx.region().member(&id).map(|member| Member::clone(member));
        let member = found.ok_or_else(|| {
            validation(format!(
                "Instance Id not found - No managed instance found for instance ID {id}"
            ))
        })?;
        activities.push(terminate_one(tx, member)?);
    }
    Ok(json!({"Activities": activities}))
}

fn terminate_one(tx: &mut Tx<'_>, member: Member) -> Result<Value, ApiError> {
    let now = clock(tx.request.now);
    let mut pass = Pass::of(tx, &member.group)?;
    if member.state.leaves() {
        // It is leaving already.
        let number = member.activity.into_iter().collect::<Vec<u64>>();
        let shown = told(&pass, &number)[0].clone();
        return if shown.is_null() {
            Err(error(
                "ScalingActivityInProgress",
                format!("The instance {} is leaving its group already.", member.id),
            ))
        } else {
            Ok(shown)
        };
    }
    let capacity = pass.capacity();
    let counted = if member.state.counts() {
        member.weight.unwrap_or(1)
    } else {
        0
    };
    if member.state.counts() || member.state == Lifecycle::Standby {
        decrement(&mut pass, counted)?;
    }
    let id = member.id.clone();
    let cause = format!(
        "At {now} instance {id} was taken out of service in response to a user request, shrinking the capacity from {capacity} to {}.",
        capacity.saturating_sub(counted)
    );
    leaving::begin(&mut pass, member, cause, true);
    let number = member_of(pass.tx, &pass.group.name, &id)?.activity;
    let answer = told(&pass, &number.into_iter().collect::<Vec<u64>>())[0].clone();
    pass.finish();
    Ok(answer)
}

/// Registers the instances in service with target groups that were attached later.
pub(super) fn register_all(pass: &mut Pass<'_, '_>) {
    if pass.is_suspended("AddToLoadBalancer") {
        return;
    }
    for mut member in pass.members() {
        if member.state == Lifecycle::InService {
            register(pass, &member.id);
            member.ready = None;
            pass.put(member);
        }
    }
}
