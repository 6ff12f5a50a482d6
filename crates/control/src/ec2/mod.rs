//! The part of EC2 that load balancers stand on: networks as names for slices of the address pool, instances as addresses.

mod addresses;
mod errors;
mod group_rules;
mod instance_attributes;
mod instances;
mod interfaces;
mod internet_gateways;
mod listing;
pub mod records;
mod route_tables;
mod security_groups;
mod subnets;
mod tags;
#[cfg(test)]
mod tests;
mod vpcs;
mod zones;

pub(crate) use instances::ADDRESS_TAG;
pub(crate) use tags::resource_type;

use crate::operate::{Entry, Work};

/// A new id: the prefix and 17 hexadecimal digits.
fn new_id(work: &mut Work<'_>, prefix: &str) -> String {
    format!("{prefix}-{}", work.draws.hex(17))
}

/// All operations that are served.
pub(crate) const OPERATIONS: &[Entry] = &[
    Entry::write("AssignPrivateIpAddresses", addresses::assign),
    Entry::write("AssociateRouteTable", route_tables::associate),
    Entry::write("AttachInternetGateway", internet_gateways::attach),
    Entry::write("AuthorizeSecurityGroupEgress", group_rules::authorize_egress),
    Entry::write("AuthorizeSecurityGroupIngress", group_rules::authorize_ingress),
    Entry::write("CreateInternetGateway", internet_gateways::create),
    Entry::write("CreateRoute", route_tables::create_route),
    Entry::write("CreateRouteTable", route_tables::create),
    Entry::write("CreateSecurityGroup", security_groups::create),
    Entry::write("CreateSubnet", subnets::create),
    Entry::write("CreateTags", tags::create),
    Entry::write("CreateVpc", vpcs::create),
    Entry::write("DeleteInternetGateway", internet_gateways::delete),
    Entry::write("DeleteRoute", route_tables::delete_route),
    Entry::write("DeleteRouteTable", route_tables::delete),
    Entry::write("DeleteSecurityGroup", security_groups::delete),
    Entry::write("DeleteSubnet", subnets::delete),
    Entry::write("DeleteTags", tags::delete),
    Entry::write("DeleteVpc", vpcs::delete),
    Entry::read("DescribeAccountAttributes", zones::describe_account_attributes),
    Entry::read("DescribeAvailabilityZones", zones::describe_availability_zones),
    Entry::read("DescribeImages", instance_attributes::describe_images),
    Entry::read("DescribeInstanceAttribute", instance_attributes::describe),
    Entry::read(
        "DescribeInstanceCreditSpecifications",
        instance_attributes::describe_credits,
    ),
    Entry::read("DescribeInstanceStatus", instances::describe_status),
    Entry::read("DescribeInstanceTypes", instance_attributes::describe_types),
    Entry::read("DescribeInstances", instances::describe),
    Entry::read("DescribeInternetGateways", internet_gateways::describe),
    Entry::read("DescribeNetworkAcls", vpcs::describe_network_acls),
    Entry::read("DescribeNetworkInterfaces", interfaces::describe),
    Entry::read("DescribeRegions", zones::describe_regions),
    Entry::read("DescribeRouteTables", route_tables::describe),
    Entry::read("DescribeSecurityGroupRules", group_rules::describe),
    Entry::read("DescribeSecurityGroups", security_groups::describe),
    Entry::read("DescribeSubnets", subnets::describe),
    Entry::read("DescribeTags", tags::describe),
    Entry::read("DescribeVolumes", instance_attributes::describe_volumes),
    Entry::read("DescribeVpcAttribute", vpcs::describe_attribute),
    Entry::read("DescribeVpcPeeringConnections", zones::describe_peerings),
    Entry::read("DescribeVpcs", vpcs::describe),
    Entry::write("DetachInternetGateway", internet_gateways::detach),
    Entry::write("DisassociateRouteTable", route_tables::disassociate),
    Entry::write("ModifyInstanceAttribute", instance_attributes::modify),
    Entry::write("ModifySecurityGroupRules", group_rules::modify),
    Entry::write("ModifySubnetAttribute", subnets::modify_attribute),
    Entry::write("ModifyVpcAttribute", vpcs::modify_attribute),
    Entry::write("ReplaceRoute", route_tables::replace_route),
    Entry::write("ReplaceRouteTableAssociation", route_tables::replace_association),
    Entry::write("RevokeSecurityGroupEgress", group_rules::revoke_egress),
    Entry::write("RevokeSecurityGroupIngress", group_rules::revoke_ingress),
    Entry::write("RunInstances", instances::run),
    Entry::write("StartInstances", instances::start),
    Entry::write("StopInstances", instances::stop),
    Entry::write("TerminateInstances", instances::terminate),
    Entry::write("UnassignPrivateIpAddresses", addresses::unassign),
    Entry::write(
        "UpdateSecurityGroupRuleDescriptionsEgress",
        group_rules::describe_egress_anew,
    ),
    Entry::write(
        "UpdateSecurityGroupRuleDescriptionsIngress",
        group_rules::describe_ingress_anew,
    ),
];
