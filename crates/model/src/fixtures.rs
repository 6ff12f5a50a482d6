//! Small but complete blueprints for tests, so that a test states only what it is about.

use crate::{
    Action, BalancerBlueprint, BalancerSettings, Forward, ForwardStickiness, GroupBlueprint, GroupSettings,
    HealthCheck, HealthPort, ListenerBlueprint, ListenerSettings, Matcher, NodeBlueprint, Priority,
    ProbeKind, Protocol, ProtocolVersion, RuleBlueprint, TargetBlueprint, WeightedGroup,
};
use core::net::SocketAddr;
use core::time::Duration;
use std::sync::Arc;

/// `GET /` on the traffic port every 30 seconds; healthy after two answers of 200.
pub fn health_check() -> HealthCheck {
    HealthCheck {
        enabled: true,
        https: false,
        port: HealthPort::Traffic,
        path: "/".into(),
        interval: Duration::from_secs(30),
        timeout: Duration::from_secs(5),
        healthy_threshold: 2,
        unhealthy_threshold: 2,
        matcher: Matcher::parse("200").expect("a matcher of AWS"),
    }
}

/// A target at this address, without a zone.
pub fn target(address: impl Into<SocketAddr>) -> TargetBlueprint {
    let address = address.into();
    TargetBlueprint {
        id: address.ip().to_string(),
        port: address.port(),
        address: Some(address),
        zone: None,
        draining: false,
        weight: 1,
    }
}

/// Targets 10.0.NET.1 and up, at port 80.
pub fn targets(net: u8, count: u8) -> Vec<TargetBlueprint> {
    (1..=count).map(|last| target(([10, 0, net, last], 80))).collect()
}

/// An HTTP/1.1 group in zone `a`.
pub fn group(arn: &str, targets: Vec<TargetBlueprint>) -> GroupBlueprint {
    GroupBlueprint {
        arn: arn.into(),
        protocol: Protocol::Http,
        version: ProtocolVersion::Http1,
        probe: ProbeKind::Http1,
        health: health_check(),
        settings: GroupSettings::default(),
        targets,
        in_use: true,
        zones: vec!["a".into()],
    }
}

/// A function as a target.
pub fn function(arn: &str) -> TargetBlueprint {
    TargetBlueprint {
        id: arn.into(),
        port: 0,
        address: None,
        zone: None,
        draining: false,
        weight: 1,
    }
}

/// A group of one function, without health checks, in zone `a`. Its drains end at once, as in AWS's groups of
/// functions.
pub fn function_group(arn: &str, function_arn: &str) -> GroupBlueprint {
    GroupBlueprint {
        version: ProtocolVersion::Lambda,
        probe: ProbeKind::Function,
        health: HealthCheck {
            enabled: false,
            ..health_check()
        },
        settings: GroupSettings {
            deregistration_delay: Duration::ZERO,
            ..GroupSettings::default()
        },
        ..group(arn, vec![function(function_arn)])
    }
}

/// Forwards to this group.
pub fn forward(group_arn: &str) -> Action {
    Action::Forward(Forward {
        groups: vec![WeightedGroup {
            group_arn: group_arn.into(),
            weight: 1,
        }],
        stickiness: ForwardStickiness::default(),
    })
}

/// A rule without conditions.
pub fn rule(priority: Priority, action: Action) -> RuleBlueprint {
    RuleBlueprint {
        arn: String::new(),
        priority,
        conditions: vec![],
        action,
        transforms: vec![],
    }
}

/// A listener for HTTP on port 80, with these rules.
pub fn listener(arn: &str, rules: Vec<RuleBlueprint>) -> ListenerBlueprint {
    ListenerBlueprint {
        arn: arn.into(),
        protocol: Protocol::Http,
        port: 80,
        rules,
        tls: None,
        settings: ListenerSettings::default(),
    }
}

/// A load balancer with this listener and one node, 127.0.0.1 in zone `a`.
pub fn balancer(arn: &str, listener: ListenerBlueprint) -> BalancerBlueprint {
    BalancerBlueprint {
        arn: arn.into(),
        dns_name: "lb.elb.localhost".into(),
        names: Vec::new(),
        nodes: vec![NodeBlueprint {
            zone: "a".into(),
            address: [127, 0, 0, 1].into(),
        }],
        listeners: vec![Arc::new(listener)],
        settings: BalancerSettings::default(),
    }
}
