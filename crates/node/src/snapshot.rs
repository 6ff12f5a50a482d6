//! What every worker sees: listeners with their rules, groups with the targets that get traffic. Immutable, swapped
//! whole; only counters behind it change.

use crate::gate::GroupGate;
use crate::ids::{GroupId, ListenerId, ZoneId};
use crate::load_index::LoadIndex;
use crate::permit_issuer::PermitIssuer;
use crate::shards::Zoned;
use crate::stats::{BalancerStats, GroupStats, ListenerStats, TargetStats};
use crate::target::TargetView;
use core::net::IpAddr;
use forebay_health::RoutingReason;
use forebay_model::{
    BalancerBlueprint, BalancerSettings, Concurrency, GroupBlueprint, GroupSettings, ListenerBlueprint,
    ListenerSettings, Secret,
};
use forebay_routing::Rules;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Everything workers decide by.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Grows with each snapshot.
    pub version: u64,
    /// By id, ascending.
    pub listeners: Vec<Arc<ListenerView>>,
    /// By id, ascending.
    pub groups: Vec<Arc<GroupView>>,
    /// What keys of sticky cookies are derived from.
    pub secret: Secret,
    /// Some group's targets are told whose connections they get.
    pub tells_clients: bool,
}

impl Snapshot {
    /// The listener with this id. O(log listeners).
    pub fn listener(&self, id: ListenerId) -> Option<&Arc<ListenerView>> {
        let at = self
            .listeners
            .binary_search_by_key(&id, |listener| listener.id)
            .ok()?;
        self.listeners.get(at)
    }

    /// The group with this id. O(log groups).
    pub fn group(&self, id: GroupId) -> Option<&Arc<GroupView>> {
        let at = self.groups.binary_search_by_key(&id, |group| group.id).ok()?;
        self.groups.get(at)
    }
}

/// A load balancer.
#[derive(Debug)]
pub struct BalancerView {
    /// What it is: its ARN, its DNS name (the Host of requests that have none), its settings.
    pub blueprint: Arc<BalancerBlueprint>,
    /// Counters per zone and worker.
    pub stats: Arc<Zoned<BalancerStats>>,
}

impl BalancerView {
    /// What its attributes and tags say.
    pub fn settings(&self) -> &BalancerSettings {
        &self.blueprint.settings
    }

    /// `app/NAME/ID`, as logs name it.
    pub fn name(&self) -> &str {
        // The sixth part of an ARN; five colons come before it.
        let tail = self
            .blueprint
            .arn
            .splitn(6, ':')
            .nth(5)
            .unwrap_or(&self.blueprint.arn);
        tail.strip_prefix("loadbalancer/").unwrap_or(tail)
    }
}

/// One address a listener listens on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeView {
    /// The zone it stands in.
    pub zone: ZoneId,
    /// Its address.
    pub address: IpAddr,
    /// It is where all load balancers are reached.
    pub exposed: bool,
}

/// A listener.
#[derive(Debug)]
pub struct ListenerView {
    /// Which.
    pub id: ListenerId,
    /// What it is: its ARN, protocol, port, TLS and settings. Its rules are compiled, in `rules`.
    pub blueprint: Arc<ListenerBlueprint>,
    /// Its addresses; the last ones are exposed, if its balancer is the first to use the port.
    pub nodes: Vec<NodeView>,
    /// What its exposed addresses serve, where it has those: listeners with its port and protocol, by their load balancers' names in lower
    /// case, its own among them. A name that begins with a full stop stands for all that end with it.
    pub named: BTreeMap<String, Named>,
    /// Its load balancer.
    pub balancer: Arc<BalancerView>,
    /// Counters per zone and worker.
    pub stats: Arc<Zoned<ListenerStats>>,
    /// Its rules; none if they do not compile, and then it answers 500.
    pub rules: Option<Arc<Rules<GroupId>>>,
    /// Who may start, at an agent. Requests go on as they came then, but for their permits.
    pub permit_issuer: Option<Arc<PermitIssuer>>,
}

/// A listener that is reached by its load balancer's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    /// Which.
    pub listener: ListenerId,
    /// Its load balancer's first zone.
    pub zone: ZoneId,
}

impl ListenerView {
    /// What its attributes say.
    pub fn settings(&self) -> &ListenerSettings {
        &self.blueprint.settings
    }

    /// Whom a request or a handshake at an exposed address with this host name is for, if that is known: the one with that very name, or
    /// else with the longest wildcard that fits. O(labels log names).
    pub fn named(&self, host: &[u8]) -> Option<Named> {
        let host = host.strip_suffix(b".").unwrap_or(host);
        let host = core::str::from_utf8(host).ok()?.to_ascii_lowercase();
        let mut rest = host.as_str();
        loop {
            if let Some(named) = self.named.get(rest) {
                return Some(*named);
            }
            // From the next full stop on.
            let from = rest.char_indices().skip(1).find(|(_, letter)| *letter == '.')?.0;
            rest = &rest[from..];
        }
    }

    /// Whether others are reached at its exposed addresses.
    pub fn is_shared(&self) -> bool {
        self.named.values().any(|named| named.listener != self.id)
    }
}

/// A target group.
#[derive(Debug)]
pub struct GroupView {
    /// Which.
    pub id: GroupId,
    /// What it is: its ARN, what is spoken to its targets, its settings.
    pub blueprint: Arc<GroupBlueprint>,
    /// What all workers share about its targets.
    pub load_index: Arc<LoadIndex>,
    /// Registered targets, draining ones too.
    pub targets: Vec<Arc<TargetView>>,
    /// What is counted of the group, per zone and worker.
    pub counters: Arc<Zoned<GroupStats>>,
    /// The targets' counters: one step nearer for who looks at many.
    pub(crate) stats: Vec<Arc<TargetStats>>,
    /// The targets that get traffic from any zone.
    pub eligible: Eligible,
    /// Who comes in, where there are limits or a queue.
    pub gate: Option<Arc<GroupGate>>,
    /// With cross-zone off: the targets that get traffic from each zone's node.
    pub zones: Option<Vec<(ZoneId, Eligible)>>,
}

/// Indices of targets that get traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Eligible {
    /// Indices into the group's targets.
    pub targets: Vec<u32>,
    /// Why these.
    pub reason: RoutingReason,
    /// Enough are healthy for names to lead here (DNS failover).
    pub in_dns: bool,
}

impl GroupView {
    /// What its attributes and tags say.
    pub fn settings(&self) -> &GroupSettings {
        &self.blueprint.settings
    }

    /// Whether its targets are limited, so that a request needs a slot.
    pub fn is_limited(&self) -> bool {
        let queue = self.settings().queue.as_ref();
        queue.is_some_and(|queue| queue.concurrency != Concurrency::Open)
    }

    /// The targets that get traffic from a node in this zone.
    pub fn eligible(&self, zone: ZoneId) -> &Eligible {
        const NONE: &Eligible = &Eligible {
            targets: Vec::new(),
            reason: RoutingReason::Empty,
            in_dns: false,
        };
        match &self.zones {
            None => &self.eligible,
            Some(zones) => zones
                .iter()
                .find(|entry| entry.0 == zone)
                .map_or(NONE, |entry| &entry.1),
        }
    }
}
