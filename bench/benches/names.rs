//! What choosing a load balancer by name costs, with 1,000 of them behind one exposed address: each with its name in DNS, those of its nodes and
//! two that a tag gives it.
//!
//! `cargo bench -p forebay-bench --bench names` prints the mean of a million. Bound: 200 ns.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a measurement is for people"
)]

use forebay_model::{Action, BalancerBlueprint, Blueprint, FixedResponse, NodeBlueprint, Priority, fixtures};
use forebay_node::{Node, Output};
use forebay_units::{Mono, Rng};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

const BALANCERS: usize = 1000;
const TIMES: usize = 1_000_000;

fn balancer(number: usize) -> BalancerBlueprint {
    let says = Action::FixedResponse(FixedResponse {
        status: 200,
        content_type: None,
        body: None,
    });
    let arn = format!(
        "arn:aws:elasticloadbalancing:local-1:123456789012:loadbalancer/app/lb{number}/{number:016x}"
    );
    let rules = vec![fixtures::rule(Priority::Default, says)];
    let listener = fixtures::listener(&format!("{arn}/listener"), rules);
    let dns_name = format!(
        "lb{number}-{}.local-1.elb.example.internal",
        1_000_000_000 + number
    );
    let mut names: Vec<String> = ["dualstack", "local-1a", "local-1b", "local-1c"]
        .iter()
        .map(|part| format!("{part}.{dns_name}"))
        .collect();
    names.push(format!("shop{number}.example"));
    names.push(format!(".shop{number}.example"));
    BalancerBlueprint {
        dns_name,
        names,
        nodes: vec![NodeBlueprint {
            zone: "a".to_owned(),
            address: [127, 64, (number / 250) as u8, (number % 250) as u8].into(),
        }],
        ..fixtures::balancer(&arn, listener)
    }
}

fn main() {
    let balancers: Vec<Arc<BalancerBlueprint>> =
        (0..BALANCERS).map(|number| Arc::new(balancer(number))).collect();
    let mut node = Node::new(1);
    let blueprint = Blueprint {
        generation: 1,
        balancers: balancers.clone(),
        ..Blueprint::default()
    };
    node.apply(Mono::ZERO, &blueprint);
    let mut snapshot = None;
    while let Some(output) = node.poll_output() {
        if let Output::Publish(published) = output {
            snapshot = Some(published);
        }
    }
    let snapshot = snapshot.expect("something is published");
    let first = &snapshot.listeners[0];
    println!(
        "{} load balancers, {} names",
        snapshot.listeners.len(),
        first.named.len()
    );
    let mut rng = Rng::named(1, "names");
    for (what, host) in [
        (
            "a name in DNS",
            (|balancer| balancer.dns_name.clone()) as fn(&BalancerBlueprint) -> String,
        ),
        ("a wildcard's", |balancer| format!("eu.{}", balancer.names[4])),
        ("a name that nobody has", |balancer| {
            format!("{}.test", balancer.arn.len())
        }),
    ] {
        let hosts: Vec<String> = (0..BALANCERS)
            .map(|_| host(&balancers[rng.below(BALANCERS as u64) as usize]))
            .collect();
        let began = Instant::now();
        for place in 0..TIMES {
            black_box(first.named(black_box(hosts[place % BALANCERS].as_bytes())));
        }
        println!(
            "{what}: {:.0} ns",
            began.elapsed().as_nanos() as f64 / TIMES as f64
        );
    }
}
