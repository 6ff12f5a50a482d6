//! The blueprint of the agent's data plane: one listener, one group, one target.

use forebay_model::{
    Action, BalancerBlueprint, BalancerSettings, Blueprint, Forward, ForwardStickiness, GroupBlueprint,
    GroupSettings, HealthCheck, HealthPort, ListenerBlueprint, ListenerSettings, Matcher, NodeBlueprint,
    Priority, ProbeKind, Protocol, ProtocolVersion, RuleBlueprint, TargetBlueprint, TlsBlueprint,
    WeightedGroup,
};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Timeouts are the load balancer's to decide: the agent waits longer than any load balancer may (4,000 s idle, 7 days of
/// age).
const IDLE: Duration = Duration::from_secs(4100);
const OLD: Duration = Duration::from_secs(8 * 24 * 3600);
const GROUP: &str = "application";
const ZONE: &str = "here";

pub(crate) fn blueprint(
    data: SocketAddr,
    destination: SocketAddr,
    version: ProtocolVersion,
    tls: Arc<TlsBlueprint>,
) -> anyhow::Result<Blueprint> {
    let rule = RuleBlueprint {
        arn: "agent".to_owned(),
        priority: Priority::Default,
        conditions: Vec::new(),
        action: Action::Forward(Forward {
            groups: vec![WeightedGroup {
                group_arn: GROUP.to_owned(),
                weight: 1,
            }],
            stickiness: ForwardStickiness::default(),
        }),
        transforms: Vec::new(),
    };
    let listener = ListenerBlueprint {
        arn: "agent".to_owned(),
        protocol: Protocol::Http,
        port: data.port(),
        tls: Some(tls),
        rules: vec![rule],
        settings: ListenerSettings {
            server_header: false,
            ..ListenerSettings::default()
        },
    };
    let balancer = BalancerBlueprint {
        arn: "agent".to_owned(),
        dns_name: destination.to_string(),
        names: Vec::new(),
        nodes: vec![NodeBlueprint {
            zone: ZONE.to_owned(),
            address: data.ip(),
        }],
        listeners: vec![Arc::new(listener)],
        settings: BalancerSettings {
            idle_timeout: IDLE,
            client_keep_alive: OLD,
            preserve_host: true,
            xff_mode: forebay_model::XffMode::Preserve,
            http2: version != ProtocolVersion::Http1,
            ..BalancerSettings::default()
        },
    };
    Ok(Blueprint {
        generation: 1,
        balancers: vec![Arc::new(balancer)],
        groups: vec![Arc::new(group(destination, version)?)],
        ..Blueprint::default()
    })
}

fn group(destination: SocketAddr, version: ProtocolVersion) -> anyhow::Result<GroupBlueprint> {
    Ok(GroupBlueprint {
        arn: GROUP.to_owned(),
        protocol: Protocol::Http,
        version,
        probe: ProbeKind::of(version),
        // The load balancer probes the application, through the agent.
        health: HealthCheck {
            enabled: false,
            https: false,
            port: HealthPort::Traffic,
            path: "/".to_owned(),
            interval: Duration::from_secs(30),
            timeout: Duration::from_secs(5),
            healthy_threshold: 5,
            unhealthy_threshold: 2,
            matcher: Matcher::parse("200")?,
        },
        settings: GroupSettings::default(),
        targets: vec![TargetBlueprint {
            id: destination.ip().to_string(),
            port: destination.port(),
            address: Some(destination),
            zone: None,
            draining: false,
            weight: 1,
        }],
        in_use: true,
        zones: vec![ZONE.to_owned()],
    })
}
