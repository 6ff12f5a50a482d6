//! Requests of known outcomes through exchanges of two nodes, and the datapoints that come of them.

use super::*;
use crate::exports::ExportCounters;
use crate::logs::LogCounters;
use crate::metrics::{ExpiryMetrics, Own, ServerMetrics};
use crate::process::ProcessMetrics;
use crate::standing::Standing;
use core::time::Duration;
use forebay_model::*;
use forebay_node::{
    ConnectError, Event, Exchange, Facts, Headers, Node, Outcome, Output, ProbeResult, Reason, Request,
    Snapshot, Speaks, Step, WorkerState,
};
use forebay_units::{Mono, Wall};
use proptest::prelude::*;
use std::sync::Arc;

struct NoHeaders;

impl Headers for NoHeaders {
    fn any(&self, _: &str, _: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        false
    }
}

const BALANCER: &str = "arn:aws:elasticloadbalancing:local-1:000000000000:loadbalancer/app/b/1";
const GROUP: &str = "arn:aws:elasticloadbalancing:local-1:000000000000:targetgroup/g/2";

/// A load balancer with nodes in zones `a` and `b`, and a group with a target in each.
fn blueprint() -> Blueprint {
    let path = |path: &str| vec![Condition::PathPattern(TextMatch::Wildcards(vec![path.into()]))];
    let fixed = Action::FixedResponse(FixedResponse {
        status: 404,
        content_type: None,
        body: None,
    });
    let moved = Action::Redirect(Redirect {
        protocol: "HTTPS".into(),
        port: "#{port}".into(),
        host: "#{host}".into(),
        path: "/#{path}".into(),
        query: "#{query}".into(),
        status: 301,
    });
    let rules = vec![
        RuleBlueprint {
            conditions: path("/fixed"),
            ..fixtures::rule(Priority::At(1), fixed)
        },
        RuleBlueprint {
            conditions: path("/moved"),
            ..fixtures::rule(Priority::At(2), moved)
        },
        fixtures::rule(Priority::Default, fixtures::forward(GROUP)),
    ];
    let mut balancer = fixtures::balancer(BALANCER, fixtures::listener("listener/app/b/1/3", rules));
    balancer.nodes = ["a", "b"]
        .into_iter()
        .zip(1..)
        .map(|(zone, last)| NodeBlueprint {
            zone: zone.into(),
            address: [127, 64, 0, last].into(),
        })
        .collect();
    let mut group = fixtures::group(GROUP, fixtures::targets(0, 2));
    group.zones = vec!["a".into(), "b".into()];
    for (target, zone) in group.targets.iter_mut().zip(["a", "b"]) {
        target.zone = Some(zone.into());
    }
    Blueprint {
        generation: 1,
        balancers: vec![Arc::new(balancer)],
        groups: vec![Arc::new(group)],
        ..Blueprint::default()
    }
}

/// The outcome of a request.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// A target answers with this status after this many milliseconds.
    Answered(u16, u64),
    /// The first target refuses the connection; another one answers 200 after 10 ms.
    Elsewhere,
    /// Both targets refuse the connection.
    Refused,
    /// A rule's fixed response answers 404.
    Fixed,
    /// A rule's redirect answers 301.
    Moved,
    /// The request is not HTTP.
    Malformed,
}

struct World {
    node: Node,
    snapshot: Arc<Snapshot>,
    worker: WorkerState,
    now: Mono,
}

impl World {
    fn new() -> World {
        let mut node = Node::new(1);
        node.apply(Mono::ZERO, &blueprint());
        node.handle_deadline(Mono::ZERO);
        let outputs: Vec<Output> = core::iter::from_fn(|| node.poll_output()).collect();
        for output in outputs {
            if let Output::Probe(order) = output {
                let (target, result) = (order.target, ProbeResult::Answered(200));
                node.handle(Mono::ZERO, Event::Probed { target, result });
            }
        }
        let published = core::iter::from_fn(|| node.poll_output()).filter_map(|output| match output {
            Output::Publish(snapshot) => Some(snapshot),
            _ => None,
        });
        let snapshot = published.last().unwrap();
        World {
            node,
            snapshot,
            worker: WorkerState::new(0, 1),
            now: Mono::from_millis(1),
        }
    }

    fn metrics(&self) -> MetricsSnapshot {
        MetricsSnapshot::Server(ServerMetrics {
            node: self.node.metrics(),
            certificates: Vec::new(),
            planners: Vec::new(),
            backlogs: Vec::new(),
            logs: LogCounters::default().metrics(),
            own: Box::new(Own {
                lines_dropped: 0,
                standing: Standing::Ok,
                process: ProcessMetrics::default(),
                exports: ExportCounters::default().metrics(),
                notifications: Default::default(),
                datapoints: Default::default(),
                adoptions: Distribution::default(),
                orders: Default::default(),
                looks: Default::default(),
            }),
        })
    }

    /// Plays a request of this outcome at node 0 or 1.
    fn play(&mut self, at: usize, kind: Kind) {
        let World {
            snapshot,
            worker,
            now,
            ..
        } = self;
        let listener = &snapshot.listeners[0];
        let zone = listener.nodes[at].zone;
        let path = match kind {
            Kind::Malformed => {
                Exchange::refused(*now, Reason::Malformed, zone, listener, worker);
                return;
            }
            Kind::Fixed => "/fixed",
            Kind::Moved => "/moved",
            _ => "/",
        };
        let request = Request {
            facts: Facts {
                method: b"GET",
                host: b"a",
                path: path.as_bytes(),
                query: b"",
                source: [127, 0, 0, 1].into(),
                headers: &NoHeaders,
            },
            protocol: "http",
            zone,
            speaks: Speaks::Http1,
            wall: Wall::from_seconds(1_800_000_000),
            upgrade: false,
            rule_path: None,
        };
        let (mut exchange, mut step) = Exchange::begin(*now, &request, listener, snapshot, worker);
        let refusals = match kind {
            Kind::Elsewhere => 1,
            Kind::Refused => 2,
            _ => 0,
        };
        for _ in 0..refusals {
            let refused = Outcome::NotConnected(ConnectError::Refused);
            step = exchange.on(*now, refused, listener, snapshot, worker);
        }
        let own = match step {
            Step::Answer(answer) => Some(answer.status),
            _ => {
                let (status, millis) = match kind {
                    Kind::Answered(status, millis) => (status, millis),
                    _ => (200, 10),
                };
                *now = *now + Duration::from_millis(millis);
                exchange.on(*now, Outcome::Answered(status), listener, snapshot, worker);
                None
            }
        };
        exchange.settle(*now, own, listener, worker);
    }
}

/// Names and dimensions of datapoints, with their sums over all nodes.
fn summed(datapoints: &[Datapoint]) -> BTreeMap<String, Vec<(f64, f64)>> {
    let mut summed: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    for datapoint in datapoints {
        let values: Vec<&str> = datapoint
            .dimensions
            .iter()
            .map(|(_, value)| value.as_str())
            .collect();
        let name = format!("{} {}", datapoint.name, values.join(" "));
        let sums = summed.entry(name).or_default();
        let more = match &datapoint.value {
            DatapointValue::Count(number) | DatapointValue::Level(number) => vec![(0.0, *number)],
            DatapointValue::Distribution(values) => values.clone(),
        };
        for (value, count) in more {
            match sums.iter_mut().find(|(known, _)| *known == value) {
                Some(known) => known.1 += count,
                None => sums.push((value, count)),
            }
        }
        sums.sort_by(|one, other| one.0.total_cmp(&other.0));
    }
    summed
}

/// Those sums as lines, with two decimals.
fn lines(datapoints: &[Datapoint]) -> Vec<String> {
    let shown = summed(datapoints);
    let line = |(name, values): (String, Vec<(f64, f64)>)| {
        let values: Vec<String> = values
            .iter()
            .map(|&(value, count)| {
                if value == 0.0 {
                    format!("{count}")
                } else {
                    format!("{count} at {:.0} ms", value * 1000.0)
                }
            })
            .collect();
        format!("{name}: {}", values.join(", "))
    };
    shown.into_iter().map(line).collect()
}

#[test]
fn requests_of_known_outcomes_are_told_exactly() {
    let mut world = World::new();
    // What was counted before is not reported again.
    world.play(0, Kind::Answered(200, 5));
    let before = world.metrics();
    for kind in [
        Kind::Answered(200, 10),
        Kind::Answered(404, 20),
        Kind::Fixed,
        Kind::Moved,
        Kind::Refused,
    ] {
        world.play(0, kind);
    }
    for kind in [Kind::Answered(500, 30), Kind::Elsewhere, Kind::Malformed] {
        world.play(1, kind);
    }
    insta::assert_snapshot!(lines(&datapoints(&before, &world.metrics())).join("\n"));
}

#[test]
fn nothing_is_told_of_what_does_not_change_but_what_always_is() {
    let world = World::new();
    let told = datapoints(&world.metrics(), &world.metrics());
    let always: Vec<&str> = all()
        .flat_map(|metric| metric.cloudwatch)
        .filter(|of_aws| of_aws.always)
        .map(|of_aws| of_aws.name)
        .collect();
    for datapoint in &told {
        assert!(always.contains(&datapoint.name), "{datapoint:?}");
        let (name, value) = (datapoint.name, &datapoint.value);
        let zero = *value == DatapointValue::Count(0.0) || *value == DatapointValue::Level(0.0);
        assert_eq!(
            zero,
            !matches!(
                name,
                "HealthyHostCount" | "HealthyStateDNS" | "HealthyStateRouting"
            ),
            "{datapoint:?}"
        );
    }
    let untold: Vec<&str> = always
        .into_iter()
        .filter(|name| !told.iter().any(|one| one.name == *name))
        .collect();
    // The group is not limited, the listener has no certificate, and no Auto Scaling group is planned by its load or by a
    // backlog.
    assert_eq!(
        untold,
        [
            "BusySlots",
            "FreeSlots",
            "PlannerDesiredCapacity",
            "PlannerNeededCapacity",
            "PlannerReadyCapacity",
            "PlannerPendingCapacity",
            "PlannerLeadTime",
            "BacklogProcessingTime",
            "BacklogPerInstance",
            "AcceptableBacklogPerInstance",
            "BacklogDesiredCapacity",
            "BacklogNeededCapacity",
            "BacklogReadyCapacity",
            "SlotDemand",
            "SlotUtilization",
            "DaysToExpiry",
        ]
    );
}

/// Each node's requests are a separate datapoint, so that Minimum and Maximum are over nodes.
#[test]
fn each_node_has_a_datapoint_of_its_own() {
    let mut world = World::new();
    let before = world.metrics();
    for (node, count) in [(0, 3), (1, 5)] {
        (0..count).for_each(|_| world.play(node, Kind::Answered(200, 1)));
    }
    let told = datapoints(&before, &world.metrics());
    let requests = |wanted: &[&str]| -> Vec<DatapointValue> {
        told.iter()
            .filter(|one| one.name == "RequestCount")
            .filter(|one| {
                one.dimensions
                    .iter()
                    .map(|(name, _)| *name)
                    .eq(wanted.iter().copied())
            })
            .map(|one| one.value.clone())
            .collect()
    };
    let counts = [DatapointValue::Count(3.0), DatapointValue::Count(5.0)];
    assert_eq!(requests(&["LoadBalancer"]), counts);
    assert_eq!(requests(&["LoadBalancer", "AvailabilityZone"]), counts);
    assert_eq!(requests(&["LoadBalancer", "TargetGroup"]), counts);
}

/// A group that no rule forwards to any more keeps its counters: what it counted before is not reported again.
#[test]
fn a_group_that_loses_its_load_balancer_does_not_begin_anew() {
    let mut world = World::new();
    world.play(0, Kind::Answered(200, 1));
    let before = world.metrics();
    let mut changed = blueprint();
    changed.balancers.clear();
    world.node.apply(world.now, &changed);
    let told = lines(&datapoints(&before, &world.metrics()));
    assert!(!told.iter().any(|line| line.starts_with("Arrivals")), "{told:?}");
}

fn kind() -> impl Strategy<Value = (usize, Kind)> {
    let kind = prop_oneof![
        (prop::sample::select(vec![200, 302, 404, 503]), 1_u64..100)
            .prop_map(|(status, millis)| Kind::Answered(status, millis)),
        Just(Kind::Elsewhere),
        Just(Kind::Refused),
        Just(Kind::Fixed),
        Just(Kind::Moved),
        Just(Kind::Malformed),
    ];
    (0_usize..2, kind)
}

fn counts_alone(datapoints: Vec<Datapoint>) -> Vec<Datapoint> {
    datapoints
        .into_iter()
        .filter(|datapoint| !matches!(datapoint.value, DatapointValue::Level(_)))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn two_intervals_make_one(
        first in prop::collection::vec(kind(), 0..20),
        second in prop::collection::vec(kind(), 0..20),
    ) {
        let mut world = World::new();
        let a = world.metrics();
        first.iter().for_each(|&(node, kind)| world.play(node, kind));
        let b = world.metrics();
        second.iter().for_each(|&(node, kind)| world.play(node, kind));
        let c = world.metrics();
        let parts = [datapoints(&a, &b), datapoints(&b, &c)].concat();
        prop_assert_eq!(summed(&counts_alone(parts)), summed(&counts_alone(datapoints(&a, &c))));
    }
}

/// One certificate on two listeners gives two datapoints, not twice its days.
#[test]
fn days_of_a_certificate_are_not_added_up() {
    let mut now = World::new().metrics();
    let MetricsSnapshot::Server(server) = &mut now else {
        panic!("{now:?}");
    };
    server.certificates = ["1", "2"]
        .map(|listener| ExpiryMetrics {
            listener: format!(
                "arn:aws:elasticloadbalancing:local-1:000000000000:listener/app/b/1/{listener}"
            ),
            load_balancer: BALANCER.to_owned(),
            certificate: "arn:aws:acm:local-1:000000000000:certificate/c".to_owned(),
            seconds: 86_400.0 * 12.9,
        })
        .to_vec();
    let told = datapoints(&now, &now);
    let days: Vec<String> = lines(&told)
        .into_iter()
        .filter(|line| line.contains("DaysToExpiry"))
        .collect();
    let days_of = |one: &Datapoint| (one.name == "DaysToExpiry").then(|| (one.unit, one.value.clone()));
    let found: Vec<_> = told.iter().filter_map(days_of).collect();
    assert_eq!(found, vec![("Count", DatapointValue::Level(12.0)); 2], "{days:?}");
}
