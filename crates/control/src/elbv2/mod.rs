//! Elastic Load Balancing's operations, a file for each noun.

mod account_limits;
mod actions;
mod arns;
mod attribute_data;
mod attribute_table;
mod attributes;
mod balancer_tags;
mod blueprint;
mod capacity;
mod certificates;
mod conditions;
pub(crate) mod draining;
mod errors;
mod extensions;
mod group_fit;
#[cfg(test)]
mod invariants;
mod listener_tls;
mod listeners;
mod load_balancers;
mod lookup;
pub(crate) mod own_tags;
mod paging;
mod placement;
mod policies;
mod probes;
mod queue_tags;
pub mod records;
mod redirects;
mod rewrite_syntax;
mod rules;
mod tags;
mod target_groups;
mod targets;
#[cfg(test)]
mod tests;
mod transforms;

pub use attribute_data::ATTRIBUTES;
pub use attribute_table::{Attribute, Holder, Values, attributes_of};

use crate::operate::{Entry, Operation};

const fn read(name: &'static str, run: Operation) -> Entry {
    Entry {
        name,
        read: true,
        run,
    }
}

const fn write(name: &'static str, run: Operation) -> Entry {
    Entry {
        name,
        read: false,
        run,
    }
}

/// All operations that are served.
pub(crate) const OPERATIONS: &[Entry] = &[
    write("AddListenerCertificates", certificates::add_listener_certificates),
    write("AddTags", tags::add_tags),
    write("CreateListener", listeners::create_listener),
    write("CreateLoadBalancer", load_balancers::create_load_balancer),
    write("CreateRule", rules::create_rule),
    write("CreateTargetGroup", target_groups::create_target_group),
    write("DeleteListener", listeners::delete_listener),
    write("DeleteLoadBalancer", load_balancers::delete_load_balancer),
    write("DeleteRule", rules::delete_rule),
    write("DeleteTargetGroup", target_groups::delete_target_group),
    write("DeregisterTargets", targets::deregister_targets),
    read("DescribeAccountLimits", account_limits::describe_account_limits),
    read(
        "DescribeCapacityReservation",
        capacity::describe_capacity_reservation,
    ),
    read(
        "DescribeListenerAttributes",
        attributes::describe_listener_attributes,
    ),
    read(
        "DescribeListenerCertificates",
        certificates::describe_listener_certificates,
    ),
    read("DescribeListeners", listeners::describe_listeners),
    read(
        "DescribeLoadBalancerAttributes",
        attributes::describe_load_balancer_attributes,
    ),
    read("DescribeLoadBalancers", load_balancers::describe_load_balancers),
    read("DescribeRules", rules::describe_rules),
    read("DescribeSSLPolicies", policies::describe_ssl_policies),
    read("DescribeTags", tags::describe_tags),
    read(
        "DescribeTargetGroupAttributes",
        attributes::describe_target_group_attributes,
    ),
    read("DescribeTargetGroups", target_groups::describe_target_groups),
    read("DescribeTargetHealth", targets::describe_target_health),
    write("ModifyCapacityReservation", capacity::modify_capacity_reservation),
    write("ModifyListener", listeners::modify_listener),
    write("ModifyListenerAttributes", attributes::modify_listener_attributes),
    write(
        "ModifyLoadBalancerAttributes",
        attributes::modify_load_balancer_attributes,
    ),
    write("ModifyRule", rules::modify_rule),
    write("ModifyTargetGroup", target_groups::modify_target_group),
    write(
        "ModifyTargetGroupAttributes",
        attributes::modify_target_group_attributes,
    ),
    write("RegisterTargets", targets::register_targets),
    write(
        "RemoveListenerCertificates",
        certificates::remove_listener_certificates,
    ),
    write("RemoveTags", tags::remove_tags),
    write("SetIpAddressType", load_balancers::set_ip_address_type),
    write("SetRulePriorities", rules::set_rule_priorities),
    write("SetSecurityGroups", load_balancers::set_security_groups),
    write("SetSubnets", load_balancers::set_subnets),
];
