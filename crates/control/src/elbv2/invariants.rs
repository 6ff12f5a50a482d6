//! Properties of every reachable state. Tests check them after each operation, and after random sequences.

use crate::Region;
use crate::elbv2::arns::{listener_prefix, rule_prefix};
use crate::elbv2::records::BalancerKind;
use crate::state::State;
use crate::testing::{Caller, text};
use core::net::IpAddr;
use forebay_model::Priority;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;

impl State {
    pub(crate) fn check_invariants(&self) {
        let mut addresses = BTreeSet::new();
        for (_, region) in self.regions() {
            region.check_invariants();
            for (address, used) in &region.addresses {
                assert!(addresses.insert(address.clone()), "{address} is used twice");
                let address: IpAddr = address.parse().unwrap();
                let subnet = &region.subnets[&used.subnet_id];
                let held = subnet.slices.iter().any(|&slice| match address {
                    IpAddr::V4(address) => self.slice_addresses(slice).any(|one| one == address),
                    IpAddr::V6(address) => self.slice_addresses6(slice).any(|one| one == address),
                });
                let given = self.settings().node_addresses.get(&subnet.zone);
                let given = given.is_some_and(|given| given.contains(&address));
                assert!(
                    held || given,
                    "{address} is neither of its subnet's slices nor its zone's"
                );
            }
        }
        // The data plane can compile what it is given.
        for balancer in &self.blueprint().balancers {
            for listener in &balancer.listeners {
                assert!(
                    listener
                        .rules
                        .iter()
                        .all(|rule| forebay_routing::check(rule).is_ok())
                );
                let secure = listener.protocol == forebay_model::Protocol::Https;
                assert_eq!(listener.tls.is_some(), secure);
                let tls = listener.tls.iter();
                assert!(
                    tls.clone()
                        .all(|tls| forebay_model::policy(&tls.policy).is_some() && tls.has_default)
                );
                assert_eq!(
                    listener.rules.last().map(|rule| rule.priority),
                    Some(Priority::Default)
                );
            }
        }
    }
}

impl Region {
    fn check_invariants(&self) {
        let mut names = BTreeSet::new();
        for balancer in self.load_balancers.values() {
            assert!(
                names.insert(&balancer.name),
                "two load balancers are called {}",
                balancer.name
            );
            for zone in &balancer.zones {
                assert_eq!(zone.address.is_some(), balancer.kind == BalancerKind::Application);
                for address in zone.node_addresses() {
                    let used = &self.addresses[&address.to_string()];
                    assert_eq!((&used.owner, &used.subnet_id), (&balancer.arn, &zone.subnet_id));
                }
                assert!(zone.address6.is_none() || balancer.ip_address_type != "ipv4");
            }
        }
        // No address belongs to a resource that no longer exists.
        let nodes = self.load_balancers.values().flat_map(|balancer| &balancer.zones);
        let nodes: BTreeSet<String> = nodes
            .flat_map(|zone| zone.node_addresses())
            .map(|address| address.to_string())
            .collect();
        for (address, used) in &self.addresses {
            let is_node = used.owner.contains(":elasticloadbalancing:");
            assert_eq!(is_node, nodes.contains(address), "{address}");
        }
        for listener in self.listeners.values() {
            assert!(self.load_balancers.contains_key(&listener.balancer_arn));
            assert!(listener.arn.starts_with(&listener_prefix(&listener.balancer_arn)));
            let rules = self.rules_of(&listener.arn);
            let priorities: BTreeSet<Priority> = rules.iter().map(|rule| rule.priority).collect();
            assert_eq!(priorities.len(), rules.len(), "two rules have one priority");
            assert!(priorities.contains(&Priority::Default));
        }
        for rule in self.rules.values() {
            assert!(self.listeners.contains_key(&rule.listener_arn));
            assert!(rule.arn.starts_with(&rule_prefix(&rule.listener_arn)));
            assert!(rule.groups().all(|group| self.target_groups.contains_key(group)));
        }
        for (group, users) in self.uses() {
            assert!(users.len() <= 1, "{group} has several load balancers");
        }
        for (key, target) in &self.targets {
            assert!(self.target_groups.contains_key(&target.group_arn));
            assert_eq!(*key, target.key());
        }
        for arn in self
            .tags
            .keys()
            .filter(|key| key.contains(":elasticloadbalancing:"))
        {
            let known = self.load_balancers.contains_key(arn)
                || self.listeners.contains_key(arn)
                || self.rules.contains_key(arn)
                || self.target_groups.contains_key(arn);
            assert!(known, "tags of {arn}, which does not exist");
        }
    }
}

/// Names of resources. Draws pick among them whether the resources exist or not.
struct Names {
    balancers: Vec<String>,
    listeners: Vec<String>,
    rules: Vec<String>,
    groups: Vec<String>,
    certificate: String,
}

fn pick(names: &[String], draw: u8) -> String {
    match names.len() {
        0 => "arn:aws:elasticloadbalancing:local-1:1:none".to_owned(),
        count => names[usize::from(draw) % count].clone(),
    }
}

fn made(answer: &Value, list: &str, key: &str, names: &mut Vec<String>) {
    names.push(text(&answer[list][0][key]));
}

/// The call that a random draw stands for.
fn drawn_call(caller: &Caller, names: &Names, (kind, a, b, c): (u8, u8, u8, u8)) -> (&'static str, Value) {
    let (balancer, listener) = (pick(&names.balancers, a), pick(&names.listeners, a));
    let (rule, group) = (pick(&names.rules, a), pick(&names.groups, b));
    let forward = json!([{"Type": "forward", "TargetGroupArn": group}]);
    let target = json!([{"Id": format!("127.0.0.{}", c % 4 + 1), "Port": 8000 + u32::from(c % 2)}]);
    let tags = json!([{"Key": format!("k{}", c % 3), "Value": "v"}]);
    let subnets = caller.subnets();
    match kind % 16 {
        0 => (
            "CreateLoadBalancer",
            json!({"Name": format!("b{}", a % 4), "Subnets": subnets, "Tags": tags}),
        ),
        1 => ("DeleteLoadBalancer", json!({"LoadBalancerArn": balancer})),
        2 => (
            "CreateTargetGroup",
            json!({"Name": format!("g{}", a % 5), "Protocol": "HTTP", "Port": 80,
            "VpcId": caller.vpc(), "TargetType": "ip", "Tags": tags}),
        ),
        3 => ("DeleteTargetGroup", json!({"TargetGroupArn": group})),
        4 => (
            "CreateListener",
            json!({"LoadBalancerArn": balancer, "Protocol": "HTTPS", "Port": 80 + u32::from(c % 3),
            "Certificates": [{"CertificateArn": names.certificate}], "DefaultActions": forward}),
        ),
        5 => (
            "CreateListener",
            json!({"LoadBalancerArn": balancer, "Protocol": "HTTP",
            "Port": 80 + u32::from(c % 3), "DefaultActions": forward}),
        ),
        6 => ("DeleteListener", json!({"ListenerArn": listener})),
        7 | 8 => (
            "CreateRule",
            json!({"ListenerArn": listener, "Priority": 1 + u32::from(c % 5), "Actions": forward,
            "Conditions": [{"Field": "path-pattern", "Values": [format!("/{c}")]}], "Tags": tags}),
        ),
        9 => ("DeleteRule", json!({"RuleArn": rule})),
        10 => (
            "SetRulePriorities",
            json!({"RulePriorities": [{"RuleArn": rule, "Priority": 1 + u32::from(c % 5)},
            {"RuleArn": pick(&names.rules, b), "Priority": 1 + u32::from(a % 5)}]}),
        ),
        11 => (
            "RegisterTargets",
            json!({"TargetGroupArn": group, "Targets": target}),
        ),
        12 => (
            "DeregisterTargets",
            json!({"TargetGroupArn": group, "Targets": target}),
        ),
        13 if c % 4 == 0 => (
            "SetIpAddressType",
            json!({"LoadBalancerArn": balancer, "IpAddressType": (["ipv4", "dualstack", "dualstack-without-public-ipv4"][usize::from(b % 3)])}),
        ),
        13 => (
            "SetSubnets",
            json!({"LoadBalancerArn": balancer, "Subnets": subnets[usize::from(c % 2)..]}),
        ),
        14 if c % 2 == 0 => (
            "ModifyListener",
            json!({"ListenerArn": listener, "Port": 80 + u32::from(c % 3),
            "DefaultActions": forward}),
        ),
        14 => (
            "ModifyListener",
            json!({"ListenerArn": listener, "Protocol": "HTTPS", "SslPolicy": "ELBSecurityPolicy-TLS13-1-3-2021-06",
            "Certificates": [{"CertificateArn": names.certificate}]}),
        ),
        _ => (
            "AddTags",
            json!({"ResourceArns": [pick(&names.groups, a), balancer], "Tags": tags}),
        ),
    }
}

fn step(caller: &mut Caller, names: &mut Names, drawn: (u8, u8, u8, u8)) {
    let before = caller.state.clone();
    let (operation, input) = drawn_call(caller, names, drawn);
    match caller.call(operation, input) {
        Ok(answer) => match operation {
            "CreateLoadBalancer" => made(&answer, "LoadBalancers", "LoadBalancerArn", &mut names.balancers),
            "CreateTargetGroup" => made(&answer, "TargetGroups", "TargetGroupArn", &mut names.groups),
            "CreateListener" => made(&answer, "Listeners", "ListenerArn", &mut names.listeners),
            "CreateRule" => made(&answer, "Rules", "RuleArn", &mut names.rules),
            _ => {}
        },
        Err(error) => {
            assert!(error.status < 500, "{operation}: {error}");
            assert_eq!(
                caller.state, before,
                "{operation} failed and left something behind"
            );
        }
    }
    caller.state.check_invariants();
    // A blueprint made from the previous one equals one made from scratch.
    let made = caller.state.blueprint_since(&before, &before.blueprint());
    assert_eq!(made, caller.state.blueprint(), "{operation}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_operations_leave_a_sound_state(steps in proptest::collection::vec(any::<(u8, u8, u8, u8)>(), 1..80)) {
        let mut caller = Caller::new();
        let certificate = caller.certificate();
        let mut names = Names { balancers: vec![], listeners: vec![], rules: vec![], groups: vec![], certificate };
        for drawn in steps {
            step(&mut caller, &mut names, drawn);
        }
        for balancer in &names.balancers {
            caller.ok("DeleteLoadBalancer", json!({"LoadBalancerArn": balancer}));
        }
        for group in &names.groups {
            caller.ok("DeleteTargetGroup", json!({"TargetGroupArn": group}));
        }
        // Deleting everything leaves no rows behind.
        let rows = caller.state.rows();
        let left: Vec<&str> = rows.iter().map(|row| row.table).filter(|table| !table.starts_with("ec2.") && !table.starts_with("acm.")).collect();
        prop_assert_eq!(left, vec!["state"]);
    }
}
