//! Nodes with listed addresses, with pool addresses, and between the two.

use super::*;
use crate::testing::{Caller, REGION, text};
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeSet;

const POOL6: &str = "fd00:f0::/64";

fn given(lists: &[(char, &[&str])]) -> NodeAddresses {
    let list = |addresses: &[&str]| addresses.iter().map(|one| one.parse().unwrap()).collect();
    let zones = lists.iter();
    zones
        .map(|(letter, addresses)| (format!("{REGION}{letter}"), list(addresses)))
        .collect()
}

/// The caller's state with these node addresses, and the nodes that moved.
fn settle(caller: &mut Caller, pool6: Option<&str>, lists: &[(char, &[&str])]) -> Vec<Move> {
    let pool6 = pool6.map(|pool| pool.parse().unwrap());
    let (state, moves) = caller.state.with_nodes_at(pool6, given(lists)).unwrap();
    state.check_invariants();
    let rows = state
        .rows()
        .into_iter()
        .map(|row| (row.table, row.key, row.value.unwrap()));
    assert_eq!(State::from_rows(rows).unwrap(), state);
    caller.state = state;
    moves
}

/// A load balancer's addresses as described, by zone.
fn told(caller: &mut Caller, name: &str) -> Vec<(String, Option<String>)> {
    let answer = caller.ok("DescribeLoadBalancers", json!({"Names": [name]}));
    let zones = answer["LoadBalancers"][0]["AvailabilityZones"]
        .as_array()
        .unwrap()
        .clone();
    let one = |zone: &serde_json::Value| {
        let address = &zone["LoadBalancerAddresses"][0];
        (
            text(&address["IpAddress"]),
            address["IPv6Address"].as_str().map(str::to_owned),
        )
    };
    zones.iter().map(one).collect()
}

fn addresses(caller: &mut Caller, name: &str) -> Vec<String> {
    told(caller, name)
        .into_iter()
        .map(|(address, _)| address)
        .collect()
}

fn dual(caller: &mut Caller, name: &str, kind: &str) -> String {
    let input = json!({"Name": name, "Subnets": caller.subnets(), "IpAddressType": kind});
    text(&caller.ok("CreateLoadBalancer", input)["LoadBalancers"][0]["LoadBalancerArn"])
}

#[test]
fn nodes_have_the_addresses_that_were_given_until_there_is_none_left() {
    let mut caller = Caller::new();
    settle(&mut caller, None, &[('a', &["192.0.2.1", "192.0.2.2"])]);
    let first = caller.balancer("first");
    caller.balancer("second");
    assert_eq!(
        addresses(&mut caller, "first"),
        ["192.0.2.1", "127.64.0.36", "127.64.0.68"]
    );
    assert_eq!(
        addresses(&mut caller, "second"),
        ["192.0.2.2", "127.64.0.37", "127.64.0.69"]
    );
    let third = json!({"Name": "third", "Subnets": caller.subnets()});
    let (code, message) = caller.fails("CreateLoadBalancer", third.clone());
    assert_eq!(code, "InvalidSubnet");
    for part in [
        "Not enough IP space available in subnet-",
        "--node-addresses local-1a=",
        "--expose",
    ] {
        assert!(message.contains(part), "{message}");
    }
    // Creating a load balancer without that zone works; adding the zone fails; an address that one gives up goes to
    // another.
    let subnets = caller.subnets();
    caller.ok(
        "CreateLoadBalancer",
        json!({"Name": "third", "Subnets": subnets[1..]}),
    );
    let arn = caller
        .state
        .region(REGION)
        .load_balancers
        .values()
        .find(|one| one.name == "third")
        .unwrap()
        .arn
        .clone();
    let all = json!({"LoadBalancerArn": arn, "Subnets": subnets});
    assert_eq!(caller.fails("SetSubnets", all.clone()).0, "InvalidSubnet");
    caller.ok("DeleteLoadBalancer", json!({"LoadBalancerArn": first}));
    caller.ok("SetSubnets", all);
    assert_eq!(addresses(&mut caller, "third")[0], "192.0.2.1");
    caller.state.check_invariants();
}

#[test]
fn load_balancers_move_to_the_list_oldest_first_and_back() {
    let mut caller = Caller::new();
    for name in ["old", "young", "youngest"] {
        caller.balancer(name);
        caller.now = forebay_units::Wall(caller.now.0 + 1_000_000);
    }
    let before: Vec<_> = ["old", "young", "youngest"]
        .map(|name| addresses(&mut caller, name))
        .into();
    let names = |caller: &Caller| -> Vec<String> {
        let balancers = caller.state.region(REGION).load_balancers.clone();
        balancers.values().map(|one| one.dns_name.clone()).collect()
    };
    let dns = names(&caller);
    let moves = settle(
        &mut caller,
        None,
        &[('a', &["192.0.2.1", "192.0.2.2"]), ('b', &["192.0.2.3"])],
    );
    assert_eq!(addresses(&mut caller, "old")[..2], ["192.0.2.1", "192.0.2.3"]);
    assert_eq!(
        addresses(&mut caller, "young")[..2],
        ["192.0.2.2".to_owned(), before[1][1].clone()]
    );
    assert_eq!(addresses(&mut caller, "youngest"), before[2]);
    let left_over = moves.iter().filter(|one| one.is_left_over);
    let left_over: Vec<_> = left_over
        .map(|one| (one.balancer.as_str(), one.zone.as_str()))
        .collect();
    assert_eq!(
        left_over,
        [
            ("young", "local-1b"),
            ("youngest", "local-1a"),
            ("youngest", "local-1b")
        ]
    );
    // The data plane is told the same.
    let blueprint = caller.state.blueprint();
    assert_eq!(blueprint.balancers[0].nodes[0].address.to_string(), "192.0.2.1");
    // Reordering the list moves nothing; removing an address from it moves its node.
    settle(
        &mut caller,
        None,
        &[('a', &["192.0.2.2", "192.0.2.9"]), ('b', &["192.0.2.3"])],
    );
    assert_eq!(addresses(&mut caller, "old")[0], "192.0.2.9");
    assert_eq!(addresses(&mut caller, "young")[0], "192.0.2.2");
    // Without the list, all nodes are back in the pool, and no listed address is in use.
    let generation = caller.state.generation();
    let moves = settle(&mut caller, None, &[]);
    assert_eq!(moves.len(), 3);
    assert_eq!(addresses(&mut caller, "youngest"), before[2]);
    assert!(
        addresses(&mut caller, "old")
            .iter()
            .all(|address| address.starts_with("127.64."))
    );
    assert_eq!(names(&caller), dns);
    assert!(caller.state.generation() > generation);
    let generation = caller.state.generation();
    assert!(settle(&mut caller, None, &[]).is_empty());
    assert_eq!(caller.state.generation(), generation, "nothing changed");
}

#[test]
fn dualstack_load_balancers_have_addresses_of_both_kinds() {
    let mut caller = Caller::new();
    let none = json!({"Name": "none", "Subnets": caller.subnets(), "IpAddressType": "dualstack"});
    assert_eq!(caller.fails("CreateLoadBalancer", none).0, "InvalidSubnet");
    settle(&mut caller, Some(POOL6), &[('b', &["2001:db8::7", "192.0.2.7"])]);
    let arn = dual(&mut caller, "dual", "dualstack");
    let six = |caller: &mut Caller| -> Vec<Option<String>> {
        told(caller, "dual").into_iter().map(|(_, six)| six).collect()
    };
    let both = vec![
        ("127.64.0.4".to_owned(), Some("fd00:f0::4".to_owned())),
        ("192.0.2.7".to_owned(), Some("2001:db8::7".to_owned())),
        ("127.64.0.68".to_owned(), Some("fd00:f0::44".to_owned())),
    ];
    assert_eq!(told(&mut caller, "dual"), both);
    let nodes = &caller.state.blueprint().balancers[0].nodes;
    assert_eq!((nodes.len(), nodes[1].zone.as_str()), (6, "local-1a"));
    let interfaces = caller
        .call_of(
            forebay_awswire::Service::Ec2,
            "DescribeNetworkInterfaces",
            json!({}),
        )
        .unwrap();
    let told_six: BTreeSet<_> = (0..3)
        .map(|at| text(&interfaces["NetworkInterfaces"][at]["Ipv6Addresses"][0]["Ipv6Address"]))
        .collect();
    assert!(told_six.contains("fd00:f0::44"), "{told_six:?}");
    caller.ok(
        "SetIpAddressType",
        json!({"LoadBalancerArn": arn, "IpAddressType": "ipv4"}),
    );
    assert_eq!(six(&mut caller), [None, None, None]);
    // A load balancer without public IPv4 addresses leaves the listed ones to others.
    let input = json!({"LoadBalancerArn": arn, "IpAddressType": "dualstack-without-public-ipv4"});
    caller.ok("SetIpAddressType", input);
    assert_eq!(
        told(&mut caller, "dual")[1],
        ("127.64.0.36".to_owned(), Some("2001:db8::7".to_owned()))
    );
    caller.ok(
        "SetIpAddressType",
        json!({"LoadBalancerArn": arn, "IpAddressType": "dualstack"}),
    );
    assert_eq!(told(&mut caller, "dual"), both);
    // When the pool is removed or replaced, nodes follow.
    settle(&mut caller, Some("fd00:f1::/64"), &[]);
    assert_eq!(six(&mut caller)[2], Some("fd00:f1::44".to_owned()));
    settle(&mut caller, None, &[('c', &["2001:db8::9"])]);
    assert_eq!(six(&mut caller), [None, None, Some("2001:db8::9".to_owned())]);
    caller.ok("DeleteLoadBalancer", json!({"LoadBalancerArn": arn}));
    assert_eq!(caller.state.region(REGION).addresses.len(), 0);
}

#[test]
fn instances_and_nodes_do_not_take_each_others_addresses() {
    use forebay_awswire::Service;
    let mut caller = Caller::new();
    let subnet = caller.subnets().remove(0);
    let launch = json!({"ImageId": "ami-1", "MinCount": 1, "MaxCount": 1, "SubnetId": subnet, "InstanceType": "t3.micro"});
    let made = caller.call_of(Service::Ec2, "RunInstances", launch).unwrap();
    let eni = text(&made["Instances"][0]["NetworkInterfaces"][0]["NetworkInterfaceId"]);
    let assign = |address: &str| json!({"NetworkInterfaceId": eni, "PrivateIpAddresses": [address]});
    caller
        .call_of(Service::Ec2, "AssignPrivateIpAddresses", assign("192.0.2.1"))
        .unwrap();
    settle(&mut caller, None, &[('a', &["192.0.2.1", "192.0.2.2"])]);
    let refused = caller
        .call_of(Service::Ec2, "AssignPrivateIpAddresses", assign("192.0.2.2"))
        .unwrap_err();
    assert!(refused.message.contains("is in use"), "{refused}");
    caller.balancer("one");
    caller
        .call_of(Service::Ec2, "UnassignPrivateIpAddresses", assign("192.0.2.1"))
        .unwrap();
    caller.state.check_invariants();
    assert_eq!(addresses(&mut caller, "one")[0], "192.0.2.1");
}

/// The change of a state with load balancers that four draws stand for.
fn step(caller: &mut Caller, arns: &mut Vec<String>, (kind, a, b, c): (u8, u8, u8, u8)) {
    let subnets = caller.subnets();
    let arn = arns
        .get(usize::from(a) % arns.len().max(1))
        .cloned()
        .unwrap_or_default();
    let types = ["ipv4", "dualstack", "dualstack-without-public-ipv4"];
    let kind_of = types[usize::from(b) % 3];
    let subnets = &subnets[usize::from(c % 2)..];
    let called = match kind % 6 {
        0 | 1 => {
            let input = json!({"Name": format!("b{a}"), "Subnets": subnets, "IpAddressType": kind_of});
            let made = caller.call("CreateLoadBalancer", input);
            made.map(|made| arns.push(text(&made["LoadBalancers"][0]["LoadBalancerArn"])))
        }
        2 => caller
            .call("DeleteLoadBalancer", json!({"LoadBalancerArn": arn}))
            .map(drop),
        3 => caller
            .call("SetSubnets", json!({"LoadBalancerArn": arn, "Subnets": subnets}))
            .map(drop),
        4 => {
            let input = json!({"LoadBalancerArn": arn, "IpAddressType": kind_of});
            caller.call("SetIpAddressType", input).map(drop)
        }
        _ => {
            let all = [
                "192.0.2.1",
                "2001:db8::1",
                "192.0.2.2",
                "2001:db8::2",
                "192.0.2.3",
                "2001:db8::3",
            ];
            let (one, two) = all.split_at(usize::from(a) % 7);
            let zones = [
                (char::from(b'a' + b % 3), one),
                (char::from(b'a' + (b % 3 + 1) % 3), two),
            ];
            let lists = &zones[..usize::from(c % 3)];
            settle(
                caller,
                [None, Some(POOL6), Some("fd00:f1::/64")][usize::from(c / 3) % 3],
                lists,
            );
            Ok(())
        }
    };
    if let Err(error) = called {
        assert!(error.status < 500, "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_two_nodes_share_an_address_whatever_the_order(steps in proptest::collection::vec(any::<(u8, u8, u8, u8)>(), 1..50)) {
        let mut caller = Caller::new();
        let mut arns = Vec::new();
        for drawn in steps {
            step(&mut caller, &mut arns, drawn);
            caller.state.check_invariants();
            let blueprint = caller.state.blueprint();
            let nodes: Vec<IpAddr> = blueprint.balancers.iter().flat_map(|one| &one.nodes).map(|node| node.address).collect();
            let unique: BTreeSet<&IpAddr> = nodes.iter().collect();
            prop_assert_eq!(unique.len(), nodes.len());
        }
        // Back in the pool, each node has a pool address, and no listed address is in use.
        settle(&mut caller, None, &[]);
        for balancer in caller.state.region(REGION).load_balancers.values() {
            prop_assert!(balancer.zones.iter().all(|zone| caller.state.is_pooled(zone.address.unwrap()) && zone.address6.is_none()));
        }
    }
}
