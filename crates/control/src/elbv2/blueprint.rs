//! Derives from the state what the data plane serves.

use crate::Region;
use crate::autoscaling::lookup::key;
use crate::elbv2::attribute_table::{
    balancer_settings, deregistration_delay, group_settings, listener_settings,
};
use crate::elbv2::listener_tls::listener_tls;
use crate::elbv2::lookup::with_prefix;
use crate::elbv2::records::{BalancerKind, Listener, LoadBalancer, Rule, StatedAction, Target, TargetGroup};
use crate::elbv2::targets::{declared_address, zone_of};
use crate::elbv2::transforms::served;
use crate::own_tags::balancers::extend_balancer;
use crate::own_tags::groups::extend;
use crate::own_tags::queues::class_of;
use crate::state::State;
use crate::tables::Table;
use core::net::{IpAddr, SocketAddr};
use forebay_model::{
    Action, BalancerBlueprint, Blueprint, GroupBlueprint, GroupSettings, ListenerBlueprint, ListenerSettings,
    NodeBlueprint, ProbeKind, Protocol, ProtocolVersion, RuleBlueprint, TargetBlueprint,
};
use imbl::ordmap::DiffItem;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl State {
    /// What the data plane must serve.
    pub fn blueprint(&self) -> Blueprint {
        self.blueprint_since(self, &Blueprint::default())
    }

    /// Like [`State::blueprint`], but made from `before`, the blueprint of `old`. It costs as much as what changed
    /// between the two states, and shares with `before` what did not change, so that pointers tell what is new.
    pub fn blueprint_since(&self, old: &State, before: &Blueprint) -> Blueprint {
        let mut made: Vec<(u64, Arc<BalancerBlueprint>)> = Vec::new();
        let mut groups = Vec::new();
        // Server certificates belong to no region: a listener in any region may use them. They change seldom.
        let home = &self.settings().default_region;
        let uploaded = |state: &State| {
            state
                .existing_region(home)
                .map(|home| home.server_certificates.clone())
                .unwrap_or_default()
        };
        let uploads_differ = uploaded(self) != uploaded(old);
        // Sharing lets the data plane see by pointer what has not changed, instead of comparing everything. Hence two
        // steps below: what the change cannot have affected is not rebuilt, and what is rebuilt but equal is replaced
        // by the old object (`shared`).
        let old_balancers: BTreeMap<&str, _> = before
            .balancers
            .iter()
            .map(|balancer| (balancer.arn.as_str(), balancer))
            .collect();
        let old_groups: BTreeMap<&str, _> = before
            .groups
            .iter()
            .map(|group| (group.arn.as_str(), group))
            .collect();
        for (name, region) in self.regions() {
            let touched = old
                .existing_region(name)
                .map(|old| Touched::between(old, region, uploads_differ))
                .unwrap_or_default();
            for balancer in region
                .load_balancers
                .values()
                .filter(|b| b.kind == BalancerKind::Application)
            {
                let arn = balancer.arn.as_str();
                let blueprint = match old_balancers.get(arn) {
                    Some(old) if !touched.balancers.contains(arn) => Arc::clone(old),
                    old => shared(
                        old.copied(),
                        balancer_blueprint(self, region, balancer, old.copied()),
                    ),
                };
                made.push((balancer.sequence, blueprint));
            }
            let stays =
                |group: &TargetGroup| !touched.all_groups && !touched.groups.contains(group.arn.as_str());
            let mut uses = None;
            for group in region
                .target_groups
                .values()
                .filter(|group| group.fits_application())
            {
                let blueprint = match old_groups.get(group.arn.as_str()) {
                    Some(old) if stays(group) => Arc::clone(old),
                    old => {
                        let users = uses.get_or_insert_with(|| region.uses()).get(group.arn.as_str());
                        shared(old.copied(), group_blueprint(region, group, users))
                    }
                };
                groups.push(blueprint);
            }
        }
        made.sort_by(|a, b| (a.0, &a.1.arn).cmp(&(b.0, &b.1.arn)));
        let balancers = made.into_iter().map(|(_, balancer)| balancer).collect();
        Blueprint {
            generation: self.generation(),
            exposed: before.exposed.clone(),
            balancers,
            groups,
            secret: self.secret(),
        }
    }
}

/// The load balancers and groups whose blueprints may differ after a change. This must cover every record that
/// `balancer_blueprint` and `group_blueprint` read: whatever is missing here goes on being served as it was until an
/// unrelated change. `invariants` compares the result with a blueprint made from scratch.
#[derive(Default)]
struct Touched {
    balancers: BTreeSet<String>,
    groups: BTreeSet<String>,
    all_groups: bool,
}

impl Touched {
    fn between(old: &Region, new: &Region, uploads_differ: bool) -> Touched {
        // An instance may be a target of several groups, and no index leads from it to them. Instances are few and
        // change seldom, so then every group is looked at.
        let mut touched = Touched {
            all_groups: old.instances != new.instances,
            ..Touched::default()
        };
        // A group's blueprint has its load balancers' zones, so it changes with them. The rules of both states count: a
        // load balancer that was deleted has rules only in the old one.
        for balancer in differing(&old.load_balancers, &new.load_balancers) {
            touched.balancers.insert(balancer.arn.clone());
            for rule in old
                .rules_of_balancer(&balancer.arn)
                .chain(new.rules_of_balancer(&balancer.arn))
            {
                touched.groups.extend(rule.groups().map(str::to_owned));
            }
        }
        for listener in differing(&old.listeners, &new.listeners) {
            touched.balancers.insert(listener.balancer_arn.clone());
        }
        if uploads_differ || old.certificates != new.certificates {
            let secure = new
                .listeners
                .values()
                .filter(|listener| listener.ssl_policy.is_some());
            touched
                .balancers
                .extend(secure.map(|listener| listener.balancer_arn.clone()));
        }
        for rule in differing(&old.rules, &new.rules) {
            for region in [old, new] {
                let listener = region.listeners.get(&rule.listener_arn);
                touched
                    .balancers
                    .extend(listener.map(|listener| listener.balancer_arn.clone()));
            }
            touched.groups.extend(rule.groups().map(str::to_owned));
        }
        touched
            .groups
            .extend(differing(&old.targets, &new.targets).map(|target| target.group_arn.clone()));
        touched
            .groups
            .extend(differing(&old.target_groups, &new.target_groups).map(|group| group.arn.clone()));
        let tags = old.tags.diff(&new.tags).map(|item| match item {
            DiffItem::Add(key, _) | DiffItem::Remove(key, _) | DiffItem::Update { new: (key, _), .. } => {
                key.clone()
            }
        });
        for arn in tags {
            // A rule's tags give its requests their class, so they belong to its load balancer.
            let rule = [new, old].into_iter().find_map(|region| {
                let rule = region.rules.get(&arn)?;
                region.listeners.get(&rule.listener_arn)
            });
            touched
                .balancers
                .extend(rule.map(|listener| listener.balancer_arn.clone()));
            touched.balancers.insert(arn.clone());
            touched.groups.insert(arn);
        }
        touched
    }
}

/// The old and the new version of every record that differs.
fn differing<'t, T: PartialEq>(old: &'t Table<T>, new: &'t Table<T>) -> impl Iterator<Item = &'t Arc<T>> {
    old.diff(new).flat_map(|item| {
        let (before, after) = match item {
            DiffItem::Add(_, record) => (None, Some(record)),
            DiffItem::Remove(_, record) => (Some(record), None),
            DiffItem::Update {
                old: (_, before),
                new: (_, after),
            } => (Some(before), Some(after)),
        };
        before.into_iter().chain(after)
    })
}

fn shared<T: PartialEq>(old: Option<&Arc<T>>, new: T) -> Arc<T> {
    match old {
        Some(old) if **old == new => Arc::clone(old),
        _ => Arc::new(new),
    }
}

fn balancer_blueprint(
    state: &State,
    region: &Region,
    balancer: &LoadBalancer,
    old: Option<&Arc<BalancerBlueprint>>,
) -> BalancerBlueprint {
    let nodes = balancer.zones.iter().flat_map(|zone| {
        zone.node_addresses().map(|address| NodeBlueprint {
            zone: zone.zone.clone(),
            address,
        })
    });
    let listeners = region
        .listeners_of(&balancer.arn)
        .into_iter()
        .filter_map(|listener| {
            let old = old.and_then(|old| old.listeners.iter().find(|other| other.arn == listener.arn));
            let blueprint = listener_blueprint(state, region, listener, old);
            blueprint.map(|new| shared(old, new))
        });
    let tags = region.tags.get(&balancer.arn).map(|tags| &**tags);
    let extended = extend_balancer(balancer_settings(&balancer.attributes), tags);
    let nodes: Vec<NodeBlueprint> = nodes.collect();
    // As on AWS, a load balancer also has a name for both IP versions and one for each of its zones.
    let zones = balancer.zones.iter().map(|zone| zone.zone.as_str());
    let parts = core::iter::once("dualstack").chain(zones);
    let mut names: Vec<String> = parts
        .map(|part| format!("{part}.{}", balancer.dns_name))
        .collect();
    names.extend(extended.names);
    BalancerBlueprint {
        arn: balancer.arn.clone(),
        dns_name: balancer.dns_name.clone(),
        names,
        nodes,
        listeners: listeners.collect(),
        settings: extended.settings,
    }
}

fn listener_blueprint(
    state: &State,
    region: &Region,
    listener: &Listener,
    old: Option<&Arc<ListenerBlueprint>>,
) -> Option<ListenerBlueprint> {
    let protocol = match listener.protocol.as_deref()? {
        "HTTP" => Protocol::Http,
        "HTTPS" => Protocol::Https,
        _ => return None,
    };
    let old_tls = old.and_then(|old| old.tls.as_ref());
    let tls = listener_tls(state, region, listener, old_tls.map(|tls| &**tls));
    Some(ListenerBlueprint {
        arn: listener.arn.clone(),
        protocol,
        port: listener.port?,
        tls: tls.map(|tls| shared(old_tls, tls)),
        rules: region
            .rules_of(&listener.arn)
            .into_iter()
            .map(|rule| rule_blueprint(rule))
            .collect(),
        settings: listener_configuration(region, listener),
    })
}

/// A listener's configuration: its attributes, and the classes that its rules' tags define.
fn listener_configuration(region: &Region, listener: &Listener) -> ListenerSettings {
    let classes = region.rules_of(&listener.arn).into_iter().filter_map(|rule| {
        let tags = region.tags.get(&rule.arn).map(|tags| &**tags);
        Some((rule.priority, class_of(tags)?))
    });
    ListenerSettings {
        classes: classes.collect(),
        ..listener_settings(&listener.attributes)
    }
}

/// A rule as the data plane serves it. A rule with an unsupported action refuses its requests: serving the other
/// actions could let through what an unsupported authentication was meant to stop.
pub(crate) fn rule_blueprint(rule: &Rule) -> RuleBlueprint {
    let refusing = rule
        .actions
        .iter()
        .find(|stated| matches!(stated.action, Action::Unsupported { .. }));
    let action = match refusing.or(rule.actions.last()) {
        Some(StatedAction { action, .. }) => action.clone(),
        None => Action::Unsupported {
            kind: "none".to_owned(),
            raw: "{}".to_owned(),
        },
    };
    RuleBlueprint {
        arn: rule.arn.clone(),
        priority: rule.priority,
        conditions: rule
            .conditions
            .iter()
            .map(|stated| stated.condition.clone())
            .collect(),
        action,
        transforms: served(&rule.transforms),
    }
}

fn group_blueprint(region: &Region, group: &TargetGroup, users: Option<&BTreeSet<&str>>) -> GroupBlueprint {
    let users: Vec<&LoadBalancer> = users
        .into_iter()
        .flatten()
        .filter_map(|&arn| region.load_balancers.get(arn).map(|balancer| &**balancer))
        .filter(|balancer| balancer.kind == BalancerKind::Application)
        .collect();
    let zones: BTreeSet<&String> = users
        .iter()
        .flat_map(|balancer| balancer.zones.iter().map(|zone| &zone.zone))
        .collect();
    let mut settings = GroupSettings {
        deregistration_delay: deregistration_delay(group),
        control_port: group.control_port,
        ..group_settings(&group.attributes)
    };
    extend(&mut settings, region.tags.get(&group.arn).map(|tags| &**tags));
    let version = match group.protocol_version.as_deref() {
        _ if group.is_of_functions() => ProtocolVersion::Lambda,
        Some("HTTP2") => ProtocolVersion::Http2,
        Some("GRPC") => ProtocolVersion::Grpc,
        _ => ProtocolVersion::Http1,
    };
    let targets = with_prefix(&region.targets, &format!("{}|", group.arn));
    GroupBlueprint {
        arn: group.arn.clone(),
        protocol: if group.protocol.as_deref() == Some("HTTPS") {
            Protocol::Https
        } else {
            Protocol::Http
        },
        version,
        probe: ProbeKind::of(version),
        health: group.health.clone(),
        settings,
        targets: targets
            .filter_map(|target| target_blueprint(region, group, target))
            .collect(),
        in_use: !users.is_empty(),
        zones: zones.into_iter().cloned().collect(),
    }
}

/// An instance's weight in its Auto Scaling group, or 1.
fn member_weight(region: &Region, id: &str) -> u32 {
    let group = region
        .tags
        .get(id)
        .and_then(|tags| tags.get("aws:autoscaling:groupName"));
    let member = group.and_then(|group| region.members.get(&key(group, id)));
    member.and_then(|member| member.weight).unwrap_or(1)
}

/// `None` for a terminated instance.
fn target_blueprint(region: &Region, group: &TargetGroup, target: &Target) -> Option<TargetBlueprint> {
    let instance = region.instances.get(&target.id);
    if instance.is_some_and(|instance| instance.state == "terminated") {
        return None;
    }
    let address = match group.target_type.as_str() {
        "instance" => declared_address(region, &group.arn, &target.id).or_else(|| {
            instance
                .filter(|instance| instance.state == "running")
                .map(|instance| IpAddr::V4(instance.address))
        }),
        // A function's ARN does not parse as an address, and needs none.
        _ => target.id.parse().ok(),
    };
    Some(TargetBlueprint {
        id: target.id.clone(),
        port: target.port,
        address: address.map(|address| SocketAddr::new(address, target.port)),
        zone: zone_of(region, target).map(str::to_owned),
        draining: target.deregistered_at.is_some(),
        weight: member_weight(region, &target.id),
    })
}
