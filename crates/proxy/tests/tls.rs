//! TLS with clients and targets: policies, certificates, resumption, replacement, refusals.

#![allow(clippy::unwrap_used, reason = "a test says what failed by where it failed")]

mod harness;

use forebay_model::*;
use harness::secure::*;
use harness::*;
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::version::{TLS12, TLS13};
use rustls::{HandshakeKind, ProtocolVersion};
use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::time::Duration;

const GET: &[u8] = b"GET /a HTTP/1.1\r\nHost: a.test\r\n\r\n";
const POLICY: &str = "TLS13-1-2-2021-06";

fn echo() -> Target {
    answering(|_, body| {
        let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
        answer.extend_from_slice(body);
        answer
    })
}

/// A load balancer over TLS with one ECDSA certificate.
fn secure(target: &Target, policy: &str) -> (Balancer, Arc<CertificateBlueprint>) {
    let balancer = Balancer::simple(target);
    let certificate = certificate("arn:one", &["a.test"], KeyKind::Ecdsa);
    balancer.secure(policy, &[&certificate]);
    (balancer, certificate)
}

fn ask(client: &mut Client, request: &[u8]) -> (String, Vec<u8>) {
    client.write_all(request).unwrap();
    read_answer(&mut BufReader::new(client))
}

#[test]
fn requests_go_on_with_how_they_came() {
    let target = echo();
    let (balancer, _) = secure(&target, POLICY);
    let (config, _) = client(&[&TLS12, &TLS13], BOTH);
    let mut client = balancer.shake(&config, "a.test").unwrap();
    for _ in 0..3 {
        let (head, _) = ask(&mut client, GET);
        assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    }
    let heads = target.heads.lock().unwrap().clone();
    let port = balancer.address.port();
    for line in [
        "X-Forwarded-Proto: https\r\n".to_owned(),
        format!("X-Forwarded-Port: {port}\r\n"),
    ] {
        assert!(heads[0].contains(&line), "{line} in {}", heads[0]);
    }
    assert!(!heads[0].contains("X-Amzn-Tls"), "{}", heads[0]);
    assert_eq!(balancer.handshakes(), (1, 0, 0));
}

#[test]
fn targets_are_told_version_and_cipher_and_clients_cannot_lie_about_them() {
    let target = echo();
    let settings = BalancerSettings {
        tls_headers: true,
        ..BalancerSettings::default()
    };
    let balancer = Balancer::start(&[&target], vec![], settings);
    let rsa = certificate("arn:rsa", &["a.test"], KeyKind::Rsa);
    let lie = b"GET / HTTP/1.1\r\nHost: a\r\nx-amzn-tls-version: SSLv2\r\nX-Amzn-Tls-Cipher-Suite: none\r\nConnection: close\r\n\r\n";
    // Over plaintext there is nothing to report, and forged headers are not passed on.
    balancer.exchange(lie);
    balancer.secure(POLICY, &[&rsa]);
    for version in [&TLS12, &TLS13] {
        let (config, _) = client(&[version], BOTH);
        ask(&mut balancer.shake(&config, "a.test").unwrap(), lie);
    }
    balancer.edit_listener(|listener| {
        listener.settings.tls_header_names = ["X-Version".to_owned(), "X-Cipher".to_owned()];
    });
    let (config, _) = client(&[&TLS13], BOTH);
    ask(&mut balancer.shake(&config, "a.test").unwrap(), GET);
    let heads = target.heads.lock().unwrap().clone();
    let told = |head: &str, name: &str| -> Vec<String> {
        let lines = head
            .lines()
            .filter(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")));
        lines
            .map(|line| line.split_once(": ").unwrap().1.to_owned())
            .collect()
    };
    let (version, cipher) = ("x-amzn-tls-version", "x-amzn-tls-cipher-suite");
    assert!(
        told(&heads[0], version).is_empty() && told(&heads[0], cipher).is_empty(),
        "{}",
        heads[0]
    );
    assert_eq!(
        (told(&heads[1], version), told(&heads[1], cipher)),
        (vec!["TLSv1.2".into()], vec!["ECDHE-RSA-AES128-GCM-SHA256".into()])
    );
    assert_eq!(
        (told(&heads[2], version), told(&heads[2], cipher)),
        (vec!["TLSv1.3".into()], vec!["TLS_AES_128_GCM_SHA256".into()])
    );
    assert_eq!(
        (told(&heads[3], "x-version"), told(&heads[3], "x-cipher")),
        (vec!["TLSv1.3".into()], vec!["TLS_AES_128_GCM_SHA256".into()])
    );
}

#[test]
fn large_bodies_stream_both_ways() {
    let target = echo();
    let (balancer, _) = secure(&target, POLICY);
    let body: Vec<u8> = (0..3_000_000_u32).map(|index| (index % 251) as u8).collect();
    for version in [&TLS12, &TLS13] {
        let (config, _) = client(&[version], BOTH);
        let mut client = balancer.shake(&config, "a.test").unwrap();
        for _ in 0..2 {
            let head = format!(
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            client.write_all(head.as_bytes()).unwrap();
            client.write_all(&body).unwrap();
            let (_, answer) = read_answer(&mut BufReader::new(&mut client));
            assert!(answer == body, "{} bytes", answer.len());
        }
    }
}

/// A client that reads slowly: what was encrypted and not taken by the socket must arrive, in order.
#[test]
fn a_slow_reader_gets_every_byte() {
    let body: Vec<u8> = (0..20_000_000_u32).map(|index| (index % 241) as u8).collect();
    let sent = body.clone();
    let target = answering(move |_, _| {
        let mut answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for chunk in sent.chunks(100_003) {
            answer.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            answer.extend_from_slice(chunk);
            answer.extend_from_slice(b"\r\n");
        }
        answer.extend_from_slice(b"0\r\n\r\n");
        answer
    });
    let (balancer, _) = secure(&target, POLICY);
    let (config, _) = client(&[&TLS13], BOTH);
    let mut client = balancer.shake(&config, "a.test").unwrap();
    client.write_all(GET).unwrap();
    // All buffers in between are full before the first byte is read.
    wait(|| balancer.open().0 == 1);
    let (_, answer) = read_answer(&mut BufReader::with_capacity(700, &mut client));
    assert!(answer == body, "{} of {} bytes", answer.len(), body.len());
    assert!(ask(&mut client, GET).0.starts_with("HTTP/1.1 200"));
}

#[test]
fn policies_decide_versions_and_groups() {
    let target = echo();
    let (balancer, certificate) = secure(&target, POLICY);
    let shakes = |policy: &str, version| {
        balancer.secure(policy, &[&certificate]);
        let (config, _) = client(&[version], BOTH);
        balancer.shake(&config, "a.test").is_ok()
    };
    assert!(shakes("TLS13-1-3-2021-06", &TLS13) && !shakes("TLS13-1-3-2021-06", &TLS12));
    assert!(!shakes("2016-08", &TLS13) && shakes("2016-08", &TLS12));
    assert!(shakes("TLS13-1-2-2021-06", &TLS13) && shakes("TLS13-1-2-2021-06", &TLS12));
    let group = |policy: &str, groups: Vec<&'static dyn rustls::crypto::SupportedKxGroup>| {
        balancer.secure(policy, &[&certificate]);
        let (_, seen) = client(&[&TLS13], BOTH);
        let provider = rustls::crypto::CryptoProvider {
            kx_groups: groups,
            ..default_provider()
        };
        let client = balancer
            .shake(&client_with(provider, &[&TLS13], seen), "a.test")
            .ok()?;
        Some(format!(
            "{:?}",
            client.conn.negotiated_key_exchange_group()?.name()
        ))
    };
    let quantum = vec![kx_group::SECP256R1MLKEM768, kx_group::X25519];
    assert_eq!(
        group("TLS13-1-3-PQ-2025-09", quantum.clone()).as_deref(),
        Some("secp256r1MLKEM768")
    );
    assert_eq!(group("TLS13-1-3-2021-06", quantum).as_deref(), Some("X25519"));
    assert_eq!(group("TLS13-1-3-FIPS-2023-04", vec![kx_group::X25519]), None);
    // Each refusal is counted, just after the client learns about it.
    wait(|| balancer.handshakes().2 == 3);
}

#[test]
fn the_right_certificate_is_shown() {
    let target = echo();
    let balancer = Balancer::simple(&target);
    let default = certificate("arn:default", &["default.test"], KeyKind::Rsa);
    let rsa = certificate("arn:rsa", &["a.test", "b.test"], KeyKind::Rsa);
    let ecdsa = certificate("arn:ecdsa", &["a.test"], KeyKind::Ecdsa);
    let wild = certificate("arn:wild", &["*.test"], KeyKind::Ecdsa);
    balancer.secure(POLICY, &[&default, &rsa, &ecdsa, &wild]);
    let only_rsa: &[KeyKind] = &[KeyKind::Rsa];
    for (name, checks, expected) in [
        ("a.test", BOTH, &ecdsa),
        ("A.Test", BOTH, &ecdsa),
        ("a.test", only_rsa, &rsa),
        ("b.test", BOTH, &rsa),
        ("c.test", BOTH, &wild),
        ("c.test", only_rsa, &default),
        ("c.d.test", BOTH, &default),
        ("127.0.0.1", BOTH, &default),
    ] {
        for versions in [&[&TLS12][..], &[&TLS13][..]] {
            let (config, seen) = client(versions, checks);
            let mut client = balancer.shake(&config, name).unwrap();
            ask(&mut client, GET);
            assert_eq!(*seen.leaf.lock().unwrap(), expected.chain[0], "{name} {checks:?}");
        }
    }
}

#[test]
fn sessions_are_resumed_and_outlive_a_new_certificate() {
    let target = echo();
    let (balancer, _) = secure(&target, POLICY);
    for version in [&TLS12, &TLS13] {
        let (config, _) = client(&[version], BOTH);
        for (round, expected) in [
            HandshakeKind::Full,
            HandshakeKind::Resumed,
            HandshakeKind::Resumed,
        ]
        .into_iter()
        .enumerate()
        {
            if round == 2 {
                let fresh = certificate("arn:two", &["a.test"], KeyKind::Ecdsa);
                balancer.secure(POLICY, &[&fresh]);
            }
            let mut client = balancer.shake(&config, "a.test").unwrap();
            ask(&mut client, GET);
            assert_eq!(
                client.conn.handshake_kind(),
                Some(expected),
                "{version:?} {round}"
            );
        }
    }
    assert_eq!(balancer.handshakes(), (6, 4, 0));
    // A policy without the session's version ends it.
    let (config, _) = client(&[&TLS12, &TLS13], BOTH);
    ask(&mut balancer.shake(&config, "a.test").unwrap(), GET);
    let fresh = certificate("arn:two", &["a.test"], KeyKind::Ecdsa);
    balancer.secure("2016-08", &[&fresh]);
    let client = balancer.shake(&config, "a.test").unwrap();
    assert_eq!(client.conn.protocol_version(), Some(ProtocolVersion::TLSv1_2));
}

#[test]
fn certificates_are_replaced_under_load_without_a_failed_handshake() {
    let target = echo();
    let (balancer, _) = secure(&target, POLICY);
    let (config, _) = client(&[&TLS12, &TLS13], BOTH);
    let mut kept = balancer.shake(&config, "a.test").unwrap();
    let done = AtomicBool::new(false);
    let shaken = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(SeqCst) {
                    let (config, _) = client(&[&TLS12, &TLS13], BOTH);
                    let mut client = balancer.shake(&config, "a.test").unwrap();
                    assert!(ask(&mut client, GET).0.starts_with("HTTP/1.1 200"));
                    shaken.fetch_add(1, SeqCst);
                }
            });
        }
        for round in 0..20 {
            let fresh = certificate("arn:one", &["a.test"], KeyKind::Ecdsa);
            balancer.secure(POLICY, &[&fresh]);
            // In force once the change is acknowledged.
            let (config, seen) = client(&[&TLS13], BOTH);
            balancer.shake(&config, "a.test").unwrap();
            assert_eq!(*seen.leaf.lock().unwrap(), fresh.chain[0], "{round}");
            let before = shaken.load(SeqCst);
            wait(|| shaken.load(SeqCst) > before + 2);
        }
        done.store(true, SeqCst);
    });
    assert!(
        ask(&mut kept, GET).0.starts_with("HTTP/1.1 200"),
        "an open connection lives on"
    );
    assert_eq!(balancer.handshakes().2, 0);
}

#[test]
fn a_handshake_under_way_survives_a_replacement() {
    let target = echo();
    let (balancer, _) = secure(&target, POLICY);
    let (config, _) = client(&[&TLS12], BOTH);
    let name = rustls::pki_types::ServerName::try_from("a.test").unwrap();
    let mut client = rustls::ClientConnection::new(config, name).unwrap();
    let mut stream = balancer.connect();
    while client.wants_write() {
        client.write_tls(&mut stream).unwrap();
    }
    // The server's first flight was made with the old certificate; what follows comes after the change.
    client.read_tls(&mut stream).unwrap();
    let fresh = certificate("arn:two", &["a.test"], KeyKind::Ecdsa);
    balancer.secure(POLICY, &[&fresh]);
    client.process_new_packets().unwrap();
    while client.is_handshaking() {
        client.complete_io(&mut stream).unwrap();
    }
    assert!(
        ask(&mut Client::new(client, stream), GET)
            .0
            .starts_with("HTTP/1.1 200")
    );
}

/// A ClientHello in records of a few bytes, each a segment of its own (RFC 8446, section 5.1 allows fragments).
#[test]
fn a_hello_in_many_records_is_a_hello() {
    let target = echo();
    let (balancer, _) = secure(&target, POLICY);
    for (version, size) in [(&TLS12, 1), (&TLS12, 40), (&TLS13, 1), (&TLS13, 7), (&TLS13, 100)] {
        let (config, _) = client(&[version], BOTH);
        let name = rustls::pki_types::ServerName::try_from("a.test").unwrap();
        let mut client = rustls::ClientConnection::new(config, name).unwrap();
        let mut hello = Vec::new();
        client.write_tls(&mut hello).unwrap();
        let mut stream = balancer.connect();
        stream.set_nodelay(true).unwrap();
        for part in hello[5..].chunks(size) {
            let length = u16::try_from(part.len()).unwrap().to_be_bytes();
            stream
                .write_all(&[&[22, 3, 1], &length[..], part].concat())
                .unwrap();
        }
        while client.is_handshaking() {
            client.complete_io(&mut stream).unwrap();
        }
        assert!(
            ask(&mut Client::new(client, stream), GET)
                .0
                .starts_with("HTTP/1.1 200"),
            "{size}"
        );
    }
    assert_eq!(balancer.handshakes(), (5, 0, 0));
}

#[test]
fn a_listener_that_changes_its_protocol_drops_idle_connections() {
    let target = echo();
    let balancer = Balancer::simple(&target);
    let certificate = certificate("arn:one", &["a.test"], KeyKind::Ecdsa);
    let mut clear = balancer.connect();
    clear.write_all(GET).unwrap();
    read_answer(&mut BufReader::new(clear.try_clone().unwrap()));
    balancer.secure(POLICY, &[&certificate]);
    assert_eq!(
        clear.read(&mut [0; 16]).unwrap(),
        0,
        "an idle connection in clear is closed"
    );
    let (config, _) = client(&[&TLS13], BOTH);
    let mut secured = balancer.shake(&config, "a.test").unwrap();
    ask(&mut secured, GET);
    balancer.edit_listener(|listener| (listener.protocol, listener.tls) = (Protocol::Http, None));
    // With close_notify; without it this would be an error.
    assert_eq!(secured.read(&mut [0; 16]).unwrap(), 0, "so is a secured one");
    let answer = balancer.exchange(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let heads = target.heads.lock().unwrap();
    let protocols: Vec<bool> = heads
        .iter()
        .map(|head| head.contains("X-Forwarded-Proto: https"))
        .collect();
    assert_eq!(protocols, [false, true, false]);
}

#[test]
fn http_in_clear_is_told_why_it_fails() {
    let target = echo();
    let (balancer, _) = secure(&target, POLICY);
    let answer = balancer.exchange(GET);
    assert!(
        answer.starts_with("HTTP/1.1 400 Bad Request\r\nServer: awselb/2.0\r\n"),
        "{answer}"
    );
    assert!(
        answer.contains("The plain HTTP request was sent to HTTPS port"),
        "{answer}"
    );
    wait(|| balancer.handshakes() == (0, 0, 1));
    assert!(target.heads.lock().unwrap().is_empty());
}

#[test]
fn garbage_ends_its_connection_only() {
    let target = echo();
    let (balancer, _) = secure(&target, POLICY);
    let (config, _) = client(&[&TLS13], BOTH);
    let mut kept = balancer.shake(&config, "a.test").unwrap();
    let hello = {
        let name = rustls::pki_types::ServerName::try_from("a.test").unwrap();
        let mut client = rustls::ClientConnection::new(config, name).unwrap();
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        bytes
    };
    let mut cases: Vec<Vec<u8>> = vec![
        vec![0; 100],
        vec![22; 1000],
        vec![22, 3, 1, 0xff, 0xff],
        vec![22, 3, 1, 0, 0],
        vec![21, 3, 3, 0, 2, 2, 40],
        b"SSH-2.0-x\r\n".to_vec(),
        [22, 3, 1, 0x40, 0]
            .into_iter()
            .chain(std::iter::repeat_n(1, 0x4000))
            .collect(),
    ];
    let mut draw = 88_172_645_463_325_252_u64;
    let mut random = || {
        draw ^= draw << 13;
        draw ^= draw >> 7;
        draw ^= draw << 17;
        draw
    };
    for round in 0..200 {
        let mut broken = hello.clone();
        match round % 3 {
            0 => broken.truncate(random() as usize % hello.len()),
            1 => {
                let at = random() as usize % hello.len();
                broken[at] ^= 1 << (random() % 8);
            }
            _ => (0..8).for_each(|_| {
                let at = random() as usize % hello.len();
                broken[at] = random() as u8;
            }),
        }
        cases.push(broken);
    }
    for case in &cases {
        let mut stream = balancer.connect();
        let _ = stream.write_all(case);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    }
    assert!(ask(&mut kept, GET).0.starts_with("HTTP/1.1 200"));
    drop(kept);
    wait(|| balancer.open() == (0, 0));
}

#[test]
fn the_handshake_has_one_deadline() {
    let target = echo();
    let (balancer, _) = secure(&target, POLICY);
    let mut slow = balancer.connect();
    let began = std::time::Instant::now();
    // A byte now and then does not extend the deadline.
    let pause = Duration::from_millis(50);
    slow.set_read_timeout(Some(pause)).unwrap();
    let ended = (0..)
        .zip([22, 3, 1, 2, 0, 1].into_iter().chain(std::iter::repeat(0)))
        .find_map(|(_, byte): (u32, u8)| {
            let sent = slow.write_all(&[byte]);
            let read = slow.read(&mut [0; 64]);
            assert!(began.elapsed() < Duration::from_secs(20), "still open");
            (sent.is_err() || matches!(read, Ok(0))).then(|| began.elapsed())
        })
        .unwrap();
    assert!(ended > Duration::from_secs(9), "{ended:?}");
    wait(|| balancer.handshakes() == (0, 0, 1));
}

#[test]
fn a_connection_that_says_nothing_is_no_failed_handshake() {
    let target = echo();
    let (balancer, _) = secure(&target, POLICY);
    drop(balancer.connect());
    wait(|| balancer.open().1 == 0);
    assert_eq!(balancer.handshakes(), (0, 0, 0));
}

// Targets over TLS.

fn to_secure_targets(target: &Target, verified: Option<&str>) -> Balancer {
    let balancer = Balancer::start(&[], vec![], BalancerSettings::default());
    let (address, verified) = (target.address, verified.map(Arc::from));
    balancer.edit_group(|group| {
        *group = harness::group(&[address]);
        group.protocol = Protocol::Https;
        group.health.https = true;
        group.settings.verified_name = verified;
    });
    balancer
}

fn get(balancer: &Balancer, host: &str) -> String {
    balancer.exchange(format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes())
}

#[test]
fn targets_over_tls_are_probed_asked_by_name_and_resumed() {
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec();
    let own = certificate("arn:own", &["whatever.test"], KeyKind::Ecdsa);
    let (target, asked) = secure_target(server_config(&own), move |_| answer.clone());
    let balancer = to_secure_targets(&target, None);
    balancer.wait_for(&target, HealthState::Healthy);
    for host in ["a.test", "a.test:81", "b.test", "127.0.0.1", "a.test"] {
        let answer = get(&balancer, host);
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok"),
            "{answer}"
        );
    }
    let names: Vec<Option<String>> = asked.lock().unwrap().iter().map(|one| one.0.clone()).collect();
    // One connection per name, kept and reused.
    assert_eq!(
        names,
        [Some("a.test".to_owned()), Some("b.test".to_owned()), None]
    );
    assert_eq!(target.heads.lock().unwrap().len(), 5);
}

#[test]
fn sessions_with_targets_are_resumed() {
    let answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok".to_vec();
    let own = certificate("arn:own", &["whatever.test"], KeyKind::Ecdsa);
    let (target, asked) = secure_target(server_config(&own), move |_| answer.clone());
    let balancer = to_secure_targets(&target, None);
    balancer.wait_for(&target, HealthState::Healthy);
    for _ in 0..3 {
        assert!(get(&balancer, "a.test").starts_with("HTTP/1.1 200"));
    }
    let resumed: Vec<bool> = asked.lock().unwrap().iter().map(|one| one.1).collect();
    assert_eq!(resumed, [false, true, true]);
}

#[test]
fn a_target_that_cannot_be_verified_gets_no_request() {
    let own = certificate("arn:own", &["whatever.test"], KeyKind::Ecdsa);
    let (target, _) = secure_target(server_config(&own), |_| Vec::new());
    let balancer = to_secure_targets(&target, Some("whatever.test"));
    balancer.wait_for(&target, HealthState::Unhealthy);
    assert!(get(&balancer, "a.test").starts_with("HTTP/1.1 502"));
    assert!(target.heads.lock().unwrap().is_empty());
    let errors: u64 = balancer.tls_errors();
    assert_eq!(errors, 1);
}

#[test]
fn a_target_without_tls_is_a_bad_gateway() {
    let target = echo();
    let balancer = to_secure_targets(&target, None);
    assert!(get(&balancer, "a.test").starts_with("HTTP/1.1 502"));
}

/// A target that closes idle connections, with and without notice: requests that can be sent again are.
#[test]
fn stale_connections_over_tls_are_replaced() {
    let own = certificate("arn:own", &["whatever.test"], KeyKind::Ecdsa);
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec();
    let served = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&served);
    // Every second request on a connection is met with silence and a close.
    let (target, _) = secure_target(server_config(&own), move |_| {
        if count.fetch_add(1, SeqCst) % 2 == 1 {
            Vec::new()
        } else {
            answer.clone()
        }
    });
    let balancer = to_secure_targets(&target, None);
    balancer.wait_for(&target, HealthState::Healthy);
    for round in 0..6 {
        let answer = get(&balancer, "a.test");
        assert!(answer.starts_with("HTTP/1.1 200"), "{round}: {answer}");
    }
    assert!(served.load(SeqCst) > 6);
}

/// A body that lasts until the close and is cut off without close_notify must not look complete.
#[test]
fn a_cut_off_body_of_a_target_is_no_end() {
    let own = certificate("arn:own", &["whatever.test"], KeyKind::Ecdsa);
    let config = server_config(&own);
    let target = target(move |mut stream: TcpStream, _| {
        let mut server = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
        while server.is_handshaking() {
            if server.complete_io(&mut stream).is_err() {
                return;
            }
        }
        let mut secured = rustls::StreamOwned::new(server, stream);
        let mut head = [0; 4096];
        let _ = secured.read(&mut head);
        let _ = secured.write_all(b"HTTP/1.1 200 OK\r\n\r\npart of it");
        // Dropped without close_notify.
    });
    let balancer = to_secure_targets(&target, None);
    let answer = get(&balancer, "a.test");
    assert!(
        answer.contains("part of it") && !answer.ends_with("0\r\n\r\n"),
        "{answer}"
    );
}
