//! What the data plane must serve, whole: made by `control` from its state, compiled by `node` into a snapshot.

use crate::algorithm::Algorithm;
use crate::health::{HealthCheck, ProbeKind};
use crate::logs::{DesyncMode, LogPlace};
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
    /// Grows with every change.
    pub generation: u64,
    /// Where all load balancers are reached, besides their nodes' own addresses: on each port the first to use it, and others with the same
    /// protocol by their names.
    pub exposed: Vec<IpAddr>,
    /// Load balancers, in order of creation.
    pub balancers: Vec<Arc<BalancerBlueprint>>,
    /// Target groups, used or not.
    pub groups: Vec<Arc<GroupBlueprint>>,
    /// What keys of cookies are derived from.
    pub secret: Secret,
}

impl Default for Blueprint {
    /// Nothing, exposed at 127.0.0.1.
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
    /// Its DNS name, the Host of requests that have none.
    pub dns_name: String,
    /// Other names by which it is reached at exposed addresses, in lower case; a full stop at the beginning stands for any labels.
    pub names: Vec<String>,
    /// Its nodes' addresses: one for each zone and version of IP.
    pub nodes: Vec<NodeBlueprint>,
    /// Its listeners.
    pub listeners: Vec<Arc<ListenerBlueprint>>,
    /// What its attributes say.
    pub settings: BalancerSettings,
}

/// An address of a node of a load balancer: its zone, and where it listens there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeBlueprint {
    /// Zone name, such as `local-1a`.
    pub zone: String,
    /// Its own address.
    pub address: IpAddr,
}

/// What X-Forwarded-For becomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum XffMode {
    /// The client's address is appended.
    #[default]
    Append,
    /// As the client sent it.
    Preserve,
    /// Dropped.
    Remove,
}

/// The data plane's view of load balancer attributes. Defaults: ALB's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BalancerSettings {
    /// Silence allowed on client and target connections.
    pub idle_timeout: Duration,
    /// Time for a request's head, from its first byte; the idle timeout bounds it too.
    pub head_timeout: Duration,
    /// Bytes of its body that a client must send in a second, averaged over some seconds; 0 for no bound.
    pub minimum_request_rate: u32,
    /// Age after which a client connection is closed with its next answer.
    pub client_keep_alive: Duration,
    /// What X-Forwarded-For becomes.
    pub xff_mode: XffMode,
    /// Whether X-Forwarded-For entries carry the client's port.
    pub xff_client_port: bool,
    /// Whether the Host header goes on untouched.
    pub preserve_host: bool,
    /// Whether a Host header that goes on untouched must be one host, as any other must. ALB does not ask for that.
    pub check_host: bool,
    /// How far the path that rules see goes in resembling what targets may make of it.
    pub paths: PathMode,
    /// Whether headers with names outside `[-A-Za-z0-9]+` are dropped.
    pub drop_invalid_headers: bool,
    /// What becomes of requests that servers may read differently.
    pub desync: DesyncMode,
    /// Where a line per request goes.
    pub access_log: Option<LogPlace>,
    /// Whether lines of the access log end with fields that ALB does not have.
    pub log_extensions: bool,
    /// Where a line per connection goes.
    pub connection_log: Option<LogPlace>,
    /// Where a line per probe of its targets goes.
    pub health_log: Option<LogPlace>,
    /// Whether clients may choose HTTP/2.
    pub http2: bool,
    /// Whether targets are told the TLS version and cipher of the client's connection.
    pub tls_headers: bool,
    /// Networks whose connections begin with a PROXY header, and no others do.
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

/// The form of a path that rules see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathMode {
    /// Escaped unreserved characters are decoded and dot segments removed (RFC 3986).
    Normal,
    /// Escaped slashes are slashes, too, and runs of them are one; what servers may still read differently is refused.
    Strict,
}

/// A listener's or a group's protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// In plaintext.
    Http,
    /// Over TLS.
    Https,
}

/// How requests go to targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolVersion {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
    /// gRPC over HTTP/2.
    Grpc,
    /// As events: the targets are functions.
    Lambda,
}

/// A listener.
#[derive(Clone, Debug, PartialEq)]
pub struct ListenerBlueprint {
    /// Its ARN.
    pub arn: String,
    /// HTTP or HTTPS.
    pub protocol: Protocol,
    /// 1 to 65535.
    pub port: u16,
    /// How it speaks TLS; none for HTTP.
    pub tls: Option<Arc<TlsBlueprint>>,
    /// Ascending by priority; the default rule last, always there.
    pub rules: Vec<RuleBlueprint>,
    /// What its attributes say.
    pub settings: ListenerSettings,
}

/// The data plane's view of listener attributes. Defaults: ALB's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerSettings {
    /// Whether answers made here say `Server: awselb/2.0`.
    pub server_header: bool,
    /// Header name and value set on every answer.
    pub response_headers: Vec<(String, String)>,
    /// Names of the headers that tell targets the TLS version and cipher.
    pub tls_header_names: [String; 2],
    /// Rules that say of which class their requests are, ascending.
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
    /// Where it stands.
    pub priority: Priority,
    /// All must hold; none for the default rule.
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
    /// How requests go to targets.
    pub version: ProtocolVersion,
    /// What probes of targets speak.
    pub probe: ProbeKind,
    /// How targets are probed.
    pub health: HealthCheck,
    /// What its attributes say.
    pub settings: GroupSettings,
    /// Registered and draining targets.
    pub targets: Vec<TargetBlueprint>,
    /// Whether some listener's rule forwards to it. Only then its targets are probed.
    pub in_use: bool,
    /// Zones that have a node of the load balancer that uses it.
    pub zones: Vec<String>,
}

/// The data plane's view of target group attributes. Defaults: ALB's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSettings {
    /// How long in-flight requests of a deregistered target may last.
    pub deregistration_delay: Duration,
    /// Whether a node sends to targets of all zones.
    pub cross_zone: bool,
    /// Fewer healthy targets than this, and all get traffic.
    pub routing_minimum_count: u32,
    /// A smaller share of healthy targets than this (percent), and all get traffic; 0 asks for none.
    pub routing_minimum_percent: u32,
    /// With fewer healthy targets than this, names no longer lead to the zone's node; zero asks for none.
    pub dns_minimum_count: u32,
    /// The same as a share, in percent.
    pub dns_minimum_percent: u32,
    /// The name that certificates of targets must be for; none if any certificate will do.
    pub verified_name: Option<Arc<str>>,
    /// How targets are chosen.
    pub algorithm: Algorithm,
    /// How long a target that becomes healthy gets less than an equal share; zero for not at all.
    pub slow_start: Duration,
    /// Whether targets that behave unlike their peers get less (weighted random only).
    pub anomaly_mitigation: bool,
    /// Whether answers slower than those of peers count as unlike, too.
    pub anomaly_latency: bool,
    /// Whether a client's requests go on to the same target.
    pub stickiness: Stickiness,
    /// A sticky target that holds more than this many percent of its peers' mean load is left; zero for never.
    pub sticky_ceiling_percent: u32,
    /// How often a request that its target failed may be sent to another one.
    pub retries: u8,
    /// 429 and 503 of a target mean that it had no slot and did nothing.
    pub push_back: bool,
    /// Answers say so when the group fails open.
    pub fail_open_header: bool,
    /// Limits of its targets and who waits for a place; none if requests go out at once.
    pub queue: Option<Arc<QueueSettings>>,
    /// The port on which the agents beside its targets are told of requests.
    pub control_port: Option<u16>,
    /// Whether connections to its targets begin with a PROXY header (version 2).
    pub proxy_protocol: bool,
    /// Whether functions are told all values of a header or a parameter, and answer so.
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
    /// The id it was registered by: an address, an instance id or a function's ARN.
    pub id: String,
    /// Port it was registered with (or the group's).
    pub port: u16,
    /// Where it is reached; none for a function, or if it can't be (a stopped instance).
    pub address: Option<SocketAddr>,
    /// Its zone; none for `all`.
    pub zone: Option<String>,
    /// Deregistered: gets no new request.
    pub draining: bool,
    /// How much of its group's work is its share, beside those of the others: 1 unless targets are of different sizes. A limit of
    /// requests at a time is for each unit.
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

    /// How connections of its probes are secured.
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
