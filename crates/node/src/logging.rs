//! What a log sees: finished requests, connections, probes. The port between the hands that do the work and whoever
//! writes lines about it; everything is lent, nothing is copied here.

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

/// How a request came, as field 1 of an access log has it.
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
    /// As logs write it.
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

/// The random name of a connection, which joins its requests' lines to its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionId(pub [u64; 2]);

/// What a request asked for, as far as it was understood.
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

/// What TLS settled on, in the names that logs use.
#[derive(Clone, Copy, Debug)]
pub struct TlsLog<'a> {
    /// `TLSv1.3` and the like.
    pub protocol: &'a str,
    /// `TLS_AES_128_GCM_SHA256` and the like.
    pub cipher: &'a str,
    /// The name the client asked for.
    pub server_name: Option<&'a str>,
    /// The certificate's ARN, or `session-reused`.
    pub certificate: &'a str,
    /// The group keys were exchanged in.
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
    /// Malformed, or made to deceive.
    Severe,
}

impl Tier {
    /// As logs write it.
    pub const fn word(self) -> &'static str {
        match self {
            Tier::Acceptable => "Acceptable",
            Tier::Ambiguous => "Ambiguous",
            Tier::Severe => "Severe",
        }
    }
}

/// How a request that does not follow the RFC was judged, in the words of ALB's logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Classified {
    /// How risky it is.
    pub tier: Tier,
    /// `BothTeClPresent` and the like.
    pub reason: &'static str,
}

/// A request that is over.
#[derive(Clone, Copy, Debug)]
pub struct LogFacts<'a> {
    /// How it came.
    pub kind: Kind,
    /// To which load balancer.
    pub balancer: &'a Arc<BalancerView>,
    /// The nodes of its listener.
    pub nodes: &'a [NodeView],
    /// Which of them took it.
    pub zone: ZoneId,
    /// The listener's port.
    pub port: u16,
    /// From whom.
    pub client: SocketAddr,
    /// On which connection.
    pub connection: ConnectionId,
    /// When its answer was complete.
    pub wall: Wall,
    /// When its head was complete.
    pub created: Wall,
    /// What became of it.
    pub record: &'a Record,
    /// When the first byte of the answer went to the client, if later than the moment it came from the target.
    pub responded: Option<Mono>,
    /// The status the client got; 460 for none.
    pub status: u16,
    /// Bytes of the request, its head included.
    pub received: u64,
    /// Bytes of the answer, its head included.
    pub sent: u64,
    /// What it asked for; none if that was not understood.
    pub line: Option<RequestLine<'a>>,
    /// Its User-Agent.
    pub agent: Option<&'a [u8]>,
    /// The X-Amzn-Trace-Id that its target saw.
    pub trace: Option<&'a [u8]>,
    /// Its connection's TLS.
    pub tls: Option<TlsLog<'a>>,
    /// The chosen group's ARN.
    pub group: Option<&'a str>,
    /// Where it was redirected to.
    pub location: Option<&'a [u8]>,
    /// How its framing was judged; none if it follows the RFC.
    pub classified: Option<Classified>,
}

/// Where a recorded request's time went, beyond what its record tells.
#[derive(Clone, Copy, Debug)]
pub struct SpanFacts<'a> {
    /// Its place in its trace.
    pub context: SpanContext,
    /// Ids for the rooms that have none yet.
    pub ids: [u64; 3],
    /// The client's `tracestate`, one piece for each of its lines.
    pub state: &'a [&'a [u8]],
    /// When its connection was taken, if this is its first request.
    pub accepted: Option<Mono>,
    /// When the connection to the target was begun, if one was made.
    pub connecting: Option<Mono>,
    /// When an answer made here began.
    pub answering: Option<Mono>,
}

/// A connection that was taken, or could not be secured.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionFacts<'a> {
    /// To which load balancer.
    pub balancer: &'a Arc<BalancerView>,
    /// The nodes of its listener.
    pub nodes: &'a [NodeView],
    /// Which of them took it.
    pub zone: ZoneId,
    /// The listener's port.
    pub port: u16,
    /// From whom.
    pub client: SocketAddr,
    /// Its name.
    pub connection: ConnectionId,
    /// When it was ready, or failed to be.
    pub wall: Wall,
    /// What TLS settled on.
    pub tls: Option<TlsLog<'a>>,
    /// Why TLS failed, in ALB's words (`UnmappedConnectionError` for all that has no other).
    pub failed: Option<&'static str>,
}

/// A probe's result.
#[derive(Clone, Copy, Debug)]
pub struct ProbeFacts<'a> {
    /// Whose target was probed.
    pub watch: &'a ProbedTarget,
    /// Where the probe went; none for a function.
    pub address: Option<SocketAddr>,
    /// `http`, `https`, `h2`, `grpc`, `lambda`.
    pub kind: &'static str,
    /// When it ended.
    pub wall: Wall,
    /// How long it took.
    pub latency: Duration,
    /// How it ended.
    pub result: ProbeResult,
}

/// Whose targets are probed, as far as a log of probes needs it.
#[derive(Debug)]
pub struct ProbedTarget {
    /// The group's name.
    pub group: String,
    /// Which statuses pass.
    pub matcher: forebay_model::Matcher,
    /// Load balancers that use the group, and a node of each.
    pub balancers: Vec<(Arc<BalancerView>, NodeView)>,
}

/// Which logs go somewhere whatever a load balancer's attributes say.
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
    /// Whether a line per request of this load balancer is wanted.
    pub fn wants_access(self, settings: &BalancerSettings) -> bool {
        self.access || settings.access_log.is_some()
    }

    /// Whether a line per connection of this load balancer is wanted.
    pub fn wants_connection(self, settings: &BalancerSettings) -> bool {
        self.connection || settings.connection_log.is_some()
    }
}

/// Where lines are written. One for the process.
pub trait Logger: Send + Sync {
    /// A log writer for a thread of its own.
    fn log_writer(&self) -> Box<dyn LogWriter>;

    /// Which logs are written for every load balancer.
    fn always(&self) -> Always;

    /// Which requests are told to `LogWriter::span`; none if nobody takes spans.
    fn sampling(&self) -> Option<Sampling> {
        None
    }
}

/// One thread's way to write lines. Never blocks: what can't be taken is dropped and counted.
pub trait LogWriter {
    /// A line about a request.
    fn request(&mut self, facts: &LogFacts<'_>);

    /// The span of a request that is recorded, and of its rooms.
    fn span(&mut self, _facts: &LogFacts<'_>, _span: &SpanFacts<'_>) {}

    /// A line about a connection.
    fn connection(&mut self, facts: &ConnectionFacts<'_>);

    /// A line about a probe, in the log of each load balancer that wants it.
    fn probe(&mut self, facts: &ProbeFacts<'_>);

    /// Hands on what is written. Call it a few times a second.
    fn flush(&mut self);
}
