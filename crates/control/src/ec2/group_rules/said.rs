//! Reads the rules in a call: permissions, split into protocol, ports and peers.

use crate::Region;
use crate::api::errors::{bad, error, missing, no_group};
use crate::ec2::records::{GroupRule, Peer, SecurityGroup};
use forebay_awswire::ApiError;
use ipnet::{Ipv4Net, Ipv6Net};
use serde::Deserialize;

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Range {
    pub(super) cidr_ip: Option<String>,
    pub(super) cidr_ipv6: Option<String>,
    pub(super) prefix_list_id: Option<String>,
    pub(super) group_id: Option<String>,
    pub(super) group_name: Option<String>,
    pub(super) description: Option<String>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Permission {
    pub(super) ip_protocol: Option<String>,
    pub(super) from_port: Option<i64>,
    pub(super) to_port: Option<i64>,
    pub(super) ip_ranges: Vec<Range>,
    pub(super) ipv6_ranges: Vec<Range>,
    pub(super) prefix_list_ids: Vec<Range>,
    pub(super) user_id_group_pairs: Vec<Range>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RulesInput {
    pub(super) group_id: Option<String>,
    pub(super) group_name: Option<String>,
    #[serde(default)]
    pub(super) ip_permissions: Vec<Permission>,
    #[serde(default)]
    pub(super) security_group_rule_ids: Vec<String>,
    // The older form: one rule, without a list.
    pub(super) cidr_ip: Option<String>,
    pub(super) source_security_group_name: Option<String>,
    pub(super) ip_protocol: Option<String>,
    pub(super) from_port: Option<i64>,
    pub(super) to_port: Option<i64>,
}

impl RulesInput {
    pub(super) fn permissions(&self) -> Vec<Permission> {
        let mut all = self.ip_permissions.clone();
        if self.ip_protocol.is_some() || self.cidr_ip.is_some() || self.source_security_group_name.is_some() {
            let range = |filled: bool, range: Range| if filled { vec![range] } else { Vec::new() };
            let cidr = Range {
                cidr_ip: self.cidr_ip.clone(),
                ..Range::default()
            };
            let group = Range {
                group_name: self.source_security_group_name.clone(),
                ..Range::default()
            };
            all.push(Permission {
                ip_protocol: Some(self.ip_protocol.clone().unwrap_or_else(|| "-1".to_owned())),
                from_port: self.from_port,
                to_port: self.to_port,
                ip_ranges: range(self.cidr_ip.is_some(), cidr),
                user_id_group_pairs: range(self.source_security_group_name.is_some(), group),
                ..Permission::default()
            });
        }
        all
    }
}

/// A rule in a call, not yet part of a group.
#[derive(Clone, PartialEq)]
pub(super) struct Said {
    pub(super) protocol: String,
    pub(super) from_port: Option<i64>,
    pub(super) to_port: Option<i64>,
    pub(super) peer: Peer,
    pub(super) description: Option<String>,
}

impl Said {
    /// Whether a group's rule is the same. Rules of a group may not differ only in their descriptions.
    pub(super) fn same(&self, rule: &GroupRule) -> bool {
        (&self.protocol, self.from_port, self.to_port, &self.peer)
            == (&rule.protocol, rule.from_port, rule.to_port, &rule.peer)
    }
}

pub(super) fn protocol(given: Option<&str>) -> Result<String, ApiError> {
    let given = given.ok_or_else(|| missing("IpProtocol"))?.to_ascii_lowercase();
    let known = match given.as_str() {
        "6" => "tcp",
        "17" => "udp",
        "1" => "icmp",
        "58" => "icmpv6",
        "all" => "-1",
        name @ ("tcp" | "udp" | "icmp" | "icmpv6" | "-1") => name,
        number if number.parse::<u8>().is_ok() => number,
        other => {
            return Err(bad(format!(
                "Invalid value '{other}' for IP protocol. Unknown protocol."
            )));
        }
    };
    Ok(known.to_owned())
}

pub(super) fn ports(
    protocol: &str,
    from: Option<i64>,
    to: Option<i64>,
) -> Result<(Option<i64>, Option<i64>), ApiError> {
    match (protocol, from, to) {
        ("tcp" | "udp", Some(from), Some(to)) => {
            // Tools also write "all ports" as -1 to -1.
            if (from, to) == (-1, -1) {
                return Ok((Some(0), Some(65535)));
            }
            if !(0..=65535).contains(&from) || !(0..=65535).contains(&to) || from > to {
                return Err(bad(format!(
                    "Invalid value '{from}-{to}' for portRange. Must be ascending and within 0-65535."
                )));
            }
            Ok((Some(from), Some(to)))
        }
        ("tcp" | "udp", _, _) => Err(bad(
            "Invalid value 'Must specify both from and to ports with TCP/UDP.' for portRange.".to_owned(),
        )),
        ("icmp" | "icmpv6", from, to) => Ok((from.or(Some(-1)), to.or(Some(-1)))),
        _ => Ok((None, None)),
    }
}

pub(super) fn cidr4(text: &str) -> Result<Peer, ApiError> {
    let net: Result<Ipv4Net, _> = text.parse();
    net.map(|net| Peer::Cidr4(net.trunc().to_string()))
        .map_err(|_| bad(format!("CIDR block {text} is malformed")))
}

pub(super) fn cidr6(text: &str) -> Result<Peer, ApiError> {
    let net: Result<Ipv6Net, _> = text.parse();
    net.map(|net| Peer::Cidr6(net.trunc().to_string()))
        .map_err(|_| bad(format!("CIDR block {text} is malformed")))
}

/// There are no prefix lists: none can be created here. Rules in an older store may name one, and can still be revoked.
pub(super) fn prefix_list(region: &Region, id: String) -> Result<Peer, ApiError> {
    if !id.starts_with("pl-") {
        let text = format!("Invalid id: \"{id}\" (expecting \"pl-...\")");
        return Err(error("InvalidPrefixListId.Malformed", text));
    }
    let text = format!("The prefix list ID '{id}' does not exist");
    let peer = Peer::PrefixList(id);
    if region.group_rules.values().any(|rule| rule.peer == peer) {
        return Ok(peer);
    }
    Err(error("InvalidPrefixListID.NotFound", text))
}

pub(super) fn peer_group(region: &Region, group: &SecurityGroup, range: &Range) -> Result<Peer, ApiError> {
    let found = match (&range.group_id, &range.group_name) {
        (Some(id), _) => region.security_groups.get(id).ok_or_else(|| no_group(id))?,
        (None, Some(name)) => {
            let mut groups = region.security_groups.values();
            let found = groups.find(|other| other.vpc_id == group.vpc_id && other.name == *name);
            found.ok_or_else(|| no_group(name))?
        }
        (None, None) => return Err(missing("GroupId")),
    };
    Ok(Peer::Group(found.id.clone()))
}

/// The rules in permissions, one for each of their ranges.
pub(super) fn said(
    region: &Region,
    group: &SecurityGroup,
    permissions: &[Permission],
) -> Result<Vec<Said>, ApiError> {
    let mut all = Vec::new();
    for permission in permissions {
        let protocol = protocol(permission.ip_protocol.as_deref())?;
        let (from_port, to_port) = ports(&protocol, permission.from_port, permission.to_port)?;
        let mut add = |peer: Peer, description: &Option<String>| {
            let (protocol, description) = (protocol.clone(), description.clone());
            all.push(Said {
                protocol,
                from_port,
                to_port,
                peer,
                description,
            });
        };
        for range in &permission.ip_ranges {
            add(
                cidr4(range.cidr_ip.as_deref().ok_or_else(|| missing("CidrIp"))?)?,
                &range.description,
            );
        }
        for range in &permission.ipv6_ranges {
            add(
                cidr6(range.cidr_ipv6.as_deref().ok_or_else(|| missing("CidrIpv6"))?)?,
                &range.description,
            );
        }
        for range in &permission.prefix_list_ids {
            let id = range
                .prefix_list_id
                .clone()
                .ok_or_else(|| missing("PrefixListId"))?;
            add(prefix_list(region, id)?, &range.description);
        }
        for range in &permission.user_id_group_pairs {
            add(peer_group(region, group, range)?, &range.description);
        }
    }
    if all.is_empty() {
        return Err(missing("ipPermissions"));
    }
    Ok(all)
}
