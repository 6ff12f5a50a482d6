//! Targets: register and deregister them, and describe their health.

use crate::Region;
use crate::api::context::{Tx, View};
use crate::api::errors::{configuration, validation};
use crate::elbv2::function_targets::{check_function, invalid_target};
use crate::elbv2::records::{Target, TargetGroup, target_key};
use crate::own_tags::addresses::OF_TARGET;
use crate::state::Dialect;
use core::net::{IpAddr, Ipv4Addr};
use forebay_awswire::ApiError;
use forebay_functions::alb::function_of;
use forebay_model::{HealthReason, HealthState, TargetHealth, limits};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

#[derive(Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TargetInput {
    id: String,
    port: Option<u16>,
    availability_zone: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TargetsInput {
    #[serde(default)]
    target_group_arn: String,
    #[serde(default)]
    targets: Vec<TargetInput>,
    #[serde(default)]
    include: Vec<String>,
}

impl Target {
    pub(crate) fn key(&self) -> String {
        target_key(&self.group_arn, &self.id, self.port)
    }
}

pub(crate) fn register_targets(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let input: TargetsInput = tx.input()?;
    let group = Arc::clone(tx.region().group(&input.target_group_arn)?);
    if input.targets.is_empty() {
        return Err(validation("At least one target must be specified"));
    }
    check_running(tx, &group, &input.targets)?;
    for given in input.targets {
        let zone = check_target(tx, &group, &given)?;
        let target = Target {
            group_arn: group.arn.clone(),
            port: port_of(&group, &given),
            id: given.id,
            zone,
            registered_at: tx.request.now,
            deregistered_at: None,
        };
        // A target that is registered already is left as it is; one that is draining is taken back.
        let known = tx.region().targets.get(&target.key());
        if known.is_some_and(|known| known.deregistered_at.is_none() && known.zone == target.zone) {
            continue;
        }
        tx.region_mut().targets.insert(target.key(), Arc::new(target));
    }
    // Counted afterwards, so that known targets count once. If this fails, nothing of the call is kept.
    check_counts(tx, &group)?;
    Ok(json!({}))
}

/// The port that a call gives, or else the group's. Functions have none.
fn port_of(group: &TargetGroup, given: &TargetInput) -> u16 {
    let port = given.port.or(group.port);
    port.filter(|_| !group.is_of_functions()).unwrap_or(0)
}

/// Refuses instances that are not running. The error names all of them.
fn check_running(view: &View<'_>, group: &TargetGroup, targets: &[TargetInput]) -> Result<(), ApiError> {
    if group.target_type != "instance" {
        return Ok(());
    }
    let stopped = |target: &&TargetInput| {
        let instance = view.region().instances.get(&target.id);
        instance.is_some_and(|instance| instance.state != "running")
    };
    let stopped: Vec<String> = targets
        .iter()
        .filter(stopped)
        .map(|target| format!("'{}'", target.id))
        .collect();
    if stopped.is_empty() {
        return Ok(());
    }
    Err(invalid_target(format!(
        "The following targets are not in a running state and cannot be registered: {}",
        stopped.join(", ")
    )))
}

/// Checks a target against its group's type. Returns the zone that it is stored with.
fn check_target(
    view: &View<'_>,
    group: &TargetGroup,
    given: &TargetInput,
) -> Result<Option<String>, ApiError> {
    if given.port == Some(0) {
        return Err(validation("Port '0' must be between 1 and 65535"));
    }
    let zone = given.availability_zone.as_deref();
    match group.target_type.as_str() {
        "instance" => check_instance(view, group, &given.id).map(|()| None),
        "ip" => check_address(view, group, &given.id, zone),
        "lambda" if function_of(&given.id).is_some() => check_function(view, group, &given.id).map(|()| None),
        "lambda" => Err(invalid_target(format!(
            "'{}' is not the ARN of a Lambda function",
            given.id
        ))),
        _ if given.id.starts_with("arn:") => view.region().balancer(&given.id).map(|_| None),
        _ => Err(invalid_target(format!(
            "'{}' is not the ARN of an application load balancer",
            given.id
        ))),
    }
}

fn check_instance(view: &View<'_>, group: &TargetGroup, id: &str) -> Result<(), ApiError> {
    let region = view.region();
    if declared_address(region, &group.arn, id).is_some() {
        return Ok(());
    }
    let instance = region.instances.get(id);
    let elsewhere = instance.is_none_or(|instance| {
        group.vpc_id.as_ref() != Some(&instance.vpc_id) && view.dialect() == Dialect::Aws
    });
    if elsewhere {
        return Err(invalid_target(
            "The specified target does not exist or is not in the same VPC as the target group.",
        ));
    }
    Ok(())
}

/// The address that a tag of the group gives an instance.
pub(crate) fn declared_address(region: &Region, group_arn: &str, id: &str) -> Option<IpAddr> {
    let tags = region.tags.get(group_arn)?;
    id.starts_with("i-")
        .then(|| tags.get(&format!("{OF_TARGET}{id}")))??
        .parse()
        .ok()
}

/// A target's address must be loopback, private or inside the VPC, never public.
fn check_address(
    view: &View<'_>,
    group: &TargetGroup,
    id: &str,
    zone: Option<&str>,
) -> Result<Option<String>, ApiError> {
    let Ok(address) = id.parse::<IpAddr>() else {
        return Err(validation(format!("The IP address '{id}' is not valid")));
    };
    if address.is_ipv6() != (group.ip_address_type == "ipv6") && !address.is_loopback() {
        let text = format!(
            "The IP address '{id}' is not of the target group's type {}",
            group.ip_address_type
        );
        return Err(validation(text));
    }
    if zone == Some("all") && cross_zone_off(group) {
        return Err(configuration(
            "Availability Zone 'all' cannot be specified while cross-zone load balancing is off for the target group",
        ));
    }
    let region = view.region();
    if let Some(used) = region
        .addresses
        .get(id)
        .filter(|used| used.owner.contains(":loadbalancer/"))
    {
        let text = format!(
            "The IP address '{id}' is in use by load balancer '{}'",
            used.owner
        );
        return Err(invalid_target(text));
    }
    let subnet = region.subnets.values().find(|subnet| {
        let inside = match address {
            IpAddr::V4(address) => subnet.cidr.contains(&address),
            IpAddr::V6(address) => subnet.ipv6_cidr.is_some_and(|cidr| cidr.contains(&address)),
        };
        inside && group.vpc_id.as_ref() == Some(&subnet.vpc_id)
    });
    let pooled = region
        .addresses
        .get(id)
        .and_then(|used| region.subnets.get(&used.subnet_id));
    if let Some(subnet) = subnet.or(pooled) {
        return match zone {
            Some(zone) if zone != "all" && zone != subnet.zone => Err(validation(format!(
                "The IP address '{id}' is within the VPC, and cannot have its Availability Zone overridden to '{zone}' from '{}'",
                subnet.zone
            ))),
            Some("all") => Ok(Some("all".to_owned())),
            _ => Ok(Some(subnet.zone.clone())),
        };
    }
    if zone.is_some_and(|zone| zone != "all" && !is_zone(view, zone)) {
        return Err(outside(id));
    }
    if address.is_loopback() {
        return Ok(zone.map(str::to_owned));
    }
    if !is_private(address) {
        let text = format!("The IP address '{id}' is not within a VPC subnet or a private range");
        return Err(validation(text));
    }
    if zone.is_none() && view.dialect() == Dialect::Aws {
        return Err(outside(id));
    }
    Ok(zone.map(str::to_owned))
}

/// Whether the region has that zone. moto accepts any name.
fn is_zone(view: &View<'_>, name: &str) -> bool {
    view.dialect() == Dialect::Moto
        || view
            .state
            .zones(view.request.region)
            .iter()
            .any(|zone| zone == name)
}

fn outside(id: &str) -> ApiError {
    validation(format!(
        "You must specify a valid Availability Zone or select 'all' for all enabled Availability zones, since the IP address \
         '{id}' is outside the VPC"
    ))
}

fn is_private(address: IpAddr) -> bool {
    match address {
        // 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 and 100.64.0.0/10.
        IpAddr::V4(address) => {
            address.is_private()
                || (u32::from(address) & 0xffc0_0000) == u32::from(Ipv4Addr::new(100, 64, 0, 0))
        }
        IpAddr::V6(address) => address.is_unique_local(),
    }
}

fn cross_zone_off(group: &TargetGroup) -> bool {
    group
        .attributes
        .get("load_balancing.cross_zone.enabled")
        .is_some_and(|set| set == "false")
}

fn check_counts(view: &View<'_>, group: &TargetGroup) -> Result<(), ApiError> {
    let region = view.region();
    let count = region
        .targets_of(&group.arn)
        .filter(|target| target.deregistered_at.is_none())
        .count();
    let limit = if group.is_of_functions() {
        1
    } else {
        view.state.quota(limits::TARGETS_PER_GROUP)
    };
    if count > limit {
        let text = "The maximum number of targets for this target group has been reached";
        return Err(ApiError::sender("TooManyTargets", text));
    }
    for balancer in region.users_of(&group.arn) {
        let groups: BTreeSet<&str> = region
            .rules_of_balancer(&balancer.arn)
            .flat_map(|rule| rule.groups())
            .collect();
        let targets: usize = groups.iter().map(|group| region.targets_of(group).count()).sum();
        if targets > view.state.quota(limits::TARGETS_PER_BALANCER) {
            let text = "The maximum number of targets for the load balancer has been reached";
            return Err(ApiError::sender("TooManyTargets", text));
        }
    }
    Ok(())
}

pub(crate) fn deregister_targets(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let input: TargetsInput = tx.input()?;
    let group = Arc::clone(tx.region().group(&input.target_group_arn)?);
    // The data plane does not know targets of unused groups or terminated instances, so it would never report that they
    // have drained.
    let is_served = group.fits_application() && tx.region().is_served(&group.arn);
    let dialect = tx.dialect();
    let meant = |given: &TargetInput| meant(tx.region(), &group, given, dialect);
    let targets: Vec<Arc<Target>> = input.targets.iter().flat_map(meant).collect();
    for target in targets {
        let drains = is_served && instance_state(tx.region(), &target) != Some("terminated");
        if drains && target.deregistered_at.is_some() {
            continue;
        }
        if drains {
            let target = Target {
                deregistered_at: Some(tx.request.now),
                ..(*target).clone()
            };
            tx.region_mut().targets.insert(target.key(), Arc::new(target));
        } else {
            // No requests reach it, so there is nothing to wait for.
            tx.region_mut().targets.remove(&target.key());
        }
    }
    Ok(json!({}))
}

/// The target that a call means: at the given port, or else at the group's port (API reference, DeregisterTargets).
/// Under the moto dialect, an id without a port means the target at every port that it is registered at.
fn meant(region: &Region, group: &TargetGroup, given: &TargetInput, dialect: Dialect) -> Vec<Arc<Target>> {
    let port = port_of(group, given);
    let found = region.targets.get(&target_key(&group.arn, &given.id, port));
    if found.is_none() && given.port.is_none() && dialect == Dialect::Moto {
        let everywhere = region.targets_of(&group.arn);
        return everywhere
            .filter(|target| target.id == given.id)
            .cloned()
            .collect();
    }
    found.into_iter().cloned().collect()
}

pub(crate) fn describe_target_health(view: &View<'_>) -> Result<Value, ApiError> {
    let input: TargetsInput = view.input()?;
    let region = view.region();
    let group = region.group(&input.target_group_arn)?;
    let health = GroupHealth::new(view, group);
    let anomalies = input
        .include
        .iter()
        .any(|include| include == "AnomalyDetection" || include == "All");
    let mut values = Vec::new();
    if input.targets.is_empty() {
        for target in region.targets_of(&group.arn) {
            if instance_state(region, target) != Some("terminated") {
                values.push(health.value(target, anomalies));
            }
        }
    }
    for given in &input.targets {
        let port = port_of(group, given);
        values.push(
            match region.targets.get(&target_key(&group.arn, &given.id, port)) {
                Some(target) => health.value(target, anomalies),
                None => health.unregistered(&given.id, port),
            },
        );
    }
    Ok(json!({"TargetHealthDescriptions": values}))
}

fn instance_state<'r>(region: &'r Region, target: &Target) -> Option<&'r str> {
    region
        .instances
        .get(&target.id)
        .map(|instance| instance.state.as_str())
}

/// What decides the health of a group's targets, looked up once.
struct GroupHealth<'a> {
    view: &'a View<'a>,
    group: &'a TargetGroup,
    /// Zones with a node of a load balancer that uses the group; `None` if none that carries traffic does.
    zones: Option<BTreeSet<&'a str>>,
}

impl<'a> GroupHealth<'a> {
    fn new(view: &'a View<'_>, group: &'a TargetGroup) -> GroupHealth<'a> {
        let region = view.region();
        let zones = region.is_served(&group.arn).then(|| {
            let users = region.users_of(&group.arn);
            users
                .into_iter()
                .flat_map(|balancer| balancer.zones.iter().map(|zone| zone.zone.as_str()))
                .collect()
        });
        GroupHealth { view, group, zones }
    }

    /// A target's health (API reference, `TargetHealth`). The order matters: a deregistered or stopped target is
    /// reported as such even where the group is unused or its zone disabled.
    fn health(&self, target: &Target) -> TargetHealth {
        let unused = |reason| TargetHealth {
            state: HealthState::Unused,
            reason: Some(reason),
        };
        let draining = TargetHealth {
            state: HealthState::Draining,
            reason: Some(HealthReason::DeregistrationInProgress),
        };
        if target.deregistered_at.is_some() {
            return draining;
        }
        match instance_state(self.view.region(), target) {
            None | Some("running") => {}
            Some("terminated") => return draining,
            Some("stopped") => return unused(HealthReason::InvalidState("stopped")),
            Some(_) => return unused(HealthReason::InvalidState("terminated or stopped")),
        }
        let Some(zones) = &self.zones else {
            return unused(HealthReason::NotInUse);
        };
        if let Some(zone) = zone_of(self.view.region(), target)
            && !zones.contains(zone)
        {
            return unused(HealthReason::ZoneNotEnabled);
        }
        if !self.group.health.enabled {
            return TargetHealth {
                state: HealthState::Unavailable,
                reason: Some(HealthReason::HealthCheckDisabled),
            };
        }
        let seen = self
            .view
            .observations
            .target_health(&target.group_arn, &target.id, target.port);
        seen.unwrap_or(TargetHealth {
            state: HealthState::Initial,
            reason: Some(HealthReason::RegistrationInProgress),
        })
    }

    fn value(&self, target: &Target, anomalies: bool) -> Value {
        let mut value = self.described(&target.id, target.port, &self.health(target));
        if let Some(zone) = &target.zone {
            value["Target"]["AvailabilityZone"] = json!(zone);
        }
        value["AdministrativeOverride"] = json!({
            "State": "no_override",
            "Reason": "AdministrativeOverride.NoOverride",
            "Description": "No override is currently active on target",
        });
        if anomalies {
            let seen = self.view.observations;
            let anomaly = seen.target_anomaly(&target.group_arn, &target.id, target.port);
            let anomaly = anomaly.unwrap_or_default();
            value["AnomalyDetection"] = json!({
                "Result": if anomaly.anomalous { "anomalous" } else { "normal" },
                "MitigationInEffect": if anomaly.mitigated { "yes" } else { "no" },
            });
            // The model has no other member for a reason, and a healthy target has no description otherwise.
            if let (Some(reason), None) = (anomaly.reason, value["TargetHealth"].get("Description")) {
                value["TargetHealth"]["Description"] = json!(reason);
            }
        }
        value
    }

    fn unregistered(&self, id: &str, port: u16) -> Value {
        let reason = Some(HealthReason::NotRegistered);
        self.described(
            id,
            port,
            &TargetHealth {
                state: HealthState::Unused,
                reason,
            },
        )
    }

    fn described(&self, id: &str, port: u16, health: &TargetHealth) -> Value {
        let mut target = json!({"Id": id});
        let mut value = json!({"TargetHealth": {"State": health.state.word()}});
        if !self.group.is_of_functions() {
            target["Port"] = json!(port);
            let probed = match self.group.health.port {
                forebay_model::HealthPort::Traffic => port,
                forebay_model::HealthPort::At(port) => port,
            };
            value["HealthCheckPort"] = json!(probed.to_string());
        }
        value["Target"] = target;
        if let Some(reason) = &health.reason {
            value["TargetHealth"]["Reason"] = json!(reason.code());
            value["TargetHealth"]["Description"] = json!(reason.description());
        }
        value
    }
}

/// The zone a target is in; `None` if it counts for all zones.
pub(crate) fn zone_of<'r>(region: &'r Region, target: &'r Target) -> Option<&'r str> {
    let instance = region
        .instances
        .get(&target.id)
        .map(|instance| instance.zone.as_str());
    instance.or(target.zone.as_deref().filter(|zone| *zone != "all"))
}
