//! The limits on clients that are slow on purpose, and on the memory they cost.

#![allow(clippy::unwrap_used, reason = "a test says what failed by where it failed")]

mod harness;

use forebay_model::*;
use harness::*;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn ok() -> Target {
    answering(|_, _| OK.to_vec())
}

/// Sends `piece` every tenth of a second until an answer's head comes; returns it and the time it took.
fn trickle(stream: TcpStream, piece: &[u8]) -> (String, Duration) {
    trickle_until(stream, piece, |answer| {
        answer.windows(4).any(|window| window == b"\r\n\r\n")
    })
}

/// Like `trickle`, but until `enough` is true, or the connection is closed.
fn trickle_until(mut stream: TcpStream, piece: &[u8], enough: fn(&[u8]) -> bool) -> (String, Duration) {
    let began = Instant::now();
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut answer = Vec::new();
    while !enough(&answer) {
        assert!(
            began.elapsed() < Duration::from_secs(15),
            "no answer: {:?}",
            String::from_utf8_lossy(&answer)
        );
        let _ = stream.write(piece);
        let mut bytes = [0; 4096];
        match stream.read(&mut bytes) {
            Ok(0) => break,
            Ok(count) => answer.extend_from_slice(&bytes[..count]),
            Err(_) => {}
        }
    }
    (String::from_utf8_lossy(&answer).into_owned(), began.elapsed())
}

#[test]
fn a_head_has_its_own_time_from_its_first_byte() {
    let target = ok();
    let settings = BalancerSettings {
        head_timeout: Duration::from_secs(1),
        ..BalancerSettings::default()
    };
    let balancer = Balancer::start(&[&target], vec![], settings);
    let mut idle = balancer.connect();
    idle.write_all(GET).unwrap();
    read_answer(&mut BufReader::new(&idle));
    let mut stream = balancer.connect();
    stream.write_all(b"GET / HTTP/1.1\r\nA: ").unwrap();
    let (answer, took) = trickle(stream, b"x");
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(
        took > Duration::from_millis(700) && took < Duration::from_secs(3),
        "{took:?}"
    );
    // A connection without a byte is idle, not slow.
    idle.write_all(GET).unwrap();
    assert!(
        read_answer(&mut BufReader::new(&idle))
            .0
            .starts_with("HTTP/1.1 200")
    );
}

fn rated() -> BalancerSettings {
    BalancerSettings {
        minimum_request_rate: 1000,
        ..BalancerSettings::default()
    }
}

#[test]
fn a_body_below_the_least_rate_gets_408_and_the_rest_is_left_alone() {
    let target = ok();
    let balancer = Balancer::start(&[&target], vec![], rated());
    let upload = |lines: &str| {
        let mut stream = balancer.connect();
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        stream
    };
    std::thread::scope(|scope| {
        for (lines, piece) in [
            ("Content-Length: 100000", &b"0123456789"[..]),
            ("Transfer-Encoding: chunked", b"a\r\n0123456789\r\n"),
        ] {
            let stream = upload(lines);
            scope.spawn(move || {
                let (answer, took) = trickle(stream, piece);
                assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
                assert!(answer.contains("Connection: close"), "{answer}");
                assert!(
                    took > Duration::from_secs(4) && took < Duration::from_secs(9),
                    "{took:?}"
                );
            });
        }
        // Twice the rate, for longer than the grace.
        let stream = upload("Content-Length: 16000");
        scope.spawn(move || {
            let (answer, took) = trickle(stream, &[b'x'; 200]);
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            assert!(took > Duration::from_secs(7), "{took:?}");
        });
    });
    wait(|| balancer.open() == (0, 0));
}

#[test]
fn a_body_below_the_least_rate_ends_an_answer_that_has_begun() {
    // It answers at once and would go on answering until the body's end.
    let target = target(|stream, _| {
        let mut writer = stream.try_clone().unwrap();
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap_or(0) > 0 {}
        if head.contains("ELB-HealthChecker") {
            let _ = writer.write_all(OK);
            return;
        }
        let _ = writer.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n");
        let _ = std::io::copy(&mut reader, &mut std::io::sink());
    });
    let balancer = Balancer::start(&[&target], vec![], rated());
    let mut stream = balancer.connect();
    stream
        .write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
        .unwrap();
    let (answer, took) = trickle_until(stream, b"0123456789", |_| false);
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok\r\n"),
        "{answer}"
    );
    assert!(
        took > Duration::from_secs(4) && took < Duration::from_secs(12),
        "{took:?}"
    );
    wait(|| balancer.open() == (0, 0));
}

#[test]
fn a_target_that_reads_slowly_is_not_the_clients_fault() {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket
        .bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into())
        .unwrap();
    socket.listen(16).unwrap();
    let target = target_at(socket.into(), |stream, _| {
        let mut writer = stream.try_clone().unwrap();
        let mut reader = BufReader::with_capacity(64, stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap_or(0) > 0 {}
        let lower = head.to_ascii_lowercase();
        if let Some(length) = lower.split("content-length: ").nth(1) {
            let length = length.split("\r\n").next().unwrap().parse().unwrap();
            // Longer than the grace, which is what this tests.
            std::thread::sleep(Duration::from_secs(7));
            reader.read_exact(&mut vec![0; length]).unwrap();
        }
        let _ = writer.write_all(OK);
    });
    let balancer = Balancer::start(&[&target], vec![], rated());
    let mut stream = balancer.connect();
    let body = vec![b'x'; 16 * 1024 * 1024];
    let head = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&body).unwrap();
    let (head, _) = read_answer(&mut BufReader::new(&stream));
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
}

/// Whether an answer's head has come; none while nothing came.
fn status(stream: &mut TcpStream) -> Option<u16> {
    stream.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    let mut bytes = [0; 4096];
    let count = stream.read(&mut bytes).unwrap_or(0);
    let text = String::from_utf8_lossy(&bytes[..count]);
    text.split(' ').nth(1).and_then(|status| status.parse().ok())
}

const MIB: usize = 1024 * 1024;

#[test]
fn above_the_ceiling_requests_get_503_and_connections_stay() {
    let target = ok();
    let balancer = Balancer::bounded(&[&target], vec![], BalancerSettings::default(), None, MIB);
    let mut kept = balancer.connect();
    let get = |stream: &mut TcpStream| {
        stream.write_all(GET).unwrap();
        let (head, _) = read_answer(&mut BufReader::new(&*stream));
        assert!(head.contains("Connection: keep-alive"), "{head}");
        head[9..12].to_owned()
    };
    assert_eq!(get(&mut kept), "200");
    let mut uploads: Vec<TcpStream> = (0..100)
        .map(|_| {
            let mut stream = balancer.connect();
            let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n";
            stream.write_all(head).unwrap();
            stream.write_all(&[b'x'; 10_000]).unwrap();
            stream
        })
        .collect();
    // Each accepted one holds at least its request buffers.
    let mut refused = 0;
    wait(|| {
        uploads.retain_mut(|stream| match status(stream) {
            Some(status) => {
                assert_eq!(status, 503);
                refused += 1;
                false
            }
            None => true,
        });
        refused >= 100 - 64
    });
    wait(|| balancer.open().1 == uploads.len() as u64 + 1);
    assert!(balancer.refusals() >= refused && !uploads.is_empty());
    assert_eq!(get(&mut kept), "503");
    assert_eq!(get(&mut kept), "503");
    // An HTTP/1.1 request whose body has come keeps its connection, too.
    kept.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
        .unwrap();
    let (head, _) = read_answer(&mut BufReader::new(&kept));
    assert!(
        head.starts_with("HTTP/1.1 503") && head.contains("keep-alive"),
        "{head}"
    );
    drop(uploads);
    wait(|| get(&mut kept) == "200");
    wait(|| balancer.open().0 == 0);
}

#[test]
fn slow_heads_take_no_more_than_the_ceiling_either() {
    let target = ok();
    let balancer = Balancer::bounded(&[&target], vec![], BalancerSettings::default(), None, MIB);
    let mut streams: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut stream = balancer.connect();
            stream.write_all(b"GET / HT").unwrap();
            stream
        })
        .collect();
    // 64 request buffers and 32 spare ones: the other clients are told at once.
    wait(|| balancer.refusals() >= 200 - 64 - 32);
    let mut told = 0;
    wait(|| {
        told += streams
            .iter_mut()
            .filter_map(status)
            .filter(|&status| status == 503)
            .count();
        told >= 200 - 64 - 32
    });
    // Clients that were accepted finish: on spare buffers with 503, on others with their answers.
    let mut answers: Vec<u16> = Vec::new();
    for stream in &mut streams {
        let _ = stream.write_all(b"TP/1.1\r\nHost: a\r\n\r\n");
    }
    wait(|| {
        answers.extend(streams.iter_mut().filter_map(status));
        answers.len() >= 64 + 32
    });
    assert_eq!(answers.iter().filter(|&&status| status == 200).count(), 64);
    assert_eq!(answers.iter().filter(|&&status| status == 503).count(), 32);
    drop(streams);
    let answer = balancer.exchange(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn long_heads_count() {
    let target = ok();
    let balancer = Balancer::bounded(&[&target], vec![], BalancerSettings::default(), None, MIB);
    let head = format!(
        "GET / HTTP/1.1\r\nHost: a\r\n{}",
        format!("A: {}\r\n", "a".repeat(15_000)).repeat(3)
    );
    let mut streams: Vec<TcpStream> = (0..40)
        .map(|_| {
            let mut stream = balancer.connect();
            stream.write_all(head.as_bytes()).unwrap();
            stream
        })
        .collect();
    // Three copies of 48 KiB each: about ten fit.
    let mut told = 0;
    wait(|| {
        told += streams
            .iter_mut()
            .filter_map(status)
            .filter(|&status| status == 503)
            .count();
        told >= 30
    });
    assert!(told < 40);
}
