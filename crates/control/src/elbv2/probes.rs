//! Health check settings of target groups: defaults and bounds (API reference, CreateTargetGroup; user guide for
//! Application Load Balancers, "Health checks for Application Load Balancer target groups").

use crate::api::errors::{not_in, validation};
use crate::elbv2::records::TargetGroup;
use crate::state::Dialect;
use core::time::Duration;
use forebay_awswire::ApiError;
use forebay_model::{HealthCheck, HealthPort, Matcher};
use serde::Deserialize;

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct MatcherInput {
    http_code: Option<String>,
    grpc_code: Option<String>,
}

/// Health check settings as calls give them.
#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct HealthInput {
    health_check_protocol: Option<String>,
    health_check_port: Option<String>,
    health_check_enabled: Option<bool>,
    health_check_path: Option<String>,
    health_check_interval_seconds: Option<u64>,
    health_check_timeout_seconds: Option<u64>,
    healthy_threshold_count: Option<u32>,
    unhealthy_threshold_count: Option<u32>,
    matcher: Option<MatcherInput>,
}

/// Defaults that depend on a group's kind.
struct Defaults {
    enabled: bool,
    protocol: Option<&'static str>,
    interval: u64,
    timeout: u64,
    path: &'static str,
    codes: &'static str,
}

fn defaults(protocol: Option<&str>, version: Option<&str>, target_type: &str) -> Defaults {
    let http = Defaults {
        enabled: true,
        protocol: Some("HTTP"),
        interval: 30,
        timeout: 5,
        path: "/",
        codes: "200",
    };
    match (target_type, protocol, version) {
        ("lambda", ..) => Defaults {
            enabled: false,
            protocol: None,
            interval: 35,
            timeout: 30,
            ..http
        },
        ("alb", ..) => Defaults {
            timeout: 6,
            codes: "200-399",
            ..http
        },
        (_, Some("GENEVE"), _) => Defaults {
            protocol: Some("TCP"),
            interval: 10,
            codes: "200-399",
            ..http
        },
        (_, Some("HTTP" | "HTTPS"), Some("GRPC")) => Defaults {
            path: "/AWS.ALB/healthcheck",
            codes: "12",
            ..http
        },
        (_, Some("HTTP" | "HTTPS"), _) => http,
        _ => Defaults {
            protocol: Some("TCP"),
            timeout: 10,
            codes: "200-399",
            ..http
        },
    }
}

/// The health check settings of a new group, and their protocol.
pub(crate) fn new_health(
    given: &HealthInput,
    protocol: Option<&str>,
    version: Option<&str>,
    target_type: &str,
    dialect: Dialect,
) -> Result<(HealthCheck, Option<String>), ApiError> {
    let defaults = defaults(protocol, version, target_type);
    let health_protocol = given
        .health_check_protocol
        .clone()
        .or(defaults.protocol.map(str::to_owned));
    check_health_protocol(health_protocol.as_deref(), protocol, dialect)?;
    let probes_http = !matches!(health_protocol.as_deref(), Some("TCP"));
    let (interval, timeout) = (
        given.health_check_interval_seconds,
        given.health_check_timeout_seconds,
    );
    // If only one is given, the other adapts: a timeout is never longer than the interval.
    let (interval_seconds, timeout_seconds) = match (interval, timeout) {
        (Some(interval), Some(timeout)) => (interval, timeout),
        (Some(interval), None) => (interval, defaults.timeout.min(interval)),
        (None, Some(timeout)) => (defaults.interval.max(timeout), timeout),
        (None, None) => (defaults.interval, defaults.timeout),
    };
    if interval.is_some() && timeout.is_some() {
        check_span(protocol, interval_seconds, timeout_seconds)?;
    }
    let codes = match &given.matcher {
        Some(matcher) if probes_http => read_matcher(matcher, protocol, version)?,
        _ => None,
    };
    let enabled = given.health_check_enabled.unwrap_or(defaults.enabled);
    if !enabled && target_type != "lambda" {
        return Err(validation(format!(
            "Health check enabled must be true for target groups with target type '{target_type}'"
        )));
    }
    let health = HealthCheck {
        enabled,
        https: health_protocol.as_deref() == Some("HTTPS"),
        port: read_port(given.health_check_port.as_deref())?.unwrap_or(HealthPort::Traffic),
        path: read_path(given.health_check_path.as_deref())?.unwrap_or_else(|| defaults.path.to_owned()),
        interval: Duration::from_secs(interval_seconds),
        timeout: Duration::from_secs(timeout_seconds),
        healthy_threshold: given.healthy_threshold_count.unwrap_or(5),
        unhealthy_threshold: given.unhealthy_threshold_count.unwrap_or(2),
        matcher: match codes {
            Some(matcher) => matcher,
            None => Matcher::parse(defaults.codes).map_err(|error| validation(error.to_string()))?,
        },
    };
    Ok((health, health_protocol))
}

/// Changes a group's health check settings.
pub(crate) fn set_health(group: &mut TargetGroup, given: &HealthInput) -> Result<(), ApiError> {
    let protocol = group.protocol.clone();
    if let Some(name) = &given.health_check_protocol {
        check_health_protocol(Some(name), protocol.as_deref(), Dialect::Aws)?;
        group.health_protocol = Some(name.clone());
        group.health.https = name == "HTTPS";
    }
    let health = &mut group.health;
    if let Some(enabled) = given.health_check_enabled {
        if !enabled && group.target_type != "lambda" {
            return Err(validation(format!(
                "Health check enabled must be true for target groups with target type '{}'",
                group.target_type
            )));
        }
        health.enabled = enabled;
    }
    if let Some(port) = read_port(given.health_check_port.as_deref())? {
        health.port = port;
    }
    if let Some(path) = read_path(given.health_check_path.as_deref())? {
        health.path = path;
    }
    if let Some(seconds) = given.health_check_interval_seconds {
        health.interval = Duration::from_secs(seconds);
    }
    if let Some(seconds) = given.health_check_timeout_seconds {
        health.timeout = Duration::from_secs(seconds);
    }
    if given.health_check_interval_seconds.is_some() || given.health_check_timeout_seconds.is_some() {
        check_span(
            protocol.as_deref(),
            health.interval.as_secs(),
            health.timeout.as_secs(),
        )?;
    }
    health.healthy_threshold = given.healthy_threshold_count.unwrap_or(health.healthy_threshold);
    health.unhealthy_threshold = given
        .unhealthy_threshold_count
        .unwrap_or(health.unhealthy_threshold);
    if let Some(matcher) = &given.matcher
        && let Some(matcher) = read_matcher(matcher, protocol.as_deref(), group.protocol_version.as_deref())?
    {
        health.matcher = matcher;
    }
    Ok(())
}

fn check_health_protocol(
    name: Option<&str>,
    protocol: Option<&str>,
    dialect: Dialect,
) -> Result<(), ApiError> {
    let known = [
        "HTTP", "HTTPS", "TCP", "TLS", "UDP", "TCP_UDP", "GENEVE", "QUIC", "TCP_QUIC",
    ];
    match (name, protocol) {
        (None | Some("HTTP" | "HTTPS"), _) => Ok(()),
        (Some("TCP"), Some(protocol)) if !matches!(protocol, "HTTP" | "HTTPS") => Ok(()),
        (Some(name), _) if known.contains(&name) => Err(validation(format!(
            "Health check protocol '{name}' must be one of 'HTTP, HTTPS'"
        ))),
        (Some(name), _) if dialect == Dialect::Moto => Err(validation(format!(
            "Value {name} at 'healthCheckProtocol' failed to satisfy constraint: Member must satisfy enum value set: ['HTTPS', 'HTTP', 'TCP', 'TLS', 'UDP', 'TCP_UDP', 'GENEVE']"
        ))),
        (Some(name), _) => Err(not_in(name, "healthCheckProtocol", &known)),
    }
}

fn check_span(protocol: Option<&str>, interval: u64, timeout: u64) -> Result<(), ApiError> {
    let strict = matches!(protocol, Some("HTTP" | "HTTPS"));
    if timeout < interval || (timeout == interval && !strict) {
        return Ok(());
    }
    let bound = if strict {
        "smaller than the interval"
    } else {
        "smaller than or equal to the interval"
    };
    Err(validation(format!(
        "Health check timeout '{timeout}' must be {bound} '{interval}'"
    )))
}

fn read_port(given: Option<&str>) -> Result<Option<HealthPort>, ApiError> {
    match given {
        None => Ok(None),
        Some("traffic-port") => Ok(Some(HealthPort::Traffic)),
        Some(text) => match text.parse::<u16>() {
            Ok(port) if port > 0 => Ok(Some(HealthPort::At(port))),
            _ => Err(validation(format!(
                "Health check port '{text}' must be 'traffic-port' or between 1 and 65535"
            ))),
        },
    }
}

/// A path is sent as it is, so it must begin with `/` and contain only visible ASCII characters.
fn read_path(given: Option<&str>) -> Result<Option<String>, ApiError> {
    match given {
        None => Ok(None),
        Some(path) if path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Ok(Some(path.to_owned()))
        }
        Some(path) => Err(validation(format!(
            "Health check path '{path}' must begin with a '/' character and hold no spaces"
        ))),
    }
}

fn read_matcher(
    given: &MatcherInput,
    protocol: Option<&str>,
    version: Option<&str>,
) -> Result<Option<Matcher>, ApiError> {
    let grpc = version == Some("GRPC");
    let (text, other) = if grpc {
        (&given.grpc_code, &given.http_code)
    } else {
        (&given.http_code, &given.grpc_code)
    };
    if other.is_some() {
        let name = if grpc { "HttpCode" } else { "GrpcCode" };
        return Err(validation(format!(
            "Health check matcher {name} is not supported by this protocol version"
        )));
    }
    let Some(text) = text else { return Ok(None) };
    let (low, high) = match (grpc, protocol) {
        (true, _) => (0, 99),
        (false, Some("HTTP" | "HTTPS") | None) => (200, 499),
        (false, _) => (200, 599),
    };
    let matcher = Matcher::parse(text).ok();
    let matcher = matcher.filter(|matcher| matcher.bounds().0 >= low && matcher.bounds().1 <= high);
    match matcher {
        Some(matcher) => Ok(Some(matcher)),
        None => Err(validation(format!(
            "Health check matcher '{text}' must be codes between {low} and {high}, like 200, 200,202 or 200-299"
        ))),
    }
}
