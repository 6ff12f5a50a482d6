//! The data that workers decide by: listeners with their rules, and groups with the targets that get traffic. Immutable
//! and replaced as a whole; only the counters behind it change.

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

/// Everything that workers decide by.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Increases with each snapshot.
    pub version: u64,
    /// By id, ascending.
    pub listeners: Vec<Arc<ListenerView>>,
    /// By id, ascending.
    pub groups: Vec<Arc<GroupView>>,
    /// The secret from which the keys of sticky cookies are derived.
    pub secret: Secret,
    /// Whether any group's targets learn the client's address from PROXY headers.
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
    /// Its ARN, its DNS name (the Host of requests that have none), its settings.
    pub blueprint: Arc<BalancerBlueprint>,
    /// Counters per zone and worker.
    pub stats: Arc<Zoned<BalancerStats>>,
}

impl BalancerView {
    /// Its attributes and tags.
    pub fn settings(&self) -> &BalancerSettings {
        &self.blueprint.settings
    }

    /// `app/NAME/ID`, as logs write it.
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

/// An address that a listener accepts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeView {
    /// The zone of the node.
    pub zone: ZoneId,
    /// Its address.
    pub address: IpAddr,
    /// Whether all load balancers are reached at this address.
    pub exposed: bool,
}

/// A listener.
#[derive(Debug)]
pub struct ListenerView {
    /// The listener's id.
    pub id: ListenerId,
    /// Its ARN, protocol, port, TLS settings and attributes. Its rules are compiled, in `rules`.
    pub blueprint: Arc<ListenerBlueprint>,
    /// Its addresses. Exposed ones come last; it has those if its load balancer was the first to use the port.
    pub nodes: Vec<NodeView>,
    /// The listeners that its exposed addresses serve, if it has any: all with its port and protocol, itself included,
    /// by their load balancers' names in lower case. A name that begins with a full stop is a wildcard for all names
    /// that end with it.
    pub named: BTreeMap<String, Named>,
    /// Its load balancer.
    pub balancer: Arc<BalancerView>,
    /// Counters per zone and worker.
    pub stats: Arc<Zoned<ListenerStats>>,
    /// Its rules; `None` if they do not compile, and then it answers 500.
    pub rules: Option<Arc<Rules<GroupId>>>,
    /// At an agent: decides which requests may start. Requests are passed on unchanged except for their permits.
    pub permit_issuer: Option<Arc<PermitIssuer>>,
}

/// A listener that is reached by its load balancer's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    /// The listener.
    pub listener: ListenerId,
    /// Its load balancer's first zone.
    pub zone: ZoneId,
}

impl ListenerView {
    /// Its attributes.
    pub fn settings(&self) -> &ListenerSettings {
        &self.blueprint.settings
    }

    /// The listener that a request or handshake with this host name at an exposed address is for, if any: the one with
    /// exactly that name, else the one with the longest matching wildcard. O(labels log names).
    pub fn named(&self, host: &[u8]) -> Option<Named> {
        let host = host.strip_suffix(b".").unwrap_or(host);
        let host = core::str::from_utf8(host).ok()?.to_ascii_lowercase();
        let mut rest = host.as_str();
        loop {
            if let Some(named) = self.named.get(rest) {
                return Some(*named);
            }
            // Continue at the next full stop.
            let from = rest.char_indices().skip(1).find(|(_, letter)| *letter == '.')?.0;
            rest = &rest[from..];
        }
    }

    /// Whether its exposed addresses serve other listeners too.
    pub fn is_shared(&self) -> bool {
        self.named.values().any(|named| named.listener != self.id)
    }
}

/// A target group.
#[derive(Debug)]
pub struct GroupView {
    /// The group's id.
    pub id: GroupId,
    /// Its ARN, the protocol version spoken to its targets, its attributes and tags.
    pub blueprint: Arc<GroupBlueprint>,
    /// State about its targets that all workers share.
    pub load_index: Arc<LoadIndex>,
    /// Registered targets, draining ones included.
    pub targets: Vec<Arc<TargetView>>,
    /// Counters of the group per zone and worker.
    pub counters: Arc<Zoned<GroupStats>>,
    /// The targets' counters, one pointer closer for code that scans many.
    pub(crate) stats: Vec<Arc<TargetStats>>,
    /// The targets that get traffic from any zone.
    pub eligible: Eligible,
    /// Its gate, where there are limits or a queue.
    pub gate: Option<Arc<GroupGate>>,
    /// With cross-zone off: the targets that get traffic from each zone's node.
    pub zones: Option<Vec<(ZoneId, Eligible)>>,
}

/// The targets that get traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Eligible {
    /// Indices into the group's targets.
    pub targets: Vec<u32>,
    /// Why these targets get traffic.
    pub reason: RoutingReason,
    /// Whether enough targets are healthy for DNS names to resolve to this zone (DNS failover).
    pub in_dns: bool,
}

impl GroupView {
    /// Its attributes and tags.
    pub fn settings(&self) -> &GroupSettings {
        &self.blueprint.settings
    }

    /// Whether its targets have a limit, so that each request needs a slot.
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
