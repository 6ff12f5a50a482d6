//! The events that logs record: finished requests, connections and probes. This is the port between the code that does
//! the work and the code that writes lines about it. Everything is borrowed; nothing is copied here.

use crate::exchange::Record;
use crate::ids::ZoneId;
use crate::snapshot::{BalancerView, NodeView};
use crate::trace::{Sampling, SpanContext};
use core::net::SocketAddr;
use core::time::Duration;
use forebay_health::ProbeResult;
use forebay_model::BalancerSettings;
use forebay_units::{Mono, Wall};
use std::sync::Arc;

/// A request's type, as in field 1 of an access log entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// HTTP/1 in plaintext.
    Http,
    /// HTTP/1 over TLS.
    Https,
    /// HTTP/2 over TLS.
    H2,
    /// gRPC over TLS.
    Grpcs,
    /// A WebSocket in plaintext.
    Ws,
    /// A WebSocket over TLS.
    Wss,
}

impl Kind {
    /// The word for logs.
    pub const fn word(self) -> &'static str {
        match self {
            Kind::Http => "http",
            Kind::Https => "https",
            Kind::H2 => "h2",
            Kind::Grpcs => "grpcs",
            Kind::Ws => "ws",
            Kind::Wss => "wss",
        }
    }

    /// The scheme of its requests' URLs.
    pub const fn scheme(self) -> &'static str {
        match self {
            Kind::Http | Kind::Ws => "http",
            Kind::Https | Kind::H2 | Kind::Grpcs | Kind::Wss => "https",
        }
    }
}

/// A connection's random id, which joins its requests' log lines to its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionId(pub [u64; 2]);

/// The request line and the host, as far as they could be parsed.
#[derive(Clone, Copy, Debug)]
pub struct RequestLine<'a> {
    /// Its method.
    pub method: &'a [u8],
    /// The host it named, with or without a port.
    pub host: &'a [u8],
    /// Path and query as sent.
    pub target: &'a [u8],
    /// `HTTP/1.1` and the like.
    pub version: &'a str,
}

/// The negotiated TLS parameters, in the names that logs use.
#[derive(Clone, Copy, Debug)]
pub struct TlsLog<'a> {
    /// `TLSv1.3` and the like.
    pub protocol: &'a str,
    /// `TLS_AES_128_GCM_SHA256` and the like.
    pub cipher: &'a str,
    /// The server name that the client asked for.
    pub server_name: Option<&'a str>,
    /// The certificate's ARN, or `session-reused`.
    pub certificate: &'a str,
    /// The key exchange group.
    pub group: &'a str,
    /// How long the handshake took.
    pub handshake: Duration,
}

/// How risky a request is that does not follow the RFC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// No known way to abuse it.
    Acceptable,
    /// Servers may differ on where it ends.
    Ambiguous,
    /// Malformed, or crafted to deceive.
    Severe,
}

impl Tier {
    /// The word for logs.
    pub const fn word(self) -> &'static str {
        match self {
            Tier::Acceptable => "Acceptable",
            Tier::Ambiguous => "Ambiguous",
            Tier::Severe => "Severe",
        }
    }
}

/// The classification of a request that does not follow the RFC, in the words of ALB's logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Classified {
    /// How risky it is.
    pub tier: Tier,
    /// `BothTeClPresent` and the like.
    pub reason: &'static str,
}

/// A request that is over, as logs see it.
#[derive(Clone, Copy, Debug)]
pub struct LogFacts<'a> {
    /// Its type.
    pub kind: Kind,
    /// The load balancer.
    pub balancer: &'a Arc<BalancerView>,
    /// The nodes of its listener.
    pub nodes: &'a [NodeView],
    /// The zone of the node that took it.
    pub zone: ZoneId,
    /// The listener's port.
    pub port: u16,
    /// The client's address.
    pub client: SocketAddr,
    /// The client's connection.
    pub connection: ConnectionId,
    /// When its answer was complete.
    pub wall: Wall,
    /// When its head was complete.
    pub created: Wall,
    /// The record of the exchange.
    pub record: &'a Record,
    /// When the first byte of the answer went to the client, if later than when it came from the target.
    pub responded: Option<Mono>,
    /// The status that the client got; 460 if none.
    pub status: u16,
    /// Bytes of the request, its head included.
    pub received: u64,
    /// Bytes of the answer, its head included.
    pub sent: u64,
    /// Its request line; `None` if it could not be parsed.
    pub line: Option<RequestLine<'a>>,
    /// Its User-Agent.
    pub agent: Option<&'a [u8]>,
    /// The X-Amzn-Trace-Id sent to the target.
    pub trace: Option<&'a [u8]>,
    /// The TLS parameters of its connection.
    pub tls: Option<TlsLog<'a>>,
    /// The chosen group's ARN.
    pub group: Option<&'a str>,
    /// The Location that it was redirected to.
    pub location: Option<&'a [u8]>,
    /// How its framing was classified; `None` if it follows the RFC.
    pub classified: Option<Classified>,
}

/// Where a recorded request's time went, beyond what its record says.
#[derive(Clone, Copy, Debug)]
pub struct SpanFacts<'a> {
    /// Its place in its trace.
    pub context: SpanContext,
    /// Ids for the child spans that have none yet.
    pub ids: [u64; 3],
    /// The client's `tracestate`, one slice for each of its header lines.
    pub state: &'a [&'a [u8]],
    /// When its connection was accepted, if this is its first request.
    pub accepted: Option<Mono>,
    /// When connecting to the target began, if a connection was made.
    pub connecting: Option<Mono>,
    /// When an answer made here began.
    pub answering: Option<Mono>,
}

/// A connection that was accepted, or whose TLS handshake failed.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionFacts<'a> {
    /// The load balancer.
    pub balancer: &'a Arc<BalancerView>,
    /// The nodes of its listener.
    pub nodes: &'a [NodeView],
    /// The zone of the node that took it.
    pub zone: ZoneId,
    /// The listener's port.
    pub port: u16,
    /// The client's address.
    pub client: SocketAddr,
    /// Its id.
    pub connection: ConnectionId,
    /// When it was ready, or failed.
    pub wall: Wall,
    /// The negotiated TLS parameters.
    pub tls: Option<TlsLog<'a>>,
    /// Why TLS failed, in ALB's words (`UnmappedConnectionError` for everything without a word of its own).
    pub failed: Option<&'static str>,
}

/// A probe's result.
#[derive(Clone, Copy, Debug)]
pub struct ProbeFacts<'a> {
    /// The target's group, and who uses it.
    pub watch: &'a ProbedTarget,
    /// The address that was probed; `None` for a function.
    pub address: Option<SocketAddr>,
    /// `http`, `https`, `h2`, `grpc`, `lambda`.
    pub kind: &'static str,
    /// When the probe ended.
    pub wall: Wall,
    /// How long it took.
    pub latency: Duration,
    /// How it ended.
    pub result: ProbeResult,
}

/// A probed target's group, as far as a log of probes needs it.
#[derive(Debug)]
pub struct ProbedTarget {
    /// The group's name.
    pub group: String,
    /// The statuses that pass.
    pub matcher: forebay_model::Matcher,
    /// The load balancers that use the group, and a node of each.
    pub balancers: Vec<(Arc<BalancerView>, NodeView)>,
}

/// The logs that are written whatever a load balancer's attributes say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Always {
    /// A line per request.
    pub access: bool,
    /// A line per connection.
    pub connection: bool,
    /// A line per probe.
    pub health: bool,
}

impl Always {
    /// Whether this load balancer needs a line per request.
    pub fn wants_access(self, settings: &BalancerSettings) -> bool {
        self.access || settings.access_log.is_some()
    }

    /// Whether this load balancer needs a line per connection.
    pub fn wants_connection(self, settings: &BalancerSettings) -> bool {
        self.connection || settings.connection_log.is_some()
    }
}

/// The destination of log lines. One for the process.
pub trait Logger: Send + Sync {
    /// A log writer for one thread.
    fn log_writer(&self) -> Box<dyn LogWriter>;

    /// The logs that are written for every load balancer.
    fn always(&self) -> Always;

    /// The requests that are passed to `LogWriter::span`; `None` if spans are not exported.
    fn sampling(&self) -> Option<Sampling> {
        None
    }
}

/// One thread's log writer. Never blocks: what cannot be taken is dropped and counted.
pub trait LogWriter {
    /// A line about a request.
    fn request(&mut self, facts: &LogFacts<'_>);

    /// The span of a recorded request, and its child spans.
    fn span(&mut self, _facts: &LogFacts<'_>, _span: &SpanFacts<'_>) {}

    /// A line about a connection.
    fn connection(&mut self, facts: &ConnectionFacts<'_>);

    /// A line about a probe, in the log of each load balancer that wants it.
    fn probe(&mut self, facts: &ProbeFacts<'_>);

    /// Passes on what was written. Call it a few times a second.
    fn flush(&mut self);
}
