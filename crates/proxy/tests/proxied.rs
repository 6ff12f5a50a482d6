//! The PROXY protocol: read from trusted proxies, and sent to targets that expect it.

#![allow(clippy::unwrap_used, reason = "a test says what failed by where it failed")]

mod harness;

use forebay_model::*;
use harness::secure::*;
use harness::*;
use rustls::version::TLS13;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const LINE: &[u8] = b"PROXY TCP4 192.0.2.9 198.51.100.1 56324 443\r\n";
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// A version 2 header for the client 192.0.2.9, port 56324, that connected to 198.51.100.1, port 443.
fn block() -> Vec<u8> {
    let said = [192, 0, 2, 9, 198, 51, 100, 1, 0xdc, 0x04, 0x01, 0xbb];
    [SIGNATURE, &[0x21, 0x11, 0, 12], &said].concat()
}

/// Trusts these networks, and tells targets the client's port.
fn trusting(networks: &[&str]) -> BalancerSettings {
    BalancerSettings {
        proxies: networks.iter().map(|network| network.parse().unwrap()).collect(),
        xff_client_port: true,
        ..BalancerSettings::default()
    }
}

fn ok() -> Vec<u8> {
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec()
}

/// The client as the target was told.
fn clients(target: &Target) -> Vec<String> {
    let heads = target.heads.lock().unwrap();
    let client = |head: &String| {
        let line = head.lines().find(|line| line.starts_with("X-Forwarded-For: "));
        line.unwrap_or_default().replace("X-Forwarded-For: ", "")
    };
    heads.iter().map(client).collect()
}

fn refused(balancer: &Balancer) -> u64 {
    balancer.sum(|stats| stats.proxy_refused.load(Relaxed))
}

#[test]
fn a_trusted_proxy_says_whose_its_connections_are() {
    let target = says(ok());
    let balancer = Balancer::start(&[&target], vec![], trusting(&["192.0.2.0/24", "127.0.0.1/32"]));
    let local = [SIGNATURE, &[0x20, 0, 0, 0]].concat();
    for (header, client) in [
        (LINE.to_vec(), Some("192.0.2.9:56324")),
        (block(), Some("192.0.2.9:56324")),
        (
            b"PROXY TCP6 2001:db8::9 2001:db8::1 7 80\r\n".to_vec(),
            Some("[2001:db8::9]:7"),
        ),
        (b"PROXY UNKNOWN\r\n".to_vec(), None),
        (local, None),
    ] {
        // Together with its request, and in single bytes. What follows belongs to the request, and the whole connection to
        // the client.
        for pieces in [usize::MAX, 1] {
            let mut stream = balancer.connect();
            stream.set_nodelay(true).unwrap();
            let own = stream.local_addr().unwrap().to_string();
            let bytes = [&header[..], GET].concat();
            for piece in bytes.chunks(pieces) {
                stream.write_all(piece).unwrap();
            }
            let mut reader = BufReader::new(stream);
            assert_eq!(read_answer(&mut reader).1, b"ok");
            reader.get_mut().write_all(GET).unwrap();
            assert_eq!(read_answer(&mut reader).1, b"ok");
            let told = clients(&target);
            let client = client.unwrap_or(&own);
            assert_eq!(
                told[told.len() - 2..],
                [client, client],
                "{}",
                header.escape_ascii()
            );
        }
    }
    assert_eq!(refused(&balancer), 0);
}

#[test]
fn a_trusted_proxy_that_says_nothing_right_is_closed_and_counted() {
    let target = says(ok());
    let settings = BalancerSettings {
        head_timeout: Duration::from_millis(300),
        ..trusting(&["127.0.0.0/8"])
    };
    let balancer = Balancer::start(&[&target], vec![], settings);
    for (at, bytes) in [
        GET,
        b"PROXY TCP4 192.0.2.9\r\n",
        &[SIGNATURE, &[0x11, 0x11, 0, 0]].concat(),
        &[SIGNATURE, &[0x21, 0x11, 0x08, 0x01]].concat(),
        // The rest never comes: cut off when the time for a head is over.
        b"PROXY TCP4 192.0",
        &block()[..20],
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(balancer.exchange(bytes), "", "{}", bytes.escape_ascii());
        assert_eq!(refused(&balancer), at as u64 + 1, "{}", bytes.escape_ascii());
    }
    // A peer that only checks whether the port is open is no failure.
    drop(balancer.connect());
    wait(|| balancer.open().1 == 0);
    assert_eq!(refused(&balancer), 6);
    assert!(clients(&target).is_empty());
}

#[test]
fn strangers_are_themselves_and_may_not_say_otherwise() {
    let target = says(ok());
    for networks in [&["192.0.2.0/24", "::/0"][..], &[]] {
        let balancer = Balancer::start(&[&target], vec![], trusting(networks));
        for header in [LINE.to_vec(), block(), b"PROXY UNKNOWN\r\n".to_vec()] {
            let before = clients(&target).len();
            let answer = balancer.exchange(&[&header[..], GET].concat());
            assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
            assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
            assert_eq!(clients(&target).len(), before);
        }
        assert_eq!(refused(&balancer), 3);
        let mut reader = BufReader::new(balancer.connect());
        let own = reader.get_ref().local_addr().unwrap().to_string();
        reader.get_mut().write_all(GET).unwrap();
        assert_eq!(read_answer(&mut reader).1, b"ok");
        assert_eq!(clients(&target).last(), Some(&own));
    }
}

#[test]
fn the_header_comes_before_tls() {
    let target = says(ok());
    let balancer = Balancer::start(&[&target], vec![], trusting(&["127.0.0.0/8"]));
    let made = certificate("arn:a", &["a"], KeyKind::Ecdsa);
    balancer.secure("TLS13-1-2-2021-06", &[&made]);
    let (config, _) = client(&[&TLS13], BOTH);
    let secured = |header: &[u8]| {
        let mut stream = balancer.connect();
        stream.write_all(header).unwrap();
        let name = rustls::pki_types::ServerName::try_from("a").unwrap();
        let connection = rustls::ClientConnection::new(Arc::clone(&config), name).unwrap();
        let mut client = rustls::StreamOwned::new(connection, stream);
        let sent = client.write_all(GET).is_ok();
        let mut head = [0; 12];
        sent && client.read_exact(&mut head).is_ok() && head == *b"HTTP/1.1 200"
    };
    assert!(secured(LINE) && secured(&block()));
    assert_eq!(clients(&target), ["192.0.2.9:56324"; 2]);
    assert!(!secured(b"") && refused(&balancer) == 1);
    // A header from an untrusted peer is an invalid handshake.
    balancer.edit(|blueprint| {
        let mut changed = (*blueprint.balancers[0]).clone();
        changed.settings.proxies = vec!["192.0.2.0/24".parse().unwrap()];
        blueprint.balancers[0] = Arc::new(changed);
    });
    assert!(!secured(LINE) && !secured(&block()) && secured(b""));
    assert_eq!(clients(&target).len(), 3);
}

/// A target that reads a header before requests, and what its connections were told: the command, then the addresses.
type Told = Arc<Mutex<Vec<(u8, Vec<u8>)>>>;

fn telling(says: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static) -> (Target, Told) {
    let told = Told::default();
    let shared = Arc::clone(&told);
    let target = target(move |mut stream, heads| {
        let mut fixed = [0; 16];
        if stream.read_exact(&mut fixed).is_err() {
            return;
        }
        // A connection that begins otherwise gets no answer: its probe fails, and so does the test.
        if fixed[..12] != *SIGNATURE {
            return;
        }
        let mut addresses = vec![0; usize::from(fixed[15])];
        stream.read_exact(&mut addresses).unwrap();
        let mut writer = stream.try_clone().unwrap();
        let mut reader = BufReader::new(stream);
        while let Some((head, _)) = read_request(&mut reader) {
            let is_probe = head.contains("ELB-HealthChecker");
            assert_eq!(
                is_probe,
                fixed[12] == 0x20,
                "a probe is nobody's, a request is somebody's"
            );
            if !is_probe {
                heads.lock().unwrap().push(head.clone());
                shared.lock().unwrap().push((fixed[12], addresses.clone()));
            }
            if head.contains("websocket") {
                let _ = writer.write_all(
                    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
                );
                let _ = std::io::copy(&mut reader, &mut writer);
                return;
            }
            if writer.write_all(&says(&addresses)).is_err() {
                return;
            }
        }
    });
    (target, told)
}

/// A load balancer in front of a target that is told about its clients.
fn in_front_of(target: &Target, settings: BalancerSettings) -> Balancer {
    let plain = says(ok());
    let balancer = Balancer::start(&[&plain], vec![], settings);
    balancer.edit_group(|group| {
        group.settings.proxy_protocol = true;
        group.targets[0].address = Some(target.address);
        group.targets[0].port = target.address.port();
    });
    balancer.wait_for(target, HealthState::Healthy);
    balancer
}

fn addresses(client: SocketAddr, reached: SocketAddr) -> Vec<u8> {
    let octets = |address: SocketAddr| match address.ip() {
        std::net::IpAddr::V4(address) => address.octets().to_vec(),
        std::net::IpAddr::V6(address) => address.octets().to_vec(),
    };
    [
        octets(client),
        octets(reached),
        client.port().to_be_bytes().to_vec(),
        reached.port().to_be_bytes().to_vec(),
    ]
    .concat()
}

#[test]
fn targets_are_told_whose_each_connection_is() {
    let (target, told) = telling(|addresses| {
        let body = addresses.escape_ascii().to_string();
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    });
    let balancer = in_front_of(&target, trusting(&[]));
    let mut clients: Vec<BufReader<TcpStream>> = (0..4).map(|_| BufReader::new(balancer.connect())).collect();
    for _ in 0..5 {
        for client in &mut clients {
            let own = client.get_ref().local_addr().unwrap();
            client.get_mut().write_all(GET).unwrap();
            let (_, body) = read_answer(client);
            let wanted = addresses(own, balancer.address).escape_ascii().to_string();
            assert_eq!(String::from_utf8(body).unwrap(), wanted);
        }
    }
    let mut seen = told.lock().unwrap().clone();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 4, "a header for each client");
    // The client in a header from a trusted proxy is passed on.
    let balancer = in_front_of(&target, trusting(&["127.0.0.0/8"]));
    let mut client = BufReader::new(balancer.connect());
    client.get_mut().write_all(&[&block()[..], GET].concat()).unwrap();
    let (_, body) = read_answer(&mut client);
    assert_eq!(
        String::from_utf8(body).unwrap(),
        block()[16..].escape_ascii().to_string()
    );
}

#[test]
fn a_clients_connections_are_used_again_and_end_with_it() {
    // Counts the connections on which requests came.
    let ports = Arc::new(Mutex::new(std::collections::BTreeSet::new()));
    let open = Arc::new(Mutex::new(0_usize));
    let (shared, counted) = (Arc::clone(&ports), Arc::clone(&open));
    let target = target(move |mut stream, _| {
        let mut fixed = [0; 16];
        stream.read_exact(&mut fixed).unwrap();
        stream.read_exact(&mut vec![0; usize::from(fixed[15])]).unwrap();
        let peer = stream.peer_addr().unwrap().port();
        let mut writer = stream.try_clone().unwrap();
        let mut reader = BufReader::new(stream);
        *counted.lock().unwrap() += 1;
        while read_request(&mut reader).is_some() {
            if fixed[12] == 0x21 {
                shared.lock().unwrap().insert(peer);
            }
            writer.write_all(&ok()).unwrap();
        }
        *counted.lock().unwrap() -= 1;
    });
    let balancer = in_front_of(&target, trusting(&[]));
    let mut client = BufReader::new(balancer.connect());
    for _ in 0..10 {
        client.get_mut().write_all(GET).unwrap();
        read_answer(&mut client);
    }
    assert_eq!(ports.lock().unwrap().len(), 1);
    wait(|| *open.lock().unwrap() == 1);
    drop(client);
    wait(|| *open.lock().unwrap() == 0);
}

#[test]
fn websockets_and_targets_over_tls_are_told_too() {
    let (target, told) = telling(|_| ok());
    let balancer = in_front_of(&target, trusting(&[]));
    let mut client = BufReader::new(balancer.connect());
    let own = client.get_ref().local_addr().unwrap();
    client
        .get_mut()
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello")
        .unwrap();
    assert!(read_answer(&mut client).0.starts_with("HTTP/1.1 101 "));
    let mut echoed = [0; 5];
    client.read_exact(&mut echoed).unwrap();
    assert_eq!(&echoed, b"hello");
    assert_eq!(*told.lock().unwrap(), [(0x21, addresses(own, balancer.address))]);
    // Over TLS the header comes first, in plaintext.
    let config = server_config(&certificate("arn:target", &["a"], KeyKind::Ecdsa));
    let told = Told::default();
    let shared = Arc::clone(&told);
    let secured = harness::target(move |mut stream, _| {
        let mut fixed = [0; 16];
        stream.read_exact(&mut fixed).unwrap();
        assert_eq!(fixed[..12], *SIGNATURE);
        let mut addresses = vec![0; usize::from(fixed[15])];
        stream.read_exact(&mut addresses).unwrap();
        let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut reader = BufReader::new(rustls::StreamOwned::new(connection, stream));
        let mut line = String::new();
        while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
            if line.ends_with("\r\n\r\n") {
                if fixed[12] == 0x21 {
                    shared.lock().unwrap().push((fixed[12], addresses.clone()));
                }
                line.clear();
                reader.get_mut().write_all(&ok()).unwrap();
            }
        }
    });
    balancer.edit_group(|group| {
        group.protocol = Protocol::Https;
        group.health.https = true;
        group.targets[0].address = Some(secured.address);
        group.targets[0].port = secured.address.port();
    });
    balancer.wait_for(&secured, HealthState::Healthy);
    let mut client = BufReader::new(balancer.connect());
    let own = client.get_ref().local_addr().unwrap();
    client.get_mut().write_all(GET).unwrap();
    assert_eq!(read_answer(&mut client).1, b"ok");
    assert_eq!(*told.lock().unwrap(), [(0x21, addresses(own, balancer.address))]);
}

#[test]
fn at_a_shared_address_the_default_decides() {
    let target = says(ok());
    let mut balancer = Balancer::start(&[&target], vec![], trusting(&["127.0.0.0/8"]));
    balancer.edit(|blueprint| {
        let mut other = (*blueprint.balancers[0]).clone();
        other.arn = "two".into();
        other.dns_name = "two.elb.localhost".into();
        other.nodes[0].address = "127.77.0.2".parse().unwrap();
        other.settings = trusting(&[]);
        let mut listener = (*other.listeners[0]).clone();
        listener.arn = "listener-two".into();
        other.listeners = vec![Arc::new(listener)];
        blueprint.balancers.push(Arc::new(other));
    });
    let ask = |balancer: &Balancer, header: &[u8]| {
        let request = b"GET / HTTP/1.1\r\nHost: two.elb.localhost\r\nConnection: close\r\n\r\n";
        let answer = balancer.exchange(&[header, request].concat());
        answer.split(' ').nth(1).map(str::to_owned).unwrap_or_default()
    };
    let [shared, own] = ["127.0.0.1", "127.77.0.2"].map(|address| address.parse().unwrap());
    balancer.address.set_ip(shared);
    assert_eq!(
        (ask(&balancer, LINE).as_str(), ask(&balancer, b"").as_str()),
        ("200", "")
    );
    assert_eq!(clients(&target), ["192.0.2.9:56324"]);
    balancer.address.set_ip(own);
    assert_eq!(
        (ask(&balancer, LINE).as_str(), ask(&balancer, b"").as_str()),
        ("400", "200")
    );
    assert!(clients(&target)[1].starts_with("127."));
    balancer.edit(|blueprint| {
        for (at, networks) in [&[][..], &["127.0.0.0/8"]].into_iter().enumerate() {
            let mut changed = (*blueprint.balancers[at]).clone();
            changed.settings = trusting(networks);
            blueprint.balancers[at] = Arc::new(changed);
        }
    });
    assert_eq!(
        (ask(&balancer, LINE).as_str(), ask(&balancer, b"").as_str()),
        ("200", "")
    );
    balancer.address.set_ip(shared);
    assert_eq!(
        (ask(&balancer, LINE).as_str(), ask(&balancer, b"").as_str()),
        ("400", "200")
    );
}
