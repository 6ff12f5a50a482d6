//! What is simulated.

use crate::crowd::{Client, Crowd};
use crate::flow::Flow;
use crate::target::Behaviour;
use core::net::SocketAddr;
use core::time::Duration;
use forebay_model::*;
use std::sync::Arc;

/// A change at a point in time.
#[derive(Clone, Debug)]
pub enum Act {
    /// A target changes its behaviour; requests that it works on are not affected.
    Behave(u16, Behaviour),
    /// A target is registered.
    Join(u16, Behaviour),
    /// A target is deregistered.
    Leave(u16),
    /// A target is killed: its requests break off, and connections to it are refused from then on. It stays registered, and
    /// its health checks fail.
    Kill(u16),
    /// The target group's settings change.
    Settings(GroupSettings),
    /// A target's health check fails once, or it recovers.
    Healthy(u16, bool),
}

/// Targets, users, and changes.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The seed of all random draws.
    pub seed: u64,
    /// Worker threads of the node; users are assigned to them in turn.
    pub workers: usize,
    /// The behaviour of each target.
    pub targets: Vec<Behaviour>,
    /// Zones, to which targets and workers are assigned in turn; they matter with cross-zone load balancing off.
    pub zones: u16,
    /// The settings of the target group.
    pub settings: GroupSettings,
    /// Crowds of users.
    pub crowds: Vec<Crowd>,
    /// Independent requests.
    pub flows: Vec<Flow>,
    /// Clients that send one request at a time.
    pub clients: Vec<Client>,
    /// Changes and their times, in any order.
    pub acts: Vec<(Duration, Act)>,
}

impl Scene {
    /// A number of equal targets, one worker, one zone, and no users.
    pub fn new(seed: u64, targets: u16, behaviour: Behaviour, algorithm: Algorithm) -> Scene {
        Scene {
            seed,
            workers: 1,
            targets: vec![behaviour; usize::from(targets)],
            zones: 1,
            settings: GroupSettings {
                algorithm,
                ..GroupSettings::default()
            },
            crowds: Vec::new(),
            flows: Vec::new(),
            clients: Vec::new(),
            acts: Vec::new(),
        }
    }
}

/// A target's address.
pub(crate) fn address(target: u16) -> SocketAddr {
    let [high, low] = target.to_be_bytes();
    ([10, 0, high, low], 80).into()
}

/// The target at this address.
pub(crate) fn target_at(address: SocketAddr) -> u16 {
    match address {
        SocketAddr::V4(address) => {
            let [_, _, high, low] = address.ip().octets();
            u16::from_be_bytes([high, low])
        }
        SocketAddr::V6(_) => 0,
    }
}

/// The target that was registered with this address.
pub(crate) fn number(id: &str) -> u16 {
    let ip: Result<core::net::IpAddr, _> = id.parse();
    ip.map_or(u16::MAX, |ip| target_at((ip, 80).into()))
}

fn zone(number: u16) -> String {
    format!("zone-{number}")
}

/// The default rule, which forwards everything to the group.
fn forward() -> RuleBlueprint {
    let share = WeightedGroup {
        group_arn: "group".to_owned(),
        weight: 1,
    };
    RuleBlueprint {
        arn: String::new(),
        priority: Priority::Default,
        conditions: Vec::new(),
        action: Action::Forward(Forward {
            groups: vec![share],
            stickiness: ForwardStickiness::default(),
        }),
        transforms: Vec::new(),
    }
}

/// The node's blueprint: these targets (each with whether it is draining) with these settings.
pub(crate) fn blueprint(targets: &[(u16, bool)], zones: u16, settings: &GroupSettings) -> Blueprint {
    let group = GroupBlueprint {
        arn: "group".to_owned(),
        protocol: Protocol::Http,
        version: ProtocolVersion::Http1,
        probe: ProbeKind::Http1,
        health: HealthCheck {
            enabled: true,
            https: false,
            port: HealthPort::Traffic,
            path: "/".to_owned(),
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            healthy_threshold: 2,
            unhealthy_threshold: 2,
            matcher: Matcher::parse("200").expect("200 is a code"),
        },
        settings: settings.clone(),
        targets: targets
            .iter()
            .map(|&(target, draining)| TargetBlueprint {
                id: address(target).ip().to_string(),
                port: 80,
                address: Some(address(target)),
                zone: Some(zone(target % zones)),
                draining,
                weight: 1,
            })
            .collect(),
        in_use: true,
        zones: (0..zones).map(zone).collect(),
    };
    let listener = ListenerBlueprint {
        arn: "listener".to_owned(),
        protocol: Protocol::Http,
        port: 80,
        rules: vec![forward()],
        tls: None,
        settings: ListenerSettings::default(),
    };
    let balancer = BalancerBlueprint {
        arn: "balancer".to_owned(),
        dns_name: "balancer".to_owned(),
        names: Vec::new(),
        nodes: (0..zones)
            .map(|number| NodeBlueprint {
                zone: zone(number),
                address: [127, 0, 0, 1 + number as u8].into(),
            })
            .collect(),
        listeners: vec![Arc::new(listener)],
        settings: BalancerSettings::default(),
    };
    Blueprint {
        generation: 1,
        balancers: vec![Arc::new(balancer)],
        groups: vec![Arc::new(group)],
        ..Blueprint::default()
    }
}
