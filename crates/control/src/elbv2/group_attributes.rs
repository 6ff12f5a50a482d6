//! The attributes of target groups (API reference, `TargetGroupAttribute`), in the order in which they are described
//! and applied. Stickiness is enabled before its type is set, and the type before the details, because later rows
//! refine what earlier ones have set.

use crate::settings::holder::Holder::{self, GeneveGroup, HttpGroup, LambdaGroup, TcpGroup};
use crate::settings::setting::{Setting, put};
use crate::settings::values::Values::{Bool, OffOr, OneOf, Range, Text, ZeroOr};
use forebay_model::{Algorithm, GroupSettings, Stickiness};

const HTTP: &[Holder] = &[HttpGroup];
const TCP: &[Holder] = &[TcpGroup];
const GENEVE: &[Holder] = &[GeneveGroup];
const STICKINESS: &[&str] = &["app_cookie", "lb_cookie", "source_ip"];
const REBALANCE: &[&str] = &["rebalance", "no_rebalance"];
/// The highest threshold that counts targets.
const MOST_TARGETS: u32 = 1000;
/// A day in seconds: the default lifetime of a sticky cookie.
const DAY: u64 = 86_400;

/// The attributes, in the order of DescribeTargetGroupAttributes.
pub(crate) const ATTRIBUTES: &[Setting<GroupSettings>] = &[
    Setting::new(
        "deregistration_delay.timeout_seconds",
        &[HttpGroup, TcpGroup, GeneveGroup],
        (Range(0, 3600), "300"),
        "seconds that requests in flight at a deregistered target may take",
        |group, value| put(&mut group.deregistration_delay, value.seconds()),
    ),
    Setting::new(
        "stickiness.enabled",
        &[HttpGroup, LambdaGroup, TcpGroup, GeneveGroup],
        (Bool, "false"),
        "a client's requests go on to the same target",
        |group, value| {
            group.stickiness = if value.flag()? {
                Stickiness::Balancer { seconds: DAY }
            } else {
                Stickiness::Off
            };
            Some(())
        },
    ),
    Setting::new(
        "stickiness.type",
        &[HttpGroup, LambdaGroup],
        (OneOf(STICKINESS), "lb_cookie"),
        "by which cookie a client is recognised: the load balancer's or the application's",
        |group, value| {
            group.stickiness = match (value.text()?, &group.stickiness) {
                (_, Stickiness::Off) | ("source_ip", _) => Stickiness::Off,
                ("app_cookie", _) => Stickiness::App {
                    cookie: String::new(),
                    seconds: DAY,
                },
                _ => Stickiness::Balancer { seconds: DAY },
            };
            Some(())
        },
    ),
    Setting::stored(
        "stickiness.type",
        &[TcpGroup],
        (OneOf(STICKINESS), "source_ip"),
        "how a client is recognised",
    ),
    Setting::stored(
        "stickiness.type",
        &[GeneveGroup],
        (
            OneOf(&["source_ip_dest_ip_proto", "source_ip_dest_ip"]),
            "source_ip_dest_ip_proto",
        ),
        "how a client is recognised",
    ),
    Setting::new(
        "stickiness.lb_cookie.duration_seconds",
        &[HttpGroup, LambdaGroup],
        (Range(1, 604_800), "86400"),
        "seconds for which the load balancer's cookie is good after each response",
        |group, value| {
            let given = value.whole()?;
            if let Stickiness::Balancer { seconds } = &mut group.stickiness {
                *seconds = given;
            }
            Some(())
        },
    ),
    Setting::new(
        "stickiness.app_cookie.cookie_name",
        &[HttpGroup, TcpGroup],
        (Text(128), ""),
        "the name of the application's cookie",
        |group, value| {
            let given = value.text()?;
            if let Stickiness::App { cookie, .. } = &mut group.stickiness {
                given.clone_into(cookie);
            }
            Some(())
        },
    ),
    Setting::new(
        "stickiness.app_cookie.duration_seconds",
        HTTP,
        (Range(1, 604_800), "86400"),
        "seconds for which a client stays with its target by the application's cookie",
        |group, value| {
            let given = value.whole()?;
            if let Stickiness::App { seconds, .. } = &mut group.stickiness {
                *seconds = given;
            }
            Some(())
        },
    ),
    Setting::new(
        "load_balancing.algorithm.type",
        HTTP,
        (
            OneOf(&["round_robin", "least_outstanding_requests", "weighted_random"]),
            "round_robin",
        ),
        "how targets are chosen",
        |group, value| put(&mut group.algorithm, Algorithm::parse(value.text()?)),
    ),
    Setting::new(
        "load_balancing.algorithm.anomaly_mitigation",
        HTTP,
        (OneOf(&["on", "off"]), "off"),
        "targets that fail more requests than their peers get fewer of them",
        |group, value| {
            put(
                &mut group.anomaly_mitigation,
                value.text().map(|word| word == "on"),
            )
        },
    ),
    Setting::new(
        "load_balancing.cross_zone.enabled",
        &[HttpGroup, TcpGroup, GeneveGroup],
        (
            OneOf(&["true", "false", "use_load_balancer_configuration"]),
            "use_load_balancer_configuration",
        ),
        "nodes send to targets of all zones",
        |group, value| put(&mut group.cross_zone, value.text().map(|word| word != "false")),
    ),
    Setting::new(
        "slow_start.duration_seconds",
        HTTP,
        (ZeroOr(30, 900), "0"),
        "seconds during which the share of a target that became healthy grows",
        |group, value| put(&mut group.slow_start, value.seconds()),
    ),
    Setting::new(
        "target_group_health.dns_failover.minimum_healthy_targets.count",
        &[HttpGroup, TcpGroup],
        (OffOr(1, MOST_TARGETS), "1"),
        "a zone with fewer healthy targets counts as unhealthy for DNS (metrics HealthyStateDNS, UnhealthyStateDNS); names are not changed",
        |group, value| put(&mut group.dns_minimum_count, value.whole()),
    ),
    Setting::new(
        "target_group_health.dns_failover.minimum_healthy_targets.percentage",
        &[HttpGroup, TcpGroup],
        (OffOr(1, 100), "off"),
        "a zone with a smaller share of healthy targets counts as unhealthy for DNS (metrics HealthyStateDNS, UnhealthyStateDNS)",
        |group, value| put(&mut group.dns_minimum_percent, value.whole()),
    ),
    Setting::new(
        "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count",
        &[HttpGroup, TcpGroup],
        (Range(1, MOST_TARGETS), "1"),
        "if fewer targets are healthy, all get requests (fail open)",
        |group, value| put(&mut group.routing_minimum_count, value.whole()),
    ),
    Setting::new(
        "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage",
        &[HttpGroup, TcpGroup],
        (OffOr(1, 100), "off"),
        "if a smaller share of the targets is healthy, all get requests (fail open)",
        |group, value| put(&mut group.routing_minimum_percent, value.whole()),
    ),
    Setting::new(
        "lambda.multi_value_headers.enabled",
        &[LambdaGroup],
        (Bool, "false"),
        "events and answers of functions have all values of a header or a parameter",
        |group, value| put(&mut group.multi_value_headers, value.flag()),
    ),
    Setting::stored(
        "deregistration_delay.connection_termination.enabled",
        TCP,
        (Bool, "false"),
        "connections are closed when the deregistration delay is over",
    ),
    Setting::stored(
        "preserve_client_ip.enabled",
        TCP,
        (Bool, "true"),
        "targets see the client's address",
    ),
    Setting::stored(
        "proxy_protocol_v2.enabled",
        TCP,
        (Bool, "false"),
        "connections to targets begin with a PROXY header",
    ),
    Setting::stored(
        "target_health_state.unhealthy.connection_termination.enabled",
        TCP,
        (Bool, "true"),
        "connections to unhealthy targets are closed",
    ),
    Setting::stored(
        "target_health_state.unhealthy.draining_interval_seconds",
        TCP,
        (Range(0, 360_000), "0"),
        "seconds that connections of a target that became unhealthy may last",
    ),
    Setting::stored(
        "target_failover.on_deregistration",
        GENEVE,
        (OneOf(REBALANCE), "no_rebalance"),
        "whether flows of a deregistered target go to another one",
    ),
    Setting::stored(
        "target_failover.on_unhealthy",
        GENEVE,
        (OneOf(REBALANCE), "no_rebalance"),
        "whether flows of an unhealthy target go to another one",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::setting::count_of;

    /// There are as many as on the page "Target group attributes" of the user guide.
    #[test]
    fn all_published_keys_are_there() {
        let count = |holder| count_of(ATTRIBUTES, holder);
        // Without waf.http2.traffic_inspection_behavior, whose default AWS has not published.
        assert_eq!(count(HttpGroup), 14);
    }
}
