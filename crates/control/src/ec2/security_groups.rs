//! Security groups: create, delete, describe. Their rules are in `group_rules`.

use crate::api::arns::own_arn;
use crate::api::context::{Tx, View};
use crate::api::errors::{bad, error, no_vpc};
use crate::api::filtering::Item;
use crate::api::tagging::put_tags;
use crate::api::tagging::tags_value;
use crate::ec2::group_rules::permissions;
use crate::ec2::groups::{forget, named};
use crate::ec2::listing::{Listing, input, new_tags, strings};
use crate::ec2::records::{GroupRule, Peer, SecurityGroup};
use crate::ids::new_id;
use forebay_awswire::ApiError;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

const LISTING: Listing = Listing {
    member: "SecurityGroups",
    ids: "GroupIds",
    missing: ("InvalidGroup.NotFound", "security group"),
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateInput {
    group_name: String,
    description: String,
    #[serde(default)]
    vpc_id: Option<String>,
}

pub(crate) fn create(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: CreateInput = input(tx)?;
    for (name, text) in [
        ("GroupName", &given.group_name),
        ("GroupDescription", &given.description),
    ] {
        let allowed =
            |letter: char| letter.is_ascii_alphanumeric() || "._-:/()#,@[]+=&;{}!$* ".contains(letter);
        if text.is_empty() || text.chars().count() > 255 || !text.chars().all(allowed) {
            let text = "Character sets beyond ASCII are not supported, and the length is 1 to 255.";
            return Err(bad(format!("Value for parameter {name} is invalid. {text}")));
        }
    }
    if given.group_name.starts_with("sg-") {
        return Err(bad(
            "Invalid group-name: group names must not start with 'sg-'.".to_owned()
        ));
    }
    if given.group_name == "default" {
        return Err(error(
            "InvalidGroup.Reserved",
            "The security group 'default' is reserved",
        ));
    }
    let region = tx.region();
    let vpc_id = match given.vpc_id {
        Some(id) if region.vpcs.contains_key(&id) => id,
        Some(id) => return Err(no_vpc(&id)),
        None => match region.vpcs.values().find(|vpc| vpc.is_default) {
            Some(vpc) => vpc.id.clone(),
            None => return Err(error("VPCIdNotSpecified", "No default VPC for this user")),
        },
    };
    if region
        .security_groups
        .values()
        .any(|group| group.vpc_id == vpc_id && group.name == given.group_name)
    {
        let text = format!(
            "The security group '{}' already exists for VPC '{vpc_id}'",
            given.group_name
        );
        return Err(error("InvalidGroup.Duplicate", text));
    }
    let new = new_tags(tx, "security-group")?;
    let (id, rule_id) = (new_id(tx.rng, "sg"), new_id(tx.rng, "sgr"));
    let group = SecurityGroup {
        id: id.clone(),
        vpc_id,
        name: given.group_name,
        description: given.description,
    };
    let rule = GroupRule {
        id: rule_id,
        group_id: id.clone(),
        egress: true,
        protocol: "-1".to_owned(),
        from_port: None,
        to_port: None,
        peer: Peer::Cidr4("0.0.0.0/0".to_owned()),
        description: None,
    };
    let region = tx.region_mut();
    region.group_rules.insert(rule.id.clone(), Arc::new(rule));
    region.security_groups.insert(id.clone(), Arc::new(group));
    put_tags(region, &id, new);
    Ok(json!({"GroupId": id, "SecurityGroupArn": arn(tx, &id), "Tags": tags_value(tx.region(), &id)}))
}

fn arn(view: &View<'_>, id: &str) -> String {
    own_arn(view, "ec2", &format!("security-group/{id}"))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DeleteInput {
    group_id: Option<String>,
    group_name: Option<String>,
}

pub(crate) fn delete(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: DeleteInput = input(tx)?;
    let region = tx.region();
    let group = named(region, given.group_id.as_deref(), given.group_name.as_deref())?;
    if group.name == "default" {
        let text = format!(
            "the specified group: \"{}\" name: \"default\" cannot be deleted by a user",
            group.id
        );
        return Err(error("CannotDelete", text));
    }
    let id = &group.id;
    let used = region
        .load_balancers
        .values()
        .any(|balancer| balancer.security_groups.contains(id))
        || region
            .instances
            .values()
            .any(|instance| instance.state != "terminated" && instance.security_groups.contains(id))
        || region
            .group_rules
            .values()
            .any(|rule| rule.group_id != *id && rule.peer == Peer::Group(id.clone()));
    if used {
        return Err(error(
            "DependencyViolation",
            format!("resource {id} has a dependent object"),
        ));
    }
    forget(tx.region_mut(), id);
    Ok(json!({"Return": true, "GroupId": id}))
}

pub(crate) fn describe(view: &View<'_>) -> Result<Value, ApiError> {
    let names = strings(&view.request.input["GroupNames"]);
    let region = view.region();
    for name in &names {
        named(region, None, Some(name))?;
    }
    let groups = region
        .security_groups
        .values()
        .filter(|group| names.is_empty() || names.contains(&group.name));
    LISTING.list(view, groups.map(|group| item(view, group)).collect())
}

fn item(view: &View<'_>, group: &SecurityGroup) -> Item {
    let region = view.region();
    let side = |egress: bool| -> Vec<&GroupRule> {
        let rules = region
            .group_rules
            .values()
            .filter(|rule| rule.group_id == group.id && rule.egress == egress);
        rules.map(|rule| &**rule).collect()
    };
    let value = json!({
        "GroupId": group.id,
        "GroupName": group.name,
        "Description": group.description,
        "VpcId": group.vpc_id,
        "OwnerId": view.request.account,
        "SecurityGroupArn": arn(view, &group.id),
        "IpPermissions": permissions(view, &side(false)),
        "IpPermissionsEgress": permissions(view, &side(true)),
        "Tags": tags_value(region, &group.id),
    });
    let peers = |egress: bool| {
        let names = side(egress).into_iter().filter_map(|rule| match &rule.peer {
            Peer::Group(id) => region.security_groups.get(id),
            Peer::Cidr4(_) | Peer::Cidr6(_) | Peer::PrefixList(_) => None,
        });
        names.map(|group| group.name.clone()).collect::<Vec<_>>()
    };
    let (inbound, outbound) = (peers(false), peers(true));
    Item::new(&group.id, value)
        .facts("ip-permission.group-name", inbound)
        .facts("egress.ip-permission.group-name", outbound)
}
