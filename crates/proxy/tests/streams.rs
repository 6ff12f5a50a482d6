//! The data plane in front of HTTP/2 targets.

#![allow(clippy::unwrap_used, reason = "a test says what failed by where it failed")]

mod harness;

use bytes::Bytes;
use forebay_model::*;
use h2::server::SendResponse;
use harness::frames::*;
use harness::*;
use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

/// What a target in these tests has seen.
#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    ended: AtomicUsize,
    /// Answers to /slow end now.
    release: AtomicBool,
    /// The first connection is cut off without notice: what comes on it is lost.
    cut: AtomicBool,
}

/// Answers "ok", except for paths that [`answer`] knows.
fn start(seen: &Arc<Seen>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    let seen = Arc::clone(seen);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let is_first = seen.connections.fetch_add(1, SeqCst) == 0;
                tokio::spawn(serve(stream, Arc::clone(&seen), is_first));
            }
        });
    });
    address
}

async fn serve(stream: tokio::net::TcpStream, seen: Arc<Seen>, is_first: bool) {
    let mut connection = h2::server::handshake(stream).await.unwrap();
    let mut lost = Vec::new();
    while let Some(Ok((request, respond))) = connection.accept().await {
        if is_first && seen.cut.load(SeqCst) {
            lost.push(respond);
            continue;
        }
        let path = request.uri().path().to_owned();
        tokio::spawn(answer(path.clone(), respond, Arc::clone(&seen)));
        if path == "/long" {
            connection.graceful_shutdown();
        }
    }
    seen.ended.fetch_add(1, SeqCst);
}

async fn answer(path: String, mut respond: SendResponse<Bytes>, seen: Arc<Seen>) {
    let mut head = http::Response::new(());
    if path == "/head" {
        for line in 0..40 {
            let name = http::HeaderName::try_from(format!("x-{line}")).unwrap();
            let value = "a".repeat(1000).try_into().unwrap();
            head.headers_mut().append(name, value);
        }
    }
    let Ok(mut body) = respond.send_response(head, false) else {
        return;
    };
    match path.as_str() {
        "/large" => drop(body.send_data(vec![b'a'; 256 * 1024].into(), true)),
        "/small" => {
            (0..3_000).for_each(|_| drop(body.send_data(Bytes::from_static(b"a small frame..."), false)))
        }
        "/slow" => {
            body.send_data(Bytes::from_static(b"ok"), false).unwrap();
            while !seen.release.load(SeqCst) {
                tokio::task::yield_now().await;
            }
            let _ = body.send_data(Bytes::from_static(b"end"), true);
            return;
        }
        _ => drop(body.send_data(Bytes::from_static(b"ok"), path != "/long")),
    }
    // What has not ended goes on until it is reset.
    let _ = std::future::poll_fn(|cx| body.poll_reset(cx)).await;
}

/// A load balancer whose target, too, speaks HTTP/2.
fn both(settings: BalancerSettings) -> (Balancer, Arc<rustls::ClientConfig>, Arc<Seen>) {
    let first = answering(|_, _| b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec());
    let balancer = Balancer::start(&[&first], vec![], settings);
    let seen = Arc::new(Seen::default());
    let address = start(&seen);
    balancer.edit_group(|group| {
        group.version = ProtocolVersion::Http2;
        group.probe = ProbeKind::Http2;
        group.health.enabled = false;
        group.targets[0].address = Some(address);
        group.targets[0].port = address.port();
    });
    let config = front(&balancer);
    (balancer, config, seen)
}

/// Sends a request on a new connection and waits for the answer's first bytes.
fn ask(balancer: &Balancer, config: &Arc<rustls::ClientConfig>, path: &str) -> Frames {
    let mut frames = Frames::open(balancer, config, 65_535);
    frames.send(&[get(1, path, true)]);
    assert_eq!(status(&frames.next()), 200);
    assert_eq!(frames.next().payload.escape_ascii().to_string(), "ok");
    frames
}

fn within(idle_timeout: u64) -> BalancerSettings {
    BalancerSettings {
        idle_timeout: Duration::from_secs(idle_timeout),
        ..BalancerSettings::default()
    }
}

#[test]
fn a_connection_that_takes_no_more_is_not_tried_again() {
    let (balancer, config, seen) = both(BalancerSettings::default());
    let _long = ask(&balancer, &config, "/long");
    wait(|| {
        drop(ask(&balancer, &config, "/"));
        seen.connections.load(SeqCst) > 1
    });
    (0..5).for_each(|_| drop(ask(&balancer, &config, "/")));
    assert_eq!(seen.connections.load(SeqCst), 2, "one more for all that follow");
}

#[test]
fn a_client_that_does_not_read_holds_nobody_else_up() {
    for (path, streams) in [("/large", 60), ("/small", 8)] {
        let (balancer, config, seen) = both(BalancerSettings::default());
        // So that one connection exists for all of them.
        drop(ask(&balancer, &config, "/"));
        let mut unread = Frames::open(&balancer, &config, 0);
        for at in 0..streams {
            unread.send(&[get(2 * at + 1, path, true)]);
            assert_eq!(status(&unread.next()), 200);
            drop(ask(&balancer, &config, "/"));
        }
        (0..50).for_each(|_| drop(ask(&balancer, &config, "/")));
        assert_eq!(seen.connections.load(SeqCst), 1, "{path}");
    }
}

#[test]
fn streams_that_are_reset_and_opened_anew_are_bounded() {
    let silent = says(Vec::new());
    let balancer = Balancer::simple(&silent);
    let config = front(&balancer);
    let mut client = Frames::open(&balancer, &config, 65_535);
    let mut next = 1;
    for _ in 0..6 {
        let streams: Vec<u32> = (0..128).map(|at| next + 2 * at).collect();
        next += 2 * 128;
        client.send(
            &streams
                .iter()
                .map(|&stream| get(stream, "/", true))
                .collect::<Vec<_>>(),
        );
        client.settle();
        if next == 1 + 2 * 128 {
            wait(|| balancer.open().0 == 128);
        }
        assert!(balancer.open().0 <= 256, "{}", balancer.open().0);
        let resets = streams
            .iter()
            .map(|&stream| frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]));
        client.send(&resets.collect::<Vec<_>>());
        client.settle();
    }
    wait(|| balancer.open().0 == 0);
    client.send(&[get(next, "/", true)]);
    wait(|| balancer.open().0 == 1);
}

#[test]
fn a_connection_that_is_cut_off_without_a_word_is_left() {
    let (balancer, config, seen) = both(within(1));
    drop(ask(&balancer, &config, "/"));
    seen.cut.store(true, SeqCst);
    let mut client = Frames::open(&balancer, &config, 65_535);
    client.send(&[get(1, "/", true)]);
    assert_eq!(status(&client.next()), 504);
    drop(ask(&balancer, &config, "/"));
    assert_eq!(seen.connections.load(SeqCst), 2);
}

#[test]
fn a_connection_without_streams_is_closed_after_the_idle_timeout() {
    let (balancer, config, seen) = both(within(1));
    drop(ask(&balancer, &config, "/"));
    wait(|| seen.ended.load(SeqCst) == 1);
}

#[test]
fn a_targets_head_has_the_same_bound_as_over_http_1() {
    let (balancer, config, _) = both(BalancerSettings::default());
    let mut client = Frames::open(&balancer, &config, 65_535);
    client.send(&[get(1, "/head", true)]);
    assert_eq!(status(&client.next()), 502);
}

#[test]
fn open_streams_outlive_their_listener() {
    let (balancer, config, seen) = both(BalancerSettings::default());
    let mut client = ask(&balancer, &config, "/slow");
    balancer.edit(|blueprint| {
        let mut gone = (*blueprint.balancers[0]).clone();
        gone.listeners.clear();
        blueprint.balancers[0] = Arc::new(gone);
    });
    client.send(&[get(3, "/", true)]);
    let refused = client.next();
    assert_eq!(
        (refused.kind, refused.stream, refused.payload[3]),
        (RST_STREAM, 3, 7),
        "REFUSED_STREAM"
    );
    seen.release.store(true, SeqCst);
    let end = client.next();
    assert_eq!((end.stream, &end.payload[..]), (1, &b"end"[..]));
    // And then the connection ends: first the rest of the stream, then GOAWAY, then the close.
    while client.read().is_ok() {}
    wait(|| balancer.open() == (0, 0));
}

#[test]
fn a_get_whose_body_has_no_length_is_judged_as_one_in_chunks() {
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    let target = target(move |stream, _| {
        let mut writer = stream.try_clone().unwrap();
        let mut reader = BufReader::new(stream);
        let mut is_counted = false;
        while let Some((head, _)) = read_request(&mut reader) {
            if !is_counted && !head.contains("ELB-HealthChecker") {
                is_counted = true;
                count.fetch_add(1, SeqCst);
            }
            let _ = writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    for (desync, statuses, fresh) in [
        (DesyncMode::Monitor, 200, 1),
        (DesyncMode::Defensive, 200, 3),
        (DesyncMode::Strictest, 400, 0),
    ] {
        let settings = BalancerSettings {
            desync,
            ..BalancerSettings::default()
        };
        let balancer = Balancer::start(&[&target], vec![], settings);
        let config = front(&balancer);
        connections.store(0, SeqCst);
        for _ in 0..3 {
            let mut client = Frames::open(&balancer, &config, 65_535);
            client.send(&[get(1, "/", false), frame(DATA, END_STREAM, 1, b"body")]);
            assert_eq!(status(&client.next()), statuses, "{desync:?}");
            while client.next().flags & END_STREAM == 0 {}
        }
        assert_eq!(connections.load(SeqCst), fresh, "{desync:?}");
        // An end in a frame of its own makes no body.
        let mut client = Frames::open(&balancer, &config, 65_535);
        client.send(&[get(1, "/", false), frame(DATA, END_STREAM, 1, b"")]);
        assert_eq!(status(&client.next()), 200, "{desync:?}");
    }
}
