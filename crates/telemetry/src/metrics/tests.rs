//! The page as a whole, so that no metric changes its name, its labels or its meaning by accident.

use super::*;
use core::time::Duration;
use forebay_model::*;
use forebay_node::{
    Event, Exchange, Facts, Headers, Outcome, Output, ProbeResult, Request, Speaks, Step, WorkerState, ZoneId,
};
use forebay_units::{Mono, Wall};
use std::sync::Arc;

struct NoHeaders;

impl Headers for NoHeaders {
    fn any(&self, _: &str, _: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        false
    }
}

const ARN: &str = "arn:aws:elasticloadbalancing:local-1:000000000000:";

/// A load balancer with one listener and one group of one target, where one request may be at work and one may wait.
fn blueprint() -> Blueprint {
    let group = format!("{ARN}targetgroup/g/1");
    let action = Action::Forward(Forward {
        groups: vec![WeightedGroup {
            group_arn: group.clone(),
            weight: 1,
        }],
        stickiness: ForwardStickiness::default(),
    });
    let rule = RuleBlueprint {
        arn: String::new(),
        priority: Priority::Default,
        conditions: vec![],
        action,
        transforms: vec![],
    };
    let listener = ListenerBlueprint {
        arn: format!("{ARN}listener/app/b/1/2"),
        protocol: Protocol::Http,
        port: 80,
        tls: None,
        rules: vec![rule],
        settings: ListenerSettings::default(),
    };
    let queue = QueueSettings {
        length: 1,
        wait: Duration::from_secs(2),
        ..QueueSettings::of(Concurrency::Fixed(1))
    };
    let target = TargetBlueprint {
        id: "10.0.0.1".into(),
        port: 80,
        address: Some(([10, 0, 0, 1], 80).into()),
        zone: None,
        draining: false,
    };
    Blueprint {
        generation: 1,
        balancers: vec![Arc::new(BalancerBlueprint {
            arn: format!("{ARN}loadbalancer/app/b/1"),
            dns_name: "b.elb.localhost".into(),
            nodes: vec![NodeBlueprint {
                zone: "a".into(),
                address: [127, 64, 0, 4].into(),
            }],
            listeners: vec![Arc::new(listener)],
            settings: BalancerSettings::default(),
        })],
        groups: vec![Arc::new(GroupBlueprint {
            arn: group,
            protocol: Protocol::Http,
            version: ProtocolVersion::Http1,
            health: HealthCheck {
                enabled: true,
                https: false,
                port: HealthPort::Traffic,
                path: "/".into(),
                interval: Duration::from_secs(30),
                timeout: Duration::from_secs(5),
                healthy_threshold: 2,
                unhealthy_threshold: 2,
                matcher: Matcher::parse("200").unwrap(),
            },
            settings: GroupSettings {
                queue: Some(Arc::new(queue)),
                ..GroupSettings::default()
            },
            targets: vec![target],
            in_use: true,
            zones: vec!["a".into()],
        })],
        ..Blueprint::default()
    }
}

/// Three requests to the one slot: the first is served, the second waits and is served, the third is refused.
fn played() -> Node {
    let mut node = Node::new(1);
    node.apply(Mono::ZERO, &blueprint());
    node.handle_deadline(Mono::ZERO);
    let outputs: Vec<Output> = core::iter::from_fn(|| node.poll_output()).collect();
    for output in outputs {
        if let Output::Probe(order) = output {
            let result = ProbeResult::Answered(200);
            node.handle(
                Mono::ZERO,
                Event::Probed {
                    target: order.target,
                    result,
                },
            );
        }
    }
    let snapshot = core::iter::from_fn(|| node.poll_output()).find_map(|output| match output {
        Output::Publish(snapshot) => Some(snapshot),
        _ => None,
    });
    let snapshot = snapshot.unwrap();
    let listener = &snapshot.listeners[0];
    let mut worker = WorkerState::new(0, 1);
    let request = Request {
        facts: Facts {
            method: b"GET",
            host: b"a",
            path: b"/",
            query: b"",
            source: [127, 0, 0, 1].into(),
            headers: &NoHeaders,
        },
        protocol: "http",
        zone: ZoneId(0),
        speaks: Speaks::Http1,
        wall: Wall::from_seconds(1_800_000_000),
        upgrade: false,
        rule_path: None,
    };
    let at = Mono::from_millis;
    let mut begin = |ms| Exchange::begin(at(ms), &request, listener, &snapshot, &mut worker);
    let ((mut first, sent), (mut second, waits), (mut third, refused)) = (begin(1), begin(2), begin(3));
    assert!(matches!(sent, Step::Send { .. }) && matches!(waits, Step::Wait { .. }));
    assert!(matches!(refused, Step::Answer(_)));
    third.settle(at(3), Some(503), listener, &mut worker);
    for (exchange, ms) in [(&mut first, 40), (&mut second, 90)] {
        if ms == 90 {
            exchange.on(at(41), Outcome::Released, listener, &snapshot, &mut worker);
        }
        exchange.on(at(ms), Outcome::Answered(200), listener, &snapshot, &mut worker);
        exchange.settle(at(ms), None, listener, &mut worker);
    }
    node
}

#[test]
fn the_page_is_as_it_was() {
    let own = Own {
        lines_dropped: 3,
        standing: Standing::Impaired,
    };
    let page = render(&played(), &LogCounters::default(), own);
    assert!(page.ends_with("# EOF\n"));
    // Within a metric, lines come in no order.
    let mut lines: Vec<&str> = page.lines().collect();
    lines.sort_unstable();
    insta::assert_snapshot!(lines.join("\n"));
}
