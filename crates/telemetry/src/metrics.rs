//! The node's counters in Prometheus' text format, gathered anew for each scrape.

use crate::handshakes::handshakes;
use crate::histogram::Histogram;
use crate::labels::dimension;
use crate::logs::{Log, LogCounters, Sink};
use crate::queues::queues;
use crate::standing::Standing;
use forebay_node::{BalancerStats, Node, Shards, TargetTotals};
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BalancerLabels {
    load_balancer: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
enum RetryCause {
    Stale,
    Refused,
    Failed,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RetryLabels {
    load_balancer: String,
    cause: RetryCause,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabels {
    load_balancer: String,
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct GroupLabels {
    target_group: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ZoneLabels {
    target_group: String,
    zone: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TargetLabels {
    target_group: String,
    target: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LogLabels {
    log: &'static str,
    sink: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TargetCodeLabels {
    target_group: String,
    target: String,
    code: &'static str,
}

/// Upper bounds of the latency histogram, in seconds.
const LATENCIES: [f64; 16] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

const CODES: [&str; 6] = ["0xx", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// What the process knows of itself.
#[derive(Clone, Copy, Debug)]
pub struct Own {
    /// Lines of its own log that were not written.
    pub lines_dropped: u64,
    /// How it is.
    pub standing: Standing,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StandingLabels {
    status: &'static str,
}

/// All counters in OpenMetrics' text.
pub fn render(node: &Node, counters: &LogCounters, own: Own) -> String {
    let mut registry = Registry::with_prefix("forebay");
    balancers(node, &mut registry);
    answers_and_retries(node, &mut registry);
    targets(node, &mut registry);
    latencies(node, &mut registry);
    standings(node, &mut registry);
    handshakes(node, &mut registry);
    queues(node, &mut registry);
    logs(counters, &mut registry);
    let dropped = Counter::<u64>::default();
    dropped.inc_by(own.lines_dropped);
    registry.register(
        "process_log_lines_dropped",
        "Lines of the process's own log left out: too many of a kind, or standard error did not take them",
        dropped,
    );
    let standings = Family::<StandingLabels, Gauge>::default();
    registry.register(
        "health",
        "1 for the status that the health page has, 0 for the others",
        standings.clone(),
    );
    for standing in Standing::ALL {
        let labels = StandingLabels {
            status: standing.word(),
        };
        let is_it = i64::from(standing == own.standing);
        standings.get_or_create(&labels).set(is_it);
    }
    let mut text = String::new();
    // Writing into a String can't fail; a metric without its line would show at the first scrape.
    if encode(&mut text, &registry).is_err() {
        text.clear();
    }
    text
}

fn balancers(node: &Node, registry: &mut Registry) {
    let mut counter = |name: &str, help: &str, read: fn(&BalancerStats) -> &AtomicU64| {
        let family = Family::<BalancerLabels, Counter>::default();
        registry.register(name, help, family.clone());
        for (arn, shards) in node.balancers() {
            let labels = BalancerLabels {
                load_balancer: dimension(arn),
            };
            family.get_or_create(&labels).inc_by(sum(shards, read));
        }
    };
    counter("requests", "Requests begun, whoever answers them", |stats| {
        &stats.requests
    });
    counter(
        "connections",
        "Client connections accepted (NewConnectionCount)",
        |stats| &stats.connections,
    );
    counter(
        "connections_rejected",
        "Client connections refused because as many were open as may be (RejectedConnectionCount)",
        |stats| &stats.rejected,
    );
    counter("rule_evaluations", "Rules looked at (RuleEvaluations)", |stats| {
        &stats.rule_evaluations
    });
    counter(
        "fail_open_requests",
        "Requests to groups with too few healthy targets (UnhealthyRoutingRequestCount)",
        |stats| &stats.fail_open,
    );
    counter(
        "non_sticky_requests",
        "Requests to sticky groups whose client was not known, or could not stay with its target (NonStickyRequestCount)",
        |stats| &stats.non_sticky,
    );
    counter(
        "memory_refusals",
        "Requests answered 503 because buffers hold as much memory as they may (--max-buffer-memory)",
        |stats| &stats.no_memory,
    );
    counter(
        "desync_noncompliant_requests",
        "Requests whose framing does not follow the RFC (DesyncMitigationMode_NonCompliant_Request_Count)",
        |stats| &stats.noncompliant,
    );
}

fn answers_and_retries(node: &Node, registry: &mut Registry) {
    let active = Family::<BalancerLabels, Gauge>::default();
    let own = Family::<CodeLabels, Counter>::default();
    let retries = Family::<RetryLabels, Counter>::default();
    registry.register(
        "active_connections",
        "Client connections open (ActiveConnectionCount)",
        active.clone(),
    );
    registry.register("own_answers", "Answers made here (HTTPCode_ELB_*)", own.clone());
    registry.register(
        "retries",
        "Requests sent again because a connection failed unused",
        retries.clone(),
    );
    for (arn, shards) in node.balancers() {
        let load_balancer = dimension(arn);
        let open = i64::try_from(sum(shards, |stats| &stats.open)).unwrap_or(i64::MAX);
        active
            .get_or_create(&BalancerLabels {
                load_balancer: load_balancer.clone(),
            })
            .set(open);
        for (index, &code) in CODES.iter().enumerate().skip(2) {
            let count: u64 = shards.iter().map(|shard| shard.own[index].load(Relaxed)).sum();
            own.get_or_create(&CodeLabels {
                load_balancer: load_balancer.clone(),
                code,
            })
            .inc_by(count);
        }
        let retried = |cause, count| {
            retries
                .get_or_create(&RetryLabels {
                    load_balancer: load_balancer.clone(),
                    cause,
                })
                .inc_by(count);
        };
        retried(RetryCause::Stale, sum(shards, |stats| &stats.stale_retries));
        retried(RetryCause::Refused, sum(shards, |stats| &stats.connect_retries));
        retried(RetryCause::Failed, sum(shards, |stats| &stats.answer_retries));
    }
}

fn logs(counters: &LogCounters, registry: &mut Registry) {
    let written = Family::<LogLabels, Counter>::default();
    let dropped = Family::<LogLabels, Counter>::default();
    registry.register("log_lines", "Log lines written", written.clone());
    registry.register(
        "log_lines_dropped",
        "Log lines lost because a file or a reader took no more",
        dropped.clone(),
    );
    let spans: Counter = Counter::default();
    spans.inc_by(counters.spans_sent());
    registry.register("spans", "OpenTelemetry spans that the collector took", spans);
    let lost: Counter = Counter::default();
    lost.inc_by(counters.spans_dropped());
    registry.register(
        "spans_dropped",
        "OpenTelemetry spans lost because the collector was slow, away or did not want them",
        lost,
    );
    for log in Log::ALL {
        for sink in Sink::ALL {
            let labels = LogLabels {
                log: log.word(),
                sink: sink.word(),
            };
            written.get_or_create(&labels).inc_by(counters.written(log, sink));
            dropped.get_or_create(&labels).inc_by(counters.dropped(log, sink));
        }
    }
}

/// A counter over all workers.
fn sum(shards: &Shards<BalancerStats>, read: fn(&BalancerStats) -> &AtomicU64) -> u64 {
    shards.iter().map(|shard| read(shard).load(Relaxed)).sum()
}

fn targets(node: &Node, registry: &mut Registry) {
    let healthy = Family::<TargetLabels, Gauge>::default();
    let in_flight = Family::<TargetLabels, Gauge>::default();
    let sent = Family::<TargetLabels, Counter>::default();
    let errors = Family::<TargetLabels, Counter>::default();
    let answers = Family::<TargetCodeLabels, Counter>::default();
    registry.register(
        "target_healthy",
        "1 for a healthy target (HealthyHostCount)",
        healthy.clone(),
    );
    registry.register(
        "target_in_flight",
        "Requests under way at a target",
        in_flight.clone(),
    );
    registry.register("target_requests", "Requests sent to a target", sent.clone());
    registry.register(
        "target_connection_errors",
        "Failed connections (TargetConnectionErrorCount)",
        errors.clone(),
    );
    registry.register(
        "target_answers",
        "Answers of a target (HTTPCode_Target_*)",
        answers.clone(),
    );
    for (arn, id, port, is_healthy, stats) in node.targets() {
        let (target_group, target) = (dimension(arn), format!("{id}:{port}"));
        let sum = |read: &dyn Fn(&TargetTotals) -> &AtomicU64| -> u64 {
            stats.totals.iter().map(|shard| read(shard).load(Relaxed)).sum()
        };
        let labels = TargetLabels {
            target_group: target_group.clone(),
            target: target.clone(),
        };
        healthy.get_or_create(&labels).set(i64::from(is_healthy));
        in_flight
            .get_or_create(&labels)
            .set(i64::from(stats.in_flight.load(Relaxed)));
        sent.get_or_create(&labels)
            .inc_by(sum(&|totals| &totals.requests));
        errors
            .get_or_create(&labels)
            .inc_by(sum(&|totals| &totals.connect_errors));
        for (index, &code) in CODES.iter().enumerate().skip(2) {
            let labels = TargetCodeLabels {
                target_group: target_group.clone(),
                target: target.clone(),
                code,
            };
            answers
                .get_or_create(&labels)
                .inc_by(sum(&|totals| &totals.answers[index]));
        }
    }
}

/// How long targets take.
fn latencies(node: &Node, registry: &mut Registry) {
    let latency = Family::<TargetLabels, Histogram>::default();
    registry.register(
        "target_response_seconds",
        "Time until the head of a target's answer, of requests that were a success (TargetResponseTime)",
        latency.clone(),
    );
    for (arn, id, port, _, stats) in node.targets() {
        let labels = TargetLabels {
            target_group: dimension(arn),
            target: format!("{id}:{port}"),
        };
        latency
            .get_or_create(&labels)
            .fill(&LATENCIES, stats.latency_buckets(), stats.latency_sum());
    }
}

/// How targets compare with their peers, and what weight that and slow start leave them.
fn standings(node: &Node, registry: &mut Registry) {
    let anomalous = Family::<GroupLabels, Gauge>::default();
    let mitigated = Family::<GroupLabels, Gauge>::default();
    let weights = Family::<TargetLabels, Gauge<f64, AtomicU64>>::default();
    registry.register(
        "anomalous_targets",
        "Targets that behave unlike their peers (AnomalousHostCount)",
        anomalous.clone(),
    );
    registry.register(
        "mitigated_targets",
        "Targets whose weight is cut for that (MitigatedHostCount)",
        mitigated.clone(),
    );
    registry.register(
        "target_weight",
        "Share of an equal share that a target gets: slow start, mitigation",
        weights.clone(),
    );
    let in_dns = Family::<ZoneLabels, Gauge>::default();
    let routed = Family::<ZoneLabels, Gauge>::default();
    registry.register(
        "healthy_state_dns",
        "1 while enough targets are healthy for names to lead here (HealthyStateDNS)",
        in_dns.clone(),
    );
    registry.register(
        "healthy_state_routing",
        "1 while healthy targets alone get the traffic (HealthyStateRouting); 0: fail open",
        routed.clone(),
    );
    for (arn, zone, stays, healthy) in node.states() {
        let labels = ZoneLabels {
            target_group: dimension(arn),
            zone: zone.to_owned(),
        };
        in_dns.get_or_create(&labels).set(i64::from(stays));
        routed.get_or_create(&labels).set(i64::from(healthy));
    }
    for (arn, id, port, is_anomalous, is_mitigated, weight) in node.standings() {
        let target_group = dimension(arn);
        let group = GroupLabels {
            target_group: target_group.clone(),
        };
        anomalous.get_or_create(&group).inc_by(i64::from(is_anomalous));
        mitigated.get_or_create(&group).inc_by(i64::from(is_mitigated));
        let target = format!("{id}:{port}");
        weights
            .get_or_create(&TargetLabels { target_group, target })
            .set(weight.share());
    }
}

#[cfg(test)]
mod tests;
