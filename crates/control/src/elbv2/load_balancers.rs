//! Load balancers: create, delete and describe them; set subnets, security groups and address type.

use crate::api::context::{Tx, View};
use crate::api::errors::{balancers_missing, configuration, not_permitted, validation};
use crate::api::paging::{PageInput, answer, page};
use crate::api::tagging::{has_tags, put_tags};
use crate::elbv2::arns::{listener_prefix, new_balancer_arn, rule_prefix};
use crate::elbv2::attributes::attribute;
use crate::elbv2::lookup::with_prefix;
use crate::elbv2::placement::{
    SubnetsInput, ZoneSubnet, check_ip_address_type, resolve_security_groups, resolve_subnets, take_addresses,
};
use crate::elbv2::records::{BalancerKind, BalancerZone, LoadBalancer};
use crate::elbv2::tags::{TagInput, read_tags};
use crate::state::Dialect;
use forebay_awswire::ApiError;
use forebay_model::limits;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// Default page size of DescribeLoadBalancers.
const PAGE: usize = 50;
/// The hosted zone ID of load balancers' names. All have the same one: Forebay keeps no DNS records that an alias could
/// refer to.
const HOSTED_ZONE: &str = "Z00FOREBAY0000000000";

/// Whether a network load balancer's security groups also apply to traffic from PrivateLink.
const PRIVATE_LINK: &str = "EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateInput {
    #[serde(default)]
    name: String,
    #[serde(flatten)]
    subnets: SubnetsInput,
    #[serde(default)]
    security_groups: Vec<String>,
    scheme: Option<String>,
    #[serde(default)]
    tags: Vec<TagInput>,
    r#type: Option<String>,
    ip_address_type: Option<String>,
    customer_owned_ipv4_pool: Option<String>,
    ipam_pools: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DescribeInput {
    #[serde(default)]
    load_balancer_arns: Vec<String>,
    #[serde(default)]
    names: Vec<String>,
    #[serde(flatten)]
    page: PageInput,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SetInput {
    #[serde(default)]
    load_balancer_arn: String,
    #[serde(flatten)]
    subnets: SubnetsInput,
    #[serde(default)]
    security_groups: Vec<String>,
    ip_address_type: Option<String>,
    enforce_security_group_inbound_rules_on_private_link_traffic: Option<String>,
}

pub(crate) fn create_load_balancer(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let input: CreateInput = tx.input()?;
    let tags = read_tags(input.tags.clone())?;
    let mut wanted = wanted(tx, input)?;
    if let Some(existing) = tx
        .region()
        .load_balancers
        .values()
        .find(|other| other.name == wanted.name)
    {
        if existing.same_settings(&wanted) && has_tags(tx.region(), &existing.arn, &tags) {
            let state = "active";
            return Ok(json!({"LoadBalancers": [balancer_value(existing, state, tx.dialect())]}));
        }
        return Err(ApiError::sender(
            "DuplicateLoadBalancerName",
            format!(
                "A load balancer with the same name '{}' exists, but with different settings",
                wanted.name
            ),
        ));
    }
    let count = tx
        .region()
        .load_balancers
        .values()
        .filter(|other| other.kind == wanted.kind)
        .count();
    if count >= tx.state.quota(limits::BALANCERS) {
        let text = "The maximum number of load balancers has been reached";
        return Err(ApiError::sender("TooManyLoadBalancers", text));
    }
    wanted.arn = new_balancer_arn(tx, wanted.kind, &wanted.name);
    let digits = 1_000_000_000 + tx.rng.below(9_000_000_000);
    let prefix = if wanted.internal { "internal-" } else { "" };
    wanted.dns_name = format!(
        "{prefix}{}-{digits}.{}.{}",
        wanted.name,
        tx.request.region,
        tx.state.settings().domain
    );
    take_addresses(tx, &mut wanted)?;
    // No node listens before this state has been committed and published.
    let answer = json!({"LoadBalancers": [balancer_value(&wanted, "provisioning", tx.dialect())]});
    let region = tx.region_mut();
    put_tags(region, &wanted.arn, tags);
    region.load_balancers.insert(wanted.arn.clone(), Arc::new(wanted));
    Ok(answer)
}

/// The load balancer that a call describes, without its ARN, DNS name and addresses.
fn wanted(view: &View<'_>, input: CreateInput) -> Result<LoadBalancer, ApiError> {
    let kind = match input.r#type.as_deref() {
        None | Some("application") => BalancerKind::Application,
        Some("network") => BalancerKind::Network,
        Some("gateway") => BalancerKind::Gateway,
        Some(other) => return Err(validation(format!("Load balancer type '{other}' is not known"))),
    };
    check_name(&input.name)?;
    let internal = match input.scheme.as_deref() {
        None | Some("internet-facing") => kind == BalancerKind::Gateway,
        Some("internal") => true,
        Some(other) => {
            return Err(ApiError::sender(
                "InvalidScheme",
                format!("'{other}' is not a valid scheme"),
            ));
        }
    };
    if input.ipam_pools.is_some() {
        return Err(configuration(
            "IPAM pools are not supported by Forebay: leave out IpamPools",
        ));
    }
    let subnets = resolve_subnets(view, &input.subnets, kind, internal)?;
    let vpc_id = subnets[0].vpc_id.clone();
    let ip_address_type = input.ip_address_type.unwrap_or_else(|| "ipv4".to_owned());
    check_ip_address_type(
        view,
        &ip_address_type,
        subnets.iter().map(|subnet| subnet.id.as_str()),
    )?;
    let security_groups = resolve_security_groups(view, input.security_groups, &vpc_id, kind)?;
    let balancer = LoadBalancer {
        arn: String::new(),
        dns_name: String::new(),
        name: input.name,
        kind,
        internal,
        ip_address_type,
        vpc_id,
        security_groups,
        private_link_unchecked: false,
        zones: subnets.into_iter().map(ZoneSubnet::zone).collect(),
        customer_owned_pool: input.customer_owned_ipv4_pool,
        created: view.request.now,
        sequence: view.state.generation(),
        attributes: Default::default(),
        capacity: None,
    };
    Ok(balancer.sorted())
}

impl LoadBalancer {
    fn sorted(mut self) -> LoadBalancer {
        self.zones.sort_by(|a, b| a.zone.cmp(&b.zone));
        self
    }

    /// Whether creating `wanted` again would change nothing.
    fn same_settings(&self, wanted: &LoadBalancer) -> bool {
        let subnets = |balancer: &LoadBalancer| -> Vec<_> {
            let zones = balancer.zones.iter();
            zones
                .map(|zone| (zone.subnet_id.clone(), zone.private_ipv4, zone.ipv6))
                .collect()
        };
        let groups = |balancer: &LoadBalancer| {
            let mut groups = balancer.security_groups.clone();
            groups.sort();
            groups
        };
        self.kind == wanted.kind
            && self.internal == wanted.internal
            && self.ip_address_type == wanted.ip_address_type
            && self.customer_owned_pool == wanted.customer_owned_pool
            && subnets(self) == subnets(wanted)
            && groups(self) == groups(wanted)
    }
}

fn check_length(name: &str) -> Result<(), ApiError> {
    if name.chars().count() <= 32 {
        return Ok(());
    }
    Err(validation(format!(
        "The load balancer name '{name}' cannot be longer than '32' characters"
    )))
}

/// A name has up to 32 letters, digits and hyphens, no hyphen at either end, and does not begin with `internal-`.
fn check_name(name: &str) -> Result<(), ApiError> {
    check_length(name)?;
    if name.is_empty()
        || !name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    {
        return Err(validation(format!(
            "The load balancer name '{name}' can only contain characters that are alphanumeric characters and hyphens(-)"
        )));
    }
    if name.starts_with('-') || name.ends_with('-') {
        return Err(validation(format!(
            "The load balancer name '{name}' cannot begin or end with '-'"
        )));
    }
    if name.starts_with("internal-") {
        return Err(validation(format!(
            "The load balancer name '{name}' cannot begin with 'internal-'"
        )));
    }
    Ok(())
}

/// A load balancer in the API's form.
pub(crate) fn balancer_value(balancer: &LoadBalancer, state: &str, dialect: Dialect) -> Value {
    let mut value = json!({
        "LoadBalancerArn": balancer.arn,
        "DNSName": balancer.dns_name,
        "CanonicalHostedZoneId": HOSTED_ZONE,
        "CreatedTime": balancer.created.0 as f64 / 1e6,
        "LoadBalancerName": balancer.name,
        "Scheme": if balancer.internal { "internal" } else { "internet-facing" },
        "VpcId": balancer.vpc_id,
        "State": {"Code": state},
        "Type": balancer.kind.word(),
        "AvailabilityZones": zone_values(&balancer.zones, dialect),
        "SecurityGroups": balancer.security_groups,
        "IpAddressType": balancer.ip_address_type,
    });
    if let Some(pool) = &balancer.customer_owned_pool {
        value["CustomerOwnedIpv4Pool"] = json!(pool);
    }
    if dialect == Dialect::Aws && balancer.kind == BalancerKind::Network {
        value[PRIVATE_LINK] = private_link(balancer);
    }
    value
}

fn private_link(balancer: &LoadBalancer) -> Value {
    json!(if balancer.private_link_unchecked {
        "off"
    } else {
        "on"
    })
}

/// Zones with the addresses at which their nodes listen. (AWS omits the addresses for application load balancers.)
fn zone_values(zones: &[BalancerZone], dialect: Dialect) -> Vec<Value> {
    let one = |zone: &BalancerZone| {
        let mut value = json!({"ZoneName": zone.zone, "SubnetId": zone.subnet_id});
        if dialect == Dialect::Aws {
            value["LoadBalancerAddresses"] = own_addresses(zone)
                .into_iter()
                .chain(asked_addresses(zone))
                .collect();
        }
        value
    };
    zones.iter().map(one).collect()
}

/// The addresses of a zone's node.
fn own_addresses(zone: &BalancerZone) -> Option<Value> {
    let mut value = json!({"IpAddress": zone.address?});
    if let Some(address) = zone.address6 {
        value["IPv6Address"] = json!(address);
    }
    Some(value)
}

/// The addresses that were requested for a network load balancer in this zone.
fn asked_addresses(zone: &BalancerZone) -> Option<Value> {
    let mut value = json!({});
    if let Some(address) = zone.private_ipv4 {
        value["PrivateIPv4Address"] = json!(address);
    }
    if let Some(address) = zone.ipv6 {
        value["IPv6Address"] = json!(address);
    }
    (value != json!({})).then_some(value)
}

pub(crate) fn delete_load_balancer(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let input: SetInput = tx.input()?;
    let Ok(balancer) = tx.region().balancer(&input.load_balancer_arn).cloned() else {
        // Deleting a load balancer that does not exist succeeds (API reference, DeleteLoadBalancer).
        return Ok(json!({}));
    };
    if attribute(&balancer.attributes, "deletion_protection.enabled") == Some("true") {
        return Err(not_permitted(format!(
            "Load balancer '{}' cannot be deleted because deletion protection is enabled",
            balancer.arn
        )));
    }
    let listeners = with_prefix(&tx.region().listeners, &listener_prefix(&balancer.arn));
    let listeners: Vec<String> = listeners.map(|listener| listener.arn.clone()).collect();
    for listener in listeners {
        remove_listener(tx, &listener);
    }
    for address in balancer.zones.iter().flat_map(BalancerZone::node_addresses) {
        tx.free_address(address);
    }
    let region = tx.region_mut();
    region.tags.remove(&balancer.arn);
    region.load_balancers.remove(&balancer.arn);
    Ok(json!({}))
}

/// Deletes a listener, its rules and their tags.
pub(crate) fn remove_listener(tx: &mut Tx<'_>, arn: &str) {
    let rules = with_prefix(&tx.region().rules, &rule_prefix(arn));
    let rules: Vec<String> = rules.map(|rule| rule.arn.clone()).collect();
    let region = tx.region_mut();
    for rule in &rules {
        region.rules.remove(rule);
        region.tags.remove(rule);
    }
    region.listeners.remove(arn);
    region.tags.remove(arn);
}

pub(crate) fn describe_load_balancers(view: &View<'_>) -> Result<Value, ApiError> {
    let input: DescribeInput = view.input()?;
    if !input.load_balancer_arns.is_empty() && !input.names.is_empty() {
        return Err(validation(
            "Load balancer names and load balancer ARNs cannot be specified at the same time",
        ));
    }
    if input.load_balancer_arns.len() > 20 {
        return Err(validation("Up to 20 load balancer ARNs can be specified"));
    }
    if view.dialect() == Dialect::Aws {
        input.names.iter().try_for_each(|name| check_length(name))?;
    }
    let region = view.region();
    let mut balancers: Vec<&LoadBalancer> = region
        .load_balancers
        .values()
        .map(|balancer| &**balancer)
        .collect();
    for (asked, field) in [
        (
            &input.load_balancer_arns,
            (|balancer| &balancer.arn) as fn(&LoadBalancer) -> &String,
        ),
        (&input.names, |balancer| &balancer.name),
    ] {
        if asked.is_empty() {
            continue;
        }
        balancers.retain(|balancer| asked.contains(field(balancer)));
        let known = |name: &&String| !balancers.iter().any(|balancer| field(balancer) == *name);
        let missing: Vec<&str> = asked.iter().filter(known).map(String::as_str).collect();
        if !missing.is_empty() {
            return Err(balancers_missing(&missing));
        }
    }
    balancers.sort_by(|a, b| a.name.cmp(&b.name));
    let (held, next) = page(
        view,
        balancers,
        |balancer| balancer.name.clone(),
        &input.page,
        PAGE,
    )?;
    // A load balancer that can be described is active: its state was committed and published before, so its nodes
    // listen.
    let values = held
        .into_iter()
        .map(|balancer| balancer_value(balancer, "active", view.dialect()))
        .collect();
    Ok(answer("LoadBalancers", values, next))
}

pub(crate) fn set_subnets(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let input: SetInput = tx.input()?;
    let mut balancer = (**tx.region().balancer(&input.load_balancer_arn)?).clone();
    let subnets = resolve_subnets(tx, &input.subnets, balancer.kind, balancer.internal)?;
    if subnets.iter().any(|subnet| subnet.vpc_id != balancer.vpc_id) {
        return Err(configuration(
            "All subnets must belong to the load balancer's VPC",
        ));
    }
    if let Some(kind) = input.ip_address_type {
        balancer.ip_address_type = kind;
    }
    let ids = subnets.iter().map(|subnet| subnet.id.as_str());
    check_ip_address_type(tx, &balancer.ip_address_type, ids)?;
    let before = core::mem::take(&mut balancer.zones);
    let kept = |subnet: &ZoneSubnet| before.iter().find(|zone| zone.subnet_id == subnet.id);
    balancer.zones = subnets
        .into_iter()
        .map(|subnet| {
            let kept = kept(&subnet);
            let zone = subnet.zone();
            BalancerZone {
                address: kept.and_then(|before| before.address),
                address6: kept.and_then(|before| before.address6),
                private_ipv4: zone.private_ipv4.or(kept.and_then(|before| before.private_ipv4)),
                ipv6: zone.ipv6.or(kept.and_then(|before| before.ipv6)),
                ..zone
            }
        })
        .collect();
    let mut balancer = balancer.sorted();
    for zone in &before {
        let stays = balancer
            .zones
            .iter()
            .any(|other| other.subnet_id == zone.subnet_id);
        if !stays {
            zone.node_addresses().for_each(|address| tx.free_address(address));
        }
    }
    take_addresses(tx, &mut balancer)?;
    let answer = json!({
        "AvailabilityZones": zone_values(&balancer.zones, tx.dialect()),
        "IpAddressType": balancer.ip_address_type,
    });
    tx.put_balancer(balancer);
    Ok(answer)
}

pub(crate) fn set_security_groups(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let input: SetInput = tx.input()?;
    let mut balancer = (**tx.region().balancer(&input.load_balancer_arn)?).clone();
    if input.security_groups.is_empty() {
        return Err(validation("At least one security group must be specified"));
    }
    if balancer.kind == BalancerKind::Gateway {
        return Err(configuration(
            "Security groups are not supported for gateway load balancers",
        ));
    }
    balancer.security_groups =
        resolve_security_groups(tx, input.security_groups, &balancer.vpc_id, balancer.kind)?;
    let network = balancer.kind == BalancerKind::Network;
    if let Some(enforce) = input.enforce_security_group_inbound_rules_on_private_link_traffic {
        if !network {
            return Err(configuration(format!(
                "{PRIVATE_LINK} is supported only for network load balancers"
            )));
        }
        balancer.private_link_unchecked = enforce == "off";
    }
    let mut answer = json!({"SecurityGroupIds": balancer.security_groups});
    if network && tx.dialect() == Dialect::Aws {
        answer[PRIVATE_LINK] = private_link(&balancer);
    }
    tx.put_balancer(balancer);
    Ok(answer)
}

pub(crate) fn set_ip_address_type(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let input: SetInput = tx.input()?;
    let mut balancer = (**tx.region().balancer(&input.load_balancer_arn)?).clone();
    let kind = input.ip_address_type.unwrap_or_else(|| "ipv4".to_owned());
    check_ip_address_type(
        tx,
        &kind,
        balancer.zones.iter().map(|zone| zone.subnet_id.as_str()),
    )?;
    balancer.ip_address_type = kind;
    take_addresses(tx, &mut balancer)?;
    let answer = json!({"IpAddressType": balancer.ip_address_type});
    tx.put_balancer(balancer);
    Ok(answer)
}

impl Tx<'_> {
    pub(crate) fn put_balancer(&mut self, balancer: LoadBalancer) {
        self.region_mut()
            .load_balancers
            .insert(balancer.arn.clone(), Arc::new(balancer));
    }
}
