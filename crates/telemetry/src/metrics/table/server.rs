//! Metrics of a server.

use super::names;
use super::row::{L, LEVELS, LT, T_ALONE, by_code, counter, gauge, histogram, sum};
use crate::metrics::cloudwatch::Statistic;
use crate::metrics::dimension::Dimension::*;
use crate::metrics::metric::{Metric, Read, Unit};
use crate::standing::Standing;
use forebay_node::{Bucket, Distribution};

/// Upper bounds of latencies, in seconds.
pub(super) const LATENCIES: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

/// Upper bounds of waits, in seconds.
const WAITS: &[f64] = &[
    0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0,
];

pub(super) const ROWS: &[Metric] = &[
    counter(
        "forebay_requests",
        "Requests begun, whoever answers them",
        Read::LoadBalancer(|of, to| to.add(of.counts.requests)),
    )
    .cloudwatch(&[sum("RequestsBegun", L).own()]),
    counter(
        "forebay_connections",
        "Client connections accepted (NewConnectionCount)",
        Read::LoadBalancer(|of, to| to.add(of.counts.connections)),
    )
    .cloudwatch(&[sum("NewConnectionCount", L)]),
    counter(
        "forebay_connections_rejected",
        "Client connections refused because the limit of open connections was reached (RejectedConnectionCount)",
        Read::LoadBalancer(|of, to| to.add(of.counts.rejected)),
    )
    .cloudwatch(&[sum("RejectedConnectionCount", L)]),
    counter(
        "forebay_proxy_headers_refused",
        "Connections and requests refused for their PROXY header: malformed, missing where it is required, or present where it is not allowed",
        Read::LoadBalancer(|of, to| to.add(of.counts.proxy_refused)),
    ),
    counter(
        "forebay_rule_evaluations",
        "Rules evaluated (RuleEvaluations)",
        Read::LoadBalancer(|of, to| to.add(of.counts.rule_evaluations)),
    )
    .cloudwatch(&[sum("RuleEvaluations", &[&[LoadBalancer]])]),
    counter(
        "forebay_fail_open_requests",
        "Requests to groups with too few healthy targets (UnhealthyRoutingRequestCount)",
        Read::LoadBalancer(|of, to| to.add(of.counts.fail_open)),
    ),
    counter(
        "forebay_non_sticky_requests",
        "Requests to sticky groups whose client was not known or could not stay with its target \
             (NonStickyRequestCount)",
        Read::LoadBalancer(|of, to| to.add(of.counts.non_sticky)),
    )
    .cloudwatch(&[sum("NonStickyRequestCount", L)]),
    counter(
        "forebay_memory_refusals",
        "Requests answered 503 because buffers reached their memory limit (--max-buffer-memory)",
        Read::LoadBalancer(|of, to| to.add(of.counts.no_memory)),
    ),
    counter(
        "forebay_desync_noncompliant_requests",
        "Requests whose framing does not follow the RFC (DesyncMitigationMode_NonCompliant_Request_Count)",
        Read::LoadBalancer(|of, to| to.add(of.counts.noncompliant)),
    )
    .cloudwatch(&[sum("DesyncMitigationMode_NonCompliant_Request_Count", L)]),
    gauge(
        "forebay_active_connections",
        "Client connections open (ActiveConnectionCount)",
        Read::LoadBalancer(|of, to| to.add(of.counts.open)),
    )
    .cloudwatch(&[sum("ActiveConnectionCount", L)]),
    counter(
        "forebay_own_answers",
        "Answers that did not come from a target (HTTPCode_ELB_*)",
        Read::LoadBalancer(|of, to| by_code(&of.counts.own, to)),
    )
    .by(&[Code])
    .cloudwatch(&[
        sum("HTTPCode_ELB_3XX_Count", L).of("3xx"),
        sum("HTTPCode_ELB_4XX_Count", L).of("4xx"),
        sum("HTTPCode_ELB_5XX_Count", L).of("5xx"),
    ]),
    counter(
        "forebay_retries",
        "Requests sent again because a connection failed before it was used",
        Read::LoadBalancer(|of, to| {
            to.add_of(["Stale"], of.counts.stale_retries);
            to.add_of(["Refused"], of.counts.connect_retries);
            to.add_of(["Failed"], of.counts.answer_retries);
        }),
    )
    .by(&[Cause])
    .cloudwatch(&[
        sum("StaleConnectionRetryCount", L).of("Stale").own(),
        sum("RefusedConnectionRetryCount", L).of("Refused").own(),
        sum("FailedRequestRetryCount", L).of("Failed").own(),
    ]),
    gauge(
        names::TARGET_HEALTHY,
        "1 for a healthy target (HealthyHostCount)",
        Read::Target(|of, to| to.add(of.is_healthy)),
    )
    .cloudwatch(&[sum("HealthyHostCount", LT).with(LEVELS).always()]),
    gauge(
        names::TARGET_IN_FLIGHT,
        "Requests under way at a target",
        Read::Target(|of, to| to.add(u64::from(of.in_flight))),
    ),
    counter(
        names::TARGET_REQUESTS,
        "Requests sent to a target",
        Read::Target(|of, to| to.add(of.counts.requests)),
    ),
    counter(
        names::TARGET_CONNECTION_ERRORS,
        "Failed connections (TargetConnectionErrorCount)",
        Read::Target(|of, to| to.add(of.counts.connect_errors)),
    ),
    counter(
        names::TARGET_ANSWERS,
        "Answers of a target (HTTPCode_Target_*)",
        Read::Target(|of, to| by_code(&of.counts.answers, to)),
    )
    .by(&[Code]),
    histogram(
        names::TARGET_RESPONSE_SECONDS,
        LATENCIES,
        "Time until the head of a target's answer, for requests that succeeded (TargetResponseTime)",
        Read::Target(|of, to| to.add(of.latencies.clone())),
    ),
    gauge(
        "forebay_anomalous_targets",
        "Targets that behave unlike their peers (AnomalousHostCount)",
        Read::Targets(|of, to| to.add(of.is_anomalous)),
    )
    .cloudwatch(&[sum("AnomalousHostCount", LT)
        .with(&[Statistic::Minimum, Statistic::Maximum])
        .always()]),
    gauge(
        "forebay_mitigated_targets",
        "Targets whose weight is reduced because of that (MitigatedHostCount)",
        Read::Targets(|of, to| to.add(of.is_mitigated)),
    )
    .cloudwatch(&[sum("MitigatedHostCount", LT).with(LEVELS).always()]),
    gauge(
        names::TARGET_WEIGHT,
        "Fraction of an equal share that a target gets, after slow start and mitigation",
        Read::Target(|of, to| to.add(of.weight.share())),
    )
    .unit(Unit::Ratio),
    gauge(
        "forebay_healthy_state_dns",
        "1 while enough targets are healthy for DNS to lead here (HealthyStateDNS)",
        Read::Zone(|of, to| to.add(of.is_in_dns)),
    )
    .cloudwatch(&[
        sum("HealthyStateDNS", LT).with(&[Statistic::Maximum]).always(),
        sum("UnhealthyStateDNS", LT).complement().always(),
    ]),
    gauge(
        "forebay_healthy_state_routing",
        "1 while only healthy targets get traffic (HealthyStateRouting); 0: fail open",
        Read::Zone(|of, to| to.add(of.is_routed_to_healthy)),
    )
    .cloudwatch(&[
        sum("HealthyStateRouting", LT)
            .with(&[Statistic::Maximum])
            .always(),
        sum("UnhealthyStateRouting", LT).complement().always(),
    ]),
    counter(
        "forebay_tls_handshakes",
        "TLS handshakes that led to a connection",
        Read::Listener(|of, to| to.add(of.counts.handshakes)),
    ),
    counter(
        "forebay_tls_resumed",
        "TLS handshakes that resumed a session",
        Read::Listener(|of, to| to.add(of.counts.resumed)),
    ),
    counter(
        "forebay_tls_handshake_failures",
        "TLS handshakes that failed (ClientTLSNegotiationErrorCount)",
        Read::Listener(|of, to| to.add(of.counts.handshake_failures)),
    )
    .cloudwatch(&[sum("ClientTLSNegotiationErrorCount", L)]),
    counter(
        "forebay_target_tls_errors",
        "TLS handshakes with a target that failed (TargetTLSNegotiationErrorCount)",
        Read::Target(|of, to| to.add(of.counts.tls_errors)),
    ),
    gauge(
        names::SURGE_QUEUE_LENGTH,
        "Requests that wait for a slot (SurgeQueueLength)",
        Read::Gate(|of, to| to.add(of.figures.waiting as u64)),
    ),
    gauge(
        names::SLOTS,
        "Slots of a group's targets, in use and free; their utilisation is busy / (busy + free)",
        Read::Gate(|of, to| {
            to.add_of(["busy"], of.figures.busy);
            to.add_of(["free"], of.figures.free);
        }),
    )
    .by(&[State])
    .cloudwatch(&[
        sum("BusySlots", T_ALONE).of("busy").with(LEVELS).own().always(),
        sum("FreeSlots", T_ALONE).of("free").with(LEVELS).own().always(),
    ]),
    counter(
        names::SPILLOVER,
        "Requests that got no slot and were answered 503, by reason (SpilloverCount)",
        Read::Gate(|of, to| {
            for why in forebay_node::Why::ALL {
                to.add_of([why.word()], of.figures.refused_for(why));
            }
        }),
    )
    .by(&[Why]),
    counter(
        "forebay_slots_taken",
        "Requests that got a slot",
        Read::Gate(|of, to| to.add(of.figures.admitted)),
    ),
    counter(
        names::QUEUED,
        "Requests that got a slot after a wait",
        Read::Gate(|of, to| to.add(of.figures.queued)),
    ),
    counter(
        names::QUEUE_LEFT,
        "Requests whose client left while they waited",
        Read::Gate(|of, to| to.add(of.figures.gone)),
    ),
    histogram(
        names::QUEUE_WAIT_SECONDS,
        WAITS,
        "Time that requests waited before they got a slot",
        Read::Gate(|of, to| {
            let waits = &of.figures.waits;
            // Only the ends of these buckets are known here; none is wider than a ninth of its end.
            let buckets = waits.buckets().map(|(to, count)| Bucket {
                from: to * 8 / 9,
                to,
                count,
            });
            to.add(Distribution {
                buckets: buckets.collect(),
                sum: waits.sum(),
            });
        }),
    )
    .cloudwatch(&[sum("QueueWaitTime", T_ALONE)
        .with(&[Statistic::Average, Statistic::Percentile])
        .own()]),
    counter(
        "forebay_target_control_requests",
        "Requests sent to agents (TargetControlRequestCount)",
        Read::Channels(|of, to| to.add(of.requests)),
    )
    .cloudwatch(&[sum("TargetControlRequestCount", L)]),
    counter(
        "forebay_target_control_request_rejects",
        "Requests refused because no agent had a slot for them (TargetControlRequestRejectCount)",
        Read::Channels(|of, to| to.add(of.rejects)),
    )
    .cloudwatch(&[sum("TargetControlRequestRejectCount", L)]),
    counter(
        "forebay_target_control_new_channels",
        "Control channels opened (TargetControlNewChannelCount)",
        Read::Channels(|of, to| to.add(of.opened)),
    )
    .cloudwatch(&[sum("TargetControlNewChannelCount", L)]),
    counter(
        "forebay_target_control_channel_errors",
        "Control channels that failed or could not be opened (TargetControlChannelErrorCount)",
        Read::Channels(|of, to| to.add(of.errors)),
    )
    .cloudwatch(&[sum("TargetControlChannelErrorCount", L)]),
    counter(
        "forebay_target_control_processed_bytes",
        "Bytes of requests to agents and their answers (TargetControlProcessedBytes)",
        Read::Channels(|of, to| to.add(of.bytes)),
    )
    .unit(Unit::Bytes)
    .cloudwatch(&[sum("TargetControlProcessedBytes", L)]),
    gauge(
        names::TARGET_CONTROL_ACTIVE_CHANNELS,
        "Open control channels: one to each agent, however many nodes the load balancer has \
         (TargetControlActiveChannelCount)",
        Read::Channels(|of, to| to.add(of.active as u64)),
    )
    .cloudwatch(&[sum("TargetControlActiveChannelCount", L)]),
    gauge(
        "forebay_target_control_work_queue_length",
        "Permits at hand (TargetControlWorkQueueLength)",
        Read::Channels(|of, to| to.add(of.permits)),
    )
    .cloudwatch(&[sum("TargetControlWorkQueueLength", L)]),
    counter(
        "forebay_log_lines",
        "Log lines written",
        Read::Logs(|of, to| {
            for lines in &of.lines {
                to.add_of([lines.log.word(), lines.sink.word()], lines.written);
            }
        }),
    )
    .by(&[Log, Sink]),
    counter(
        "forebay_log_lines_dropped",
        "Log lines lost because a file or a reader was too slow or failed",
        Read::Logs(|of, to| {
            for lines in &of.lines {
                to.add_of([lines.log.word(), lines.sink.word()], lines.dropped);
            }
        }),
    )
    .by(&[Log, Sink]),
    counter(
        "forebay_log_files_deleted",
        "Log files deleted at the end of their retention (--log-retention)",
        Read::Logs(|of, to| {
            for (log, count) in &of.deleted {
                to.add_of([log.word()], *count);
            }
        }),
    )
    .by(&[Log]),
    counter(
        "forebay_spans",
        "OpenTelemetry spans that the collector accepted",
        Read::Logs(|of, to| to.add(of.spans_sent)),
    ),
    counter(
        "forebay_spans_dropped",
        "OpenTelemetry spans lost because the collector was too slow, could not be reached or rejected them",
        Read::Logs(|of, to| to.add(of.spans_dropped)),
    ),
    counter(
        "forebay_process_log_lines_dropped",
        "Lines of the process's own log left out because there were too many of a kind, or because standard error was too slow",
        Read::Process(|of, to| to.add(of.lines_dropped)),
    ),
    gauge(
        "forebay_health",
        "1 for the current status on the health page, 0 for the others",
        Read::Process(|of, to| {
            for standing in Standing::ALL {
                to.add_of([standing.word()], standing == of.standing);
            }
        }),
    )
    .by(&[Status]),
];
