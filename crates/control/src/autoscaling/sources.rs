//! Traffic sources: the target groups that a group's instances are registered with. Classic Load Balancers are only
//! stored.

use crate::api::context::{Tx, View};
use crate::api::errors::validation;
use crate::autoscaling::leaving::deregister_from;
use crate::autoscaling::lookup::{asked_group, listed, texts};
use crate::autoscaling::membership::register_all;
use crate::autoscaling::pass::Pass;
use crate::autoscaling::records::Group;
use forebay_awswire::ApiError;
use serde_json::{Value, json};

/// The most target groups of a group.
const LIMIT: usize = 50;

/// The target groups that CreateAutoScalingGroup names.
pub(super) fn stated(view: &View<'_>, given: &Value) -> Result<Vec<String>, ApiError> {
    let mut arns = texts(&given["TargetGroupARNs"]);
    for source in given["TrafficSources"].as_array().into_iter().flatten() {
        if let Some(arn) = target_group(source)? {
            arns.push(arn);
        }
    }
    check(view, &arns)?;
    Ok(arns)
}

/// The target group of a traffic source; `None` if it is a Classic Load Balancer.
fn target_group(source: &Value) -> Result<Option<String>, ApiError> {
    let name = source["Identifier"].as_str().unwrap_or_default();
    match source["Type"].as_str() {
        Some("elb") => Ok(None),
        Some("vpc-lattice") => Err(validation(
            "Traffic sources of VPC Lattice are not supported by Forebay.",
        )),
        None | Some("elbv2") => Ok(Some(name.to_owned())),
        Some(other) => Err(validation(format!(
            "The traffic source type {other} is invalid: it must be elb, elbv2 or vpc-lattice."
        ))),
    }
}

fn check(view: &View<'_>, arns: &[String]) -> Result<(), ApiError> {
    if arns.len() > LIMIT {
        return Err(validation(format!(
            "An Auto Scaling group can have {LIMIT} target groups at most."
        )));
    }
    for arn in arns {
        let Some(group) = view.region().target_groups.get(arn) else {
            return Err(validation(format!(
                "Provided Target Groups may not be valid. Please ensure they exist and try again: {arn}"
            )));
        };
        if group.target_type != "instance" {
            return Err(validation(format!(
                "Provided Target Groups have invalid target type '{}'. Please ensure all target groups have target type 'instance'.",
                group.target_type
            )));
        }
    }
    Ok(())
}

fn add(tx: &mut Tx<'_>, arns: Vec<String>) -> Result<(), ApiError> {
    check(tx, &arns)?;
    let mut pass = Pass::asked(tx)?;
    for arn in arns {
        if !pass.group.target_groups.contains(&arn) {
            pass.group.target_groups.push(arn);
        }
    }
    if pass.group.target_groups.len() > LIMIT {
        return Err(validation(format!(
            "An Auto Scaling group can have {LIMIT} target groups at most."
        )));
    }
    register_all(&mut pass);
    pass.finish();
    Ok(())
}

fn remove(tx: &mut Tx<'_>, arns: &[String]) -> Result<(), ApiError> {
    let mut pass = Pass::asked(tx)?;
    if let Some(unknown) = arns.iter().find(|arn| !pass.group.target_groups.contains(arn)) {
        return Err(validation(format!(
            "Trying to remove Target Groups that are not part of the group: {unknown}"
        )));
    }
    for member in pass.members() {
        for arn in arns {
            deregister_from(&mut pass, arn, &member.id);
        }
    }
    pass.group.target_groups.retain(|arn| !arns.contains(arn));
    pass.finish();
    Ok(())
}

pub(crate) fn attach_groups(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    add(tx, texts(&tx.request.input["TargetGroupARNs"]))?;
    Ok(json!({}))
}

pub(crate) fn detach_groups(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    remove(tx, &texts(&tx.request.input["TargetGroupARNs"]))?;
    Ok(json!({}))
}

/// The target groups and Classic Load Balancers in a call's traffic sources.
fn asked_sources(view: &View<'_>) -> Result<(Vec<String>, Vec<String>), ApiError> {
    let (mut arns, mut names) = (Vec::new(), Vec::new());
    for source in view.request.input["TrafficSources"]
        .as_array()
        .into_iter()
        .flatten()
    {
        match target_group(source)? {
            Some(arn) => arns.push(arn),
            None => names.push(source["Identifier"].as_str().unwrap_or_default().to_owned()),
        }
    }
    Ok((arns, names))
}

pub(crate) fn attach(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let (arns, names) = asked_sources(tx)?;
    add(tx, arns)?;
    add_classic(tx, names)?;
    Ok(json!({}))
}

pub(crate) fn detach(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let (arns, names) = asked_sources(tx)?;
    remove(tx, &arns)?;
    classic(tx, |known| known.retain(|name| !names.contains(name)))?;
    Ok(json!({}))
}

fn add_classic(tx: &mut Tx<'_>, names: Vec<String>) -> Result<(), ApiError> {
    classic(tx, |known| {
        for name in names {
            if !known.contains(&name) {
                known.push(name);
            }
        }
    })
}

fn classic(tx: &mut Tx<'_>, change: impl FnOnce(&mut Vec<String>)) -> Result<(), ApiError> {
    let mut pass = Pass::asked(tx)?;
    change(&mut pass.group.classic_balancers);
    pass.finish();
    Ok(())
}

pub(crate) fn attach_classic(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let names = texts(&tx.request.input["LoadBalancerNames"]);
    add_classic(tx, names)?;
    Ok(json!({}))
}

pub(crate) fn detach_classic(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let names = texts(&tx.request.input["LoadBalancerNames"]);
    classic(tx, |known| known.retain(|name| !names.contains(name)))?;
    Ok(json!({}))
}

/// `InService` once an instance has passed its health check there; if target groups do not decide health, once all are
/// registered.
fn state(view: &View<'_>, group: &Group) -> &'static str {
    let mut members = view.region().members_of(&group.name).peekable();
    if members.peek().is_none() || members.any(|member| member.ready.is_some()) {
        "InService"
    } else {
        "Added"
    }
}

pub(crate) fn describe_groups(view: &View<'_>) -> Result<Value, ApiError> {
    let group = asked_group(view)?;
    let state = state(view, &group);
    let mut arns = group.target_groups.clone();
    arns.sort();
    let items = arns.into_iter().map(|arn| {
        let value = json!({"LoadBalancerTargetGroupARN": arn, "State": state});
        (arn, value)
    });
    listed(view, "LoadBalancerTargetGroups", items)
}

pub(crate) fn describe_classic(view: &View<'_>) -> Result<Value, ApiError> {
    let mut names = asked_group(view)?.classic_balancers.clone();
    names.sort();
    let items = names.into_iter().map(|name| {
        let value = json!({"LoadBalancerName": name, "State": "Added"});
        (name, value)
    });
    listed(view, "LoadBalancers", items)
}

pub(crate) fn describe(view: &View<'_>) -> Result<Value, ApiError> {
    let group = asked_group(view)?;
    let kind = view.request.input["TrafficSourceType"].as_str();
    let state = state(view, &group);
    let of_groups = group.target_groups.iter().map(|arn| (arn, "elbv2", state));
    let all = of_groups.chain(group.classic_balancers.iter().map(|name| (name, "elb", "Added")));
    let mut items: Vec<(String, Value)> = all
        .filter(|(_, of, _)| kind.is_none_or(|kind| kind == *of))
        .map(|(name, of, state)| {
            let value = json!({"TrafficSource": name, "Identifier": name, "Type": of, "State": state});
            (name.clone(), value)
        })
        .collect();
    items.sort_by(|one, other| one.0.cmp(&other.0));
    listed(view, "TrafficSources", items)
}
