//! The record of a target, and what is reported of it.

use super::evidence::Trials;
use super::latencies::Latencies;
use crate::weight::Weight;
use core::fmt;
use core::time::Duration;

/// Time from one look to the next.
pub const LOOK: Duration = Duration::from_secs(5);
/// Groups with fewer healthy targets are not examined.
pub const FEWEST_HEALTHY: usize = 3;
/// Weight of a mitigated target: enough traffic to notice that it has recovered.
pub(super) const MITIGATED: f64 = 0.1;
/// The weights on the way back.
pub(super) const STEPS: [f64; 3] = [0.25, 0.5, 1.0];
/// Number of looks remembered: a minute, in which evidence accumulates at low rates.
pub(super) const REMEMBERED: usize = 12;

/// A target's counts between two looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that ended in an answer or an error.
    pub requests: u64,
    /// Answers 500 to 599.
    pub errors: u64,
    /// Connections that failed or died, and TLS handshakes that failed.
    pub connections: u64,
}

impl Counts {
    pub(super) fn plus(self, other: Counts) -> Counts {
        Counts {
            requests: self.requests + other.requests,
            errors: self.errors + other.errors,
            connections: self.connections + other.connections,
        }
    }

    pub(super) fn trials(self) -> Trials {
        Trials {
            all: self.requests,
            failed: self.errors + self.connections,
        }
    }
}

/// The respect in which a target differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// Answers 500 to 599.
    Errors,
    /// Connections that failed or died.
    Connections,
    /// Slow answers.
    Latency,
}

/// A target compared with its peers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evidence {
    /// The respect in which they were compared.
    pub signal: Signal,
    /// The target's share of failed requests, or its median latency in nanoseconds.
    pub own: f64,
    /// The same figure of its peers.
    pub peers: f64,
    /// Number of the target's requests that were examined.
    pub requests: u64,
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, unit, scale) = match self.signal {
            Signal::Errors => ("5xx", "%", 100.0),
            Signal::Connections => ("failed connections", "%", 100.0),
            Signal::Latency => ("median latency", "ms", 1e-6),
        };
        let (own, peers) = (self.own * scale, self.peers * scale);
        write!(f, "{name} {own:.1} {unit} against {peers:.1} {unit} of peers, ")?;
        write!(f, "{} requests", Grouped(self.requests))
    }
}

/// A number with commas between thousands.
pub(super) struct Grouped(pub(super) u64);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 1000 {
            return write!(f, "{}", self.0);
        }
        write!(f, "{},{:03}", Grouped(self.0 / 1000), self.0 % 1000)
    }
}

/// Why a target's standing or its weight changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Why {
    /// It is unlike its peers.
    Unlike(Evidence),
    /// It has been like its peers since the last change.
    Alike(Evidence),
    /// Too few targets are healthy to compare it with, or it is not healthy itself.
    NotCompared,
    /// Mitigation is off, or the algorithm does not use weights.
    NotMitigated,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Unlike(evidence) | Why::Alike(evidence) => evidence.fmt(f),
            Why::NotCompared => f.write_str("no longer compared with peers"),
            Why::NotMitigated => f.write_str("mitigation is off"),
        }
    }
}

/// A change of a target's standing or weight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// Whether it is anomalous now.
    pub anomalous: bool,
    /// The reason.
    pub why: Why,
    /// The weight before.
    pub from: Weight,
    /// The weight now.
    pub to: Weight,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.why.fmt(f)?;
        if self.from == self.to {
            return write!(f, ", weight {:.2}", self.to.share());
        }
        write!(f, ", weight {:.2} -> {:.2}", self.from.share(), self.to.share())
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Standing {
    #[default]
    Normal,
    Anomalous,
    /// Like its peers again, but not yet at full weight.
    Recovering,
}

/// The history of one target.
#[derive(Clone, Debug)]
pub struct PeerRecord {
    pub(super) windows: [Counts; REMEMBERED],
    pub(super) next: usize,
    /// `None` while latencies are not measured.
    pub(super) latencies: Option<Box<Latencies>>,
    pub(super) standing: Standing,
    pub(super) weight: Weight,
    /// Trials since it was last judged, for errors and for slow answers, and the number of looks since.
    pub(super) proof: [Trials; 2],
    pub(super) looks: u32,
    pub(super) last: Option<Change>,
}

impl Default for PeerRecord {
    fn default() -> Self {
        PeerRecord {
            windows: [Counts::default(); REMEMBERED],
            next: 0,
            latencies: None,
            standing: Standing::Normal,
            weight: Weight::FULL,
            proof: [Trials::default(); 2],
            looks: 0,
            last: None,
        }
    }
}

impl PeerRecord {
    /// Whether it is unlike its peers.
    pub fn is_anomalous(&self) -> bool {
        self.standing == Standing::Anomalous
    }

    /// Whether its weight is reduced.
    pub fn is_mitigated(&self) -> bool {
        self.weight < Weight::FULL
    }

    /// The weight that mitigation leaves it.
    pub fn weight(&self) -> Weight {
        self.weight
    }

    /// The last change, while it is anomalous or its weight is reduced.
    pub fn change(&self) -> Option<Change> {
        self.last.filter(|_| self.is_anomalous() || self.is_mitigated())
    }

    /// Forgets everything, because it is no longer compared (unhealthy, too few peers). Returns the change if it was
    /// anomalous or its weight was reduced.
    pub fn forget(&mut self) -> Option<Change> {
        let was = self.is_anomalous() || self.is_mitigated();
        let from = self.weight;
        *self = PeerRecord::default();
        was.then_some(Change {
            anomalous: false,
            why: Why::NotCompared,
            from,
            to: Weight::FULL,
        })
    }

    /// The counts of the last `span` windows.
    pub(super) fn sum(&self, span: usize) -> Counts {
        (1..=span).fold(Counts::default(), |sum, back| {
            let at = (self.next + REMEMBERED - back) % REMEMBERED;
            sum.plus(self.windows[at])
        })
    }
}
