//! The page as a whole, so that no metric changes its name, its labels or its meaning by accident.

use super::*;
use crate::backlog::BacklogMetrics;
use crate::exports::ExportCounters;
use crate::logs::LogCounters;
use crate::process::ProcessMetrics;
use crate::standing::Standing;
use core::time::Duration;
use forebay_model::*;
use forebay_node::{
    Bucket, ChannelMetrics, Distribution, Event, Exchange, Facts, Headers, Node, NodeMetrics, Outcome,
    Output, PermitIssuer, ProbeResult, Request, Speaks, Step, WorkerState, ZoneId,
};
use forebay_scaling::backlog;
use forebay_scaling::planner::{Demand, Fleet, Planner, Settings};
use forebay_units::{Mono, Wall};
use std::collections::BTreeSet;
use std::sync::Arc;

struct NoHeaders;

impl Headers for NoHeaders {
    fn any(&self, _: &str, _: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        false
    }
}

const ARN: &str = "arn:aws:elasticloadbalancing:local-1:000000000000:";

/// A load balancer with one listener and one group of one target that takes one request at a time and lets one wait.
fn blueprint() -> Blueprint {
    let group = format!("{ARN}targetgroup/g/1");
    let rules = vec![fixtures::rule(Priority::Default, fixtures::forward(&group))];
    let listener = fixtures::listener(&format!("{ARN}listener/app/b/1/2"), rules);
    let queue = QueueSettings {
        length: 1,
        wait: Duration::from_secs(2),
        ..QueueSettings::of(Concurrency::Fixed(1))
    };
    Blueprint {
        generation: 1,
        balancers: vec![Arc::new(fixtures::balancer(
            &format!("{ARN}loadbalancer/app/b/1"),
            listener,
        ))],
        groups: vec![Arc::new(GroupBlueprint {
            settings: GroupSettings {
                queue: Some(Arc::new(queue)),
                ..GroupSettings::default()
            },
            ..fixtures::group(&group, fixtures::targets(0, 1))
        })],
        ..Blueprint::default()
    }
}

/// Three requests for the one slot: the first is served, the second waits and is served, the third is refused.
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

fn process() -> ProcessMetrics {
    ProcessMetrics {
        cpu_seconds: Some(1.5),
        resident_bytes: Some(4096),
        open_descriptors: Some(9),
        max_descriptors: Some(1024),
        threads: Some(5),
        start_seconds: Some(1_800_000_000.25),
    }
}

/// A planned group without capacity, for which three requests wait.
fn planner() -> PlannerMetrics {
    let mut demand = Demand {
        name: "g".to_owned(),
        slots: Some(2.0),
        waiting: 3,
        wait: Duration::from_secs(10),
        length: 100,
        ..Demand::default()
    };
    let fleet = Fleet {
        maximum: 9,
        start_up: Some(Duration::from_secs(3)),
        ..Fleet::default()
    };
    // One request of two seconds each second, until a forecast can be compared.
    let mut planner = Planner::new();
    let settings = Settings::default();
    let mut plan = planner.plan(Mono::ZERO, std::slice::from_ref(&demand), &fleet, &settings);
    for second in 1..8 {
        demand.arrivals = second;
        (demand.completed, demand.held) = (second, Duration::from_secs(2 * second));
        let now = Mono::from_millis(second * 1000);
        plan = planner.plan(now, std::slice::from_ref(&demand), &fleet, &settings);
    }
    PlannerMetrics {
        region: "local-1".to_owned(),
        group: "workers".to_owned(),
        is_dry_run: false,
        costs: None,
        forecasts: Vec::new(),
        plan,
        orders: 1,
        releases: 0,
    }
}

/// A group of workers without capacity, and five messages.
fn backlog() -> BacklogMetrics {
    let work = backlog::Work {
        visible: 5,
        ..Default::default()
    };
    let workers = backlog::Workers {
        fleet: Fleet {
            maximum: 9,
            start_up: Some(Duration::from_secs(3)),
            ..Fleet::default()
        },
        ..Default::default()
    };
    let settings = backlog::Settings {
        latency: Duration::from_secs(60),
        processing: Some(25.0),
        ..Default::default()
    };
    BacklogMetrics {
        region: "local-1".to_owned(),
        group: "workers".to_owned(),
        queue_arn: "arn:aws:sqs:local-1:000000000000:jobs".to_owned(),
        is_dry_run: false,
        costs: None,
        plan: Some(backlog::Planner::new().plan(Mono::ZERO, &work, &[], &workers, &settings)),
        orders: 1,
        releases: 0,
    }
}

/// A server's figures with this node.
fn server(node: NodeMetrics) -> MetricsSnapshot {
    MetricsSnapshot::Server(ServerMetrics {
        node,
        certificates: vec![ExpiryMetrics {
            listener: format!("{ARN}listener/app/b/1/2"),
            load_balancer: format!("{ARN}loadbalancer/app/b/1"),
            certificate: "arn:aws:acm:local-1:000000000000:certificate/c".to_owned(),
            seconds: 1_000_000.0,
        }],
        planners: vec![planner()],
        backlogs: vec![backlog()],
        logs: LogCounters::default().metrics(),
        own: Box::new(Own {
            lines_dropped: 3,
            standing: Standing::Impaired,
            process: process(),
            exports: ExportCounters::default().metrics(),
            notifications: Default::default(),
            datapoints: Default::default(),
            orders: Default::default(),
            looks: Default::default(),
            adoptions: Distribution {
                buckets: vec![Bucket {
                    from: Duration::from_millis(2),
                    to: Duration::from_millis(3),
                    count: 4,
                }],
                sum: Duration::from_millis(10),
            },
        }),
    })
}

#[test]
fn the_page_is_as_it_was() {
    let page = render(server(played().metrics()));
    assert!(page.ends_with("# EOF\n"));
    // The order of lines within a metric is not fixed.
    let mut lines: Vec<&str> = page.lines().collect();
    lines.sort_unstable();
    insta::assert_snapshot!(lines.join("\n"));
}

/// Names that samples of these snapshots' pages have.
fn described(snapshots: [MetricsSnapshot; 2]) -> BTreeSet<String> {
    let pages = snapshots.map(render).concat();
    let kinds = pages.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    kinds
        .filter_map(|line| Some(line.split_once(' ')?.0.to_owned()))
        .collect()
}

/// A row that reads nothing, or a value of the wrong kind, would otherwise go unnoticed.
#[test]
fn every_row_is_on_a_page() {
    let mut node = played().metrics();
    node.target_groups[0].gate.as_mut().unwrap().channels = Some(ChannelMetrics::default());
    let agent = MetricsSnapshot::Agent(AgentMetrics {
        node: node.clone(),
        permit_issuer: PermitIssuer::new(1, 1).metrics(),
        log_lines_dropped: 0,
        process: process(),
    });
    let rows: BTreeSet<String> = all().map(|metric| metric.name.to_owned()).collect();
    assert_eq!(described([server(node), agent]), rows);
}

#[test]
fn every_row_has_a_name_a_meaning_and_a_unit() {
    let mut names = BTreeSet::new();
    for metric in all() {
        let name = metric.name;
        assert!(names.insert(name), "{name} is there twice");
        assert!(
            (name.starts_with("forebay_") || name.starts_with("process_")) && !name.ends_with("_total"),
            "{name}"
        );
        let meaning = metric.meaning;
        assert!(
            !meaning.is_empty() && !meaning.ends_with('.'),
            "{name}: {meaning}"
        );
        assert!(
            !meaning.contains('\n') && !meaning.contains("  "),
            "{name}: {meaning}"
        );
        // Prometheus' units are at the end of names.
        let unit = match name {
            _ if name.ends_with("_seconds") => Unit::Seconds,
            _ if name.ends_with("_bytes") => Unit::Bytes,
            _ if name.ends_with("_ratio") => Unit::Ratio,
            _ if name.ends_with("_weight") || name.ends_with("_utilization") => Unit::Ratio,
            _ => Unit::Count,
        };
        assert_eq!(metric.unit, unit, "{name}");
        let dimensions: Vec<Dimension> = metric.dimensions().collect();
        let distinct: BTreeSet<Dimension> = dimensions.iter().copied().collect();
        assert_eq!(distinct.len(), dimensions.len(), "{name}: {dimensions:?}");
        if let Kind::Histogram(_) = metric.kind {
            assert_eq!(metric.unit, Unit::Seconds, "{name}");
        }
    }
}

/// Metrics of AWS/ApplicationELB as AWS documents them: name, unit, sets of dimensions (L load balancer, A zone, T target
/// group),
/// statistics. Elastic Load Balancing, user guide for Application Load Balancers, "CloudWatch metrics".
const DOCUMENTED: &[(&str, &str, &str, &str)] = &[
    ("ActiveConnectionCount", "Count", "L LA", "Sum"),
    ("NewConnectionCount", "Count", "L LA", "Sum"),
    ("RejectedConnectionCount", "Count", "L LA", "Sum"),
    ("ClientTLSNegotiationErrorCount", "Count", "L LA", "Sum"),
    ("RequestCount", "Count", "L LA LT LAT", "Sum"),
    ("RuleEvaluations", "Count", "L", "Sum"),
    ("ProcessedBytes", "Bytes", "L LA", "Sum"),
    ("IPv6ProcessedBytes", "Bytes", "L LA", "Sum"),
    ("IPv6RequestCount", "Count", "L LA", "Sum"),
    ("HTTP_Fixed_Response_Count", "Count", "L LA", "Sum"),
    ("HTTP_Redirect_Count", "Count", "L LA", "Sum"),
    ("HTTP_Redirect_Url_Limit_Exceeded_Count", "Count", "L LA", "Sum"),
    ("HTTPCode_ELB_3XX_Count", "Count", "L LA", "Sum"),
    ("HTTPCode_ELB_4XX_Count", "Count", "L LA", "Sum"),
    ("HTTPCode_ELB_5XX_Count", "Count", "L LA", "Sum"),
    ("HTTPCode_ELB_500_Count", "Count", "L LA", "Sum"),
    ("HTTPCode_ELB_502_Count", "Count", "L LA", "Sum"),
    ("HTTPCode_ELB_503_Count", "Count", "L LA", "Sum"),
    ("HTTPCode_ELB_504_Count", "Count", "L LA", "Sum"),
    ("NonStickyRequestCount", "Count", "L LA", "Sum"),
    ("AppCookieNonStickinessCount", "Count", "L LA", "Sum"),
    (
        "DesyncMitigationMode_NonCompliant_Request_Count",
        "Count",
        "L LA",
        "Sum",
    ),
    ("HealthyHostCount", "Count", "LT LAT", "Average Minimum Maximum"),
    ("UnHealthyHostCount", "Count", "LT LAT", "Average Minimum Maximum"),
    ("HTTPCode_Target_2XX_Count", "Count", "L LA LT LAT", "Sum"),
    ("HTTPCode_Target_3XX_Count", "Count", "L LA LT LAT", "Sum"),
    ("HTTPCode_Target_4XX_Count", "Count", "L LA LT LAT", "Sum"),
    ("HTTPCode_Target_5XX_Count", "Count", "L LA LT LAT", "Sum"),
    ("TargetConnectionErrorCount", "Count", "L LA LT LAT", "Sum"),
    ("TargetTLSNegotiationErrorCount", "Count", "L LA LT LAT", "Sum"),
    ("TargetResponseTime", "Seconds", "L LA LT LAT", "Average pNN"),
    ("AnomalousHostCount", "Count", "LT LAT", "Minimum Maximum"),
    ("MitigatedHostCount", "Count", "LT LAT", "Average Minimum Maximum"),
    ("HealthyStateDNS", "Count", "LT LAT", "Maximum"),
    ("HealthyStateRouting", "Count", "LT LAT", "Maximum"),
    ("UnhealthyStateDNS", "Count", "LT LAT", "Minimum"),
    ("UnhealthyStateRouting", "Count", "LT LAT", "Minimum"),
    ("UnhealthyRoutingRequestCount", "Count", "LT LAT", "Sum"),
    ("TargetControlRequestCount", "Count", "L LA", "Sum"),
    ("TargetControlRequestRejectCount", "Count", "L LA", "Sum"),
    ("TargetControlActiveChannelCount", "Count", "L LA", "Sum"),
    ("TargetControlNewChannelCount", "Count", "L LA", "Sum"),
    ("TargetControlChannelErrorCount", "Count", "L LA", "Sum"),
    ("TargetControlWorkQueueLength", "Count", "L LA", "Sum"),
    ("TargetControlProcessedBytes", "Bytes", "L LA", "Sum"),
    ("RequestCountPerTarget", "Count", "T AT LT LAT", "Sum"),
    ("GrpcRequestCount", "Count", "T AT LT LAT", "Sum"),
    ("DroppedInvalidHeaderRequestCount", "Count", "LA", "Sum"),
    ("LambdaInternalError", "Count", "T LT", "Sum"),
    ("LambdaUserError", "Count", "T LT", "Sum"),
    ("LambdaTargetProcessedBytes", "Bytes", "L", "Sum"),
    // Metrics of Classic Load Balancers (AWS/ELB), which have no target groups.
    ("SurgeQueueLength", "Count", "L LA LT LAT", "Maximum"),
    ("SpilloverCount", "Count", "L LA LT LAT", "Sum"),
];

#[test]
fn cloudwatch_has_what_the_table_says() {
    let mut names = BTreeSet::new();
    for metric in all() {
        for of_aws in metric.cloudwatch {
            let name = of_aws.name;
            assert!(names.insert(name), "{name} is made of two metrics");
            if of_aws.namespace == OWN_NAMESPACE {
                let documented = DOCUMENTED.iter().any(|row| row.0 == name);
                assert!(!documented, "AWS has {name}");
                continue;
            }
            assert_eq!(of_aws.namespace, NAMESPACE, "{name}");
            let set = |set: &&[Dimension]| -> String {
                let names = set.iter().map(|dimension| dimension.cloudwatch().unwrap());
                names.map(|name| &name[..1]).collect()
            };
            let sets: Vec<String> = of_aws.dimensions.iter().map(set).collect();
            let statistics: Vec<&str> = of_aws.statistics.iter().map(|one| one.word()).collect();
            let row = (
                name,
                metric.unit.cloudwatch(),
                &*sets.join(" "),
                &*statistics.join(" "),
            );
            assert!(DOCUMENTED.contains(&row), "{row:?}");
            if let Part::Labelled(_) = of_aws.part {
                assert_eq!(metric.labels, [Dimension::Code], "{name}");
            }
        }
    }
}

/// CloudWatch is queried for a group's targets by load balancer, for which the page has no label.
#[test]
fn samples_say_more_than_a_page() {
    let snapshot = server(played().metrics());
    let requests = all().find(|metric| metric.name == names::TARGET_REQUESTS);
    let [sample] = &requests.unwrap().samples(&snapshot)[..] else {
        panic!("one target, one sample");
    };
    let wanted = [
        (Dimension::TargetGroup, "targetgroup/g/1"),
        (Dimension::LoadBalancer, "app/b/1"),
        (Dimension::Target, "10.0.0.1:80"),
    ];
    assert_eq!(
        sample.dimensions,
        wanted.map(|(dimension, value)| (dimension, value.into()))
    );
    assert_eq!(sample.value, Value::Integer(2));
}
