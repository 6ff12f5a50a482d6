//! The attributes of load balancers (API reference, `LoadBalancerAttribute`), in the order in which they are described.

use crate::settings::holder::Holder::{self, Application, Gateway, Network};
use crate::settings::setting::{Setting, put};
use crate::settings::values::Given;
use crate::settings::values::Values::{AlwaysTrue, Bool, OneOf, Range, Text};
use forebay_model::{BalancerSettings, DesyncMode, LogPlace, PathMode, XffMode};

const APP: &[Holder] = &[Application];
const NLB: &[Holder] = &[Network];
const ALL: &[Holder] = &[Application, Network, Gateway];
/// The longest name of a bucket, and of a prefix in it.
const LONGEST_NAME: usize = 1024;

type Log = Option<LogPlace>;

/// Turns a log on or off. The rows for its bucket and its prefix follow this one.
fn log_enabled(log: &mut Log, value: Given<'_>) -> Option<()> {
    *log = value.flag()?.then(LogPlace::default);
    Some(())
}

fn log_bucket(log: &mut Log, value: Given<'_>) -> Option<()> {
    let bucket = value.text()?;
    if let Some(place) = log {
        bucket.clone_into(&mut place.bucket);
    }
    Some(())
}

fn log_prefix(log: &mut Log, value: Given<'_>) -> Option<()> {
    let prefix = value.text()?;
    if let Some(place) = log {
        prefix.clone_into(&mut place.prefix);
    }
    Some(())
}

/// The attributes, in the order of DescribeLoadBalancerAttributes.
pub(crate) const ATTRIBUTES: &[Setting<BalancerSettings>] = &[
    Setting::new(
        "access_logs.s3.enabled",
        ALL,
        (Bool, "false"),
        "one line per request is written to the access log",
        |balancer, value| log_enabled(&mut balancer.access_log, value),
    ),
    Setting::new(
        "access_logs.s3.bucket",
        ALL,
        (Text(LONGEST_NAME), ""),
        "the bucket of the access log: a folder of the log directory",
        |balancer, value| log_bucket(&mut balancer.access_log, value),
    ),
    Setting::new(
        "access_logs.s3.prefix",
        ALL,
        (Text(LONGEST_NAME), ""),
        "the folder of the access log within its bucket",
        |balancer, value| log_prefix(&mut balancer.access_log, value),
    ),
    Setting::new(
        "idle_timeout.timeout_seconds",
        APP,
        (Range(1, 4000), "60"),
        "seconds of silence after which a client or target connection is closed",
        |balancer, value| put(&mut balancer.idle_timeout, value.seconds()),
    ),
    Setting::read_elsewhere(
        "deletion_protection.enabled",
        ALL,
        (Bool, "false"),
        "DeleteLoadBalancer is refused",
    ),
    Setting::new(
        "routing.http2.enabled",
        APP,
        (Bool, "true"),
        "clients of HTTPS listeners may use HTTP/2",
        |balancer, value| put(&mut balancer.http2, value.flag()),
    ),
    Setting::new(
        "routing.http.drop_invalid_header_fields.enabled",
        APP,
        (Bool, "false"),
        "headers whose names are not of letters, digits and hyphens are dropped",
        |balancer, value| put(&mut balancer.drop_invalid_headers, value.flag()),
    ),
    Setting::new(
        "routing.http.xff_client_port.enabled",
        APP,
        (Bool, "false"),
        "X-Forwarded-For carries the client's port",
        |balancer, value| put(&mut balancer.xff_client_port, value.flag()),
    ),
    Setting::new(
        "routing.http.preserve_host_header.enabled",
        APP,
        (Bool, "false"),
        "the Host header is passed to targets unchanged",
        |balancer, value| put(&mut balancer.preserve_host, value.flag()),
    ),
    Setting::new(
        "routing.http.xff_header_processing.mode",
        APP,
        (OneOf(&["append", "preserve", "remove"]), "append"),
        "what becomes of X-Forwarded-For",
        |balancer, value| {
            balancer.xff_mode = match value.text()? {
                "preserve" => XffMode::Preserve,
                "remove" => XffMode::Remove,
                _ => XffMode::Append,
            };
            Some(())
        },
    ),
    Setting::read_elsewhere(
        "load_balancing.cross_zone.enabled",
        APP,
        (AlwaysTrue, "true"),
        "nodes send to targets of all zones; a target group may say otherwise",
    ),
    Setting::stored(
        "load_balancing.cross_zone.enabled",
        &[Network, Gateway],
        (Bool, "false"),
        "nodes send to targets of all zones",
    ),
    Setting::new(
        "routing.http.desync_mitigation_mode",
        APP,
        (OneOf(&["monitor", "defensive", "strictest"]), "defensive"),
        "what becomes of requests that servers may read differently",
        |balancer, value| {
            (balancer.desync, balancer.paths) = match value.text()? {
                "monitor" => (DesyncMode::Monitor, PathMode::Normal),
                "strictest" => (DesyncMode::Strictest, PathMode::Strict),
                _ => (DesyncMode::Defensive, PathMode::Normal),
            };
            Some(())
        },
    ),
    Setting::new(
        "client_keep_alive.seconds",
        APP,
        (Range(60, 604_800), "3600"),
        "age in seconds after which a client connection is closed with its next response",
        |balancer, value| put(&mut balancer.client_keep_alive, value.seconds()),
    ),
    Setting::stored(
        "waf.fail_open.enabled",
        APP,
        (Bool, "false"),
        "requests pass when the web application firewall cannot be asked",
    ),
    Setting::new(
        "routing.http.x_amzn_tls_version_and_cipher_suite.enabled",
        APP,
        (Bool, "false"),
        "targets get the TLS version and cipher of the client's connection in headers",
        |balancer, value| put(&mut balancer.tls_headers, value.flag()),
    ),
    Setting::stored(
        "ipv6.deny_all_igw_traffic",
        &[Application, Network],
        (Bool, "false"),
        "traffic of an internet gateway over IPv6 is refused",
    ),
    Setting::stored(
        "zonal_shift.config.enabled",
        &[Application, Network],
        (Bool, "false"),
        "zonal shift may take a zone out of service",
    ),
    Setting::new(
        "connection_logs.s3.enabled",
        APP,
        (Bool, "false"),
        "one line per connection is written to the connection log",
        |balancer, value| log_enabled(&mut balancer.connection_log, value),
    ),
    Setting::new(
        "connection_logs.s3.bucket",
        APP,
        (Text(LONGEST_NAME), ""),
        "the bucket of the connection log: a folder of the log directory",
        |balancer, value| log_bucket(&mut balancer.connection_log, value),
    ),
    Setting::new(
        "connection_logs.s3.prefix",
        APP,
        (Text(LONGEST_NAME), ""),
        "the folder of the connection log within its bucket",
        |balancer, value| log_prefix(&mut balancer.connection_log, value),
    ),
    Setting::new(
        "health_check_logs.s3.enabled",
        APP,
        (Bool, "false"),
        "one line per health check of a target is written to the health check log",
        |balancer, value| log_enabled(&mut balancer.health_log, value),
    ),
    Setting::new(
        "health_check_logs.s3.bucket",
        APP,
        (Text(LONGEST_NAME), ""),
        "the bucket of the health check log: a folder of the log directory",
        |balancer, value| log_bucket(&mut balancer.health_log, value),
    ),
    Setting::new(
        "health_check_logs.s3.prefix",
        APP,
        (Text(LONGEST_NAME), ""),
        "the folder of the health check log within its bucket",
        |balancer, value| log_prefix(&mut balancer.health_log, value),
    ),
    Setting::stored(
        "dns_record.client_routing_policy",
        NLB,
        (
            OneOf(&[
                "any_availability_zone",
                "availability_zone_affinity",
                "partial_availability_zone_affinity",
            ]),
            "any_availability_zone",
        ),
        "which zones' addresses clients are given",
    ),
    Setting::stored(
        "secondary_ips.auto_assigned.per_subnet",
        NLB,
        (Range(0, 7), "0"),
        "further addresses for each subnet",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::setting::count_of;

    /// There are as many as on the page "Edit attributes for your Application Load Balancer" of the user guide.
    #[test]
    fn all_published_keys_are_there() {
        let count = |holder| count_of(ATTRIBUTES, holder);
        assert_eq!(count(Application), 23);
    }
}
