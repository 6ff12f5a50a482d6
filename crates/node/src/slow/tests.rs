use super::*;
use crate::snapshot::{ListenerView, Named};
use core::net::Ipv4Addr;
use forebay_model::{
    Action, FixedResponse, GroupSettings, HealthCheck, HealthPort, NodeBlueprint, Priority, fixtures,
};

fn target(last: u8) -> TargetBlueprint {
    fixtures::target(([10, 0, 0, last], 80))
}

fn group(targets: Vec<TargetBlueprint>) -> GroupBlueprint {
    GroupBlueprint {
        health: HealthCheck {
            port: HealthPort::At(8080),
            path: "/health".into(),
            healthy_threshold: 3,
            ..fixtures::health_check()
        },
        settings: GroupSettings {
            deregistration_delay: Duration::from_secs(60),
            ..GroupSettings::default()
        },
        zones: vec!["a".into(), "b".into()],
        ..fixtures::group("group", targets)
    }
}

fn forward() -> Action {
    fixtures::forward("group")
}

fn balancer(arn: &str, last: u8, action: Action) -> Arc<BalancerBlueprint> {
    let rules = vec![fixtures::rule(Priority::Default, action)];
    Arc::new(BalancerBlueprint {
        dns_name: format!("{arn}.test"),
        nodes: vec![NodeBlueprint {
            zone: "a".into(),
            address: [127, 64, 0, last].into(),
        }],
        ..fixtures::balancer(arn, fixtures::listener(&format!("{arn}/listener"), rules))
    })
}

fn blueprint(group: GroupBlueprint) -> Blueprint {
    Blueprint {
        generation: 1,
        balancers: vec![balancer("one", 4, forward())],
        groups: vec![Arc::new(group)],
        ..Blueprint::default()
    }
}

fn snapshot(node: &mut Node) -> Option<Arc<Snapshot>> {
    let mut latest = None;
    while let Some(output) = node.poll_output() {
        if let Output::Publish(snapshot) = output {
            latest = Some(snapshot);
        }
    }
    latest
}

fn probes(node: &mut Node) -> Vec<ProbeOrder> {
    let outputs = std::iter::from_fn(|| node.poll_output());
    outputs
        .filter_map(|output| {
            if let Output::Probe(order) = output {
                Some(order)
            } else {
                None
            }
        })
        .collect()
}

fn at(seconds: u64) -> Mono {
    Mono::from_millis(seconds * 1000)
}

fn eligible(snapshot: &Snapshot) -> Vec<String> {
    let group = &snapshot.groups[0];
    group
        .eligible
        .targets
        .iter()
        .map(|&index| group.targets[index as usize].name.clone())
        .collect()
}

#[test]
fn probes_go_out_at_a_fixed_rate_to_the_health_port() {
    let mut node = Node::new(1);
    node.apply(at(1), &blueprint(group(vec![target(1)])));
    assert_eq!(node.next_deadline(), Some(at(1)));
    node.handle_deadline(at(1));
    let order = probes(&mut node).remove(0);
    assert_eq!((order.address.port(), order.path.as_str()), (8080, "/health"));
    // The answer is late; the schedule is not shifted.
    node.handle(
        at(5),
        Event::Probed {
            target: order.target,
            result: ProbeResult::Answered(200),
        },
    );
    assert_eq!(node.next_deadline(), Some(at(31)));
    assert_eq!(
        node.health("group", "10.0.0.1", 80).unwrap().state,
        HealthState::Healthy
    );
    // After a stall, missed probes are not made up.
    node.handle_deadline(at(200));
    assert_eq!(probes(&mut node).len(), 1);
    assert_eq!(node.next_deadline(), Some(at(230)));
}

#[test]
fn a_target_that_is_told_of_clients_is_another_one() {
    let mut node = Node::new(1);
    let mut seen = Vec::new();
    for (turn, told) in [false, true, true, false].into_iter().enumerate() {
        let mut group = group(vec![target(1)]);
        group.settings.proxy_protocol = told;
        node.apply(at(turn as u64), &blueprint(group));
        node.handle_deadline(at(turn as u64));
        let outputs: Vec<Output> = std::iter::from_fn(|| node.poll_output()).collect();
        for output in outputs {
            match output {
                Output::Publish(snapshot) => {
                    let view = &snapshot.groups[0].targets[0];
                    assert_eq!((snapshot.tells_clients, view.proxy_protocol), (told, told));
                    seen.push(view.id);
                }
                Output::Probe(order) => assert_eq!(order.proxy_protocol, told),
                _ => {}
            }
        }
    }
    assert!(
        seen[0] != seen[1] && seen[1] == seen[2] && seen[2] != seen[3],
        "{seen:?}"
    );
}

#[test]
fn only_healthy_targets_get_traffic_unless_none_is() {
    let mut node = Node::new(1);
    node.apply(at(0), &blueprint(group(vec![target(1), target(2)])));
    assert_eq!(
        eligible(&snapshot(&mut node).unwrap()),
        ["10.0.0.1", "10.0.0.2"],
        "none is healthy yet: fail open"
    );
    node.handle_deadline(at(0));
    let orders = probes(&mut node);
    node.handle(
        at(0),
        Event::Probed {
            target: orders[1].target,
            result: ProbeResult::Answered(200),
        },
    );
    assert_eq!(eligible(&snapshot(&mut node).unwrap()), ["10.0.0.2"]);
    node.handle(
        at(1),
        Event::Refused {
            target: orders[1].target,
        },
    );
    assert_eq!(eligible(&snapshot(&mut node).unwrap()), ["10.0.0.1", "10.0.0.2"]);
    assert_eq!(
        node.next_deadline(),
        Some(at(2)),
        "a refused target is probed soon"
    );
    node.handle(
        at(2),
        Event::Refused {
            target: orders[1].target,
        },
    );
    assert!(
        snapshot(&mut node).is_none(),
        "nothing changed, nothing is published"
    );
}

#[test]
fn what_many_probes_have_found_is_published_once() {
    let mut node = Node::new(1);
    node.apply(at(1), &blueprint(group((1..=100).map(target).collect())));
    node.handle_deadline(at(1));
    let events = probes(&mut node).into_iter().map(|order| Event::Probed {
        target: order.target,
        result: ProbeResult::Answered(200),
    });
    node.handle_all(at(1), events);
    let outputs: Vec<Output> = core::iter::from_fn(|| node.poll_output()).collect();
    let [Output::Publish(snapshot)] = outputs.as_slice() else {
        panic!("{outputs:?}");
    };
    assert_eq!(eligible(snapshot).len(), 100);
}

#[test]
fn a_change_keeps_ids_counters_and_health_of_what_stays() {
    let mut node = Node::new(1);
    node.apply(at(0), &blueprint(group(vec![target(1), target(2)])));
    let before = snapshot(&mut node).unwrap();
    node.handle_deadline(at(0));
    for order in probes(&mut node) {
        node.handle(
            at(0),
            Event::Probed {
                target: order.target,
                result: ProbeResult::Answered(200),
            },
        );
    }
    node.apply(at(1), &blueprint(group(vec![target(2), target(3)])));
    let after = snapshot(&mut node).unwrap();
    assert_eq!(after.listeners[0].id, before.listeners[0].id);
    assert!(Arc::ptr_eq(
        after.listeners[0].rules.as_ref().unwrap(),
        before.listeners[0].rules.as_ref().unwrap()
    ));
    assert!(Arc::ptr_eq(
        &after.groups[0].targets[0].stats,
        &before.groups[0].targets[1].stats
    ));
    assert_eq!(
        eligible(&after),
        ["10.0.0.2"],
        "the new target has to prove itself, the old one has"
    );
    assert_eq!(node.health("group", "10.0.0.1", 80), None);
    assert_eq!(
        node.health("group", "10.0.0.3", 80).unwrap().state,
        HealthState::Initial
    );
}

#[test]
fn a_draining_target_is_out_at_once_and_reported_when_idle() {
    let mut node = Node::new(1);
    node.apply(at(0), &blueprint(group(vec![target(1), target(2)])));
    let stats = Arc::clone(&snapshot(&mut node).unwrap().groups[0].targets[0].stats);
    stats.in_flight.store(1, Relaxed);
    let draining = TargetBlueprint {
        draining: true,
        ..target(1)
    };
    node.apply(at(1), &blueprint(group(vec![draining, target(2)])));
    assert_eq!(eligible(&snapshot(&mut node).unwrap()), ["10.0.0.2"]);
    assert_eq!(
        node.health("group", "10.0.0.1", 80).unwrap().state,
        HealthState::Draining
    );
    let drained = |node: &mut Node| {
        let outputs: Vec<Output> = std::iter::from_fn(|| node.poll_output()).collect();
        outputs
            .iter()
            .any(|output| matches!(output, Output::Drained { target, .. } if target == "10.0.0.1"))
    };
    node.handle_deadline(at(2));
    assert!(!drained(&mut node), "a request is in flight");
    node.handle_deadline(at(61));
    assert!(
        stats.cut.load(Relaxed),
        "the delay is over: what is in flight is cut"
    );
    stats.in_flight.store(0, Relaxed);
    node.handle_deadline(at(62));
    assert!(drained(&mut node));
    // Registered again: it gets traffic after it has passed a probe.
    node.apply(at(63), &blueprint(group(vec![target(1), target(2)])));
    assert!(!stats.cut.load(Relaxed));
    assert_eq!(
        node.health("group", "10.0.0.1", 80).unwrap().state,
        HealthState::Initial
    );
}

#[test]
fn who_drains_or_gets_no_traffic_does_not_count_as_healthy() {
    let mut node = Node::new(1);
    node.apply(at(0), &blueprint(group(vec![target(1), target(2)])));
    node.handle_deadline(at(0));
    for order in probes(&mut node) {
        let result = ProbeResult::Answered(200);
        node.handle(
            at(0),
            Event::Probed {
                target: order.target,
                result,
            },
        );
    }
    let healthy = |node: &Node| node.targets().filter(|target| target.3).count();
    assert_eq!(healthy(&node), 2);
    let draining = TargetBlueprint {
        draining: true,
        ..target(1)
    };
    let drains = group(vec![draining, target(2)]);
    node.apply(at(1), &blueprint(drains.clone()));
    assert_eq!(healthy(&node), 1);
    let unused = GroupBlueprint {
        in_use: false,
        ..drains
    };
    node.apply(at(2), &blueprint(unused));
    assert_eq!(healthy(&node), 0);
}

#[test]
fn who_is_registered_again_while_it_drains_keeps_its_slots() {
    let mut node = Node::new(1);
    node.apply(at(0), &blueprint(group(vec![target(1), target(2)])));
    // Slots are counted by id.
    let ids = |node: &mut Node| {
        let snapshot = snapshot(node).unwrap();
        let targets = snapshot.groups[0].targets.iter();
        targets.map(|target| target.id).collect::<Vec<_>>()
    };
    let before = ids(&mut node);
    let draining = TargetBlueprint {
        draining: true,
        ..target(1)
    };
    node.apply(at(1), &blueprint(group(vec![draining, target(2)])));
    assert_eq!(ids(&mut node), before);
    let moved = TargetBlueprint {
        address: Some(([10, 0, 0, 9], 80).into()),
        ..target(2)
    };
    node.apply(at(2), &blueprint(group(vec![target(1), moved])));
    let after = ids(&mut node);
    assert_eq!(after[0], before[0]);
    assert_ne!(after[1], before[1], "another server");
    assert_eq!(
        node.health("group", "10.0.0.1", 80).unwrap().state,
        HealthState::Initial
    );
}

#[test]
fn without_cross_zone_a_node_keeps_to_its_zone() {
    let in_zone = |last, zone: &str| TargetBlueprint {
        zone: Some(zone.into()),
        ..target(last)
    };
    let mut zonal = group(vec![in_zone(1, "a"), in_zone(2, "b"), in_zone(3, "c")]);
    zonal.settings.cross_zone = false;
    let mut node = Node::new(1);
    node.apply(at(0), &blueprint(zonal));
    let snapshot = snapshot(&mut node).unwrap();
    let zone = snapshot.listeners[0].nodes[0].zone;
    let view = &snapshot.groups[0];
    let names: Vec<&str> = view
        .eligible(zone)
        .targets
        .iter()
        .map(|&index| view.targets[index as usize].name.as_str())
        .collect();
    assert_eq!(names, ["10.0.0.1"]);
    assert_eq!(
        node.health("group", "10.0.0.3", 80).unwrap().reason,
        Some(HealthReason::ZoneNotEnabled)
    );
}

#[test]
fn the_first_balancer_of_a_port_is_reached_at_loopback_too() {
    let fixed = || {
        Action::FixedResponse(FixedResponse {
            status: 200,
            content_type: None,
            body: None,
        })
    };
    let both = Blueprint {
        generation: 1,
        balancers: vec![balancer("one", 4, fixed()), balancer("two", 5, fixed())],
        groups: vec![],
        ..Blueprint::default()
    };
    let mut node = Node::new(1);
    node.apply(at(0), &both);
    let snapshot = snapshot(&mut node).unwrap();
    let local = |view: &ListenerView| {
        let mut nodes = view.nodes.iter();
        nodes.any(|node| node.exposed && node.address == Ipv4Addr::LOCALHOST)
    };
    assert!(local(&snapshot.listeners[0]) && !local(&snapshot.listeners[1]));
    let second = &snapshot.listeners[1];
    let named = snapshot.listeners[0].named(second.balancer.blueprint.dns_name.to_uppercase().as_bytes());
    let listener = second.id;
    let zone = second.nodes[0].zone;
    assert_eq!(
        named,
        Some(Named { listener, zone }),
        "the other is reached there by its name"
    );
    assert_eq!(snapshot.listeners[0].named(b"other"), None);
}

#[test]
fn those_who_log_probes_are_told_of_their_own_groups_only() {
    let logged = |arn: &str, last, action| {
        let mut made = (*balancer(arn, last, action)).clone();
        made.settings.health_log = Some(forebay_model::LogPlace {
            bucket: "b".into(),
            prefix: String::new(),
        });
        Arc::new(made)
    };
    let fixed = Action::FixedResponse(FixedResponse {
        status: 200,
        content_type: None,
        body: None,
    });
    let mut node = Node::new(1);
    let mut first = blueprint(group(vec![target(1)]));
    node.apply(at(1), &first);
    node.handle_deadline(at(1));
    let id = probes(&mut node).remove(0).target;
    assert!(node.watch(id, false).is_none());
    // All probes are logged, whatever load balancers want.
    assert!(
        node.watch(id, true)
            .is_some_and(|watch| watch.balancers.is_empty())
    );
    first.balancers = vec![
        logged("one", 4, forward()),
        logged("two", 5, fixed),
        balancer("three", 6, forward()),
    ];
    node.apply(at(2), &first);
    let watch = node.watch(id, false).unwrap();
    let told: Vec<&str> = watch
        .balancers
        .iter()
        .map(|told| told.0.blueprint.arn.as_str())
        .collect();
    assert_eq!(told, ["one"]);
    assert_eq!(watch.balancers[0].1.address, IpAddr::from([127, 64, 0, 4]));
    assert!(Arc::ptr_eq(&watch, &node.watch(id, false).unwrap()));
}

/// The functions that must be probed now.
fn function_probes(node: &mut Node) -> Vec<FunctionProbe> {
    core::iter::from_fn(|| node.poll_output())
        .filter_map(|output| match output {
            Output::ProbeFunction(probe) => Some(probe),
            _ => None,
        })
        .collect()
}

#[test]
fn a_function_is_looked_at_by_its_checks_alone() {
    let mut node = Node::new(1);
    let mut group = fixtures::function_group("group", "function");
    node.apply(at(1), &blueprint(group.clone()));
    node.handle_deadline(at(1));
    let view = snapshot(&mut node).unwrap();
    let health = |node: &Node| node.health("group", "function", 0).unwrap();
    // Without health checks it gets requests and is never probed.
    assert_eq!(view.groups[0].eligible.targets, [0]);
    assert!(view.groups[0].targets[0].is_function());
    assert_eq!(health(&node).reason, Some(HealthReason::HealthCheckDisabled));
    assert!(function_probes(&mut node).is_empty());
    group.health.enabled = true;
    group.settings.multi_value_headers = true;
    node.apply(at(2), &blueprint(group.clone()));
    node.handle_deadline(at(2));
    let [probe] = &function_probes(&mut node)[..] else {
        panic!("one function, one probe");
    };
    assert_eq!((&*probe.function, &*probe.group), ("function", "group"));
    assert!(probe.multi_value_headers);
    // A target that has never passed would be probed again at once.
    let (target, result) = (probe.target, ProbeResult::Failed);
    node.handle(at(3), Event::Probed { target, result });
    assert_eq!(node.next_deadline(), Some(at(32)));
    for now in [32, 62] {
        node.handle_deadline(at(now));
        assert_eq!(function_probes(&mut node).len(), 1);
        // A little sooner after its probe than the last result; it counts all the same.
        node.handle(at(now), Event::Probed { target, result });
    }
    assert_eq!(health(&node).state, HealthState::Unhealthy);
}

#[test]
fn a_deregistered_function_is_cut_at_once() {
    let mut node = Node::new(1);
    let mut group = fixtures::function_group("group", "function");
    node.apply(at(1), &blueprint(group.clone()));
    let view = snapshot(&mut node).unwrap();
    let in_flight = crate::InFlight::new(Arc::clone(&view.groups[0].targets[0]));
    group.targets[0].draining = true;
    node.apply(at(2), &blueprint(group));
    node.handle_deadline(at(2));
    assert!(in_flight.target().stats.cut.load(Relaxed));
    drop(in_flight);
    node.handle_deadline(at(3));
    let mut outputs = core::iter::from_fn(|| node.poll_output());
    assert!(outputs.any(|output| matches!(output, Output::Drained { target, .. } if target == "function")));
}
