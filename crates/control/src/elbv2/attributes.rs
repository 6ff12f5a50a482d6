//! Attributes of load balancers, listeners and target groups: describe, check and modify.

use crate::api::context::{Tx, View};
use crate::api::errors::{configuration, validation};
use crate::elbv2::attribute_table::{
    Set, attributes, attributes_of, balancer_holder, effective, group_holder,
};
use crate::elbv2::records::{BalancerKind, LoadBalancer, TargetGroup};
use crate::settings::holder::Holder;
use crate::settings::setting::Row;
use crate::settings::values::Values;
use crate::state::Dialect;
use forebay_awswire::ApiError;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// How many attributes one call may set (from the API model).
const PER_CALL: usize = 20;

#[derive(Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PairInput {
    #[serde(default)]
    key: String,
    #[serde(default)]
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AttributesInput {
    #[serde(default)]
    load_balancer_arn: String,
    #[serde(default)]
    listener_arn: String,
    #[serde(default)]
    target_group_arn: String,
    #[serde(default)]
    attributes: Vec<PairInput>,
}

/// The value that was set for a key.
pub(crate) fn attribute<'s>(set: &'s Set, key: &str) -> Option<&'s str> {
    set.get(key).map(String::as_str)
}

fn values(set: &Set, holder: Holder, changed_default: impl Fn(&str) -> Option<&'static str>) -> Value {
    let one = |attribute: &'static Row| {
        let default = changed_default(attribute.key).unwrap_or(attribute.default);
        json!({"Key": attribute.key, "Value": set.get(attribute.key).map_or(default, String::as_str)})
    };
    attributes_of(holder).map(one).collect()
}

fn balancer_values(balancer: &LoadBalancer) -> Value {
    let changed = |key: &str| (balancer.internal && key == "ipv6.deny_all_igw_traffic").then_some("true");
    values(&balancer.attributes, balancer_holder(balancer), changed)
}

/// The attributes with the call's pairs checked and merged in. All pairs are applied, or none.
fn merged(
    before: &Set,
    pairs: &[PairInput],
    holder: Holder,
    noun: &str,
    dialect: Dialect,
) -> Result<Set, ApiError> {
    if pairs.is_empty() {
        return Err(validation("At least one attribute must be specified"));
    }
    if pairs.len() > PER_CALL {
        return Err(validation(format!(
            "Up to {PER_CALL} attributes can be specified"
        )));
    }
    let mut found = Vec::new();
    for (place, pair) in pairs.iter().enumerate() {
        let Some(attribute) = attributes_of(holder).find(|attribute| attribute.key == pair.key) else {
            return Err(unknown_key(holder, noun, &pair.key));
        };
        if pairs[..place].iter().any(|other| other.key == pair.key) {
            return Err(validation(format!(
                "{noun} attribute key '{}' was specified more than once",
                pair.key
            )));
        }
        if holder.is_group() && pair.value.is_empty() && dialect == Dialect::Aws {
            return Err(validation("A target group attribute value must be specified"));
        }
        found.push((attribute, pair));
    }
    let mut set = before.clone();
    for (attribute, pair) in found {
        check_value(attribute, &pair.value, dialect)?;
        set.insert(pair.key.clone(), pair.value.clone());
    }
    Ok(set)
}

fn unknown_key(holder: Holder, noun: &str, key: &str) -> ApiError {
    if holder == Holder::LambdaGroup && attributes_of(Holder::HttpGroup).any(|attribute| attribute.key == key)
    {
        let text = format!("A target group with target type 'lambda' does not support the attribute {key}");
        return configuration(text);
    }
    let others = || {
        attributes()
            .filter(|row| row.key == key)
            .flat_map(|row| row.holders)
    };
    // Observed on AWS: attributes of other kinds of groups are "not supported", except for GENEVE groups, where they
    // are "not recognized".
    if holder.is_group() && holder != Holder::GeneveGroup && others().any(|other| other.is_group()) {
        return configuration("The provided target group attribute is not supported");
    }
    if let Some(kind) = holder.balancer_word()
        && others().any(|other| other.balancer_word().is_some())
    {
        return configuration(format!(
            "{noun} attribute key '{key}' is not supported on load balancers with type '{kind}'"
        ));
    }
    validation(format!("{noun} attribute key '{key}' is not recognized"))
}

fn check_value(attribute: &Row, value: &str, dialect: Dialect) -> Result<(), ApiError> {
    let key = attribute.key;
    if attribute.values.read(value).is_some() {
        return Ok(());
    }
    Err(validation(match attribute.values {
        Values::Bool => format!("'{key}' value '{value}' must be 'true' or 'false'"),
        Values::AlwaysTrue if value == "false" && dialect == Dialect::Moto => return Ok(()),
        Values::AlwaysTrue => {
            let text = format!("The attribute '{key}' cannot be changed for application load balancers");
            return Err(configuration(text));
        }
        Values::OneOf(words) => {
            // AWS's own text for the one attribute whose text is known.
            let name = match (key, words) {
                ("stickiness.type", ["source_ip_dest_ip_proto", ..]) => value,
                ("stickiness.type", _) => "Stickiness type",
                _ => key,
            };
            format!("'{name}' must be one of [{}]", words.join(", "))
        }
        Values::Range(low, high) => {
            format!("'{key}' value '{value}' must be between '{low}-{high}' inclusive")
        }
        Values::OffOr(low, high) => {
            format!("'{key}' value '{value}' must be 'off' or between '{low}-{high}' inclusive")
        }
        Values::ZeroOr(low, high) => {
            format!("'{key}' value '{value}' must be 0 or between '{low}-{high}' inclusive")
        }
        Values::Text(most) => format!("'{key}' must not be longer than {most} characters"),
        Values::HeaderName => format!("'{key}' value '{value}' is not a header name"),
        Values::HeaderValue => {
            format!("'{key}' holds a character that is not allowed or is longer than 1 KB")
        }
        others => format!("'{key}' value '{value}' must be {}", others.wanted()),
    }))
}

pub(crate) fn describe_load_balancer_attributes(view: &View<'_>) -> Result<Value, ApiError> {
    let input: AttributesInput = view.input()?;
    let balancer = view.region().balancer(&input.load_balancer_arn)?;
    Ok(json!({"Attributes": balancer_values(balancer)}))
}

pub(crate) fn modify_load_balancer_attributes(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let input: AttributesInput = tx.input()?;
    let mut balancer = (**tx.region().balancer(&input.load_balancer_arn)?).clone();
    let holder = balancer_holder(&balancer);
    let noun = "Load balancer";
    balancer.attributes = merged(
        &balancer.attributes,
        &input.attributes,
        holder,
        noun,
        tx.dialect(),
    )?;
    for log in ["access_logs", "connection_logs", "health_check_logs"] {
        let part =
            |part: &str| effective(&balancer.attributes, holder, &format!("{log}.s3.{part}")).to_owned();
        if part("enabled") == "true" && part("bucket").is_empty() {
            return Err(configuration(format!(
                "{log}.s3.bucket must be specified when {log}.s3.enabled is true"
            )));
        }
        if part("prefix").contains("AWSLogs") {
            return Err(configuration(format!("{log}.s3.prefix cannot contain 'AWSLogs'")));
        }
    }
    let answer = json!({"Attributes": balancer_values(&balancer)});
    tx.put_balancer(balancer);
    Ok(answer)
}

fn listener_holder(view: &View<'_>, balancer_arn: &str, protocol: Option<&str>) -> Result<Holder, ApiError> {
    let kind = view.region().balancer(balancer_arn)?.kind;
    Ok(match (kind, protocol) {
        (BalancerKind::Application, Some("HTTPS")) => Holder::SecureListener,
        (BalancerKind::Application, _) => Holder::Listener,
        _ => Holder::PlainListener,
    })
}

pub(crate) fn describe_listener_attributes(view: &View<'_>) -> Result<Value, ApiError> {
    let input: AttributesInput = view.input()?;
    let listener = view.region().listener(&input.listener_arn)?;
    let holder = listener_holder(view, &listener.balancer_arn, listener.protocol.as_deref())?;
    Ok(json!({"Attributes": values(&listener.attributes, holder, |_| None)}))
}

pub(crate) fn modify_listener_attributes(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let input: AttributesInput = tx.input()?;
    let mut listener = (**tx.region().listener(&input.listener_arn)?).clone();
    let holder = listener_holder(tx, &listener.balancer_arn, listener.protocol.as_deref())?;
    listener.attributes = merged(
        &listener.attributes,
        &input.attributes,
        holder,
        "Listener",
        tx.dialect(),
    )?;
    let answer = json!({"Attributes": values(&listener.attributes, holder, |_| None)});
    tx.region_mut()
        .listeners
        .insert(listener.arn.clone(), Arc::new(listener));
    Ok(answer)
}

pub(crate) fn describe_target_group_attributes(view: &View<'_>) -> Result<Value, ApiError> {
    let input: AttributesInput = view.input()?;
    let group = view.region().group(&input.target_group_arn)?;
    Ok(json!({"Attributes": values(&group.attributes, group_holder(group), |_| None)}))
}

pub(crate) fn modify_target_group_attributes(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let input: AttributesInput = tx.input()?;
    let mut group = (**tx.region().group(&input.target_group_arn)?).clone();
    let holder = group_holder(&group);
    group.attributes = merged(
        &group.attributes,
        &input.attributes,
        holder,
        "Target group",
        tx.dialect(),
    )?;
    check_stickiness(&group, holder)?;
    if holder == Holder::HttpGroup {
        check_together(tx, &group)?;
    }
    let answer = json!({"Attributes": values(&group.attributes, holder, |_| None)});
    tx.region_mut()
        .target_groups
        .insert(group.arn.clone(), Arc::new(group));
    Ok(answer)
}

/// Refuses stickiness types that the group's protocol does not have.
fn check_stickiness(group: &TargetGroup, holder: Holder) -> Result<(), ApiError> {
    let kind = effective(&group.attributes, holder, "stickiness.type");
    let protocol = group.protocol.as_deref().unwrap_or("none");
    let enabled = effective(&group.attributes, holder, "stickiness.enabled") == "true";
    match (holder, kind) {
        (Holder::HttpGroup, "source_ip") | (Holder::TcpGroup, "lb_cookie" | "app_cookie") => {
            Err(configuration(format!(
                "Stickiness type '{kind}' is not supported for target groups with the {protocol} protocol"
            )))
        }
        (Holder::TcpGroup, _) if protocol == "TLS" && enabled => Err(configuration(
            "You cannot enable stickiness on target groups with the TLS protocol",
        )),
        (Holder::HttpGroup, "app_cookie") => {
            let name = effective(&group.attributes, holder, "stickiness.app_cookie.cookie_name");
            if name.is_empty() {
                return Err(configuration(
                    "You must set an application cookie name to enable stickiness of type 'app_cookie'",
                ));
            }
            if ["AWSALB", "AWSALBAPP", "AWSALBTG"]
                .iter()
                .any(|own| name.starts_with(own))
            {
                return Err(validation(format!(
                    "Application cookie name '{name}' is reserved"
                )));
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Refuses features that exclude each other (user guide for Application Load Balancers, "Target group attributes" and
/// the notes on each feature's page).
fn check_together(view: &View<'_>, group: &TargetGroup) -> Result<(), ApiError> {
    let is = |key: &str| effective(&group.attributes, Holder::HttpGroup, key);
    let algorithm = is("load_balancing.algorithm.type");
    let slow_start = is("slow_start.duration_seconds") != "0";
    let sticky = is("stickiness.enabled") == "true";
    let mitigation = is("load_balancing.algorithm.anomaly_mitigation") == "on";
    let zonal = is("load_balancing.cross_zone.enabled") == "false";
    let optimizer = group.control_port.is_some();
    let all_zones = || {
        let targets = view.region().targets_of(&group.arn);
        targets
            .into_iter()
            .any(|target| target.zone.as_deref() == Some("all"))
    };
    let (random, least) = (
        algorithm == "weighted_random",
        algorithm == "least_outstanding_requests",
    );
    let refusals: &[(bool, &str)] = &[
        (
            slow_start && random,
            "You cannot enable both slow start and weighted random algorithm on a target group",
        ),
        (
            slow_start && least,
            "You cannot enable both slow start and least outstanding requests algorithm on a target group",
        ),
        (
            sticky && random,
            "You cannot have both stickiness and weighted random algorithm enabled on the same target group.",
        ),
        (
            mitigation && !random,
            "You can enable anomaly mitigation only on target groups with the weighted random algorithm",
        ),
        (
            sticky && zonal,
            "You cannot enable stickiness on target groups for which cross-zone load balancing is off",
        ),
        (
            optimizer && algorithm != "round_robin",
            "Target groups with a target control port support only the round robin algorithm",
        ),
        (
            optimizer && sticky,
            "Target groups with a target control port do not support stickiness",
        ),
        (
            zonal && all_zones(),
            "You cannot turn off cross-zone load balancing while a target is registered for Availability Zone 'all'",
        ),
    ];
    if let Some((_, text)) = refusals.iter().find(|refusal| refusal.0) {
        return Err(configuration(*text));
    }
    check_thresholds(group)?;
    let loose = sticky.then(|| loose_rule(view, &group.arn)).flatten();
    match loose {
        Some(rule) => Err(configuration(format!(
            "This target group appears behind a rule with group stickiness disabled ({rule}). You must enable group stickiness before enabling target stickiness"
        ))),
        None => Ok(()),
    }
}

/// DNS failover must not need fewer healthy targets than routing to unhealthy targets does.
fn check_thresholds(group: &TargetGroup) -> Result<(), ApiError> {
    for part in ["count", "percentage"] {
        let number = |what: &str| {
            let key = format!("target_group_health.{what}.minimum_healthy_targets.{part}");
            effective(&group.attributes, Holder::HttpGroup, &key)
                .parse::<u32>()
                .ok()
        };
        if let (Some(dns), Some(routing)) = (number("dns_failover"), number("unhealthy_state_routing"))
            && dns < routing
        {
            return Err(configuration(format!(
                "The DNS failover threshold ({part}) must be greater than or equal to the routing failover threshold"
            )));
        }
    }
    Ok(())
}

/// A rule that forwards to this group and others without group stickiness, if there is one.
fn loose_rule(view: &View<'_>, group_arn: &str) -> Option<String> {
    let loose = |rule: &&Arc<crate::elbv2::records::Rule>| {
        rule.actions.iter().any(|stated| match &stated.action {
            forebay_model::Action::Forward(forward) => {
                forward.groups.len() > 1
                    && !forward.stickiness.enabled
                    && forward.groups.iter().any(|share| share.group_arn == group_arn)
            }
            _ => false,
        })
    };
    view.region()
        .rules
        .values()
        .find(loose)
        .map(|rule| rule.arn.clone())
}
