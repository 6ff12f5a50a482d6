//! Both ends of a channel, with a node's own gate behind one and a turnstile behind the other.
#![allow(clippy::unwrap_used, missing_docs)]

use forebay_agent::{Identity, Keeper, Now, Server};
use forebay_model::{
    Blueprint, Concurrency, GroupBlueprint, GroupSettings, HealthCheck, HealthPort, Matcher, Protocol,
    ProtocolVersion, QueueSettings, TargetBlueprint,
};
use forebay_node::{ChannelOrder, Channels as _, Node, Output, Turnstile};
use forebay_units::Mono;
use rustls::pki_types::PrivatePkcs8KeyDer;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

fn clock() -> Now {
    let began = Instant::now();
    Arc::new(move || Mono(began.elapsed().as_nanos() as u64))
}

fn wait(what: &str, condition: impl Fn() -> bool) -> Duration {
    let began = Instant::now();
    while !condition() {
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "{what} did not come to hold"
        );
        std::thread::yield_now();
    }
    began.elapsed()
}

/// An agent at this address, or at a free port.
fn serve(at: SocketAddr, limit: u32, incarnation: u64, now: &Now) -> (Server, SocketAddr, Arc<Turnstile>) {
    let made = rcgen::generate_simple_self_signed(vec!["agent".to_owned()]).unwrap();
    let identity = Identity {
        chain: vec![made.cert.der().clone()],
        key: PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()).into(),
    };
    let listener = TcpListener::bind(at).unwrap();
    let address = listener.local_addr().unwrap();
    let turnstile = Arc::new(Turnstile::new(limit, incarnation));
    let server = Server::start(listener, identity, Arc::clone(&turnstile), Arc::clone(now)).unwrap();
    (server, address, turnstile)
}

/// What a node orders for a group with one target whose agent is there.
fn order(agent: SocketAddr) -> (Node, ChannelOrder) {
    let group = GroupBlueprint {
        arn: "group".into(),
        protocol: Protocol::Http,
        version: ProtocolVersion::Http1,
        health: HealthCheck {
            enabled: false,
            https: false,
            port: HealthPort::Traffic,
            path: "/".into(),
            interval: Duration::from_secs(30),
            timeout: Duration::from_secs(5),
            healthy_threshold: 5,
            unhealthy_threshold: 2,
            matcher: Matcher::parse("200").unwrap(),
        },
        settings: GroupSettings {
            queue: Some(Arc::new(QueueSettings::of(Concurrency::Agent))),
            control_port: Some(agent.port()),
            ..GroupSettings::default()
        },
        targets: vec![TargetBlueprint {
            id: agent.ip().to_string(),
            port: 80,
            address: Some(SocketAddr::new(agent.ip(), 80)),
            zone: None,
            draining: false,
        }],
        in_use: true,
        zones: vec!["a".into()],
    };
    let mut node = Node::new(1);
    node.apply(
        Mono(1),
        &Blueprint {
            generation: 1,
            groups: vec![Arc::new(group)],
            ..Blueprint::default()
        },
    );
    let mut orders = Vec::new();
    while let Some(output) = node.poll_output() {
        if let Output::Channels(wanted) = output {
            orders = wanted;
        }
    }
    assert_eq!(orders.len(), 1);
    (node, orders.remove(0))
}

#[test]
fn permits_come_go_and_come_back_with_the_agent() {
    let now = clock();
    let (server, address, turnstile) = serve("127.0.0.1:0".parse().unwrap(), 5, 1, &now);
    let (_node, order) = order(address);
    assert_eq!(order.address, address);
    let gate = Arc::clone(&order.gate);
    let keeper = Keeper::start("test".into(), 1, Arc::clone(&now)).unwrap();
    keeper.keep(vec![order.clone()]);
    wait("five slots", || gate.figures().free == 5);
    assert_eq!(turnstile.with(|permits| permits.figures().outstanding), 5);

    turnstile.change(|permits| permits.set_limit(now(), 2));
    wait("two slots", || gate.figures().free == 2);
    wait("two are out", || {
        turnstile.with(|permits| permits.figures().outstanding) == 2
    });

    drop(server);
    wait("nothing is left", || gate.figures().free == 0);
    let (_server, _, second) = serve(address, 3, 2, &now);
    let took = wait("three slots of the second run", || gate.figures().free == 3);
    assert!(took < Duration::from_secs(1), "{took:?}");

    keeper.keep(vec![]);
    wait("the channel is given up", || {
        second.with(|permits| permits.figures().sessions) == 0
    });
    assert_eq!(gate.figures().free, 0);
    assert!(second.with(|permits| permits.is_idle()));
    // A gate takes one listener, and can be ordered again.
    keeper.keep(vec![order]);
    wait("three slots again", || gate.figures().free == 3);
}

#[test]
fn two_nodes_share_one_limit() {
    let now = clock();
    let (_server, address, turnstile) = serve("127.0.0.1:0".parse().unwrap(), 8, 1, &now);
    let nodes: Vec<_> = (0..4)
        .map(|index| {
            let (node, order) = order(address);
            let keeper = Keeper::start(format!("node-{index}"), index, Arc::clone(&now)).unwrap();
            keeper.keep(vec![order.clone()]);
            (node, order, keeper)
        })
        .collect();
    wait("two each", || {
        nodes.iter().all(|(_, order, _)| order.gate.figures().free == 2)
    });
    assert_eq!(turnstile.with(|permits| permits.figures().outstanding), 8);
}

#[test]
fn who_is_no_agent_is_counted_as_an_error_and_tried_again() {
    let now = clock();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let (_node, order) = order(silent.local_addr().unwrap());
    let gate = Arc::clone(&order.gate);
    let keeper = Keeper::start("test".into(), 1, Arc::clone(&now)).unwrap();
    keeper.keep(vec![order]);
    // Each connection is closed without a word.
    for _ in 0..3 {
        drop(silent.accept().unwrap());
    }
    wait("errors are counted", || {
        gate.channels.errors.load(std::sync::atomic::Ordering::Relaxed) >= 2
    });
    assert_eq!(gate.channels.active.load(std::sync::atomic::Ordering::Relaxed), 0);
}
