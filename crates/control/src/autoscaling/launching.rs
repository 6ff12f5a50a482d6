//! Launches: what an instance of a group is launched from, and in which zone.

use crate::api::context::View;
use crate::api::errors::validation;
use crate::api::tagging::{put_tags, stored_tags};
use crate::autoscaling::choice::{Choice, choices};
use crate::autoscaling::lookup::texts;
use crate::autoscaling::pass::{Begun, Pass};
use crate::autoscaling::records::{Group, Lifecycle, Member, Origin, Source};
use crate::autoscaling::steps::launch_failed;
use crate::ec2::launch;
use crate::ec2::launch_templates::resolve;
use forebay_awswire::{ApiError, Service};
use forebay_scaling::ZoneDistribution;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What an instance is launched from: the part of RunInstances' input that does not depend on the launch.
pub(crate) struct Origins {
    pub(crate) origin: Origin,
    pub(crate) input: Value,
}

/// The origins that a source defines.
pub(crate) fn origins(view: &View<'_>, source: &Source) -> Result<Origins, ApiError> {
    match source {
        Source::Configuration(name) => {
            let configurations = &view.region().launch_configurations;
            let configuration = configurations
                .get(name)
                .ok_or_else(|| validation(format!("Launch configuration {name} not found")))?;
            Ok(Origins {
                origin: Origin::Configuration(name.clone()),
                input: of_configuration(&configuration.data),
            })
        }
        Source::Template(template) => of_template(view, &template.id, template.version.as_deref()),
        Source::Mixed(policy) => of_source(view, &policy["LaunchTemplate"]["LaunchTemplateSpecification"]),
    }
}

pub(crate) fn of_template(view: &View<'_>, named: &str, version: Option<&str>) -> Result<Origins, ApiError> {
    let (template, number, data) = resolve(view, named, version)?;
    Ok(Origins {
        origin: Origin::Template(template.id.clone(), template.name.clone(), number),
        input: data,
    })
}

fn of_configuration(data: &Value) -> Value {
    let mut input = json!({});
    for name in ["ImageId", "InstanceType", "KeyName", "UserData", "EbsOptimized"] {
        if let Some(value) = data.get(name) {
            input[name] = value.clone();
        }
    }
    let groups = texts(&data["SecurityGroups"]);
    let (ids, names): (Vec<String>, Vec<String>) =
        groups.into_iter().partition(|group| group.starts_with("sg-"));
    input["SecurityGroupIds"] = json!(ids);
    input["SecurityGroups"] = json!(names);
    if let Some(profile) = data["IamInstanceProfile"].as_str() {
        let member = if profile.starts_with("arn:") {
            "Arn"
        } else {
            "Name"
        };
        input["IamInstanceProfile"] = json!({ member: profile });
    }
    if data.get("SpotPrice").is_some() {
        input["InstanceMarketOptions"] = json!({"MarketType": "spot"});
    }
    input
}

/// The subnet that a group uses in a zone.
fn subnet_in(view: &View<'_>, group: &Group, zone: &str) -> Option<String> {
    let region = view.region();
    if group.subnets.is_empty() {
        let mut subnets = region.subnets.values();
        return subnets
            .find(|subnet| subnet.is_default && subnet.zone == zone)
            .map(|subnet| subnet.id.clone());
    }
    let mut subnets = group.subnets.iter();
    let is_there = |id: &&String| region.subnets.get(*id).is_some_and(|subnet| subnet.zone == zone);
    subnets.find(is_there).cloned()
}

/// The group's zones, those with the fewest instances first. If zones must stay balanced, only those with the fewest.
fn zones(pass: &Pass<'_, '_>, warmed: bool) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for member in pass.tx.region().members_of(&pass.group.name) {
        if !member.state.leaves() && member.state.is_warmed() == warmed {
            *counts.entry(&member.zone).or_default() += 1;
        }
    }
    let count = |zone: &String| counts.get(zone.as_str()).copied().unwrap_or_default();
    let mut zones = pass.group.zones.clone();
    zones.sort_by_key(count);
    if zone_distribution(&pass.group) == ZoneDistribution::BalancedOnly {
        let fewest = zones.first().map(count);
        zones.retain(|zone| Some(count(zone)) == fewest);
    }
    zones
}

/// What happens when launches fail in a zone.
pub(super) fn zone_distribution(group: &Group) -> ZoneDistribution {
    let given = group.others.get("AvailabilityZoneDistribution");
    match given.and_then(|given| given["CapacityDistributionStrategy"].as_str()) {
        Some("balanced-only") => ZoneDistribution::BalancedOnly,
        _ => ZoneDistribution::BalancedBestEffort,
    }
}

/// A requested launch.
pub(super) struct Wish<'w> {
    /// The cause, for people.
    pub(super) cause: &'w str,
    /// Whether the instance is for the warm pool.
    pub(super) warmed: bool,
    /// The zone, if no other will do.
    pub(super) zone: Option<&'w str>,
    /// The subnet, if no other will do.
    pub(super) subnet: Option<&'w str>,
    /// The instance refresh that the launch belongs to, if any.
    pub(super) refresh: Option<&'w str>,
}

/// Launches one instance where it fits best. Returns its weight; `None` if the launch failed everywhere.
pub(super) fn launch(pass: &mut Pass<'_, '_>, cause: &str, warmed: bool) -> Option<u32> {
    let wish = Wish {
        cause,
        warmed,
        zone: None,
        subnet: None,
        refresh: None,
    };
    launch_as(pass, &wish).map(|member| member.weight.unwrap_or(1))
}

/// Launches one instance of the shape that the allocation strategy prefers, in the zone with the fewest instances, or
/// elsewhere if that fails. `None` if it failed everywhere.
pub(super) fn launch_as(pass: &mut Pass<'_, '_>, wish: &Wish<'_>) -> Option<Member> {
    let mut problem = match tried(pass, wish) {
        Ok(member) => return Some(member),
        Err(problem) => problem,
    };
    if problem.message.is_empty() {
        problem.message.clone_from(&problem.code);
    }
    // A failed launch becomes an activity, too, as on AWS: it is the only place where users find the reason.
    let zone = wish.zone.map(str::to_owned);
    let zone = zone
        .or_else(|| pass.group.zones.first().cloned())
        .unwrap_or_default();
    let number = pass.start(Begun {
        description: format!(
            "Launching a new EC2 instance.  Status Reason: {}",
            problem.message
        ),
        cause: wish.cause.to_owned(),
        status: "Failed",
        progress: 100,
        zone: &zone,
        subnet: None,
    });
    pass.end(Some(number), "Failed", Some(problem.message));
    launch_failed(pass);
    None
}

/// Tries the candidates in order. Returns the last error if all fail.
fn tried(pass: &mut Pass<'_, '_>, wish: &Wish<'_>) -> Result<Member, ApiError> {
    let source = pass.source();
    let origins = origins(pass.tx, &source)?;
    let zones = match wish.zone {
        Some(zone) => vec![zone.to_owned()],
        None => zones(pass, wish.warmed),
    };
    let mut problem = validation("There is no zone to launch in.");
    for zone in zones {
        let choices = match choices(pass, &source, &origins.input, &zone) {
            Ok(choices) => choices,
            Err(met) => {
                problem = met;
                continue;
            }
        };
        for choice in choices {
            match launch_in(pass, &origins, &zone, &choice, wish) {
                Ok(member) => return Ok(member),
                Err(met) => problem = met,
            }
        }
    }
    Err(problem)
}

fn launch_in(
    pass: &mut Pass<'_, '_>,
    origins: &Origins,
    zone: &str,
    choice: &Choice,
    wish: &Wish<'_>,
) -> Result<Member, ApiError> {
    let named = wish.subnet.map(str::to_owned);
    let subnet = named
        .or_else(|| subnet_in(pass.tx, &pass.group, zone))
        .ok_or_else(|| validation(format!("The group has no subnet in zone {zone}.")))?;
    let own = choice
        .template
        .as_ref()
        .map(|template| of_source(pass.tx, template));
    let own = own.transpose()?;
    let origins = own.as_ref().unwrap_or(origins);
    let mut input = origins.input.clone();
    input["MinCount"] = json!(1);
    input["MaxCount"] = json!(1);
    input["SubnetId"] = json!(subnet);
    choice.say(&mut input);
    if let Some(interfaces) = input.get_mut("NetworkInterfaces").and_then(Value::as_array_mut) {
        interfaces
            .iter_mut()
            .for_each(|interface| interface["SubnetId"] = json!(subnet));
    }
    let answer = pass.call(Service::Ec2, "RunInstances", input, launch::run)?;
    let launched = &answer["Instances"][0];
    let id = launched["InstanceId"].as_str().unwrap_or_default().to_owned();
    tag(pass, &id, &origins.origin);
    let number = pass.start(Begun {
        description: format!("Launching a new EC2 instance: {id}"),
        cause: wish.cause.to_owned(),
        status: "PreInService",
        progress: 30,
        zone,
        subnet: Some(&subnet),
    });
    let text = |name: &str| launched[name].as_str().unwrap_or_default().to_owned();
    let member = Member {
        group: pass.group.name.clone(),
        state: if wish.warmed {
            Lifecycle::WarmedPending
        } else {
            Lifecycle::Pending
        },
        since: pass.now(),
        zone: zone.to_owned(),
        instance_type: text("InstanceType"),
        image_id: text("ImageId"),
        origin: origins.origin.clone(),
        weight: choice.weight,
        is_spot: choice.is_spot,
        unhealthy: None,
        protected: pass.group.protects_new,
        in_service: None,
        ready: None,
        waiting: None,
        hooks_done: std::collections::BTreeSet::new(),
        is_ordered: false,
        activity: Some(number),
        refresh: wish.refresh.map(str::to_owned),
        replaces: None,
        // For an instance of the warm pool, the start-up is measured from when it leaves the pool.
        ordered: (!wish.warmed).then(|| pass.now()),
        was_warm: false,
        id,
    };
    pass.put(member.clone());
    Ok(member)
}

/// The origins that a policy's launch template specification defines.
pub(super) fn of_source(view: &View<'_>, given: &Value) -> Result<Origins, ApiError> {
    let id = given["LaunchTemplateId"].as_str();
    let named = id.or_else(|| given["LaunchTemplateName"].as_str());
    of_template(view, named.unwrap_or_default(), given["Version"].as_str())
}

/// Gives an instance the propagated tags of its group, and the tag that names the group.
fn tag(pass: &mut Pass<'_, '_>, id: &str, origin: &Origin) {
    let mut tags = stored_tags(pass.tx.region(), id);
    for tag in pass.group.tags.iter().filter(|tag| tag.propagate) {
        tags.insert(tag.key.clone(), tag.value.clone());
    }
    tags.insert("aws:autoscaling:groupName".to_owned(), pass.group.name.clone());
    if let Origin::Template(template, _, version) = origin {
        tags.insert("aws:ec2launchtemplate:id".to_owned(), template.clone());
        tags.insert("aws:ec2launchtemplate:version".to_owned(), version.to_string());
    }
    put_tags(pass.tx.region_mut(), id, tags);
}
