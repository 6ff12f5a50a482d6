//! What is simulated.

use crate::crowd::{Client, Crowd};
use crate::flow::Flow;
use crate::target::Behaviour;
use core::net::SocketAddr;
use core::time::Duration;
use forebay_model::*;
use std::sync::Arc;

/// What happens at a moment.
#[derive(Clone, Debug)]
pub enum Act {
    /// A target behaves so from now on; requests it has taken are done as they were begun.
    Behave(u16, Behaviour),
    /// A target is registered.
    Join(u16, Behaviour),
    /// A target is deregistered.
    Leave(u16),
    /// A target ends at once, without a word: its requests break off, and whoever asks it from now on is not let in. It stays
    /// registered, and its health checks fail.
    Kill(u16),
    /// The target group's settings become these.
    Settings(GroupSettings),
    /// A target's health check fails once, or it recovers.
    Healthy(u16, bool),
}

/// Targets, users, and what happens to them.
#[derive(Clone, Debug)]
pub struct Scene {
    /// Of everything that is drawn.
    pub seed: u64,
    /// Worker threads of the node; users are dealt to them in turn.
    pub workers: usize,
    /// How each target behaves.
    pub targets: Vec<Behaviour>,
    /// Zones over which targets and workers are dealt in turn; with cross-zone off they matter.
    pub zones: u16,
    /// How the group is balanced.
    pub settings: GroupSettings,
    /// Who comes.
    pub crowds: Vec<Crowd>,
    /// Requests that come one by one.
    pub flows: Vec<Flow>,
    /// Who asks again and again.
    pub clients: Vec<Client>,
    /// What happens when, in any order.
    pub acts: Vec<(Duration, Act)>,
}

impl Scene {
    /// So many targets alike, one worker, one zone, nobody coming.
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

/// The target registered by this address.
pub(crate) fn number(id: &str) -> u16 {
    let ip: Result<core::net::IpAddr, _> = id.parse();
    ip.map_or(u16::MAX, |ip| target_at((ip, 80).into()))
}

fn zone(number: u16) -> String {
    format!("zone-{number}")
}

/// The default rule: all to the group.
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

/// What the node is to serve: these targets (and whether each is draining), by these settings.
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
