//! Rules of security groups: authorize, revoke, modify, describe. They are stored one by one; the older form,
//! permissions, is derived. `said` parses the rules in calls.

use crate::Region;
use crate::api::arns::own_arn;
use crate::api::context::{Tx, View};
use crate::api::errors::{bad, error};
use crate::api::filtering::Item;
use crate::api::tagging::put_tags;
use crate::api::tagging::tags_value;
use crate::ec2::groups::named;
use crate::ec2::listing::{Listing, input, new_tags, strings};
use crate::ec2::records::{GroupRule, Peer};
use crate::ids::new_id;
use forebay_awswire::ApiError;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

mod said;

use said::*;

/// The most rules of one group in each direction (AWS's default quota).
const RULE_LIMIT: usize = 60;

const LISTING: Listing = Listing {
    member: "SecurityGroupRules",
    ids: "SecurityGroupRuleIds",
    missing: ("InvalidSecurityGroupRuleId.NotFound", "security group rule ID"),
};

fn rules_of<'a>(
    region: &'a Region,
    group_id: &'a str,
    egress: bool,
) -> impl Iterator<Item = &'a Arc<GroupRule>> {
    region
        .group_rules
        .values()
        .filter(move |rule| rule.group_id == group_id && rule.egress == egress)
}

pub(crate) fn authorize_ingress(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    authorize(tx, false)
}

pub(crate) fn authorize_egress(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    authorize(tx, true)
}

fn authorize(tx: &mut Tx<'_>, egress: bool) -> Result<Value, ApiError> {
    let given: RulesInput = input(tx)?;
    let group = named(
        tx.region(),
        given.group_id.as_deref(),
        given.group_name.as_deref(),
    )?;
    let said = said(tx.region(), &group, &given.permissions())?;
    let new = new_tags(tx, "security-group-rule")?;
    let mut shown = Vec::new();
    for said in said {
        if rules_of(tx.region(), &group.id, egress).any(|rule| said.same(rule)) {
            let text = format!("the specified rule \"{}\" already exists", phrase(&said));
            return Err(error("InvalidPermission.Duplicate", text));
        }
        if rules_of(tx.region(), &group.id, egress).count() >= RULE_LIMIT {
            let text = "The maximum number of rules per security group has been reached.";
            return Err(error("RulesPerSecurityGroupLimitExceeded", text));
        }
        let rule = GroupRule {
            id: new_id(tx.rng, "sgr"),
            group_id: group.id.clone(),
            egress,
            protocol: said.protocol,
            from_port: said.from_port,
            to_port: said.to_port,
            peer: said.peer,
            description: said.description,
        };
        let region = tx.region_mut();
        region.group_rules.insert(rule.id.clone(), Arc::new(rule.clone()));
        put_tags(region, &rule.id, new.clone());
        shown.push(rule_value(tx, &rule));
    }
    Ok(json!({"Return": true, "SecurityGroupRules": shown}))
}

/// The rule in AWS's words: `peer: 10.0.0.0/8, TCP, from port: 80, to port: 80, ALLOW`.
fn phrase(said: &Said) -> String {
    let (Peer::Cidr4(peer) | Peer::Cidr6(peer) | Peer::PrefixList(peer) | Peer::Group(peer)) = &said.peer;
    let ports = match (said.from_port, said.to_port) {
        (Some(from), Some(to)) => format!(", from port: {from}, to port: {to}"),
        _ => String::new(),
    };
    let protocol = if said.protocol == "-1" {
        "ALL".to_owned()
    } else {
        said.protocol.to_ascii_uppercase()
    };
    format!("peer: {peer}, {protocol}{ports}, ALLOW")
}

pub(crate) fn revoke_ingress(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    revoke(tx, false)
}

pub(crate) fn revoke_egress(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    revoke(tx, true)
}

fn revoke(tx: &mut Tx<'_>, egress: bool) -> Result<Value, ApiError> {
    let given: RulesInput = input(tx)?;
    let region = tx.region();
    let group = named(region, given.group_id.as_deref(), given.group_name.as_deref())?;
    let mut gone: Vec<Arc<GroupRule>> = Vec::new();
    for id in &given.security_group_rule_ids {
        let mut rules = rules_of(region, &group.id, egress);
        let rule = rules.find(|rule| rule.id == *id);
        gone.push(Arc::clone(rule.ok_or_else(|| no_rule(id))?));
    }
    if given.security_group_rule_ids.is_empty() {
        for said in said(region, &group, &given.permissions())? {
            let mut rules = rules_of(region, &group.id, egress);
            let rule = rules.find(|rule| said.same(rule)).ok_or_else(|| {
                error(
                    "InvalidPermission.NotFound",
                    "The specified rule does not exist in this security group.",
                )
            })?;
            gone.push(Arc::clone(rule));
        }
    }
    let region = tx.region_mut();
    for rule in &gone {
        region.group_rules.remove(&rule.id);
        region.tags.remove(&rule.id);
    }
    let shown: Vec<Value> = gone.iter().map(|rule| revoked_value(rule)).collect();
    Ok(json!({"Return": true, "RevokedSecurityGroupRules": shown}))
}

fn no_rule(id: &str) -> ApiError {
    error(
        "InvalidSecurityGroupRuleId.NotFound",
        format!("The security group rule ID '{id}' does not exist"),
    )
}

fn revoked_value(rule: &GroupRule) -> Value {
    let mut value = said_value(rule);
    value["SecurityGroupRuleId"] = json!(rule.id);
    value["GroupId"] = json!(rule.group_id);
    value["IsEgress"] = json!(rule.egress);
    if let Peer::Group(id) = &rule.peer {
        value["ReferencedGroupId"] = json!(id);
    }
    value
}

/// A rule as answers show it. Ports of rules without ports are -1, as on AWS.
fn said_value(rule: &GroupRule) -> Value {
    let mut value = json!({
        "IpProtocol": rule.protocol,
        "FromPort": rule.from_port.unwrap_or(-1),
        "ToPort": rule.to_port.unwrap_or(-1),
    });
    match &rule.peer {
        Peer::Cidr4(cidr) => value["CidrIpv4"] = json!(cidr),
        Peer::Cidr6(cidr) => value["CidrIpv6"] = json!(cidr),
        Peer::PrefixList(id) => value["PrefixListId"] = json!(id),
        Peer::Group(_) => {}
    }
    if let Some(text) = &rule.description {
        value["Description"] = json!(text);
    }
    value
}

fn rule_value(view: &View<'_>, rule: &GroupRule) -> Value {
    let account = view.request.account;
    let mut value = said_value(rule);
    value["SecurityGroupRuleId"] = json!(rule.id);
    value["SecurityGroupRuleArn"] = json!(own_arn(view, "ec2", &format!("security-group-rule/{}", rule.id)));
    value["GroupId"] = json!(rule.group_id);
    value["GroupOwnerId"] = json!(account);
    value["IsEgress"] = json!(rule.egress);
    value["Tags"] = tags_value(view.region(), &rule.id);
    if let Peer::Group(id) = &rule.peer {
        value["ReferencedGroupInfo"] = json!({"GroupId": id, "UserId": account});
    }
    value
}

pub(crate) fn describe(view: &View<'_>) -> Result<Value, ApiError> {
    let item = |rule: &Arc<GroupRule>| Item::new(&rule.id, rule_value(view, rule));
    LISTING.list(view, view.region().group_rules.values().map(item).collect())
}

/// Rules in the older form, in which rules with the same protocol and ports are combined.
pub(crate) fn permissions(view: &View<'_>, rules: &[&GroupRule]) -> Value {
    let mut sorted: Vec<&&GroupRule> = rules.iter().collect();
    let key = |rule: &GroupRule| (rule.protocol.clone(), rule.from_port, rule.to_port);
    sorted.sort_by_key(|rule| (key(rule), rule.peer.clone()));
    let together = sorted.chunk_by(|one, other| key(one) == key(other));
    together.map(|rules| permission(view, rules)).collect()
}

fn permission(view: &View<'_>, rules: &[&&GroupRule]) -> Value {
    let mut lists: [Vec<Value>; 4] = Default::default();
    for rule in rules {
        let (list, mut value) = match &rule.peer {
            Peer::Cidr4(cidr) => (0, json!({"CidrIp": cidr})),
            Peer::Cidr6(cidr) => (1, json!({"CidrIpv6": cidr})),
            Peer::PrefixList(id) => (2, json!({"PrefixListId": id})),
            Peer::Group(id) => (3, json!({"GroupId": id, "UserId": view.request.account})),
        };
        if let Some(text) = &rule.description {
            value["Description"] = json!(text);
        }
        lists[list].push(value);
    }
    let [cidrs, cidrs6, prefix_lists, groups] = lists;
    let mut value = json!({
        "IpProtocol": rules[0].protocol,
        "IpRanges": cidrs,
        "Ipv6Ranges": cidrs6,
        "PrefixListIds": prefix_lists,
        "UserIdGroupPairs": groups,
    });
    if let (Some(from), Some(to)) = (rules[0].from_port, rules[0].to_port) {
        value["FromPort"] = json!(from);
        value["ToPort"] = json!(to);
    }
    value
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ModifyInput {
    group_id: String,
    security_group_rules: Vec<Update>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Update {
    security_group_rule_id: String,
    #[serde(default)]
    security_group_rule: Wanted,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Wanted {
    ip_protocol: Option<String>,
    from_port: Option<i64>,
    to_port: Option<i64>,
    cidr_ipv4: Option<String>,
    cidr_ipv6: Option<String>,
    prefix_list_id: Option<String>,
    referenced_group_id: Option<String>,
    description: Option<String>,
}

pub(crate) fn modify(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: ModifyInput = input(tx)?;
    let group = named(tx.region(), Some(&given.group_id), None)?;
    for Update {
        security_group_rule_id: id,
        security_group_rule: wanted,
    } in given.security_group_rules
    {
        let region = tx.region();
        let rule = region
            .group_rules
            .get(&id)
            .filter(|rule| rule.group_id == group.id);
        let mut rule = Arc::clone(rule.ok_or_else(|| no_rule(&id))?);
        let protocol = protocol(wanted.ip_protocol.as_deref().or(Some(&rule.protocol)))?;
        let (from_port, to_port) = ports(&protocol, wanted.from_port, wanted.to_port)?;
        let peer = match (
            &wanted.cidr_ipv4,
            &wanted.cidr_ipv6,
            wanted.prefix_list_id,
            wanted.referenced_group_id,
        ) {
            (Some(cidr), None, None, None) => cidr4(cidr)?,
            (None, Some(cidr), None, None) => cidr6(cidr)?,
            (None, None, Some(id), None) => prefix_list(region, id)?,
            (None, None, None, Some(id)) => peer_group(
                region,
                &group,
                &Range {
                    group_id: Some(id),
                    ..Range::default()
                },
            )?,
            _ => return Err(bad("Exactly one of the rule's sources must be given.".to_owned())),
        };
        let changed = Arc::make_mut(&mut rule);
        *changed = GroupRule {
            protocol,
            from_port,
            to_port,
            peer,
            description: wanted.description,
            ..changed.clone()
        };
        let said = Said {
            protocol: changed.protocol.clone(),
            from_port,
            to_port,
            peer: changed.peer.clone(),
            description: None,
        };
        if rules_of(tx.region(), &group.id, changed.egress).any(|other| other.id != id && said.same(other)) {
            let text = format!("the specified rule \"{}\" already exists", phrase(&said));
            return Err(error("InvalidPermission.Duplicate", text));
        }
        tx.region_mut().group_rules.insert(id, rule);
    }
    Ok(json!({"Return": true}))
}

pub(crate) fn describe_ingress_anew(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    describe_anew(tx, false)
}

pub(crate) fn describe_egress_anew(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    describe_anew(tx, true)
}

/// Replaces descriptions of rules. A rule that is given without a description loses its own.
fn describe_anew(tx: &mut Tx<'_>, egress: bool) -> Result<Value, ApiError> {
    let given: RulesInput = input(tx)?;
    let group = named(
        tx.region(),
        given.group_id.as_deref(),
        given.group_name.as_deref(),
    )?;
    let by_id = tx.request.input["SecurityGroupRuleDescriptions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let mut changes: Vec<(String, Option<String>)> = Vec::new();
    for described in &by_id {
        let id = strings(&json!([described["SecurityGroupRuleId"]]))
            .pop()
            .unwrap_or_default();
        changes.push((id, described["Description"].as_str().map(str::to_owned)));
    }
    if by_id.is_empty() {
        for said in said(tx.region(), &group, &given.permissions())? {
            let mut rules = rules_of(tx.region(), &group.id, egress);
            let rule = rules.find(|rule| said.same(rule)).ok_or_else(|| {
                error(
                    "InvalidPermission.NotFound",
                    "The specified rule does not exist in this security group.",
                )
            })?;
            changes.push((rule.id.clone(), said.description));
        }
    }
    for (id, description) in changes {
        let found = rules_of(tx.region(), &group.id, egress)
            .find(|rule| rule.id == id)
            .cloned();
        let mut rule = found.ok_or_else(|| no_rule(&id))?;
        Arc::make_mut(&mut rule).description = description;
        tx.region_mut().group_rules.insert(id, rule);
    }
    Ok(json!({"Return": true}))
}
