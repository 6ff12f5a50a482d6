//! Several load balancers on one port of 127.0.0.1, told apart by their names.

#![allow(clippy::unwrap_used, reason = "a test says what failed by where it failed")]

mod harness;

use forebay_model::*;
use harness::secure::*;
use harness::*;
use rustls::version::TLS13;
use std::io::{BufReader, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// A load balancer at 127.0.0.1, and another on the same port whose answers say `two`.
fn two(target: &Target) -> Balancer {
    let mut balancer = Balancer::simple(target);
    balancer.edit(|blueprint| {
        let mut other = (*blueprint.balancers[0]).clone();
        other.arn = "two".into();
        other.dns_name = "Two-1.elb.localhost".into();
        other.nodes[0].address = "127.77.0.2".parse().unwrap();
        other.nodes[0].zone = "b".into();
        let mut listener = (*other.listeners[0]).clone();
        listener.arn = "listener-two".into();
        let answer = Action::FixedResponse(FixedResponse {
            status: 200,
            content_type: None,
            body: Some("two".into()),
        });
        listener.rules = vec![rule(Priority::Default, vec![], answer)];
        other.listeners = vec![Arc::new(listener)];
        blueprint.balancers.push(Arc::new(other));
    });
    balancer.address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
    balancer
}

fn get(host: &str) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes()
}

#[test]
fn a_port_of_loopback_serves_each_by_its_name() {
    let target = says(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none".to_vec());
    let balancer = two(&target);
    let mut client = BufReader::new(balancer.connect());
    for (host, who) in [
        ("two-1.elb.localhost", "two"),
        ("TWO-1.elb.localhost.:8080", "two"),
        ("lb.elb.localhost", "one"),
        ("app.test", "one"),
        ("127.0.0.1", "one"),
        ("two-1.elb.localhost:1", "two"),
    ] {
        client.get_mut().write_all(&get(host)).unwrap();
        assert_eq!(read_answer(&mut client).1, who.as_bytes(), "{host}");
    }
    // At its own address, a load balancer serves any name.
    let mut own = balancer;
    own.address.set_ip("127.77.0.1".parse().unwrap());
    let answer = own.exchange(b"GET / HTTP/1.1\r\nHost: two-1.elb.localhost\r\nConnection: close\r\n\r\n");
    assert!(answer.ends_with("one"), "{answer}");
}

#[test]
fn a_handshake_is_made_with_whom_its_name_asks_for() {
    let target = says(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none".to_vec());
    let balancer = two(&target);
    let one = certificate("arn:one", &["lb.elb.localhost"], KeyKind::Ecdsa);
    let two = certificate("arn:two", &["two-1.elb.localhost"], KeyKind::Ecdsa);
    balancer.edit(|blueprint| {
        for (balancer, certificate) in blueprint.balancers.iter_mut().zip([&one, &two]) {
            let mut changed = (**balancer).clone();
            let mut listener = (*changed.listeners[0]).clone();
            listener.protocol = Protocol::Https;
            listener.tls = tls("TLS13-1-2-2021-06", &[certificate]);
            changed.listeners[0] = Arc::new(listener);
            *balancer = Arc::new(changed);
        }
    });
    let mut shown = Vec::new();
    for (name, host, who) in [
        ("two-1.elb.localhost", "two-1.elb.localhost", "two"),
        ("lb.elb.localhost", "lb.elb.localhost", "one"),
        ("app.test", "app.test", "one"),
        // Without a name in the handshake, the request's counts.
        ("127.0.0.1", "two-1.elb.localhost", "two"),
    ] {
        let (config, seen) = client(&[&TLS13], BOTH);
        let mut client = balancer.shake(&config, name).unwrap();
        client.write_all(&get(host)).unwrap();
        let body = read_answer(&mut BufReader::new(&mut client)).1;
        assert_eq!(body, who.as_bytes(), "{name} {host}");
        shown.push(seen.leaf.lock().unwrap().clone());
    }
    assert!(shown[0] != shown[1], "each shows its own certificate");
    assert!(shown[1] == shown[2] && shown[1] == shown[3]);
}
