//! The input of CreateAutoScalingGroup and UpdateAutoScalingGroup, and its checks.

use crate::api::context::View;
use crate::api::errors::validation;

use crate::autoscaling::records::{Group, Source, TemplateRef};
use crate::ec2::launch_templates::resolve;
use crate::state::Dialect;
use forebay_awswire::ApiError;
use forebay_scaling::TerminationPolicy;
use serde_json::{Value, json};

/// Members that are stored and described as they were given.
pub(super) const ECHOED: [&str; 11] = [
    "PlacementGroup",
    "Context",
    "DesiredCapacityType",
    "ServiceLinkedRoleARN",
    "MaxInstanceLifetime",
    "CapacityRebalance",
    "InstanceMaintenancePolicy",
    "AvailabilityZoneDistribution",
    "AvailabilityZoneImpairmentPolicy",
    "CapacityReservationSpecification",
    "InstanceLifecyclePolicy",
];

/// Applies a call's settings to a group. What is not given stays.
pub(super) fn take(view: &View<'_>, group: &mut Group) -> Result<(), ApiError> {
    let given = &view.request.input;
    let number = |name: &str| given[name].as_i64();
    sizes(view, group)?;
    if let Some(source) = source(view)? {
        group.source = source;
    }
    places(view, group)?;
    if let Some(text) = given["HealthCheckType"].as_str() {
        check_kinds(text)?;
        text.clone_into(&mut group.health_check);
    }
    let seconds = |value: i64, name: &str| {
        u32::try_from(value).map_err(|_| validation(format!("{name} cannot be negative.")))
    };
    if let Some(value) = number("HealthCheckGracePeriod") {
        group.grace = seconds(value, "HealthCheckGracePeriod")?;
    }
    if let Some(value) = number("DefaultCooldown") {
        group.cooldown = seconds(value, "DefaultCooldown")?;
    }
    match number("DefaultInstanceWarmup") {
        None => {}
        Some(-1) => group.warmup = None,
        Some(value) => group.warmup = Some(seconds(value, "DefaultInstanceWarmup")?),
    }
    if let Some(names) = given["TerminationPolicies"].as_array() {
        group.termination = termination(names)?;
    }
    if let Some(protects) = given["NewInstancesProtectedFromScaleIn"].as_bool() {
        group.protects_new = protects;
    }
    if let Some(lifetime) = number("MaxInstanceLifetime")
        && lifetime != 0
        && lifetime < 86_400
    {
        return Err(validation(
            "MaxInstanceLifetime must be 0, or at least 86400 seconds (a day).",
        ));
    }
    for name in ECHOED {
        if let Some(value) = given.get(name) {
            group.others.insert(name.to_owned(), value.clone());
        }
    }
    // A maintenance policy of -1 means none.
    let clears = &given["InstanceMaintenancePolicy"];
    if clears["MinHealthyPercentage"] == -1 || clears["MaxHealthyPercentage"] == -1 {
        group.others.remove("InstanceMaintenancePolicy");
    }
    if let Some(value) = given.get("DeletionProtection") {
        group
            .others
            .insert("DeletionProtection".to_owned(), value.clone());
    }
    Ok(())
}

fn sizes(view: &View<'_>, group: &mut Group) -> Result<(), ApiError> {
    let given = &view.request.input;
    let size = |name: &str| match given[name].as_i64() {
        None => Ok(None),
        Some(value) => u32::try_from(value)
            .map(Some)
            .map_err(|_| validation(format!("{name} cannot be negative."))),
    };
    let (min, max, desired) = (size("MinSize")?, size("MaxSize")?, size("DesiredCapacity")?);
    group.min = min.unwrap_or(group.min);
    group.max = max.unwrap_or(group.max);
    if group.min > group.max {
        return Err(validation(format!(
            "Max bound, {}, must be greater than or equal to min bound, {}",
            group.max, group.min
        )));
    }
    match desired {
        Some(desired) => {
            // moto lets an update set a desired capacity outside the bounds.
            if view.dialect() == Dialect::Aws || view.request.operation.starts_with("Create") {
                within(group, desired)?;
            }
            group.desired = desired;
        }
        // Without a desired capacity in the call, the new bounds limit the old one.
        None => group.desired = group.desired.clamp(group.min, group.max),
    }
    Ok(())
}

/// Checks that a desired capacity is within the group's bounds.
pub(super) fn within(group: &Group, desired: u32) -> Result<(), ApiError> {
    if desired < group.min {
        return Err(validation(format!(
            "Desired capacity:{desired} must be between the specified min size:{} and max size:{}",
            group.min, group.max
        )));
    }
    if desired > group.max {
        return Err(validation(format!(
            "Desired capacity:{desired} must be between the specified min size:{} and max size:{}",
            group.min, group.max
        )));
    }
    Ok(())
}

/// What instances are launched from, if the call says so.
fn source(view: &View<'_>) -> Result<Option<Source>, ApiError> {
    let given = &view.request.input;
    let names = [
        "LaunchConfigurationName",
        "LaunchTemplate",
        "MixedInstancesPolicy",
        "InstanceId",
    ];
    let stated: Vec<&str> = names
        .into_iter()
        .filter(|name| given.get(*name).is_some())
        .collect();
    match stated[..] {
        [] => return Ok(None),
        [_] => {}
        _ => {
            return Err(validation(
                "Valid requests must contain either LaunchTemplate, LaunchConfigurationName, InstanceId or MixedInstancesPolicy parameter.",
            ));
        }
    }
    if let Some(name) = given["LaunchConfigurationName"].as_str() {
        if !view.region().launch_configurations.contains_key(name) {
            return Err(validation(format!(
                "Launch configuration name not found - Launch configuration {name} not found"
            )));
        }
        return Ok(Some(Source::Configuration(name.to_owned())));
    }
    if let Some(template) = given.get("LaunchTemplate") {
        return Ok(Some(Source::Template(template_ref(view, template)?)));
    }
    if let Some(policy) = given.get("MixedInstancesPolicy") {
        return mixed(view, policy).map(Some);
    }
    // From an instance: `groups::create` makes a launch configuration of it.
    Ok(None)
}

/// The launch template that a call names, which must exist.
pub(super) fn template_ref(view: &View<'_>, given: &Value) -> Result<TemplateRef, ApiError> {
    let (id, name) = (
        given["LaunchTemplateId"].as_str(),
        given["LaunchTemplateName"].as_str(),
    );
    let named = match (id, name) {
        (Some(_), Some(_)) => {
            return Err(validation(
                "Valid requests must contain either launchTemplateId or LaunchTemplateName",
            ));
        }
        (None, None) => {
            return Err(validation(
                "Valid requests must contain either launchTemplateId or LaunchTemplateName",
            ));
        }
        (Some(id), None) => id,
        (None, Some(name)) => name,
    };
    // moto also accepts it in capitals.
    let version = match given["Version"].as_str() {
        Some("$DEFAULT") if view.dialect() == Dialect::Moto => Some("$Default"),
        version => version,
    };
    let (template, _, _) = resolve(view, named, version).map_err(|problem| {
        // Auto Scaling words EC2's error differently.
        validation(format!(
            "You must use a valid fully-formed launch template. {}",
            problem.message
        ))
    })?;
    Ok(TemplateRef {
        id: template.id.clone(),
        name: template.name.clone(),
        version: version.map(str::to_owned),
    })
}

/// A mixed instances policy as it is stored: with its template's id and name, and with the defaults that AWS shows.
pub(super) fn mixed(view: &View<'_>, policy: &Value) -> Result<Source, ApiError> {
    let mut policy = policy.clone();
    let wanted = &policy["LaunchTemplate"]["LaunchTemplateSpecification"];
    let template = template_ref(view, wanted)?;
    policy["LaunchTemplate"]["LaunchTemplateSpecification"] = json!({
        "LaunchTemplateId": template.id, "LaunchTemplateName": template.name,
        "Version": template.version.unwrap_or_else(|| "$Default".to_owned()),
    });
    if policy["LaunchTemplate"].get("Overrides").is_none() {
        policy["LaunchTemplate"]["Overrides"] = json!([]);
    }
    let overrides = policy["LaunchTemplate"]["Overrides"].as_array();
    let overrides = overrides.map_or(&[][..], Vec::as_slice);
    let weighted = overrides
        .iter()
        .filter(|given| given.get("WeightedCapacity").is_some())
        .count();
    if weighted != 0 && weighted != overrides.len() {
        return Err(validation(
            "You must specify a weighted capacity for all overrides, or for none of them.",
        ));
    }
    if overrides.len() > 40 {
        return Err(validation(
            "A mixed instances policy can have 40 overrides at most.",
        ));
    }
    // Overrides by attributes instead of shapes have no order, so the default strategy is another one.
    let has_requirements = overrides
        .iter()
        .any(|given| given.get("InstanceRequirements").is_some());
    for (name, default) in [
        (
            "OnDemandAllocationStrategy",
            json!(if has_requirements {
                "lowest-price"
            } else {
                "prioritized"
            }),
        ),
        ("OnDemandBaseCapacity", json!(0)),
        ("OnDemandPercentageAboveBaseCapacity", json!(100)),
        ("SpotAllocationStrategy", json!("lowest-price")),
    ] {
        if policy["InstancesDistribution"].get(name).is_none() {
            policy["InstancesDistribution"][name] = default;
        }
    }
    let distribution = &mut policy["InstancesDistribution"];
    if has_requirements
        && (distribution["OnDemandAllocationStrategy"] == "prioritized"
            || distribution["SpotAllocationStrategy"] == "capacity-optimized-prioritized")
    {
        return Err(validation(
            "An allocation strategy that follows the order of the overrides cannot be used with InstanceRequirements.",
        ));
    }
    if distribution["SpotAllocationStrategy"] == "lowest-price"
        && distribution.get("SpotInstancePools").is_none()
    {
        distribution["SpotInstancePools"] = json!(2);
    }
    Ok(Source::Mixed(policy))
}

/// Zones and subnets, if the call gives them. They must fit each other.
fn places(view: &View<'_>, group: &mut Group) -> Result<(), ApiError> {
    let given = &view.request.input;
    let subnets: Option<Vec<String>> = given["VPCZoneIdentifier"].as_str().map(|text| {
        let ids = text.split(',').map(|id| id.trim().to_owned());
        ids.filter(|id| !id.is_empty()).collect()
    });
    let stated = given["AvailabilityZones"].as_array().map(|names| {
        let names = names.iter().filter_map(|name| name.as_str().map(str::to_owned));
        names.collect::<Vec<String>>()
    });
    if let Some(names) = &stated
        && view.dialect() == Dialect::Aws
    {
        let known = view.state.zones(view.request.region);
        if let Some(unknown) = names.iter().find(|name| !known.contains(name)) {
            return Err(validation(format!(
                "Invalid Availability Zone: {unknown}. There are {}.",
                known.join(", ")
            )));
        }
    }
    match (subnets, stated) {
        (None, None) => return Ok(()),
        (Some(subnets), stated) if !subnets.is_empty() => {
            let mut of_subnets = Vec::new();
            for id in &subnets {
                let Some(subnet) = view.region().subnets.get(id) else {
                    return Err(validation(format!("The subnet ID '{id}' does not exist")));
                };
                if !of_subnets.contains(&subnet.zone) {
                    of_subnets.push(subnet.zone.clone());
                }
            }
            if let Some(mut names) = stated.filter(|names| !names.is_empty()) {
                names.sort();
                let mut sorted = of_subnets.clone();
                sorted.sort();
                if names != sorted {
                    return Err(validation(
                        "The availability zones of the specified subnets and the Auto Scaling group do not match",
                    ));
                }
            }
            group.zones = of_subnets;
            group.subnets = subnets;
        }
        (_, Some(names)) => {
            group.zones = names;
            group.subnets = Vec::new();
        }
        (Some(_), None) => group.subnets = Vec::new(),
    }
    Ok(())
}

fn check_kinds(text: &str) -> Result<(), ApiError> {
    for kind in text.split(',').map(str::trim) {
        if !matches!(kind, "EC2" | "ELB" | "EBS" | "VPC_LATTICE") {
            return Err(validation(format!(
                "Health check type {kind} is invalid. Valid ones are EC2, EBS, ELB and VPC_LATTICE."
            )));
        }
    }
    Ok(())
}

fn termination(names: &[Value]) -> Result<Vec<String>, ApiError> {
    let mut policies = Vec::new();
    for name in names.iter().filter_map(Value::as_str) {
        if TerminationPolicy::parse(name).is_none() {
            return Err(validation(format!(
                "Termination policy {name} is invalid. DescribeTerminationPolicyTypes names those that there are; functions are not supported by Forebay."
            )));
        }
        policies.push(name.to_owned());
    }
    if policies.is_empty() {
        policies.push("Default".to_owned());
    }
    Ok(policies)
}
