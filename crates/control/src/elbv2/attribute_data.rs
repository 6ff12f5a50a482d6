//! Every attribute, once (alb reference, section 2).

use crate::elbv2::attribute::Attribute;
use crate::elbv2::attribute::Holder::{
    self, Application, Gateway, GeneveGroup, HttpGroup, LambdaGroup, Listener, Network, PlainListener,
    SecureListener, TcpGroup,
};
use crate::elbv2::attribute::Values::{
    self, AlwaysTrue, Bool, HeaderName, HeaderValue, OffOr, OneOf, Range, Text, ZeroOr,
};

const fn entry(
    key: &'static str,
    holders: &'static [Holder],
    default: &'static str,
    values: Values,
    effect: bool,
) -> Attribute {
    Attribute {
        key,
        holders,
        default,
        values,
        effect,
    }
}

/// Built: the effect is there.
const BUILT: bool = true;
/// Stored and told only.
const STORED: bool = false;
const APP: &[Holder] = &[Application];
const ALL_LB: &[Holder] = &[Application, Network, Gateway];
const NLB: &[Holder] = &[Network];
const HTTP: &[Holder] = &[HttpGroup];
const SECURE: &[Holder] = &[SecureListener];
const LISTEN: &[Holder] = &[Listener, SecureListener];
/// The most targets that a threshold may count.
const MOST_TARGETS: u32 = 1000;

/// All attributes, as DescribeLoadBalancerAttributes, DescribeListenerAttributes and DescribeTargetGroupAttributes give them.
pub const ATTRIBUTES: &[Attribute] = &[
    // Load balancers.
    entry("access_logs.s3.enabled", ALL_LB, "false", Bool, BUILT),
    entry("access_logs.s3.bucket", ALL_LB, "", Text(1024), BUILT),
    entry("access_logs.s3.prefix", ALL_LB, "", Text(1024), BUILT),
    entry("idle_timeout.timeout_seconds", APP, "60", Range(1, 4000), BUILT),
    entry("deletion_protection.enabled", ALL_LB, "false", Bool, BUILT),
    entry("routing.http2.enabled", APP, "true", Bool, BUILT),
    entry(
        "routing.http.drop_invalid_header_fields.enabled",
        APP,
        "false",
        Bool,
        BUILT,
    ),
    entry("routing.http.xff_client_port.enabled", APP, "false", Bool, BUILT),
    entry(
        "routing.http.preserve_host_header.enabled",
        APP,
        "false",
        Bool,
        BUILT,
    ),
    entry(
        "routing.http.xff_header_processing.mode",
        APP,
        "append",
        OneOf(&["append", "preserve", "remove"]),
        BUILT,
    ),
    entry(
        "load_balancing.cross_zone.enabled",
        APP,
        "true",
        AlwaysTrue,
        BUILT,
    ),
    entry(
        "load_balancing.cross_zone.enabled",
        &[Network, Gateway],
        "false",
        Bool,
        STORED,
    ),
    entry(
        "routing.http.desync_mitigation_mode",
        APP,
        "defensive",
        OneOf(&["monitor", "defensive", "strictest"]),
        BUILT,
    ),
    entry(
        "client_keep_alive.seconds",
        APP,
        "3600",
        Range(60, 604_800),
        BUILT,
    ),
    entry("waf.fail_open.enabled", APP, "false", Bool, STORED),
    entry(
        "routing.http.x_amzn_tls_version_and_cipher_suite.enabled",
        APP,
        "false",
        Bool,
        BUILT,
    ),
    entry(
        "ipv6.deny_all_igw_traffic",
        &[Application, Network],
        "false",
        Bool,
        STORED,
    ),
    entry(
        "zonal_shift.config.enabled",
        &[Application, Network],
        "false",
        Bool,
        STORED,
    ),
    entry("connection_logs.s3.enabled", APP, "false", Bool, BUILT),
    entry("connection_logs.s3.bucket", APP, "", Text(1024), BUILT),
    entry("connection_logs.s3.prefix", APP, "", Text(1024), BUILT),
    entry("health_check_logs.s3.enabled", APP, "false", Bool, BUILT),
    entry("health_check_logs.s3.bucket", APP, "", Text(1024), BUILT),
    entry("health_check_logs.s3.prefix", APP, "", Text(1024), BUILT),
    entry(
        "dns_record.client_routing_policy",
        NLB,
        "any_availability_zone",
        OneOf(&[
            "any_availability_zone",
            "availability_zone_affinity",
            "partial_availability_zone_affinity",
        ]),
        STORED,
    ),
    entry(
        "secondary_ips.auto_assigned.per_subnet",
        NLB,
        "0",
        Range(0, 7),
        STORED,
    ),
    // Listeners.
    entry(
        "routing.http.request.x_amzn_mtls_clientcert_serial_number.header_name",
        SECURE,
        "",
        HeaderName,
        STORED,
    ),
    entry(
        "routing.http.request.x_amzn_mtls_clientcert_issuer.header_name",
        SECURE,
        "",
        HeaderName,
        STORED,
    ),
    entry(
        "routing.http.request.x_amzn_mtls_clientcert_subject.header_name",
        SECURE,
        "",
        HeaderName,
        STORED,
    ),
    entry(
        "routing.http.request.x_amzn_mtls_clientcert_validity.header_name",
        SECURE,
        "",
        HeaderName,
        STORED,
    ),
    entry(
        "routing.http.request.x_amzn_mtls_clientcert_leaf.header_name",
        SECURE,
        "",
        HeaderName,
        STORED,
    ),
    entry(
        "routing.http.request.x_amzn_mtls_clientcert.header_name",
        SECURE,
        "",
        HeaderName,
        STORED,
    ),
    entry(
        "routing.http.request.x_amzn_tls_version.header_name",
        SECURE,
        "",
        HeaderName,
        BUILT,
    ),
    entry(
        "routing.http.request.x_amzn_tls_cipher_suite.header_name",
        SECURE,
        "",
        HeaderName,
        BUILT,
    ),
    entry(
        "routing.http.response.server.enabled",
        LISTEN,
        "true",
        Bool,
        BUILT,
    ),
    entry(
        "routing.http.response.strict_transport_security.header_value",
        LISTEN,
        "",
        HeaderValue,
        BUILT,
    ),
    entry(
        "routing.http.response.access_control_allow_origin.header_value",
        LISTEN,
        "",
        HeaderValue,
        BUILT,
    ),
    entry(
        "routing.http.response.access_control_allow_methods.header_value",
        LISTEN,
        "",
        HeaderValue,
        BUILT,
    ),
    entry(
        "routing.http.response.access_control_allow_headers.header_value",
        LISTEN,
        "",
        HeaderValue,
        BUILT,
    ),
    entry(
        "routing.http.response.access_control_allow_credentials.header_value",
        LISTEN,
        "",
        HeaderValue,
        BUILT,
    ),
    entry(
        "routing.http.response.access_control_expose_headers.header_value",
        LISTEN,
        "",
        HeaderValue,
        BUILT,
    ),
    entry(
        "routing.http.response.access_control_max_age.header_value",
        LISTEN,
        "",
        HeaderValue,
        BUILT,
    ),
    entry(
        "routing.http.response.content_security_policy.header_value",
        LISTEN,
        "",
        HeaderValue,
        BUILT,
    ),
    entry(
        "routing.http.response.x_content_type_options.header_value",
        LISTEN,
        "",
        HeaderValue,
        BUILT,
    ),
    entry(
        "routing.http.response.x_frame_options.header_value",
        LISTEN,
        "",
        HeaderValue,
        BUILT,
    ),
    entry(
        "tcp.idle_timeout.seconds",
        &[PlainListener],
        "350",
        Range(60, 6000),
        STORED,
    ),
    // Target groups.
    entry(
        "deregistration_delay.timeout_seconds",
        &[HttpGroup, TcpGroup, GeneveGroup],
        "300",
        Range(0, 3600),
        BUILT,
    ),
    entry(
        "stickiness.enabled",
        &[HttpGroup, LambdaGroup, TcpGroup, GeneveGroup],
        "false",
        Bool,
        BUILT,
    ),
    entry(
        "stickiness.type",
        &[HttpGroup, LambdaGroup],
        "lb_cookie",
        OneOf(&["app_cookie", "lb_cookie", "source_ip"]),
        BUILT,
    ),
    entry(
        "stickiness.type",
        &[TcpGroup],
        "source_ip",
        OneOf(&["app_cookie", "lb_cookie", "source_ip"]),
        STORED,
    ),
    entry(
        "stickiness.type",
        &[GeneveGroup],
        "source_ip_dest_ip_proto",
        OneOf(&["source_ip_dest_ip_proto", "source_ip_dest_ip"]),
        STORED,
    ),
    entry(
        "stickiness.lb_cookie.duration_seconds",
        &[HttpGroup, LambdaGroup],
        "86400",
        Range(1, 604_800),
        BUILT,
    ),
    entry(
        "stickiness.app_cookie.cookie_name",
        &[HttpGroup, TcpGroup],
        "",
        Text(128),
        BUILT,
    ),
    entry(
        "stickiness.app_cookie.duration_seconds",
        HTTP,
        "86400",
        Range(1, 604_800),
        BUILT,
    ),
    entry(
        "load_balancing.algorithm.type",
        HTTP,
        "round_robin",
        OneOf(&["round_robin", "least_outstanding_requests", "weighted_random"]),
        BUILT,
    ),
    entry(
        "load_balancing.algorithm.anomaly_mitigation",
        HTTP,
        "off",
        OneOf(&["on", "off"]),
        BUILT,
    ),
    entry(
        "load_balancing.cross_zone.enabled",
        &[HttpGroup, TcpGroup, GeneveGroup],
        "use_load_balancer_configuration",
        OneOf(&["true", "false", "use_load_balancer_configuration"]),
        BUILT,
    ),
    entry("slow_start.duration_seconds", HTTP, "0", ZeroOr(30, 900), BUILT),
    entry(
        "target_group_health.dns_failover.minimum_healthy_targets.count",
        &[HttpGroup, TcpGroup],
        "1",
        OffOr(1, MOST_TARGETS),
        STORED,
    ),
    entry(
        "target_group_health.dns_failover.minimum_healthy_targets.percentage",
        &[HttpGroup, TcpGroup],
        "off",
        OffOr(1, 100),
        STORED,
    ),
    entry(
        "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count",
        &[HttpGroup, TcpGroup],
        "1",
        Range(1, MOST_TARGETS),
        BUILT,
    ),
    entry(
        "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage",
        &[HttpGroup, TcpGroup],
        "off",
        OffOr(1, 100),
        BUILT,
    ),
    entry(
        "lambda.multi_value_headers.enabled",
        &[LambdaGroup],
        "false",
        Bool,
        BUILT,
    ),
    entry(
        "deregistration_delay.connection_termination.enabled",
        &[TcpGroup],
        "false",
        Bool,
        STORED,
    ),
    entry("preserve_client_ip.enabled", &[TcpGroup], "true", Bool, STORED),
    entry("proxy_protocol_v2.enabled", &[TcpGroup], "false", Bool, STORED),
    entry(
        "target_health_state.unhealthy.connection_termination.enabled",
        &[TcpGroup],
        "true",
        Bool,
        STORED,
    ),
    entry(
        "target_health_state.unhealthy.draining_interval_seconds",
        &[TcpGroup],
        "0",
        Range(0, 360_000),
        STORED,
    ),
    entry(
        "target_failover.on_deregistration",
        &[GeneveGroup],
        "no_rebalance",
        OneOf(&["rebalance", "no_rebalance"]),
        STORED,
    ),
    entry(
        "target_failover.on_unhealthy",
        &[GeneveGroup],
        "no_rebalance",
        OneOf(&["rebalance", "no_rebalance"]),
        STORED,
    ),
];
