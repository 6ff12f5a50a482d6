//! What decisions cost: choosing among 1,000 targets, and 100 rules. Bounds: 100 ns and 1 us.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

use criterion::{Criterion, criterion_group, criterion_main};
use forebay_model::*;
use forebay_node::{Event, Node, Output, ProbeResult, Snapshot, WorkerState, ZoneId};
use forebay_routing::{Facts, Headers, Rules};
use forebay_units::Mono;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

fn group(targets: u16) -> GroupBlueprint {
    GroupBlueprint {
        arn: "group".into(),
        protocol: Protocol::Http,
        version: ProtocolVersion::Http1,
        probe: ProbeKind::Http1,
        health: HealthCheck {
            enabled: true,
            https: false,
            port: HealthPort::Traffic,
            path: "/".into(),
            interval: Duration::from_secs(30),
            timeout: Duration::from_secs(5),
            healthy_threshold: 5,
            unhealthy_threshold: 2,
            matcher: Matcher::parse("200").expect("a code"),
        },
        settings: GroupSettings::default(),
        targets: (0..targets)
            .map(|index| TargetBlueprint {
                id: format!("10.0.{}.{}", index / 250, index % 250),
                port: 80,
                address: Some(([10, 0, (index / 250) as u8, (index % 250) as u8], 80).into()),
                zone: None,
                draining: false,
                weight: 1,
            })
            .collect(),
        in_use: true,
        zones: vec!["a".into()],
    }
}

/// A snapshot with one group of healthy targets.
fn snapshot(targets: u16) -> Arc<Snapshot> {
    let mut node = Node::new(1);
    node.apply(
        Mono::ZERO,
        &Blueprint {
            generation: 1,
            balancers: vec![],
            groups: vec![Arc::new(group(targets))],
            ..Blueprint::default()
        },
    );
    node.handle_deadline(Mono::ZERO);
    let mut latest = None;
    let mut probed = Vec::new();
    while let Some(output) = node.poll_output() {
        match output {
            Output::Publish(snapshot) => latest = Some(snapshot),
            Output::Probe(order) => probed.push(order.target),
            Output::ProbeFunction(_)
            | Output::Drained { .. }
            | Output::Weighed { .. }
            | Output::Channels(_) => {}
        }
    }
    for target in probed {
        node.handle(
            Mono::ZERO,
            Event::Probed {
                target,
                result: ProbeResult::Answered(200),
            },
        );
    }
    while let Some(output) = node.poll_output() {
        if let Output::Publish(snapshot) = output {
            latest = Some(snapshot);
        }
    }
    latest.expect("a picture")
}

struct NoHeaders;

impl Headers for NoHeaders {
    fn any(&self, _: &str, _: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        false
    }
}

fn rules(count: u16, with_host: bool) -> Rules<String> {
    let action = || {
        Action::FixedResponse(FixedResponse {
            status: 200,
            content_type: None,
            body: None,
        })
    };
    let mut rules: Vec<RuleBlueprint> = (0..count)
        .map(|index| RuleBlueprint {
            arn: String::new(),
            priority: Priority::At(index + 1),
            conditions: with_host
                .then(|| {
                    Condition::HostHeader(TextMatch::Wildcards(vec![format!("host{index}.example.com")]))
                })
                .into_iter()
                .chain([Condition::PathPattern(TextMatch::Wildcards(vec![format!(
                    "/service/{index}/*"
                )]))])
                .collect(),
            action: action(),
            transforms: vec![],
        })
        .collect();
    rules.push(RuleBlueprint {
        arn: String::new(),
        priority: Priority::Default,
        conditions: vec![],
        action: action(),
        transforms: vec![],
    });
    Rules::compile(&rules, str::to_owned)
}

fn decisions(criterion: &mut Criterion) {
    let snapshot = snapshot(1000);
    let mut mind = WorkerState::new(0, 1);
    let group = &snapshot.groups[0];
    assert_eq!(group.eligible(ZoneId(0)).targets.len(), 1000);
    criterion.bench_function("choose among 1000 targets", |bencher| {
        bencher.iter(|| black_box(mind.choose(Mono::ZERO, black_box(group), ZoneId(0), &[])));
    });
    let paths = rules(100, false);
    let rules = rules(100, true);
    let facts = Facts {
        method: b"GET",
        host: b"host99.example.com",
        path: b"/service/99/index.html",
        query: b"",
        source: [10, 0, 0, 1].into(),
        headers: &NoHeaders,
    };
    criterion.bench_function("100 rules, the last one wins", |bencher| {
        bencher.iter(|| black_box(rules.decide(black_box(&facts))).is_some());
    });
    criterion.bench_function("100 path rules, the last one wins", |bencher| {
        bencher.iter(|| black_box(paths.decide(black_box(&facts))).is_some());
    });
    let nowhere = Facts {
        host: b"nowhere.example.com",
        path: b"/",
        ..facts
    };
    criterion.bench_function("100 rules, none wins", |bencher| {
        bencher.iter(|| black_box(rules.decide(black_box(&nowhere))).is_some());
    });
}

criterion_group!(benches, decisions);
criterion_main!(benches);
