//! Auto Scaling groups: create, update and delete them, and set their desired capacity.

use crate::api::arns::own_arn;
use crate::api::context::Tx;
use crate::api::errors::{error, validation};
use crate::autoscaling::desired::{cools_down, desire};
use crate::autoscaling::group_input::{take, within};
use crate::autoscaling::lookup::{asked_group, owned, put_group, texts};
use crate::autoscaling::pass::{Pass, clock, uuid};
use crate::autoscaling::records::{Group, GroupTag, Source};
use crate::autoscaling::{configurations, group_tags, hooks, policies, sources};
use crate::state::Dialect;
use forebay_awswire::ApiError;
use forebay_units::Wall;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The most groups of a region.
pub(super) const LIMIT: usize = 500;

pub(crate) fn create(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given = tx.request.input.clone();
    let name = given["AutoScalingGroupName"].as_str().unwrap_or_default();
    if tx.region().scaling_groups.contains_key(name) {
        return Err(error(
            "AlreadyExists",
            format!(
                "AutoScalingGroup by this name already exists - A group with the name {name} already exists"
            ),
        ));
    }
    if tx.region().scaling_groups.len() >= LIMIT {
        return Err(error(
            "LimitExceeded",
            format!("There can be {LIMIT} Auto Scaling groups in a region at most."),
        ));
    }
    let now = tx.request.now;
    let id = uuid(tx);
    let mut group = blank(tx, name, &id)?;
    take(tx, &mut group)?;
    if let Some(id) = given["InstanceId"].as_str() {
        group.source = Source::Configuration(configurations::of_instance(tx, name, id)?);
        if group.zones.is_empty()
            && let Some(instance) = tx.region().instances.get(id)
        {
            group.zones = vec![instance.zone.clone()];
            group.subnets = vec![instance.subnet_id.clone()];
        }
    }
    if group.source == Source::Configuration(String::new()) {
        return Err(validation(
            "Valid requests must contain either LaunchTemplate, LaunchConfigurationName, InstanceId or MixedInstancesPolicy parameter.",
        ));
    }
    if group.zones.is_empty() {
        return Err(validation(
            "At least one Availability Zone or VPC Subnet is required.",
        ));
    }
    group.target_groups = sources::stated(tx, &given)?;
    group.cause = format!(
        "At {} a user request created an AutoScalingGroup changing the desired capacity from 0 to {}.",
        clock(now),
        group.desired
    );
    let specified = given["LifecycleHookSpecificationList"].as_array().cloned();
    for hook in specified.unwrap_or_default() {
        let hook = hooks::read(name, &hook, None)?;
        hooks::store(tx, hook)?;
    }
    put_group(tx, group);
    Ok(json!({}))
}

/// A group with the defaults that all groups share.
fn blank(tx: &Tx<'_>, name: &str, id: &str) -> Result<Group, ApiError> {
    Ok(Group {
        name: name.to_owned(),
        arn: own_arn(
            tx,
            "autoscaling",
            &format!("autoScalingGroup:{id}:autoScalingGroupName/{name}"),
        ),
        created: tx.request.now,
        min: 0,
        max: 0,
        desired: 0,
        source: Source::Configuration(String::new()),
        zones: Vec::new(),
        subnets: Vec::new(),
        target_groups: Vec::new(),
        classic_balancers: texts(&tx.request.input["LoadBalancerNames"]),
        others: BTreeMap::new(),
        health_check: "EC2".to_owned(),
        grace: if tx.dialect() == Dialect::Moto { 300 } else { 0 },
        cooldown: 300,
        warmup: None,
        termination: vec!["Default".to_owned()],
        protects_new: false,
        suspended: BTreeMap::new(),
        metrics: BTreeSet::new(),
        tags: tags(&tx.request.input)?,
        deleting: false,
        warm_pool: None,
        cause: String::new(),
        failures: 0,
        not_before: Wall(0),
        next_activity: 0,
        quiet_since: None,
        notifications: BTreeMap::new(),
        launch_calls: Vec::new(),
        planned: None,
        start_ups: Vec::new(),
        predicted: BTreeMap::new(),
    })
}

fn tags(given: &Value) -> Result<Vec<GroupTag>, ApiError> {
    let mut tags = Vec::new();
    for given in given["Tags"].as_array().into_iter().flatten() {
        group_tags::add(&mut tags, given)?;
    }
    Ok(tags)
}

pub(crate) fn update(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    // AWS's text does not contain the name here.
    let known = asked_group(tx).map_err(|_| validation("AutoScalingGroup name not found - null"))?;
    if known.deleting {
        return Err(error(
            "ScalingActivityInProgress",
            format!("AutoScalingGroup {} is being deleted.", known.name),
        ));
    }
    let mut group = Group::clone(&known);
    take(tx, &mut group)?;
    if (group.min, group.max, group.desired) != (known.min, known.max, known.desired) {
        group.cause = format!(
            "At {} a user request update of AutoScalingGroup constraints to min: {}, max: {}, desired: {} changing the desired capacity from {} to {}.",
            clock(tx.request.now),
            group.min,
            group.max,
            group.desired,
            known.desired,
            group.desired
        );
    }
    // A user who changes a group wants to see at once whether launches work now.
    group.not_before = Wall(0);
    group.failures = 0;
    put_group(tx, group);
    Ok(json!({}))
}

pub(crate) fn set_desired(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let known = asked_group(tx)?;
    let wanted = tx.request.input["DesiredCapacity"].as_i64().unwrap_or(-1);
    let desired = u32::try_from(wanted).map_err(|_| validation("DesiredCapacity cannot be negative."))?;
    if tx.request.input["HonorCooldown"] == true && cools_down(&known, tx.request.now) {
        return Err(error(
            "ScalingActivityInProgress",
            format!(
                "Scaling activity or cooldown of AutoScalingGroup {} is in progress; try again later, or without HonorCooldown.",
                known.name
            ),
        ));
    }
    within(&known, desired).map_err(|_| {
        if desired > known.max {
            validation(format!(
                "New SetDesiredCapacity value {desired} is above max value {} for the AutoScalingGroup.",
                known.max
            ))
        } else {
            validation(format!(
                "New SetDesiredCapacity value {desired} is below min value {} for the AutoScalingGroup.",
                known.min
            ))
        }
    })?;
    let mut group = Group::clone(&known);
    desire(
        &mut group,
        desired,
        &format!(
            "At {} a user request explicitly set group desired capacity",
            clock(tx.request.now)
        ),
    );
    group.not_before = Wall(0);
    put_group(tx, group);
    Ok(json!({}))
}

pub(crate) fn delete(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let known = asked_group(tx)?;
    let forced = tx.request.input["ForceDelete"] == true;
    let protection = known.others.get("DeletionProtection").and_then(Value::as_str);
    match protection {
        Some("prevent-all-deletion") => {
            return Err(error(
                "ResourceInUse",
                "The group is protected from deletion: set DeletionProtection to none first.",
            ));
        }
        Some("prevent-force-deletion") if forced => {
            return Err(error(
                "ResourceInUse",
                "The group is protected from deletion by force: set DeletionProtection to none, or delete its instances first.",
            ));
        }
        _ => {}
    }
    check_termination(tx, &known, forced)?;
    let has_instances = tx.region().members_of(&known.name).next().is_some();
    if has_instances && !forced && tx.dialect() == Dialect::Aws {
        let leaves = |member: &&std::sync::Arc<crate::autoscaling::records::Member>| member.state.leaves();
        if tx.region().members_of(&known.name).all(|member| leaves(&member)) {
            return Err(error(
                "ScalingActivityInProgress",
                "You cannot delete an AutoScalingGroup while there are scaling activities in progress for that group.",
            ));
        }
        return Err(error(
            "ResourceInUse",
            "You cannot delete an AutoScalingGroup while there are instances or pending Spot instance request(s) still in the group.",
        ));
    }
    let mut group = Group::clone(&known);
    group.deleting = true;
    group.cause = format!(
        "At {} a user request deleted the AutoScalingGroup.",
        clock(tx.request.now)
    );
    group.suspended.clear();
    policies::delete_all(tx, &group.name);
    forget_owned(tx, &group.name);
    put_group(tx, group);
    Ok(json!({}))
}

/// moto refuses to delete a group with instances that have termination protection. On AWS the group terminates them all
/// the same.
fn check_termination(tx: &Tx<'_>, group: &Group, forced: bool) -> Result<(), ApiError> {
    if !forced || tx.dialect() == Dialect::Aws {
        return Ok(());
    }
    let region = tx.region();
    let mut instances = region
        .members_of(&group.name)
        .filter_map(|member| region.instances.get(&member.id));
    match instances.find(|instance| instance.attributes.get("disableApiTermination") == Some(&json!(true))) {
        None => Ok(()),
        Some(instance) => Err(error(
            "OperationNotPermitted",
            format!(
                "The instance '{}' may not be terminated. Modify its 'disableApiTermination' instance attribute and try again.",
                instance.id
            ),
        )),
    }
}

/// Deletes everything that belongs to a group alone.
fn forget_owned(tx: &mut Tx<'_>, name: &str) {
    let region = tx.region();
    let schedules: Vec<String> = owned(&region.schedules, name)
        .map(|schedule| schedule.name.clone())
        .collect();
    let hooks: Vec<String> = owned(&region.hooks, name).map(|hook| hook.name.clone()).collect();
    let refreshes: Vec<u64> = owned(&region.refreshes, name)
        .map(|refresh| refresh.number)
        .collect();
    for schedule in schedules {
        let key = crate::autoscaling::lookup::key(name, &schedule);
        tx.region_mut().schedules.remove(&key);
    }
    for hook in hooks {
        let key = crate::autoscaling::lookup::key(name, &hook);
        tx.region_mut().hooks.remove(&key);
    }
    for number in refreshes {
        let key = crate::autoscaling::lookup::numbered(name, number);
        tx.region_mut().refreshes.remove(&key);
    }
}

/// Whether a group that is being deleted is empty, so that it and its activities can be removed.
pub(super) fn is_emptied(pass: &Pass<'_, '_>) -> bool {
    pass.group.deleting && pass.tx.region().members_of(&pass.group.name).next().is_none()
}
