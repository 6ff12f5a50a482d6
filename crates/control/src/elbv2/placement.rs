//! Where a load balancer is placed: subnets, security groups, address type, and its nodes' addresses.

use crate::api::context::{Tx, View};
use crate::api::errors::{configuration, validation};
use crate::ec2::records::Subnet;
use crate::elbv2::records::{BalancerKind, BalancerZone, LoadBalancer};
use crate::state::Dialect;
use core::fmt::Write as _;
use core::net::{Ipv4Addr, Ipv6Addr};
use forebay_awswire::ApiError;
use serde::Deserialize;

#[derive(Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SubnetMapping {
    #[serde(default)]
    subnet_id: String,
    allocation_id: Option<String>,
    #[serde(rename = "PrivateIPv4Address")]
    private_ipv4: Option<String>,
    #[serde(rename = "IPv6Address")]
    ipv6: Option<String>,
}

/// The longest subnet prefix for application load balancers (user guide for Application Load Balancers, "Subnets for
/// your load balancer").
const LONGEST_PREFIX: u8 = 27;

/// Subnets as calls give them: as ids, or as mappings.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct SubnetsInput {
    #[serde(default)]
    subnets: Vec<String>,
    #[serde(default)]
    subnet_mappings: Vec<SubnetMapping>,
}

/// A zone of a load balancer that is being created or changed.
pub(crate) struct ZoneSubnet {
    pub(crate) id: String,
    pub(crate) vpc_id: String,
    pub(crate) private_ipv4: Option<Ipv4Addr>,
    pub(crate) ipv6: Option<Ipv6Addr>,
    zone: String,
}

impl ZoneSubnet {
    pub(crate) fn zone(self) -> BalancerZone {
        BalancerZone {
            zone: self.zone,
            subnet_id: self.id,
            address: None,
            address6: None,
            private_ipv4: self.private_ipv4,
            ipv6: self.ipv6,
        }
    }
}

pub(crate) fn resolve_subnets(
    view: &View<'_>,
    input: &SubnetsInput,
    kind: BalancerKind,
    internal: bool,
) -> Result<Vec<ZoneSubnet>, ApiError> {
    if !input.subnets.is_empty() && !input.subnet_mappings.is_empty() {
        return Err(validation(
            "You must specify either subnets or subnet mappings, not both",
        ));
    }
    check_mappings(view, &input.subnet_mappings, kind, internal)?;
    let plain = input.subnets.iter().map(|id| (id, None));
    let mapped = input.subnet_mappings.iter();
    let mapped = mapped.map(|mapping| (&mapping.subnet_id, Some(mapping)));
    let mut found: Vec<ZoneSubnet> = Vec::new();
    for (id, mapping) in plain.chain(mapped) {
        let Some(subnet) = view.region().subnets.get(id) else {
            return Err(ApiError::sender(
                "SubnetNotFound",
                format!("The subnet ID '{id}' does not exist"),
            ));
        };
        if found.iter().any(|other| other.zone == subnet.zone) {
            return Err(configuration(
                "A load balancer cannot be attached to multiple subnets in the same Availability Zone",
            ));
        }
        if found.first().is_some_and(|first| first.vpc_id != subnet.vpc_id) {
            return Err(configuration("All subnets must belong to the same VPC"));
        }
        if kind == BalancerKind::Application
            && subnet.cidr.prefix_len() > LONGEST_PREFIX
            && view.dialect() == Dialect::Aws
        {
            let text = format!("Subnet '{id}' must have a CIDR block of at least /{LONGEST_PREFIX}");
            return Err(ApiError::sender("InvalidSubnet", text));
        }
        let (private_ipv4, ipv6) = match mapping {
            Some(mapping) => mapping.addresses(subnet)?,
            None => (None, None),
        };
        found.push(ZoneSubnet {
            id: id.clone(),
            vpc_id: subnet.vpc_id.clone(),
            zone: subnet.zone.clone(),
            private_ipv4,
            ipv6,
        });
    }
    if found.is_empty() {
        return Err(validation("At least one subnet must be specified"));
    }
    if kind == BalancerKind::Application && found.len() < 2 && view.dialect() == Dialect::Aws {
        return Err(validation(
            "At least two subnets in two different Availability Zones must be specified",
        ));
    }
    Ok(found)
}

/// Checks that a mapping's addresses fit the load balancer.
fn check_mappings(
    view: &View<'_>,
    mappings: &[SubnetMapping],
    kind: BalancerKind,
    internal: bool,
) -> Result<(), ApiError> {
    for mapping in mappings {
        if let Some(id) = &mapping.allocation_id {
            if kind == BalancerKind::Application {
                return Err(configuration(
                    "You cannot specify Elastic IP addresses for an application load balancer",
                ));
            }
            // Forebay has no Elastic IP addresses, so this one does not exist.
            if view.dialect() == Dialect::Aws {
                let text = format!("The allocation ID '{id}' does not exist");
                return Err(ApiError::sender("AllocationIdNotFound", text));
            }
        }
        let named = mapping.private_ipv4.is_some() || mapping.ipv6.is_some();
        if named && kind != BalancerKind::Network && view.dialect() == Dialect::Aws {
            return Err(configuration(
                "You can specify the addresses of a load balancer only if its type is network",
            ));
        }
        if mapping.private_ipv4.is_some() && !internal && view.dialect() == Dialect::Aws {
            return Err(configuration(
                "You can specify private IPv4 addresses only for an internal load balancer",
            ));
        }
    }
    Ok(())
}

impl SubnetMapping {
    /// The addresses that a mapping names. Both must be in the subnet.
    fn addresses(&self, subnet: &Subnet) -> Result<(Option<Ipv4Addr>, Option<Ipv6Addr>), ApiError> {
        let foreign = |address: &str| {
            configuration(format!(
                "The address '{address}' is not in the CIDR block of the subnet '{}'",
                subnet.id
            ))
        };
        let private_ipv4 = match &self.private_ipv4 {
            Some(text) => match text.parse() {
                Ok(address) if subnet.cidr.contains(&address) => Some(address),
                _ => return Err(foreign(text)),
            },
            None => None,
        };
        let ipv6 = match &self.ipv6 {
            Some(text) => match text.parse() {
                Ok(address) if subnet.ipv6_cidr.is_some_and(|block| block.contains(&address)) => {
                    Some(address)
                }
                _ => return Err(foreign(text)),
            },
            None => None,
        };
        Ok((private_ipv4, ipv6))
    }
}

pub(crate) fn resolve_security_groups(
    view: &View<'_>,
    given: Vec<String>,
    vpc_id: &str,
    kind: BalancerKind,
) -> Result<Vec<String>, ApiError> {
    let region = view.region();
    if given.is_empty() {
        let default = region
            .security_groups
            .values()
            .find(|g| g.vpc_id == vpc_id && g.name == "default");
        let default = default.filter(|_| kind == BalancerKind::Application);
        return Ok(default.map(|group| group.id.clone()).into_iter().collect());
    }
    for id in &given {
        let Some(group) = region.security_groups.get(id) else {
            let text = format!("The security group '{id}' does not exist");
            return Err(ApiError::sender("InvalidSecurityGroup", text));
        };
        if group.vpc_id != vpc_id && view.dialect() == Dialect::Aws {
            let text = format!("One or more security groups are invalid: '{id}' is not in VPC '{vpc_id}'");
            return Err(ApiError::sender("InvalidSecurityGroup", text));
        }
    }
    Ok(given)
}

pub(crate) fn check_ip_address_type<'a>(
    view: &View<'_>,
    kind: &str,
    subnets: impl Iterator<Item = &'a str>,
) -> Result<(), ApiError> {
    if kind == "ipv4" || view.dialect() == Dialect::Moto {
        return Ok(());
    }
    for id in subnets {
        let subnet = view.region().subnets.get(id);
        // Where nodes have IPv6 addresses, these come from a pool or a list, and the subnet needs no IPv6 network.
        if subnet.is_some_and(|subnet| view.state.has_ipv6(&subnet.zone)) {
            continue;
        }
        if subnet.is_none_or(|subnet| subnet.ipv6_cidr.is_none()) {
            let text =
                format!("You must specify subnets with an associated IPv6 CIDR block: '{id}' has none");
            return Err(ApiError::sender("InvalidSubnet", text));
        }
    }
    Ok(())
}

/// Gives each node the addresses that it needs, and frees those that it no longer needs.
pub(crate) fn take_addresses(tx: &mut Tx<'_>, balancer: &mut LoadBalancer) -> Result<(), ApiError> {
    if balancer.kind != BalancerKind::Application {
        return Ok(());
    }
    tx.place_nodes(balancer).map_err(|none| {
        let mut text = format!("Not enough IP space available in {}", none.subnet_id);
        if none.is_listed {
            let (version, zone) = (none.version.word(), none.zone);
            let _ = write!(
                text,
                ": each {version} address that --node-addresses gives to nodes in {zone} has one. Give it more \
                 (--node-addresses {zone}=ADDR,ADDR), or leave that out and have load balancers share the addresses of --expose by \
                 their names"
            );
        }
        ApiError::sender("InvalidSubnet", text)
    })
}
