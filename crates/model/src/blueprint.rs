//! Everything that the data plane must serve: made by `control` from its state, compiled by `node` into a snapshot.

use crate::algorithm::Algorithm;
use crate::health::{HealthCheck, ProbeKind};
use crate::logs::{DesyncMode, LogPlace};
use crate::protocol::{Protocol, ProtocolVersion};
use crate::queue::QueueSettings;
use crate::rule::{Action, Condition, Priority, Transform};
use crate::stickiness::{Secret, Stickiness};
use crate::tls::{TargetTls, TlsBlueprint};
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;
use ipnet::IpNet;
use std::sync::Arc;

/// Everything to serve, at one generation of the state.
#[derive(Clone, Debug, PartialEq)]
pub struct Blueprint {
    /// Increases with every change.
    pub generation: u64,
    /// Addresses at which all load balancers are reached, besides their nodes' own. On each port that is the first load
    /// balancer to use it; others with the same protocol are reached by their names.
    pub exposed: Vec<IpAddr>,
    /// Load balancers, in order of creation.
    pub balancers: Vec<Arc<BalancerBlueprint>>,
    /// Target groups, used or not.
    pub groups: Vec<Arc<GroupBlueprint>>,
    /// The secret from which the keys of cookies are derived.
    pub secret: Secret,
}

impl Default for Blueprint {
    /// Nothing to serve, exposed at 127.0.0.1.
    fn default() -> Blueprint {
        Blueprint {
            generation: 0,
            exposed: vec![Ipv4Addr::LOCALHOST.into()],
            balancers: Vec::new(),
            groups: Vec::new(),
            secret: Secret::default(),
        }
    }
}

/// A load balancer.
#[derive(Clone, Debug, PartialEq)]
pub struct BalancerBlueprint {
    /// Its ARN.
    pub arn: String,
    /// Its DNS name, which is the Host to assume for requests without one.
    pub dns_name: String,
    /// Other names at exposed addresses, in lower case. A name that begins with a full stop is a wildcard for any
    /// labels before it.
    pub names: Vec<String>,
    /// Its nodes' addresses: one for each zone and IP version.
    pub nodes: Vec<NodeBlueprint>,
    /// Its listeners.
    pub listeners: Vec<Arc<ListenerBlueprint>>,
    /// Its attributes.
    pub settings: BalancerSettings,
}

/// An address of a load balancer's node, with its zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeBlueprint {
    /// Zone name, such as `local-1a`.
    pub zone: String,
    /// The node's address.
    pub address: IpAddr,
}

/// How the X-Forwarded-For header is handled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum XffMode {
    /// The client's address is appended.
    #[default]
    Append,
    /// Passed on as the client sent it.
    Preserve,
    /// Dropped.
    Remove,
}

/// Load balancer attributes as the data plane needs them. Defaults are ALB's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BalancerSettings {
    /// How long client and target connections may be idle.
    pub idle_timeout: Duration,
    /// Time for a request's head from its first byte on. The idle timeout applies too.
    pub head_timeout: Duration,
    /// Bytes per second of its body that a client must send, averaged over some seconds; 0 for no bound.
    pub minimum_request_rate: u32,
    /// Age after which a client connection is closed with its next answer.
    pub client_keep_alive: Duration,
    /// How the X-Forwarded-For header is handled.
    pub xff_mode: XffMode,
    /// Whether X-Forwarded-For entries carry the client's port.
    pub xff_client_port: bool,
    /// Whether the Host header is passed on unchanged.
    pub preserve_host: bool,
    /// Whether a Host header that is passed on unchanged must be a single valid host, as other Host headers must. ALB
    /// does not require it.
    pub check_host: bool,
    /// How a path is normalised before rules see it.
    pub paths: PathMode,
    /// Whether headers with names outside `[-A-Za-z0-9]+` are dropped.
    pub drop_invalid_headers: bool,
    /// How requests that servers may read differently are handled.
    pub desync: DesyncMode,
    /// Where the access log goes.
    pub access_log: Option<LogPlace>,
    /// Whether access log entries end with fields that ALB does not have.
    pub log_extensions: bool,
    /// Where the connection log goes.
    pub connection_log: Option<LogPlace>,
    /// Where the health check log goes.
    pub health_log: Option<LogPlace>,
    /// Whether clients may use HTTP/2.
    pub http2: bool,
    /// Whether headers tell targets the TLS version and cipher of the client's connection.
    pub tls_headers: bool,
    /// Networks whose connections must begin with a PROXY header. No others may.
    pub proxies: Vec<IpNet>,
}

impl Default for BalancerSettings {
    fn default() -> Self {
        BalancerSettings {
            idle_timeout: Duration::from_secs(60),
            head_timeout: Duration::MAX,
            minimum_request_rate: 0,
            client_keep_alive: Duration::from_secs(3600),
            xff_mode: XffMode::Append,
            xff_client_port: false,
            preserve_host: false,
            check_host: true,
            paths: PathMode::Normal,
            drop_invalid_headers: false,
            desync: DesyncMode::default(),
            access_log: None,
            log_extensions: false,
            connection_log: None,
            health_log: None,
            http2: true,
            tls_headers: false,
            proxies: Vec::new(),
        }
    }
}

/// How a path is normalised before rules see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathMode {
    /// Escaped unreserved characters are decoded and dot segments removed (RFC 3986, section 6.2.2).
    Normal,
    /// Also, escaped slashes are decoded and runs of slashes merged. What servers may still read differently is
    /// refused.
    Strict,
}

/// A listener.
#[derive(Clone, Debug, PartialEq)]
pub struct ListenerBlueprint {
    /// Its ARN.
    pub arn: String,
    /// HTTP or HTTPS.
    pub protocol: Protocol,
    /// Its port, 1 to 65535.
    pub port: u16,
    /// Its TLS settings; `None` for HTTP.
    pub tls: Option<Arc<TlsBlueprint>>,
    /// Its rules, ascending by priority; the default rule is always there and comes last.
    pub rules: Vec<RuleBlueprint>,
    /// Its attributes.
    pub settings: ListenerSettings,
}

/// Listener attributes as the data plane needs them. Defaults are ALB's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerSettings {
    /// Whether answers made here carry `Server: awselb/2.0`.
    pub server_header: bool,
    /// Names and values of headers set on every answer.
    pub response_headers: Vec<(String, String)>,
    /// Names of the headers that tell targets the TLS version and cipher.
    pub tls_header_names: [String; 2],
    /// Rules that assign a class to their requests, ascending by priority.
    pub classes: Vec<(Priority, Arc<str>)>,
}

impl Default for ListenerSettings {
    fn default() -> Self {
        ListenerSettings {
            server_header: true,
            response_headers: Vec::new(),
            tls_header_names: [
                "X-Amzn-Tls-Version".to_owned(),
                "X-Amzn-Tls-Cipher-Suite".to_owned(),
            ],
            classes: Vec::new(),
        }
    }
}

/// A rule.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleBlueprint {
    /// Its ARN.
    pub arn: String,
    /// Its priority.
    pub priority: Priority,
    /// Conditions that must all hold; empty for the default rule.
    pub conditions: Vec<Condition>,
    /// The routing action (forward, redirect or fixed response).
    pub action: Action,
    /// Changes made before forwarding.
    pub transforms: Vec<Transform>,
}

/// A target group.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupBlueprint {
    /// Its ARN.
    pub arn: String,
    /// HTTP or HTTPS to targets.
    pub protocol: Protocol,
    /// The protocol version in which requests are sent to targets.
    pub version: ProtocolVersion,
    /// What probes of targets speak.
    pub probe: ProbeKind,
    /// How targets are probed.
    pub health: HealthCheck,
    /// Its attributes.
    pub settings: GroupSettings,
    /// Registered and draining targets.
    pub targets: Vec<TargetBlueprint>,
    /// Whether any listener's rule forwards to it. Its targets are probed only then.
    pub in_use: bool,
    /// Zones where the load balancer that uses it has a node.
    pub zones: Vec<String>,
}

/// Target group attributes as the data plane needs them. Defaults are ALB's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSettings {
    /// How long requests in flight at a deregistered target may last.
    pub deregistration_delay: Duration,
    /// Whether a node sends requests to targets of all zones.
    pub cross_zone: bool,
    /// With fewer healthy targets than this, all get traffic.
    pub routing_minimum_count: u32,
    /// With a smaller percentage of healthy targets than this, all get traffic; 0 for no minimum.
    pub routing_minimum_percent: u32,
    /// With fewer healthy targets than this, DNS names do not resolve to the zone's node; 0 for no minimum.
    pub dns_minimum_count: u32,
    /// With a smaller percentage of healthy targets than this, likewise; 0 for no minimum.
    pub dns_minimum_percent: u32,
    /// The name that targets' certificates must be valid for; `None` if any certificate is accepted.
    pub verified_name: Option<Arc<str>>,
    /// How a target is chosen.
    pub algorithm: Algorithm,
    /// How long a target that becomes healthy gets less than an equal share; zero for no slow start.
    pub slow_start: Duration,
    /// Whether anomalous targets get less traffic (weighted random only).
    pub anomaly_mitigation: bool,
    /// Whether targets slower than their peers count as anomalous too.
    pub anomaly_latency: bool,
    /// Whether a client's requests stay with one target.
    pub stickiness: Stickiness,
    /// The load of a sticky target, in percent of its peers' mean, above which it is left; zero for never.
    pub sticky_ceiling_percent: u32,
    /// How often a request may be sent to another target after one failed it.
    pub retries: u8,
    /// Whether 429 and 503 from a target mean that it had no slot and did nothing.
    pub push_back: bool,
    /// Whether answers carry a header while the group fails open.
    pub fail_open_header: bool,
    /// Limits of its targets and settings of its queue; `None` if requests go out at once.
    pub queue: Option<Arc<QueueSettings>>,
    /// The port of the agents beside its targets (target control port).
    pub control_port: Option<u16>,
    /// Whether connections to its targets begin with a PROXY header (version 2).
    pub proxy_protocol: bool,
    /// Whether functions get all values of a header or parameter, and may return several.
    pub multi_value_headers: bool,
}

impl Default for GroupSettings {
    fn default() -> Self {
        GroupSettings {
            deregistration_delay: Duration::from_secs(300),
            cross_zone: true,
            routing_minimum_count: 1,
            routing_minimum_percent: 0,
            dns_minimum_count: 1,
            dns_minimum_percent: 0,
            verified_name: None,
            algorithm: Algorithm::RoundRobin,
            slow_start: Duration::ZERO,
            anomaly_mitigation: false,
            anomaly_latency: false,
            stickiness: Stickiness::Off,
            sticky_ceiling_percent: 0,
            retries: 0,
            push_back: false,
            fail_open_header: false,
            queue: None,
            control_port: None,
            proxy_protocol: false,
            multi_value_headers: false,
        }
    }
}

/// A target of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetBlueprint {
    /// The id that it was registered with: an address, an instance id or a function's ARN.
    pub id: String,
    /// The port that it was registered with, or else the group's.
    pub port: u16,
    /// Its address; `None` for a function, or if it has none (a stopped instance).
    pub address: Option<SocketAddr>,
    /// Its zone; `None` for `all`.
    pub zone: Option<String>,
    /// Whether it is deregistered and gets no new requests.
    pub draining: bool,
    /// Its share of the group's work relative to other targets: 1 unless targets are of different sizes. A limit on
    /// concurrent requests applies to each unit of weight.
    pub weight: u32,
}

impl GroupBlueprint {
    /// Whether requests can reach this target: it has an address, or is a function.
    pub fn reaches(&self, target: &TargetBlueprint) -> bool {
        self.version == ProtocolVersion::Lambda || target.address.is_some()
    }

    /// How connections to its targets are secured.
    pub fn target_tls(&self) -> TargetTls {
        self.secured(self.protocol == Protocol::Https)
    }

    /// How connections of probes are secured.
    pub fn probe_tls(&self) -> TargetTls {
        self.secured(self.health.https)
    }

    fn secured(&self, secured: bool) -> TargetTls {
        match &self.settings.verified_name {
            _ if !secured => TargetTls::Plaintext,
            None => TargetTls::Unverified,
            Some(name) => TargetTls::Verified(Arc::clone(name)),
        }
    }
}
