//! Metrics of load balancers and target groups by node, which servers have and agents do not. Many are there for a CloudWatch metric.

use super::row::{L, L_LT, LEVELS, LT, T_ALONE, T_LT, by_code, counter, gauge, histogram, sum};
use super::server::LATENCIES;
use crate::metrics::cloudwatch::Statistic;
use crate::metrics::dimension::Dimension::{self, *};
use crate::metrics::metric::{Metric, Read, Unit};
use forebay_node::Why as NoSlot;

/// By load balancer alone, over all zones; and by that and reason.
const L_REASON: &[&[Dimension]] = &[&[LoadBalancer], &[LoadBalancer, Reason]];

/// By load balancer alone.
const L_WHOLE: &[&[Dimension]] = &[&[LoadBalancer]];

/// By load balancer, and by that and target group, over all zones.
const LOAD_BALANCER_AND_GROUP: &[&[Dimension]] = &[&[LoadBalancer], &[LoadBalancer, TargetGroup]];

/// The statistics of times.
const TIMES: &[Statistic] = &[Statistic::Average, Statistic::Percentile];

pub(super) const ROWS: &[Metric] = &[
    counter(
        "forebay_error_answers",
        "Answers 500, 502, 503 and 504 made here (HTTPCode_ELB_500_Count and so on)",
        Read::LoadBalancer(|of, to| {
            for (code, &count) in ["500", "502", "503", "504"].into_iter().zip(&of.counts.errors) {
                to.add_of([code], count);
            }
        }),
    )
    .by(&[Code])
    .cloudwatch(&[
        sum("HTTPCode_ELB_500_Count", L).of("500"),
        sum("HTTPCode_ELB_502_Count", L).of("502"),
        sum("HTTPCode_ELB_503_Count", L).of("503"),
        sum("HTTPCode_ELB_504_Count", L).of("504"),
    ]),
    counter(
        "forebay_failures",
        "Answers 502, 503 and 504 made here in place of a target's, by reason",
        Read::LoadBalancer(|of, to| {
            let reasons = forebay_node::Reason::IN_PLACE_OF_A_TARGET;
            for (reason, &count) in reasons.into_iter().zip(&of.counts.failures) {
                to.add_of([reason.word()], count);
            }
        }),
    )
    .by(&[Reason])
    .cloudwatch(&[sum("FailureCount", L_REASON).own()]),
    counter(
        "forebay_fixed_responses",
        "Requests that a rule's fixed response answered (HTTP_Fixed_Response_Count)",
        Read::LoadBalancer(|of, to| to.add(of.counts.fixed)),
    )
    .cloudwatch(&[sum("HTTP_Fixed_Response_Count", L)]),
    counter(
        "forebay_redirects",
        "Requests that a rule's redirect answered (HTTP_Redirect_Count)",
        Read::LoadBalancer(|of, to| to.add(of.counts.redirects)),
    )
    .cloudwatch(&[sum("HTTP_Redirect_Count", L)]),
    counter(
        "forebay_redirects_too_long",
        "Requests that were not redirected because the Location would have been too long \
         (HTTP_Redirect_Url_Limit_Exceeded_Count)",
        Read::LoadBalancer(|of, to| to.add(of.counts.redirects_too_long)),
    )
    .cloudwatch(&[sum("HTTP_Redirect_Url_Limit_Exceeded_Count", L)]),
    counter(
        "forebay_processed_bytes",
        "Bytes of heads and bodies from clients and to them, counted as in the access log, of requests that ended \
         (ProcessedBytes)",
        Read::LoadBalancer(|of, to| {
            to.add_of(["received"], of.counts.received_bytes);
            to.add_of(["sent"], of.counts.sent_bytes);
        }),
    )
    .by(&[Direction])
    .unit(Unit::Bytes)
    .cloudwatch(&[sum("ProcessedBytes", L)]),
    counter(
        "forebay_lambda_processed_bytes",
        "Processed bytes that went to functions or came from them (LambdaTargetProcessedBytes)",
        Read::LoadBalancer(|of, to| to.add(of.counts.lambda_bytes)),
    )
    .unit(Unit::Bytes)
    .cloudwatch(&[sum("LambdaTargetProcessedBytes", L_WHOLE)]),
    counter(
        "forebay_ipv6_processed_bytes",
        "Processed bytes that went over IPv6 (IPv6ProcessedBytes)",
        Read::LoadBalancer(|of, to| to.add(of.counts.ipv6_bytes)),
    )
    .unit(Unit::Bytes)
    .cloudwatch(&[sum("IPv6ProcessedBytes", L)]),
    counter(
        "forebay_ipv6_requests",
        "Requests over IPv6 that ended (IPv6RequestCount)",
        Read::LoadBalancer(|of, to| to.add(of.counts.ipv6_requests)),
    )
    .cloudwatch(&[sum("IPv6RequestCount", L)]),
    counter(
        "forebay_app_non_sticky_requests",
        "Non-sticky requests whose group's stickiness uses an application's cookie (AppCookieNonStickinessCount)",
        Read::LoadBalancer(|of, to| to.add(of.counts.app_non_sticky)),
    )
    .cloudwatch(&[sum("AppCookieNonStickinessCount", L)]),
    counter(
        "forebay_dropped_header_requests",
        "Requests that lost header lines because of their names (DroppedInvalidHeaderRequestCount)",
        Read::LoadBalancer(|of, to| to.add(of.counts.dropped_headers)),
    )
    .cloudwatch(&[sum("DroppedInvalidHeaderRequestCount", &[&[LoadBalancer, AvailabilityZone]])]),
    counter(
        "forebay_charged_rule_evaluations",
        "Rules evaluated beyond the first ten of a request, which LCUs charge for",
        Read::LoadBalancer(|of, to| to.add(of.counts.charged_evaluations)),
    ),
    counter(
        "forebay_group_arrivals",
        "Requests routed to a target group, whether or not a target was chosen",
        Read::TargetGroup(|of, to| to.add(of.counts.arrivals)),
    )
    .cloudwatch(&[sum("Arrivals", T_LT).own()]),
    counter(
        "forebay_group_requests",
        "Requests for which a target was chosen, each counted once even if it was sent again (RequestCount)",
        Read::TargetGroup(|of, to| to.add(of.counts.requests)),
    )
    .cloudwatch(&[
        sum("RequestCount", L_LT),
        sum("RequestCountPerTarget", T_LT).per_target().always(),
    ]),
    counter(
        "forebay_group_grpc_requests",
        "gRPC requests for which a target was chosen (GrpcRequestCount)",
        Read::TargetGroup(|of, to| to.add(of.counts.grpc_requests)),
    )
    .cloudwatch(&[sum("GrpcRequestCount", T_LT)]),
    counter(
        "forebay_group_fail_open_requests",
        "Requests for which a target was chosen while too few targets were healthy (UnhealthyRoutingRequestCount)",
        Read::TargetGroup(|of, to| to.add(of.counts.fail_open)),
    )
    .cloudwatch(&[sum("UnhealthyRoutingRequestCount", LT)]),
    counter(
        "forebay_group_answers",
        "Answers of a group's targets, including targets that it no longer has (HTTPCode_Target_*)",
        Read::TargetGroup(|of, to| by_code(&of.counts.answers, to)),
    )
    .by(&[Code])
    .cloudwatch(&[
        sum("HTTPCode_Target_2XX_Count", L_LT).of("2xx"),
        sum("HTTPCode_Target_3XX_Count", L_LT).of("3xx"),
        sum("HTTPCode_Target_4XX_Count", L_LT).of("4xx"),
        sum("HTTPCode_Target_5XX_Count", L_LT).of("5xx"),
    ]),
    counter(
        "forebay_group_connection_errors",
        "Failed connections to a group's targets (TargetConnectionErrorCount)",
        Read::TargetGroup(|of, to| to.add(of.counts.connect_errors)),
    )
    .cloudwatch(&[sum("TargetConnectionErrorCount", L_LT)]),
    counter(
        "forebay_group_tls_errors",
        "TLS handshakes with a group's targets that failed (TargetTLSNegotiationErrorCount)",
        Read::TargetGroup(|of, to| to.add(of.counts.tls_errors)),
    )
    .cloudwatch(&[sum("TargetTLSNegotiationErrorCount", L_LT)]),
    counter(
        "forebay_group_lambda_user_errors",
        "Requests to a function that failed because of the function or of the request (LambdaUserError)",
        Read::TargetGroup(|of, to| to.add(of.counts.lambda_user_errors)),
    )
    .cloudwatch(&[sum("LambdaUserError", T_ALONE)]),
    counter(
        "forebay_group_lambda_internal_errors",
        "Requests to a function that failed because it could not be invoked or did not answer (LambdaInternalError)",
        Read::TargetGroup(|of, to| to.add(of.counts.lambda_internal_errors)),
    )
    .cloudwatch(&[sum("LambdaInternalError", T_ALONE)]),
    histogram(
        "forebay_group_response_seconds",
        LATENCIES,
        "Time until the head of an answer of a group's targets came, by its status; a status that never came has no line \
         (TargetResponseTime)",
        Read::TargetGroup(|of, to| {
            let codes = ["1xx", "2xx", "3xx", "4xx", "5xx"];
            for (code, times) in codes.into_iter().zip(&of.counts.times[1..]) {
                // Histograms of statuses that never came are left out: most groups see two of the five.
                if !times.buckets.is_empty() {
                    to.add_of([code], times.clone());
                }
            }
        }),
    )
    .by(&[Code])
    .cloudwatch(&[
        sum("TargetResponseTime", L_LT).with(TIMES),
        sum("TargetResponseTime_2XX", LOAD_BALANCER_AND_GROUP).of("2xx").with(TIMES).own(),
        sum("TargetResponseTime_3XX", LOAD_BALANCER_AND_GROUP).of("3xx").with(TIMES).own(),
        sum("TargetResponseTime_4XX", LOAD_BALANCER_AND_GROUP).of("4xx").with(TIMES).own(),
        sum("TargetResponseTime_5XX", LOAD_BALANCER_AND_GROUP).of("5xx").with(TIMES).own(),
    ]),
    gauge(
        "forebay_group_waiting",
        "Requests that wait for a slot, counted by node (SurgeQueueLength)",
        Read::TargetGroup(|of, to| to.add(of.counts.waiting)),
    )
    .cloudwatch(&[sum("SurgeQueueLength", L_LT).with(&[Statistic::Maximum])]),
    counter(
        "forebay_group_spillover",
        "Requests that got no slot, counted by node, by reason (SpilloverCount)",
        Read::TargetGroup(|of, to| {
            for why in NoSlot::ALL {
                to.add_of([why.word()], of.counts.spillover[why as usize]);
            }
        }),
    )
    .by(&[Why])
    .cloudwatch(&[sum("SpilloverCount", L_LT)]),
    gauge(
        "forebay_target_unhealthy",
        "1 for a target whose health checks have failed (UnHealthyHostCount)",
        Read::Target(|of, to| to.add(of.is_unhealthy)),
    )
    .cloudwatch(&[sum("UnHealthyHostCount", LT).with(LEVELS).always()]),
    gauge(
        "forebay_slot_demand",
        "Slots in use, and requests that wait for one",
        Read::Gate(|of, to| to.add(of.figures.busy + of.figures.waiting as u64)),
    )
    .cloudwatch(&[sum("SlotDemand", T_ALONE).with(LEVELS).own().always()]),
    gauge(
        "forebay_slot_utilization",
        "Share of a group's slots in use; not reported while the group has no slots",
        Read::Gate(|of, to| {
            let slots = of.figures.slots();
            if slots > 0 {
                to.add(of.figures.busy as f64 / slots as f64);
            }
        }),
    )
    .unit(Unit::Ratio)
    .cloudwatch(&[sum("SlotUtilization", T_ALONE).with(LEVELS).own().always()]),
];
