//! The data plane over real sockets: framing, headers, answers, retries, drains.

#![allow(clippy::unwrap_used, reason = "a test says what failed by where it failed")]

mod harness;

use forebay_model::*;
use harness::*;
use std::io::{BufReader, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

fn echo() -> Target {
    answering(|head, body| {
        let text = format!(
            "{}|{}",
            head.lines().next().unwrap(),
            String::from_utf8_lossy(body)
        );
        format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nX-Own: yes\r\n\r\n{text}",
            text.len()
        )
        .into_bytes()
    })
}

#[test]
fn forwards_with_albs_headers() {
    let target = echo();
    let balancer = Balancer::simple(&target);
    let answer = balancer.exchange(
        b"GET /a?b=1 HTTP/1.1\r\nHost: X.example\r\nX-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: evil\r\nConnection: close, X-Drop\r\nX-Drop: 1\r\nUser-Agent: t\r\nTE: trailers\r\nUpgrade: h2c\r\n\r\n",
    );
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\nContent-Length: 20\r\nX-Own: yes\r\nDate: "),
        "{answer}"
    );
    assert!(answer.contains(" GMT\r\nConnection: close\r\n\r\n"), "{answer}");
    assert!(answer.ends_with("GET /a?b=1 HTTP/1.1|"), "{answer}");
    let head = target.heads.lock().unwrap()[0].clone();
    let port = balancer.address.port();
    for line in [
        "X-Forwarded-For: 9.9.9.9, 127.0.0.1\r\n".to_owned(),
        "X-Forwarded-Proto: http\r\n".to_owned(),
        format!("X-Forwarded-Port: {port}\r\n"),
        format!("Host: X.example:{port}\r\n"),
        "User-Agent: t\r\n".to_owned(),
        "X-Amzn-Trace-Id: Root=1-".to_owned(),
    ] {
        assert!(head.contains(&line), "{line} in {head}");
    }
    for word in ["evil", "X-Drop", "Upgrade", "TE:", "Connection"] {
        assert!(!head.contains(word), "{word} in {head}");
    }
}

#[test]
fn connections_are_kept_and_pipelined_requests_answered_in_order() {
    let target = echo();
    let balancer = Balancer::simple(&target);
    let mut stream = balancer.connect();
    stream
        .write_all(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcPOST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\nGET /4 HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    let mut reader = BufReader::new(stream);
    for expected in [
        "GET /1 HTTP/1.1|",
        "POST /2 HTTP/1.1|abc",
        "POST /3 HTTP/1.1|hi",
        "GET /4 HTTP/1.1|",
    ] {
        let (head, body) = read_answer(&mut reader);
        assert!(head.contains("Connection: keep-alive"), "{head}");
        assert_eq!(String::from_utf8(body).unwrap(), expected);
    }
}

#[test]
fn large_bodies_stream_both_ways() {
    let target = answering(|_, body| {
        let mut answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for chunk in body.chunks(70_001) {
            answer.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            answer.extend_from_slice(chunk);
            answer.extend_from_slice(b"\r\n");
        }
        answer.extend_from_slice(b"0\r\n\r\n");
        answer
    });
    let balancer = Balancer::simple(&target);
    let body: Vec<u8> = (0..3_000_000_u32).map(|index| (index % 251) as u8).collect();
    for chunked in [false, true] {
        let stream = balancer.connect();
        let mut writer = stream.try_clone().unwrap();
        let sent = body.clone();
        let sender = std::thread::spawn(move || {
            if chunked {
                writer
                    .write_all(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
                    .unwrap();
                for chunk in sent.chunks(12_345) {
                    writer
                        .write_all(format!("{:x}\r\n", chunk.len()).as_bytes())
                        .unwrap();
                    writer.write_all(chunk).unwrap();
                    writer.write_all(b"\r\n").unwrap();
                }
                writer
                    .write_all(b"0\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n")
                    .unwrap();
            } else {
                let head = format!(
                    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
                    sent.len()
                );
                writer.write_all(head.as_bytes()).unwrap();
                writer.write_all(&sent).unwrap();
                writer
                    .write_all(b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
                    .unwrap();
            }
        });
        let mut reader = BufReader::new(stream);
        let (head, answer) = read_answer(&mut reader);
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert!(answer == body, "chunked {chunked}: {} bytes", answer.len());
        let (head, answer) = read_answer(&mut reader);
        assert!(head.starts_with("HTTP/1.1 200") && answer.is_empty(), "{head}");
        sender.join().unwrap();
    }
}

#[test]
fn answers_end_as_they_should() {
    let target = answering(|head, _| {
        let path = head.split(' ').nth(1).unwrap();
        match path {
            "/close" => b"HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nuntil close".to_vec(),
            "/204" => b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(),
            "/304" => b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n".to_vec(),
            "/interim" => {
                b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
                    .to_vec()
            }
            "/both" => b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
                .to_vec(),
            "/garbage" => b"SSH-2.0-OpenSSH\r\n\r\nConnection: close".to_vec(),
            "/short" => b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\nshort".to_vec(),
            "/nothing" => b"Connection: close"[..0].to_vec(),
            _ if head.starts_with("HEAD") => b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n".to_vec(),
            _ => b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec(),
        }
    });
    let balancer = Balancer::simple(&target);
    let get =
        |line: &str, extra: &str| balancer.exchange(format!("{line}\r\nHost: a\r\n{extra}\r\n").as_bytes());
    let close = "Connection: close\r\n";
    let until = get("GET /close HTTP/1.1", close);
    assert!(
        until.contains("Transfer-Encoding: chunked") && until.ends_with("b\r\nuntil close\r\n0\r\n\r\n"),
        "{until}"
    );
    let until = get("GET /close HTTP/1.0", "");
    assert!(
        until.ends_with("\r\n\r\nuntil close") && !until.contains("chunked"),
        "{until}"
    );
    let no_content = get("GET /204 HTTP/1.1", close);
    assert!(
        no_content.starts_with("HTTP/1.1 204") && !no_content.contains("Content-Length"),
        "{no_content}"
    );
    let same = get("GET /304 HTTP/1.1", close);
    assert!(
        same.contains("Content-Length: 99") && same.ends_with("\r\n\r\n"),
        "{same}"
    );
    let head = get("HEAD / HTTP/1.1", close);
    assert!(
        head.contains("Content-Length: 1234") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
    let interim = get("GET /interim HTTP/1.1", close);
    assert!(
        interim.starts_with("HTTP/1.1 200 OK") && interim.ends_with("ok"),
        "{interim}"
    );
    for path in ["/both", "/garbage"] {
        let bad = get(&format!("GET {path} HTTP/1.1"), close);
        assert!(
            bad.starts_with("HTTP/1.1 502 Bad Gateway\r\nServer: awselb/2.0\r\n"),
            "{path}: {bad}"
        );
    }
    let short = get("GET /short HTTP/1.1", "");
    assert!(
        short.contains("Content-Length: 100") && short.ends_with("short"),
        "{short}"
    );
}

#[test]
fn refuses_what_is_no_request() {
    let target = echo();
    let balancer = Balancer::simple(&target);
    let cases: &[(&str, &str)] = &[
        ("GET / HTTP/1.1\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", "400"),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "400",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
            "501",
        ),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a:x@b\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: http://a\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a:1x\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a?b\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a#b\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a\\\\b\r\n\r\n", "400"),
        ("GET http://a:x/ HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
        ("GET /#x HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
        ("GET a HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
        ("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", "405"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505"),
        ("\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", "400"),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            "400",
        ),
        (
            "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "400",
        ),
    ];
    for (request, status) in cases {
        let answer = balancer.exchange(request.as_bytes());
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{request:?}: {answer}"
        );
        assert!(answer.contains("Connection: close\r\n"), "{answer}");
    }
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(17_000));
    assert!(balancer.exchange(long.as_bytes()).starts_with("HTTP/1.1 414 "));
    let many = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {}\r\n\r\n",
        vec!["1.1.1.1"; 31].join(", ")
    );
    assert!(balancer.exchange(many.as_bytes()).starts_with("HTTP/1.1 463 "));
    assert!(target.heads.lock().unwrap().is_empty());
}

#[test]
fn pages_are_albs_byte_for_byte() {
    let fixed = rule(
        Priority::At(1),
        vec![Condition::PathPattern(TextMatch::Wildcards(vec![
            "/fixed".into(),
        ]))],
        Action::FixedResponse(FixedResponse {
            status: 418,
            content_type: Some("application/json".into()),
            body: Some("{}".into()),
        }),
    );
    let redirect = rule(
        Priority::At(2),
        vec![Condition::PathPattern(TextMatch::Wildcards(vec![
            "/old/*".into(),
        ]))],
        Action::Redirect(Redirect {
            protocol: "HTTPS".into(),
            port: "443".into(),
            host: "#{host}".into(),
            path: "/new/#{path}".into(),
            query: "#{query}".into(),
            status: 301,
        }),
    );
    let balancer = Balancer::start(&[], vec![fixed, redirect], BalancerSettings::default());
    let none = balancer.exchange(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let (head, body) = none.split_once("\r\n\r\n").unwrap();
    let lines: Vec<&str> = head.split("\r\n").collect();
    assert_eq!(
        lines[..2],
        [
            "HTTP/1.1 503 Service Temporarily Unavailable",
            "Server: awselb/2.0"
        ]
    );
    assert!(lines[2].starts_with("Date: ") && lines[2].ends_with(" GMT"));
    assert_eq!(
        lines[3..],
        [
            "Content-Type: text/html",
            "Content-Length: 162",
            "Connection: close"
        ]
    );
    assert_eq!(
        body,
        "<html>\r\n<head><title>503 Service Temporarily Unavailable</title></head>\r\n<body>\r\n<center><h1>503 Service Temporarily Unavailable</h1></center>\r\n</body>\r\n</html>\r\n"
    );
    let fixed = balancer.exchange(b"GET /fixed HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(
        fixed.starts_with("HTTP/1.1 418 ")
            && fixed.contains("Content-Type: application/json\r\n")
            && fixed.ends_with("\r\n\r\n{}"),
        "{fixed}"
    );
    let moved = balancer.exchange(b"GET /old/x?q=1 HTTP/1.1\r\nHost: a.b\r\nConnection: close\r\n\r\n");
    assert!(moved.starts_with("HTTP/1.1 301 Moved Permanently\r\n"), "{moved}");
    assert!(
        moved.contains("Location: https://a.b:443/new/old/x?q=1\r\n"),
        "{moved}"
    );
}

#[test]
fn expect_100_is_answered_here() {
    let target = echo();
    let balancer = Balancer::simple(&target);
    let mut stream = balancer.connect();
    stream
        .write_all(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        .unwrap();
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"body").unwrap();
    let (_, body) = read_answer(&mut BufReader::new(stream));
    assert_eq!(body, b"POST / HTTP/1.1|body");
    assert!(!target.heads.lock().unwrap()[0].contains("Expect"));
}

/// A target that answers one request per connection and closes it a moment later, without announcing it.
fn closes_after_answer(served: &Arc<AtomicU32>) -> Target {
    let served = Arc::clone(served);
    target(move |stream, heads| {
        let mut writer = stream.try_clone().unwrap();
        let mut reader = BufReader::new(stream);
        if let Some((head, _)) = read_request(&mut reader) {
            if !head.contains("ELB-HealthChecker") {
                served.fetch_add(1, SeqCst);
                heads.lock().unwrap().push(head);
            }
            let _ = writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            // The next request arrives and is not processed, as when a keep-alive timeout ends at that moment.
            let mut byte = [0];
            let _ = reader.read(&mut byte);
            let _ = reader.get_ref().shutdown(Shutdown::Both);
        }
    })
}

#[test]
fn a_get_on_a_stale_connection_is_sent_again() {
    let served = Arc::new(AtomicU32::new(0));
    let target = closes_after_answer(&served);
    let balancer = Balancer::simple(&target);
    for _ in 0..20 {
        let answer = balancer.exchange(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    }
    assert_eq!(served.load(SeqCst), 20);
}

#[test]
fn a_post_that_may_have_been_processed_is_never_sent_again() {
    let served = Arc::new(AtomicU32::new(0));
    let target = closes_after_answer(&served);
    let balancer = Balancer::simple(&target);
    let post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx";
    let answers: Vec<String> = (0..10).map(|_| balancer.exchange(post)).collect();
    let good = answers
        .iter()
        .filter(|answer| answer.starts_with("HTTP/1.1 200"))
        .count();
    let bad = answers
        .iter()
        .filter(|answer| answer.starts_with("HTTP/1.1 502"))
        .count();
    assert_eq!(good + bad, 10, "{answers:?}");
    assert_eq!(served.load(SeqCst) as usize, good);
}

#[test]
fn a_refused_target_is_out_at_once_and_nobody_fails() {
    let (kept, gone) = (echo(), TargetThatStops::start());
    let stopping = gone.as_target();
    let balancer = Balancer::start(&[&kept, &stopping], vec![], BalancerSettings::default());
    gone.stop();
    for _ in 0..10 {
        let answer = balancer.exchange(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    }
    balancer.wait_for(&stopping, HealthState::Unhealthy);
    assert_eq!(balancer.health(&kept), Some(HealthState::Healthy));
}

/// A target whose port can be released.
struct TargetThatStops {
    address: std::net::SocketAddr,
    stop: Arc<std::sync::atomic::AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

impl TargetThatStops {
    fn start() -> TargetThatStops {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if flag.load(SeqCst) {
                    return;
                }
                let mut reader = BufReader::new(stream);
                let _ = read_request(&mut reader);
                let _ = reader
                    .get_mut()
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            }
        });
        TargetThatStops {
            address,
            stop,
            thread,
        }
    }

    fn as_target(&self) -> Target {
        Target {
            address: self.address,
            heads: Arc::default(),
        }
    }

    fn stop(self) {
        self.stop.store(true, SeqCst);
        let _ = std::net::TcpStream::connect(self.address);
        self.thread.join().unwrap();
    }
}

#[test]
fn a_deregistered_target_gets_no_new_request_and_finishes_what_it_has() {
    let slow = target(|stream, heads| {
        let mut writer = stream.try_clone().unwrap();
        let mut reader = BufReader::new(stream);
        while let Some((head, _)) = read_request(&mut reader) {
            if head.contains("ELB-HealthChecker") {
                let _ = writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
                return;
            }
            heads.lock().unwrap().push(head);
            // Answers when the test says so, through shared state.
            wait(|| heads.lock().unwrap().iter().any(|line| line == "go"));
            let _ = writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow");
        }
    });
    let other = echo();
    let balancer = Balancer::start(&[&slow, &other], vec![], BalancerSettings::default());
    let get = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let mut waiting = Vec::new();
    while slow.heads.lock().unwrap().is_empty() {
        let mut stream = balancer.connect();
        stream.write_all(get).unwrap();
        waiting.push(stream);
        let sent = waiting.len();
        wait(|| slow.heads.lock().unwrap().len() + other.heads.lock().unwrap().len() >= sent);
    }
    balancer.edit_group(|group| {
        let port = slow.address.port();
        group
            .targets
            .iter_mut()
            .filter(|target| target.port == port)
            .for_each(|target| target.draining = true);
    });
    assert_eq!(balancer.health(&slow), Some(HealthState::Draining));
    for _ in 0..10 {
        assert!(balancer.exchange(get).contains("X-Own"));
    }
    assert_eq!(slow.heads.lock().unwrap().len(), 1);
    slow.heads.lock().unwrap().push("go".into());
    let answers: Vec<String> = waiting
        .into_iter()
        .map(|mut stream| {
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        })
        .collect();
    assert!(
        answers.iter().all(|answer| answer.starts_with("HTTP/1.1 200")),
        "{answers:?}"
    );
    assert_eq!(
        answers.iter().filter(|answer| answer.ends_with("slow")).count(),
        1
    );
    let drained = balancer.drained.lock().unwrap().blocking_recv().unwrap();
    assert_eq!(drained.port, slow.address.port());
}

#[test]
fn deadlines_hold_on_both_sides() {
    let silent = target(|stream, _| {
        let mut writer = stream.try_clone().unwrap();
        let mut reader = BufReader::new(stream);
        while let Some((head, _)) = read_request(&mut reader) {
            if head.contains("ELB-HealthChecker") {
                let _ = writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
                return;
            }
        }
    });
    let settings = BalancerSettings {
        idle_timeout: Duration::from_secs(1),
        ..BalancerSettings::default()
    };
    let balancer = Balancer::start(&[&silent], vec![], settings);
    let late = balancer.exchange(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(late.starts_with("HTTP/1.1 504 Gateway Time-out\r\n"), "{late}");
    let half = balancer.exchange(b"GET / HTTP/1.1\r\nHo");
    assert!(half.starts_with("HTTP/1.1 408 "), "{half}");
}

/// Sends this and then waits for its client to leave, which `left` counts.
fn says_and_waits(said: &'static [u8], left: &Arc<AtomicU32>) -> Target {
    let seen = Arc::clone(left);
    target(move |stream, heads| {
        let mut writer = stream.try_clone().unwrap();
        let mut reader = BufReader::new(stream);
        let Some((head, _)) = read_request(&mut reader) else {
            return;
        };
        if head.contains("ELB-HealthChecker") {
            let _ = writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            return;
        }
        writer.write_all(said).unwrap();
        heads.lock().unwrap().push(head);
        let mut byte = [0];
        if matches!(reader.read(&mut byte), Ok(0) | Err(_)) {
            seen.fetch_add(1, SeqCst);
        }
    })
}

#[test]
fn a_client_that_leaves_frees_its_target() {
    let left = Arc::new(AtomicU32::new(0));
    let waiting = says_and_waits(b"", &left);
    let balancer = Balancer::simple(&waiting);
    let mut stream = balancer.connect();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    wait(|| !waiting.heads.lock().unwrap().is_empty());
    drop(stream);
    wait(|| left.load(SeqCst) == 1);
}

#[test]
fn a_client_that_leaves_amid_its_answer_frees_its_target() {
    let left = Arc::new(AtomicU32::new(0));
    let streaming = says_and_waits(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart", &left);
    let balancer = Balancer::simple(&streaming);
    let mut stream = balancer.connect();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"part") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
    drop(stream);
    wait(|| left.load(SeqCst) == 1 && balancer.open() == (0, 0));
}
