//! Elastic Load Balancing's operations, one file for each kind of resource, and the blueprint for the data plane.
//!
//! Read `records` first. Load balancers: `load_balancers`, `placement` (subnets and addresses), `capacity`. Listeners:
//! `listeners`, `certificates`, `policies`. Rules: `rules`, `conditions`, `actions`, `redirects`, `transforms`,
//! `rewrite_syntax`, `group_fit`. Target groups: `target_groups`, `probes`, `targets`, `function_targets`, `draining`.
//! Attributes: `attribute_table`, `balancer_attributes`, `listener_attributes`, `group_attributes`, `attributes`. For
//! all: `arns`, `lookup`, `tags`, `account_limits`. Last `blueprint` and `listener_tls`, which derive what the data
//! plane serves; `invariants` checks every state that tests reach.

mod account_limits;
mod actions;
mod arns;
pub(crate) mod attribute_table;
mod attributes;
mod balancer_attributes;
mod blueprint;
mod capacity;
mod certificates;
mod conditions;
pub(crate) mod draining;
mod function_targets;
mod group_attributes;
mod group_fit;
#[cfg(test)]
mod invariants;
mod listener_attributes;
mod listener_tls;
mod listeners;
mod load_balancers;
mod lookup;
mod placement;
mod policies;
mod probes;
pub mod records;
mod redirects;
mod rewrite_syntax;
mod rules;
pub(crate) mod tags;
mod target_groups;
pub(crate) mod targets;
#[cfg(test)]
mod tests;
mod transforms;

pub use attribute_table::{attributes, attributes_of};

use crate::api::context::OperationSpec;

/// All operations that are served.
pub(crate) const OPERATIONS: &[OperationSpec] = &[
    OperationSpec::write("AddListenerCertificates", certificates::add_listener_certificates),
    OperationSpec::write("AddTags", tags::add_tags),
    OperationSpec::write("CreateListener", listeners::create_listener),
    OperationSpec::write("CreateLoadBalancer", load_balancers::create_load_balancer),
    OperationSpec::write("CreateRule", rules::create_rule),
    OperationSpec::write("CreateTargetGroup", target_groups::create_target_group),
    OperationSpec::write("DeleteListener", listeners::delete_listener),
    OperationSpec::write("DeleteLoadBalancer", load_balancers::delete_load_balancer),
    OperationSpec::write("DeleteRule", rules::delete_rule),
    OperationSpec::write("DeleteTargetGroup", target_groups::delete_target_group),
    OperationSpec::write("DeregisterTargets", targets::deregister_targets),
    OperationSpec::read("DescribeAccountLimits", account_limits::describe_account_limits),
    OperationSpec::read(
        "DescribeCapacityReservation",
        capacity::describe_capacity_reservation,
    ),
    OperationSpec::read(
        "DescribeListenerAttributes",
        attributes::describe_listener_attributes,
    ),
    OperationSpec::read(
        "DescribeListenerCertificates",
        certificates::describe_listener_certificates,
    ),
    OperationSpec::read("DescribeListeners", listeners::describe_listeners),
    OperationSpec::read(
        "DescribeLoadBalancerAttributes",
        attributes::describe_load_balancer_attributes,
    ),
    OperationSpec::read("DescribeLoadBalancers", load_balancers::describe_load_balancers),
    OperationSpec::read("DescribeRules", rules::describe_rules),
    OperationSpec::read("DescribeSSLPolicies", policies::describe_ssl_policies),
    OperationSpec::read("DescribeTags", tags::describe_tags),
    OperationSpec::read(
        "DescribeTargetGroupAttributes",
        attributes::describe_target_group_attributes,
    ),
    OperationSpec::read("DescribeTargetGroups", target_groups::describe_target_groups),
    OperationSpec::read("DescribeTargetHealth", targets::describe_target_health),
    OperationSpec::write("ModifyCapacityReservation", capacity::modify_capacity_reservation),
    OperationSpec::write("ModifyListener", listeners::modify_listener),
    OperationSpec::write("ModifyListenerAttributes", attributes::modify_listener_attributes),
    OperationSpec::write(
        "ModifyLoadBalancerAttributes",
        attributes::modify_load_balancer_attributes,
    ),
    OperationSpec::write("ModifyRule", rules::modify_rule),
    OperationSpec::write("ModifyTargetGroup", target_groups::modify_target_group),
    OperationSpec::write(
        "ModifyTargetGroupAttributes",
        attributes::modify_target_group_attributes,
    ),
    OperationSpec::write("RegisterTargets", targets::register_targets),
    OperationSpec::write(
        "RemoveListenerCertificates",
        certificates::remove_listener_certificates,
    ),
    OperationSpec::write("RemoveTags", tags::remove_tags),
    OperationSpec::write("SetIpAddressType", load_balancers::set_ip_address_type),
    OperationSpec::write("SetRulePriorities", rules::set_rule_priorities),
    OperationSpec::write("SetSecurityGroups", load_balancers::set_security_groups),
    OperationSpec::write("SetSubnets", load_balancers::set_subnets),
];
