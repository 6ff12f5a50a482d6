//! Health: how targets are checked, and the health of a target.

use crate::protocol::ProtocolVersion;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// The port that probes go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HealthPort {
    /// The port that the target gets traffic on.
    Traffic,
    /// Another port.
    At(u16),
}

/// The statuses that count as success: `200`, `200,202`, `200-299`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Matcher {
    text: String,
    ranges: Vec<(u16, u16)>,
}

/// Why a text is not a valid matcher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatcherError(String);

impl core::fmt::Display for MatcherError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(
            f,
            "'{}' is not a code, a list of codes or a range of codes",
            self.0
        )
    }
}

impl core::error::Error for MatcherError {}

impl Matcher {
    /// Parses `200`, `200,202`, `200-299` or a mix. The caller checks the bounds of the codes.
    pub fn parse(text: &str) -> Result<Matcher, MatcherError> {
        let refuse = || MatcherError(text.chars().take(64).collect());
        let mut ranges = Vec::new();
        for part in text.split(',') {
            let (low, high) = part.split_once('-').unwrap_or((part, part));
            let low: u16 = low.trim().parse().map_err(|_| refuse())?;
            let high: u16 = high.trim().parse().map_err(|_| refuse())?;
            if low > high || ranges.len() >= 64 {
                return Err(refuse());
            }
            ranges.push((low, high));
        }
        Ok(Matcher {
            text: text.to_owned(),
            ranges,
        })
    }

    /// Whether this code counts as success.
    pub fn accepts(&self, code: u16) -> bool {
        self.ranges
            .iter()
            .any(|&(low, high)| (low..=high).contains(&code))
    }

    /// The lowest and the highest code that it accepts.
    pub fn bounds(&self) -> (u16, u16) {
        let low = self.ranges.iter().map(|range| range.0).min().unwrap_or(0);
        (low, self.ranges.iter().map(|range| range.1).max().unwrap_or(0))
    }

    /// The text that it was parsed from.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl TryFrom<String> for Matcher {
    type Error = MatcherError;
    fn try_from(text: String) -> Result<Matcher, MatcherError> {
        Matcher::parse(&text)
    }
}

impl From<Matcher> for String {
    fn from(matcher: Matcher) -> String {
        matcher.text
    }
}

/// What a probe speaks, and what its answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeKind {
    /// GET over HTTP/1.1; the status decides.
    Http1,
    /// GET over HTTP/2; the status decides.
    Http2,
    /// A gRPC call with an empty message; gRPC's status decides.
    Grpc,
    /// A health check event to a function; the status of its answer decides.
    Function,
}

impl ProbeKind {
    /// The kind that AWS has for targets that are spoken to in this way.
    pub const fn of(version: ProtocolVersion) -> ProbeKind {
        match version {
            ProtocolVersion::Http1 => ProbeKind::Http1,
            ProtocolVersion::Http2 => ProbeKind::Http2,
            ProtocolVersion::Grpc => ProbeKind::Grpc,
            ProtocolVersion::Lambda => ProbeKind::Function,
        }
    }

    /// The word of health check logs, which tells HTTP/1.1 over TLS from that in plaintext.
    pub const fn word(self, is_secure: bool) -> &'static str {
        match self {
            ProbeKind::Http1 if is_secure => "https",
            ProbeKind::Http1 => "http",
            ProbeKind::Http2 => "h2",
            ProbeKind::Grpc => "grpc",
            ProbeKind::Function => "lambda",
        }
    }
}

/// How a group's targets are probed. `limits` has the ranges.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// Whether targets are probed; only groups of functions may switch it off.
    pub enabled: bool,
    /// Whether probes use TLS.
    pub https: bool,
    /// The port that probes go to.
    pub port: HealthPort,
    /// Path, and query if any, of the probe.
    pub path: String,
    /// Time from one probe's start to the next one's.
    pub interval: Duration,
    /// The timeout of a probe.
    pub timeout: Duration,
    /// Successes in a row that make an unhealthy target healthy.
    pub healthy_threshold: u32,
    /// Failures in a row that make a healthy target unhealthy.
    pub unhealthy_threshold: u32,
    /// The statuses that count as success.
    pub matcher: Matcher,
}

/// The state of a target (the API's `TargetHealth.State`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HealthState {
    /// Registered; no probe has ended yet.
    Initial,
    /// Gets traffic.
    Healthy,
    /// Its probes fail, or a connection to it was refused.
    Unhealthy,
    /// Cannot get traffic.
    Unused,
    /// Deregistered; requests in flight may finish.
    Draining,
    /// Not probed.
    Unavailable,
}

impl HealthState {
    /// The API's word for it.
    pub const fn word(self) -> &'static str {
        match self {
            HealthState::Initial => "initial",
            HealthState::Healthy => "healthy",
            HealthState::Unhealthy => "unhealthy",
            HealthState::Unused => "unused",
            HealthState::Draining => "draining",
            HealthState::Unavailable => "unavailable",
        }
    }
}

/// How a target compares with its peers (the API's `AnomalyDetection`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Anomaly {
    /// Whether it fails more of its requests than its peers, or is slower.
    pub anomalous: bool,
    /// Whether it gets less than an equal share for that.
    pub mitigated: bool,
    /// The reason, while it is anomalous or mitigated.
    pub reason: Option<String>,
}

/// Why a target is in its state (the API's `TargetHealth.Reason`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HealthReason {
    /// Registered a moment ago.
    RegistrationInProgress,
    /// Probes have begun; none has ended.
    InitialHealthChecking,
    /// A probe was answered with a status that does not count as success.
    ResponseCodeMismatch(u16),
    /// A probe took too long.
    Timeout,
    /// A probe could not connect, or its answer was not HTTP.
    FailedHealthChecks,
    /// A request's connection was refused; the target is out until a probe succeeds.
    ConnectionRefused,
    /// The target is not in the group, or no longer.
    NotRegistered,
    /// No listener's rule forwards to the group.
    NotInUse,
    /// Its zone has no node of the load balancer.
    ZoneNotEnabled,
    /// The instance is not running. The word names its state.
    InvalidState(&'static str),
    /// The address belongs to a load balancer.
    IpUnusable,
    /// Deregistered a moment ago.
    DeregistrationInProgress,
    /// Health checks are switched off.
    HealthCheckDisabled,
}

impl HealthReason {
    /// The API's reason code.
    pub const fn code(&self) -> &'static str {
        match self {
            HealthReason::RegistrationInProgress => "Elb.RegistrationInProgress",
            HealthReason::InitialHealthChecking => "Elb.InitialHealthChecking",
            HealthReason::ResponseCodeMismatch(_) => "Target.ResponseCodeMismatch",
            HealthReason::Timeout => "Target.Timeout",
            HealthReason::FailedHealthChecks | HealthReason::ConnectionRefused => "Target.FailedHealthChecks",
            HealthReason::NotRegistered => "Target.NotRegistered",
            HealthReason::NotInUse | HealthReason::ZoneNotEnabled => "Target.NotInUse",
            HealthReason::InvalidState(_) => "Target.InvalidState",
            HealthReason::IpUnusable => "Target.IpUnusable",
            HealthReason::DeregistrationInProgress => "Target.DeregistrationInProgress",
            HealthReason::HealthCheckDisabled => "Target.HealthCheckDisabled",
        }
    }

    /// The API's description.
    pub fn description(&self) -> String {
        match self {
            HealthReason::RegistrationInProgress => "Target registration is in progress".into(),
            HealthReason::InitialHealthChecking => "Initial health checks in progress".into(),
            HealthReason::ResponseCodeMismatch(code) => {
                format!("Health checks failed with these codes: [{code}]")
            }
            HealthReason::Timeout => "Request timed out".into(),
            HealthReason::FailedHealthChecks => "Health checks failed".into(),
            HealthReason::ConnectionRefused => "Health checks failed: a connection was refused".into(),
            HealthReason::NotRegistered => "Target is not registered to the target group".into(),
            HealthReason::NotInUse => {
                "Target group is not configured to receive traffic from the load balancer".into()
            }
            HealthReason::ZoneNotEnabled => {
                "Target is in an Availability Zone that is not enabled for the load balancer".into()
            }
            HealthReason::InvalidState(state) => format!("Target is in the {state} state"),
            HealthReason::IpUnusable => {
                "The IP address cannot be used as a target, as it is in use by a load balancer".into()
            }
            HealthReason::DeregistrationInProgress => "Target deregistration is in progress".into(),
            HealthReason::HealthCheckDisabled => "Health checks are not enabled for this target".into(),
        }
    }
}

/// A target's state and its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetHealth {
    /// The state.
    pub state: HealthState,
    /// The reason; `None` for a healthy target.
    pub reason: Option<HealthReason>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matcher_takes_codes_lists_and_ranges() {
        let matcher = Matcher::parse("200,202,300-302").unwrap();
        assert!(
            [200, 202, 300, 301, 302]
                .iter()
                .all(|&code| matcher.accepts(code))
        );
        assert!(![201, 303, 0].iter().any(|&code| matcher.accepts(code)));
        assert_eq!(matcher.bounds(), (200, 302));
        for wrong in ["", "abc", "300-200", "200,", "-", "99999"] {
            assert!(Matcher::parse(wrong).is_err(), "{wrong}");
        }
    }
}
