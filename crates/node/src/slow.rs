//! The slow path of a node: applies blueprints, keeps health, orders probes, publishes snapshots and ends drains.
//!
//! Its files, in reading order: `balancers` (load balancers and listeners of a blueprint), `views` (from the node's
//! state to a snapshot), `watch` (probes, refused connections, drains), `weights` and `peers` (slow start, anomalies),
//! `gates` and `demand` (limited groups), `users` and `metrics` (what logs and metrics need), `takeover`.

use crate::gate::{ChannelOrder, GroupGate};
use crate::ids::{GroupId, ListenerId, TargetId, ZoneId};
use crate::load_index::LoadIndex;
use crate::logging::ProbedTarget;
use crate::permit_issuer::PermitIssuer;
use crate::pressure::Pressure;
use crate::probe_order::{FunctionProbe, ProbeOrder};
use crate::shards::Zoned;
use crate::snapshot::{BalancerView, GroupView, Snapshot};
use crate::stats::{BalancerStats, GroupStats, ListenerStats, TargetStats};
use crate::target::TargetView;
use core::net::IpAddr;
use core::sync::atomic::Ordering::Relaxed;
use core::time::Duration;
use forebay_balance::Ramp;
use forebay_balance::anomaly::{Change, Counts, LOOK, Latencies, PeerRecord as Peers};
use forebay_health::{ProbeResult, Tracker};
use forebay_model::{
    BalancerBlueprint, Blueprint, GroupBlueprint, HealthCheck, HealthReason, HealthState, ListenerBlueprint,
    ProtocolVersion, Secret, TargetBlueprint, TargetHealth, TargetTls,
};
use forebay_routing::Rules;
use forebay_units::Mono;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

mod balancers;
mod demand;
mod gates;
mod metrics;
mod peers;
mod takeover;
mod users;
mod views;
mod watch;
mod weights;

/// How often draining targets are checked.
const DRAIN_LOOK: Duration = Duration::from_millis(100);
/// How often a drained target is reported again while it is still in the blueprint.
const DRAIN_REPORT: Duration = Duration::from_secs(5);
/// Time that requests in flight get to end after they were cut at the end of a drain's delay.
const CUT_GRACE: Duration = Duration::from_secs(2);

/// An event that the caller reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A probe ended.
    Probed {
        /// The target.
        target: TargetId,
        /// The result.
        result: ProbeResult,
    },
    /// A request's connection to this target was refused.
    Refused {
        /// The target.
        target: TargetId,
    },
}

/// An action for the caller.
#[derive(Clone, Debug)]
pub enum Output {
    /// Probe a target and report the result.
    Probe(ProbeOrder),
    /// Probe a function and report the result.
    ProbeFunction(FunctionProbe),
    /// Give this snapshot to every worker.
    Publish(Arc<Snapshot>),
    /// Log that a target became anomalous or normal again, or that its weight was changed for that.
    Weighed {
        /// The group's ARN.
        group: String,
        /// The target's id.
        target: String,
        /// The port it was registered with.
        port: u16,
        /// The change and its reason.
        change: Change,
    },
    /// Keep these channels to agents open and close all others.
    Channels(Vec<ChannelOrder>),
    /// A deregistered target is idle, or its delay is over: remove it from the group.
    Drained {
        /// The group's ARN.
        group: String,
        /// The target's id.
        target: String,
        /// The port it was registered with.
        port: u16,
    },
}

type TargetKey = (String, u16);

/// How connections to a target are secured, and whether they begin with a PROXY header. Connections made another way
/// cannot be used.
type Way = (TargetTls, bool);

#[derive(Debug)]
struct Target {
    blueprint: TargetBlueprint,
    way: Way,
    view: Option<Arc<TargetView>>,
    id: TargetId,
    stats: Arc<TargetStats>,
    tracker: Tracker,
    /// When the next probe is due; `None` if it is not probed.
    due: Option<Mono>,
    /// When it began to be probed.
    probed_since: Mono,
    /// When a probe's result last counted.
    judged: Option<Mono>,
    draining_since: Option<Mono>,
    /// When it was last reported as drained. Reported again while it is still here, in case the report was lost.
    drained: Option<Mono>,
    /// Its slow start, while one is under way.
    ramp: Option<Ramp>,
    /// It was registered while no other target carried full traffic, so its first slow start is skipped.
    founder: bool,
    /// How it compares with its peers.
    peers: Peers,
    /// Its counts at the last look at peers.
    counted: Option<Counts>,
    /// Its latencies at the last look at peers.
    timed: Option<Box<Latencies>>,
}

#[derive(Debug)]
struct Group {
    id: GroupId,
    blueprint: Arc<GroupBlueprint>,
    targets: BTreeMap<TargetKey, Target>,
    view: Option<Arc<GroupView>>,
    load_index: Arc<LoadIndex>,
    counters: Arc<Zoned<GroupStats>>,
    gate: Option<Arc<GroupGate>>,
}

impl Group {
    fn new_stats(&self, workers: usize) -> Arc<TargetStats> {
        let shared = Arc::clone(&self.load_index.shared);
        Arc::new(TargetStats::new(workers, shared, Arc::clone(&self.counters)))
    }

    fn is_probed(&self, target: &Target) -> bool {
        let blueprint = &self.blueprint;
        blueprint.in_use
            && blueprint.health.enabled
            && blueprint.reaches(&target.blueprint)
            && !target.blueprint.draining
            && zone_enabled(blueprint, &target.blueprint)
    }

    /// Whether requests to it may wait in a queue.
    fn lets_wait(&self) -> bool {
        let queue = self.blueprint.settings.queue.as_ref();
        queue.is_some_and(|queue| queue.length > 0)
    }

    /// Whether it counts as healthy (HealthyHostCount). Draining and unused targets do not.
    fn counts_as_healthy(&self, target: &Target) -> bool {
        let unchecked = !self.blueprint.health.enabled && self.blueprint.in_use && !target.blueprint.draining;
        (self.is_probed(target) || unchecked) && target.tracker.is_healthy()
    }
}

fn zone_enabled(group: &GroupBlueprint, target: &TargetBlueprint) -> bool {
    target.zone.as_ref().is_none_or(|zone| group.zones.contains(zone))
}

#[derive(Debug)]
struct Listener {
    id: ListenerId,
    blueprint: Arc<ListenerBlueprint>,
    balancer: Arc<BalancerView>,
    rules: Option<Arc<Rules<GroupId>>>,
    stats: Arc<Zoned<ListenerStats>>,
}

#[derive(Debug)]
struct Balancer {
    view: Arc<BalancerView>,
    stats: Arc<Zoned<BalancerStats>>,
}

/// The slow path of a node process. One per process; its snapshots serve all workers.
#[derive(Debug)]
pub struct Node {
    workers: usize,
    next_id: u64,
    version: u64,
    zones: Vec<String>,
    secret: Secret,
    balancers: BTreeMap<String, Balancer>,
    listeners: BTreeMap<String, Listener>,
    groups: BTreeMap<String, Group>,
    by_id: BTreeMap<TargetId, (String, TargetKey)>,
    order: Vec<(Arc<BalancerBlueprint>, Vec<String>)>,
    /// The load balancers that log a group's probes, by the group's ARN; filled on first use.
    watches: BTreeMap<String, Arc<ProbedTarget>>,
    probes: BTreeSet<(Mono, TargetId)>,
    outputs: VecDeque<Output>,
    stale: bool,
    drain_look: Option<Mono>,
    ramp_look: Option<Mono>,
    peers_look: Option<Mono>,
    gate_look: Option<Mono>,
    pressure: Pressure,
    /// Addresses at which all load balancers are reached.
    exposed: Vec<IpAddr>,
    /// The channels last ordered.
    channels: Vec<ChannelOrder>,
    /// At an agent: decides which requests may start.
    permit_issuer: Option<Arc<PermitIssuer>>,
}

impl Node {
    /// A node for `workers` workers with nothing to serve yet.
    pub fn new(workers: usize) -> Node {
        Node {
            workers,
            next_id: 0,
            version: 0,
            zones: Vec::new(),
            secret: Secret::default(),
            balancers: BTreeMap::new(),
            listeners: BTreeMap::new(),
            groups: BTreeMap::new(),
            by_id: BTreeMap::new(),
            order: Vec::new(),
            watches: BTreeMap::new(),
            probes: BTreeSet::new(),
            outputs: VecDeque::new(),
            stale: false,
            drain_look: None,
            ramp_look: None,
            peers_look: None,
            gate_look: None,
            pressure: Pressure::default(),
            exposed: Vec::new(),
            channels: Vec::new(),
            permit_issuer: None,
        }
    }

    /// Makes this the node of an agent: requests need a permit from this issuer.
    #[must_use]
    pub fn guarded(mut self, permit_issuer: Option<Arc<PermitIssuer>>) -> Node {
        self.permit_issuer = permit_issuer;
        self
    }

    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn zone(&mut self, name: &str) -> ZoneId {
        let at = self
            .zones
            .iter()
            .position(|zone| zone == name)
            .unwrap_or_else(|| {
                self.zones.push(name.to_owned());
                self.zones.len() - 1
            });
        ZoneId(at as u64)
    }

    /// Applies a blueprint and publishes. Counters, health and turns of everything that stays are kept.
    pub fn apply(&mut self, now: Mono, blueprint: &Blueprint) {
        // Groups first: the rules of listeners are compiled to their ids.
        self.take_groups(now, blueprint);
        self.peers_look = self.peers_look.or(Some(now + LOOK)).filter(|_| self.has_peers());
        self.take_balancers(blueprint);
        self.secret = blueprint.secret;
        self.exposed.clone_from(&blueprint.exposed);
        self.watches.clear();
        self.stale = true;
        self.publish(now);
        self.order_channels();
        self.look_at_gates(now);
    }

    fn take_groups(&mut self, now: Mono, blueprint: &Blueprint) {
        let wanted: BTreeSet<&str> = blueprint.groups.iter().map(|group| group.arn.as_str()).collect();
        let gone: Vec<String> = self
            .groups
            .keys()
            .filter(|arn| !wanted.contains(arn.as_str()))
            .cloned()
            .collect();
        for arn in gone {
            if let Some(group) = self.groups.remove(&arn) {
                group.load_index.dissolve();
                if let Some(gate) = &group.gate {
                    gate.dissolve(now);
                }
                group.targets.into_values().for_each(|target| self.forget(target));
            }
        }
        for group in &blueprint.groups {
            let known = self.groups.get(&group.arn);
            if known.is_some_and(|known| Arc::ptr_eq(&known.blueprint, group) || known.blueprint == *group) {
                continue;
            }
            self.take_group(now, group);
        }
    }

    fn forget(&mut self, target: Target) {
        self.by_id.remove(&target.id);
        if let Some(due) = target.due {
            self.probes.remove(&(due, target.id));
        }
    }

    fn take_group(&mut self, now: Mono, blueprint: &Arc<GroupBlueprint>) {
        let mut group = match self.groups.remove(&blueprint.arn) {
            Some(mut known) => {
                // Targets that are healthy when slow start is switched on do not ramp, nor do they continue a ramp from
                // before it was switched off.
                if blueprint.settings.slow_start.is_zero() {
                    known.targets.values_mut().for_each(|target| target.ramp = None);
                }
                known.blueprint = Arc::clone(blueprint);
                known
            }
            None => Group {
                id: GroupId(self.id()),
                blueprint: Arc::clone(blueprint),
                targets: BTreeMap::new(),
                view: None,
                load_index: Arc::default(),
                counters: Arc::new(Zoned::new(self.workers)),
                gate: None,
            },
        };
        group.view = None;
        group.take_gate(now, &self.pressure);
        let founders = !group.has_steady(now);
        let way = (blueprint.target_tls(), blueprint.settings.proxy_protocol);
        let mut before = core::mem::take(&mut group.targets);
        for wanted in &blueprint.targets {
            let key = (wanted.id.clone(), wanted.port);
            let mut target = match before.remove(&key) {
                // A target that is registered again while it drains is new: it must pass a probe first.
                Some(known) if known.blueprint.draining && !wanted.draining => {
                    let stats = Arc::clone(&known.stats);
                    stats.cut.store(false, Relaxed);
                    // It keeps its id if it is the same server, because its requests in flight hold slots under that
                    // id.
                    let same = known.blueprint.address == wanted.address && known.way == way;
                    let id = if same { known.id } else { self.target_id() };
                    self.forget(known);
                    new_target(id, wanted, stats, &way, blueprint.version)
                }
                Some(known) if known.blueprint.address == wanted.address && known.way == way => Target {
                    blueprint: wanted.clone(),
                    ..known
                },
                Some(known) => {
                    self.forget(known);
                    let stats = group.new_stats(self.workers);
                    new_target(self.target_id(), wanted, stats, &way, blueprint.version)
                }
                None => {
                    let stats = group.new_stats(self.workers);
                    let mut target = new_target(self.target_id(), wanted, stats, &way, blueprint.version);
                    target.founder = founders;
                    target
                }
            };
            self.by_id.insert(target.id, (blueprint.arn.clone(), key.clone()));
            self.schedule(now, &group, &mut target);
            group.targets.insert(key, target);
        }
        before.into_values().for_each(|target| self.forget(target));
        self.groups.insert(blueprint.arn.clone(), group);
        self.reweigh(now, &blueprint.arn);
    }

    fn target_id(&mut self) -> TargetId {
        TargetId(self.id())
    }

    /// Starts or stops a target's probes and its drain, as its blueprint requires.
    fn schedule(&mut self, now: Mono, group: &Group, target: &mut Target) {
        match (group.is_probed(target), target.due) {
            (true, None) => {
                // While it was not probed its state may have changed, so it must pass a probe again.
                target.tracker = Tracker::default();
                target.due = Some(now);
                (target.probed_since, target.judged) = (now, None);
                self.probes.insert((now, target.id));
            }
            (false, Some(due)) => {
                target.due = None;
                self.probes.remove(&(due, target.id));
            }
            _ => {}
        }
        if !target.blueprint.draining {
            target.draining_since = None;
        } else if target.draining_since.is_none() {
            target.draining_since = Some(now);
            self.drain_look = Some(now);
        }
    }

    /// The next thing for the caller to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The health of a target; `None` if it is not registered.
    pub fn health(&self, group: &str, target: &str, port: u16) -> Option<TargetHealth> {
        let group = self.groups.get(group)?;
        let target = group.targets.get(&(target.to_owned(), port))?;
        let known = |state, reason| {
            Some(TargetHealth {
                state,
                reason: Some(reason),
            })
        };
        if target.blueprint.draining {
            return known(HealthState::Draining, HealthReason::DeregistrationInProgress);
        }
        if !group.blueprint.in_use {
            return known(HealthState::Unused, HealthReason::NotInUse);
        }
        if !group.blueprint.reaches(&target.blueprint) {
            return known(HealthState::Unused, HealthReason::InvalidState("stopped"));
        }
        if !zone_enabled(&group.blueprint, &target.blueprint) {
            return known(HealthState::Unused, HealthReason::ZoneNotEnabled);
        }
        if !group.blueprint.health.enabled {
            return known(HealthState::Unavailable, HealthReason::HealthCheckDisabled);
        }
        Some(target.tracker.health())
    }

    /// All targets that still have counters: group ARN, id, port, whether healthy, and counters.
    pub fn targets(&self) -> impl Iterator<Item = (&str, &str, u16, bool, &Arc<TargetStats>)> {
        self.groups.iter().flat_map(|(arn, group)| {
            group.targets.iter().map(move |((name, port), target)| {
                (
                    arn.as_str(),
                    name.as_str(),
                    *port,
                    group.counts_as_healthy(target),
                    &target.stats,
                )
            })
        })
    }

    /// All listeners that still have counters: ARN and counters.
    pub fn listeners(&self) -> impl Iterator<Item = (&str, &Arc<Zoned<ListenerStats>>)> {
        self.listeners
            .iter()
            .map(|(arn, listener)| (arn.as_str(), &listener.stats))
    }

    /// All load balancers that still have counters: ARN and counters.
    pub fn balancers(&self) -> impl Iterator<Item = (&str, &Arc<Zoned<BalancerStats>>)> {
        self.balancers
            .iter()
            .map(|(arn, balancer)| (arn.as_str(), &balancer.stats))
    }
}

impl Drop for Node {
    /// Breaks the reference cycle between a load index and its targets.
    fn drop(&mut self) {
        self.groups.values().for_each(|group| group.load_index.dissolve());
    }
}

#[cfg(test)]
mod tests;

/// Judging probe results.
impl Target {
    /// Records a probe's result; returns whether the target's state changed. A target that has never passed is probed
    /// more often than its settings say; those extra probes count only if they pass, so that it does not fail sooner.
    fn probed(&mut self, now: Mono, result: ProbeResult, check: &HealthCheck) -> bool {
        let passes = matches!(result, ProbeResult::Answered(code) if check.matcher.accepts(code));
        let early = self.judged.is_some_and(|at| now.since(at) < check.interval);
        // Functions get no extra probes.
        let is_function = self.view.as_ref().is_some_and(|view| view.is_function());
        let is_new = !is_function && self.tracker.first_look(Duration::ZERO, check).is_some();
        if is_new && !passes && early {
            return false;
        }
        self.judged = Some(now);
        self.tracker.probed(result, check)
    }
}

/// A target of which nothing is known yet.
fn new_target(
    id: TargetId,
    blueprint: &TargetBlueprint,
    stats: Arc<TargetStats>,
    way: &Way,
    version: ProtocolVersion,
) -> Target {
    let is_reached = blueprint.address.is_some() || version == ProtocolVersion::Lambda;
    let view = is_reached.then(|| {
        Arc::new(TargetView {
            id,
            name: blueprint.id.clone(),
            port: blueprint.port,
            address: blueprint.address,
            tls: way.0.clone(),
            version,
            proxy_protocol: way.1,
            weight: blueprint.weight.max(1),
            stats: Arc::clone(&stats),
        })
    });
    Target {
        blueprint: blueprint.clone(),
        way: way.clone(),
        view,
        id,
        stats,
        tracker: Tracker::default(),
        due: None,
        probed_since: Mono(0),
        judged: None,
        draining_since: None,
        drained: None,
        ramp: None,
        founder: false,
        peers: Peers::default(),
        counted: None,
        timed: None,
    }
}
