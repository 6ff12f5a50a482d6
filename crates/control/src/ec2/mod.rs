//! The part of EC2 that load balancers and Auto Scaling need: networks, which are names for slices of the address pool,
//! and instances.
//!
//! Read `records`, then `zones`, `defaults` (what a new region and VPC have), `vpcs`, `subnets`, `route_tables`,
//! `internet_gateways`; security groups in `security_groups`, `groups`, `group_rules`; instances in `launch`,
//! `instances`, `lifecycle`, `instance_addresses`, `instance_attributes`, `instance_view`, `instance_metrics`; network
//! interfaces in `interfaces` and `addresses`; launch templates in `launch_templates`, `launch_template_changes`,
//! `launch_template_view`; instance types in `instance_types` and `instance_requirements`. All describe operations
//! share `listing`; `tags` and `resource_types` are for tags.

mod addresses;
pub(crate) mod defaults;
mod group_rules;
mod groups;
mod instance_addresses;
mod instance_attributes;
pub mod instance_metrics;
pub(crate) mod instance_requirements;
pub(crate) mod instance_types;
pub(crate) mod instance_view;
pub(crate) mod instances;
mod interfaces;
mod internet_gateways;
pub(crate) mod launch;
mod launch_template_changes;
mod launch_template_view;
pub(crate) mod launch_templates;
pub(crate) mod lifecycle;
mod listing;
pub mod records;
pub(crate) mod resource_types;
mod route_tables;
mod security_groups;
mod subnets;
pub(crate) mod tags;
#[cfg(test)]
mod tests;
mod vpcs;
pub(crate) mod zones;

use crate::api::context::OperationSpec;

/// All operations that are served.
pub(crate) const OPERATIONS: &[OperationSpec] = &[
    OperationSpec::write("AssignPrivateIpAddresses", addresses::assign),
    OperationSpec::write("AssociateRouteTable", route_tables::associate),
    OperationSpec::write("AttachInternetGateway", internet_gateways::attach),
    OperationSpec::write("AuthorizeSecurityGroupEgress", group_rules::authorize_egress),
    OperationSpec::write("AuthorizeSecurityGroupIngress", group_rules::authorize_ingress),
    OperationSpec::write("CreateInternetGateway", internet_gateways::create),
    OperationSpec::write("CreateLaunchTemplate", launch_template_changes::create),
    OperationSpec::write(
        "CreateLaunchTemplateVersion",
        launch_template_changes::create_version,
    ),
    OperationSpec::write("CreateRoute", route_tables::create_route),
    OperationSpec::write("CreateRouteTable", route_tables::create),
    OperationSpec::write("CreateSecurityGroup", security_groups::create),
    OperationSpec::write("CreateSubnet", subnets::create),
    OperationSpec::write("CreateTags", tags::create),
    OperationSpec::write("CreateVpc", vpcs::create),
    OperationSpec::write("DeleteInternetGateway", internet_gateways::delete),
    OperationSpec::write("DeleteLaunchTemplate", launch_template_changes::delete),
    OperationSpec::write(
        "DeleteLaunchTemplateVersions",
        launch_template_changes::delete_versions,
    ),
    OperationSpec::write("DeleteRoute", route_tables::delete_route),
    OperationSpec::write("DeleteRouteTable", route_tables::delete),
    OperationSpec::write("DeleteSecurityGroup", security_groups::delete),
    OperationSpec::write("DeleteSubnet", subnets::delete),
    OperationSpec::write("DeleteTags", tags::delete),
    OperationSpec::write("DeleteVpc", vpcs::delete),
    OperationSpec::read("DescribeAccountAttributes", zones::describe_account_attributes),
    OperationSpec::read("DescribeAvailabilityZones", zones::describe_availability_zones),
    OperationSpec::read("DescribeImages", instance_attributes::describe_images),
    OperationSpec::read("DescribeInstanceAttribute", instance_attributes::describe),
    OperationSpec::read(
        "DescribeInstanceCreditSpecifications",
        instance_attributes::describe_credits,
    ),
    OperationSpec::read("DescribeInstanceStatus", instances::describe_status),
    OperationSpec::read(
        "DescribeInstanceTypeOfferings",
        instance_types::describe_offerings,
    ),
    OperationSpec::read("DescribeInstanceTypes", instance_types::describe),
    OperationSpec::read("DescribeInstances", instances::describe),
    OperationSpec::read("DescribeInternetGateways", internet_gateways::describe),
    OperationSpec::read(
        "DescribeLaunchTemplateVersions",
        launch_template_view::describe_versions,
    ),
    OperationSpec::read("DescribeLaunchTemplates", launch_template_view::describe),
    OperationSpec::read("DescribeNetworkAcls", vpcs::describe_network_acls),
    OperationSpec::read("DescribeNetworkInterfaces", interfaces::describe),
    OperationSpec::read("DescribeRegions", zones::describe_regions),
    OperationSpec::read("DescribeRouteTables", route_tables::describe),
    OperationSpec::read("DescribeSecurityGroupRules", group_rules::describe),
    OperationSpec::read("DescribeSecurityGroups", security_groups::describe),
    OperationSpec::read("DescribeSpotPriceHistory", instance_types::describe_spot_prices),
    OperationSpec::read("DescribeSubnets", subnets::describe),
    OperationSpec::read("DescribeTags", tags::describe),
    OperationSpec::read("DescribeVolumes", instance_attributes::describe_volumes),
    OperationSpec::read("DescribeVpcAttribute", vpcs::describe_attribute),
    OperationSpec::read("DescribeVpcPeeringConnections", zones::describe_peerings),
    OperationSpec::read("DescribeVpcs", vpcs::describe),
    OperationSpec::write("DetachInternetGateway", internet_gateways::detach),
    OperationSpec::write("DisassociateRouteTable", route_tables::disassociate),
    OperationSpec::read(
        "GetInstanceTypesFromInstanceRequirements",
        instance_types::from_requirements,
    ),
    OperationSpec::read("GetLaunchTemplateData", launch_template_view::get_data),
    OperationSpec::write("ModifyInstanceAttribute", instance_attributes::modify),
    OperationSpec::write("ModifyLaunchTemplate", launch_template_changes::modify),
    OperationSpec::write("ModifySecurityGroupRules", group_rules::modify),
    OperationSpec::write("ModifySubnetAttribute", subnets::modify_attribute),
    OperationSpec::write("ModifyVpcAttribute", vpcs::modify_attribute),
    OperationSpec::write("ReplaceRoute", route_tables::replace_route),
    OperationSpec::write("ReplaceRouteTableAssociation", route_tables::replace_association),
    OperationSpec::write("RevokeSecurityGroupEgress", group_rules::revoke_egress),
    OperationSpec::write("RevokeSecurityGroupIngress", group_rules::revoke_ingress),
    OperationSpec::write("RunInstances", launch::run),
    OperationSpec::write("StartInstances", instances::start),
    OperationSpec::write("StopInstances", instances::stop),
    OperationSpec::write("TerminateInstances", instances::terminate),
    OperationSpec::write("UnassignPrivateIpAddresses", addresses::unassign),
    OperationSpec::write(
        "UpdateSecurityGroupRuleDescriptionsEgress",
        group_rules::describe_egress_anew,
    ),
    OperationSpec::write(
        "UpdateSecurityGroupRuleDescriptionsIngress",
        group_rules::describe_ingress_anew,
    ),
];
