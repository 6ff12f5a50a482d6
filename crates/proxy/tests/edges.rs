//! The data plane when bodies, connections and deadlines end at awkward moments.

#![allow(clippy::unwrap_used, reason = "a test says what failed by where it failed")]

mod harness;

use forebay_model::*;
use harness::*;
use std::io::{BufRead, BufReader, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const GET_AND_CLOSE: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

fn ok() -> Target {
    answering(|_, _| OK.to_vec())
}

fn quick() -> BalancerSettings {
    BalancerSettings {
        idle_timeout: Duration::from_secs(1),
        ..BalancerSettings::default()
    }
}

fn is_probe(head: &str) -> bool {
    head.contains("ELB-HealthChecker")
}

/// Reads a head, line by line; none at the end of the stream.
fn read_head(reader: &mut impl BufRead) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    Some(head)
}

#[test]
fn any_number_of_interim_answers_may_share_a_segment() {
    let target = answering(|_, _| {
        let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n";
        [interim.as_bytes(), OK].concat()
    });
    let balancer = Balancer::start(&[&target], vec![], quick());
    let answer = balancer.exchange(GET_AND_CLOSE);
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
}

/// A target that answers each head at once, and reads the body behind it only afterwards. `held` counts the bytes that came
/// of the last body.
fn answers_before_bodies(held: &Arc<AtomicUsize>) -> Target {
    let held = Arc::clone(held);
    // A small buffer, so that little fits between the load balancer and a target that does not read.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket
        .bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into())
        .unwrap();
    socket.listen(128).unwrap();
    target_at(socket.into(), move |stream, heads| {
        let mut writer = stream.try_clone().unwrap();
        let mut reader = BufReader::with_capacity(64, stream);
        while let Some(head) = read_head(&mut reader) {
            if is_probe(&head) {
                let _ = writer.write_all(OK);
                return;
            }
            let lower = head.to_ascii_lowercase();
            let length = lower.split("content-length: ").nth(1);
            let mut length: usize =
                length.map_or(0, |rest| rest.split("\r\n").next().unwrap().parse().unwrap());
            heads.lock().unwrap().push(head);
            if length > 0 {
                wait(|| heads.lock().unwrap().iter().any(|line| line == "answer"));
            }
            let _ = writer.write_all(OK);
            if length > 0 {
                wait(|| heads.lock().unwrap().iter().any(|line| line == "read"));
            }
            held.store(0, SeqCst);
            while length > 0 {
                let body = reader.fill_buf().unwrap_or_default();
                let read = body.len().min(length);
                if read == 0 {
                    heads.lock().unwrap().push("closed".into());
                    return;
                }
                length -= read;
                reader.consume(read);
                held.fetch_add(read, SeqCst);
            }
        }
    })
}

/// Sends a request with a body of this size to a target that does not read it yet, and takes the early answer. Returns
/// whether the load balancer keeps the client's connection.
fn early_answer(balancer: &Balancer, target: &Target, size: usize) -> bool {
    target.heads.lock().unwrap().clear();
    let mut stream = balancer.connect();
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream
        .set_write_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    let body = vec![b'x'; size];
    let mut sent = 0;
    while let (true, Ok(count)) = (sent < size, stream.write(&body[sent..])) {
        sent += count;
    }
    // No answer yet; meanwhile the load balancer reads what it can.
    stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    assert!(stream.read(&mut [0]).is_err());
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    target.heads.lock().unwrap().push("answer".into());
    let (head, _) = read_answer(&mut BufReader::new(&stream));
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    target.heads.lock().unwrap().push("read".into());
    head.contains("Connection: keep-alive")
}

#[test]
fn a_target_that_was_not_given_the_whole_body_gets_no_other_request() {
    let held = Arc::default();
    let target = answers_before_bodies(&held);
    let balancer = Balancer::start(&[&target], vec![], quick());
    // The body should be a little larger than what the load balancer can write to a target that does not read: read to its
    // end from the client, but not written to its end. The kernel does not tell how large that is, so try sizes around it.
    let trial = |size: usize| {
        let kept = early_answer(&balancer, &target, size);
        let answer = balancer.exchange(GET_AND_CLOSE);
        assert!(answer.starts_with("HTTP/1.1 200"), "{size}: {answer}");
        kept
    };
    early_answer(&balancer, &target, 64 * 1024 * 1024);
    wait(|| target.heads.lock().unwrap().iter().any(|line| line == "closed"));
    let (mut fits, mut too_much) = (1, 2 * held.load(SeqCst));
    while too_much - fits > 1_000 {
        let size = fits.midpoint(too_much);
        *(if trial(size) { &mut fits } else { &mut too_much }) = size;
    }
}

#[test]
fn a_stream_that_never_pauses_is_cut_when_its_targets_time_is_over() {
    let endless = target(|stream, heads| {
        let mut writer = stream.try_clone().unwrap();
        let mut reader = BufReader::new(stream);
        let Some(head) = read_head(&mut reader) else {
            return;
        };
        if is_probe(&head) {
            let _ = writer.write_all(OK);
            return;
        }
        let _ = writer.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while writer.write_all(&[b'x'; 65536]).is_ok() {}
        heads.lock().unwrap().push("cut".into());
    });
    let balancer = Balancer::simple(&endless);
    let mut stream = balancer.connect();
    stream.write_all(GET).unwrap();
    let cut = Arc::clone(&endless.heads);
    let reader = std::thread::spawn(move || {
        let mut buffer = vec![0; 65536];
        let began = std::time::Instant::now();
        while began.elapsed() < Duration::from_secs(10) && matches!(stream.read(&mut buffer), Ok(1..)) {}
        began.elapsed()
    });
    wait(|| balancer.open().0 == 1);
    balancer.edit_group(|group| {
        group.settings.deregistration_delay = Duration::ZERO;
        group.targets[0].draining = true;
    });
    let took = reader.join().unwrap();
    assert!(took < Duration::from_secs(5), "{took:?}");
    wait(|| cut.lock().unwrap().iter().any(|line| line == "cut"));
    wait(|| balancer.open() == (0, 0));
}

#[test]
fn an_empty_line_after_a_request_is_not_a_late_request() {
    let target = ok();
    let balancer = Balancer::start(&[&target], vec![], quick());
    let answer = balancer.exchange(&[GET, b"\r\n"].concat());
    assert!(answer.ends_with("\r\n\r\nok"), "{answer}");
}

#[test]
fn a_client_that_stalls_in_its_body_is_not_its_targets_fault() {
    let target = ok();
    let balancer = Balancer::start(&[&target], vec![], quick());
    let answer = balancer.exchange(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab");
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    wait(|| balancer.open() == (0, 0));
}

#[test]
fn a_target_always_gets_a_host() {
    let target = ok();
    let settings = BalancerSettings {
        preserve_host: true,
        check_host: false,
        ..BalancerSettings::default()
    };
    let balancer = Balancer::start(&[&target], vec![], settings);
    balancer.exchange(b"GET /1 HTTP/1.0\r\n\r\n");
    balancer.exchange(b"GET /2 HTTP/1.1\r\nHost: A.b:1\r\nHost: c\r\nConnection: close\r\n\r\n");
    balancer.exchange(b"GET http://d/3 HTTP/1.1\r\nHost: e\r\nConnection: close\r\n\r\n");
    let heads = target.heads.lock().unwrap().clone();
    assert!(heads[0].contains("\r\nHost: lb.elb.localhost"), "{}", heads[0]);
    assert!(
        heads[1].contains("\r\nHost: A.b:1\r\nHost: c\r\n"),
        "{}",
        heads[1]
    );
    // RFC 9112, section 3.2.2: an absolute target replaces Host.
    assert!(
        heads[2].contains("\r\nHost: d:") && !heads[2].contains("Host: e"),
        "{}",
        heads[2]
    );
}

#[test]
fn lines_of_forwarded_addresses_that_are_too_long_together_are_refused() {
    let target = ok();
    let balancer = Balancer::start(&[&target], vec![], BalancerSettings::default());
    let line = format!("X-Forwarded-For: {}\r\n", "a".repeat(10_000));
    let ask = |lines: &str| {
        balancer.exchange(format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}Connection: close\r\n\r\n").as_bytes())
    };
    assert!(
        ask(&line).starts_with("HTTP/1.1 200"),
        "one is as long as it may be"
    );
    assert!(
        ask(&line.repeat(2)).starts_with("HTTP/1.1 400"),
        "as one line they would be too long for targets"
    );
}

#[test]
fn a_listener_may_be_deleted_and_made_anew_at_once() {
    let target = ok();
    let balancer = Balancer::simple(&target);
    for round in 0..100 {
        let mut idle = balancer.connect();
        idle.write_all(GET).unwrap();
        let mut reader = BufReader::new(idle);
        read_answer(&mut reader);
        let mut before = Vec::new();
        balancer.edit(|blueprint| {
            before = blueprint.balancers[0].listeners.clone();
            let mut gone = (*blueprint.balancers[0]).clone();
            gone.listeners.clear();
            blueprint.balancers[0] = Arc::new(gone);
        });
        assert_eq!(
            reader.read(&mut [0]).unwrap(),
            0,
            "an idle connection outlives its listener"
        );
        assert!(std::net::TcpStream::connect(balancer.address).is_err(), "{round}");
        balancer.edit(|blueprint| {
            let mut back = (*blueprint.balancers[0]).clone();
            let mut listener = (*before[0]).clone();
            listener.arn = format!("listener-{round}");
            back.listeners = vec![Arc::new(listener)];
            blueprint.balancers[0] = Arc::new(back);
        });
        assert_eq!(balancer.failures(), Vec::<String>::new(), "{round}");
    }
    wait(|| balancer.open() == (0, 0));
}

#[test]
fn long_headers_of_answers_go_on_up_to_the_limit_of_a_head() {
    let target = answering(|_, _| {
        let long = "x".repeat(20_000);
        format!("HTTP/1.1 200 OK\r\nSet-Cookie: {long}\r\nContent-Length: 0\r\n\r\n").into_bytes()
    });
    let balancer = Balancer::simple(&target);
    let answer = balancer.exchange(GET_AND_CLOSE);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn headers_that_an_answer_calls_its_connections_own_stay_there() {
    let target = answering(|_, _| {
        b"HTTP/1.1 200 OK\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nX-End: 1\r\nContent-Length: 0\r\n\r\n"
            .to_vec()
    });
    let balancer = Balancer::simple(&target);
    let answer = balancer.exchange(GET_AND_CLOSE);
    assert!(answer.contains("X-End") && !answer.contains("X-Hop"), "{answer}");
}

#[test]
fn a_target_that_dies_after_a_streamed_body_is_answered_for() {
    let dying = target(|stream, _| {
        let mut writer = stream.try_clone().unwrap();
        let mut reader = BufReader::new(stream);
        while let Some((head, body)) = read_request(&mut reader) {
            if !body.is_empty() {
                return;
            }
            let _ = writer.write_all(OK);
            if is_probe(&head) {
                return;
            }
        }
    });
    let balancer = Balancer::simple(&dying);
    let mut stream = balancer.connect();
    // The second head begins far into the input; its body ends near the input's beginning, where bodies stream.
    let first = format!("GET / HTTP/1.1\r\nHost: a\r\nA: {}\r\n\r\n", "a".repeat(8_000));
    let second = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234";
    stream.write_all(&[first.as_bytes(), second].concat()).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    assert!(read_answer(&mut reader).0.starts_with("HTTP/1.1 200"));
    wait(|| balancer.open().0 == 1);
    stream.write_all(b"56789").unwrap();
    let (head, _) = read_answer(&mut reader);
    assert!(head.starts_with("HTTP/1.1 502"), "{head}");
}

#[test]
fn a_request_behind_a_chunked_body_is_not_written_over() {
    let target = answering(|head, _| {
        let line = head.lines().next().unwrap();
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{line}", line.len()).into_bytes()
    });
    let balancer = Balancer::simple(&target);
    let wire = b"POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\nDELETE /2 HTTP/1.1\r\nHost: a\r\n\r\n";
    let end = wire.len() - b"DELETE /2 HTTP/1.1\r\nHost: a\r\n\r\n".len();
    for cut in end - 6..end {
        let mut stream = balancer.connect();
        stream.write_all(&wire[..cut]).unwrap();
        // Wait until the first part is on its way, so that the second comes with a read of its own.
        wait(|| balancer.open().0 == 1);
        stream.write_all(&wire[cut..]).unwrap();
        let mut reader = BufReader::new(stream);
        for line in ["POST /1 HTTP/1.1", "DELETE /2 HTTP/1.1"] {
            let (_, body) = read_answer(&mut reader);
            assert_eq!(String::from_utf8(body).unwrap(), line, "{cut}");
        }
        wait(|| balancer.open().0 == 0);
    }
}

#[test]
fn one_connection_too_many_is_told_so() {
    let target = ok();
    let balancer = Balancer::simple(&target);
    // As many as the harness allows.
    let mut open: Vec<_> = (0..300)
        .map(|_| {
            let mut client = balancer.connect();
            client.write_all(GET).unwrap();
            let (head, _) = read_answer(&mut BufReader::new(client.try_clone().unwrap()));
            assert!(head.starts_with("HTTP/1.1 200"), "{head}");
            client
        })
        .collect();
    let (head, body) = read_answer(&mut BufReader::new(balancer.connect()));
    assert!(head.starts_with("HTTP/1.1 503"), "{head}");
    assert!(head.contains("Connection: close"), "{head}");
    assert_eq!(body.len(), 162);
    // Clients that are served go on being served, and a place that is given up is free.
    let kept = &mut open[0];
    kept.write_all(GET).unwrap();
    let (head, _) = read_answer(&mut BufReader::new(kept.try_clone().unwrap()));
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    open.pop();
    wait(|| {
        let mut client = balancer.connect();
        let _ = client.write_all(GET_AND_CLOSE);
        let mut answer = String::new();
        let _ = client.read_to_string(&mut answer);
        answer.starts_with("HTTP/1.1 200")
    });
}

#[test]
fn who_has_waited_is_told_how_things_stand_after_the_wait() {
    let (go, may) = std::sync::mpsc::channel::<()>();
    let may = std::sync::Mutex::new(may);
    let target = answering(move |head, _| {
        if head.contains("/held") {
            may.lock().unwrap().recv().unwrap();
        }
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec()
    });
    let balancer = Balancer::simple(&target);
    balancer.edit_group(|group| {
        group.settings.queue = Some(Arc::new(QueueSettings::of(Concurrency::Fixed(1))));
    });
    let ask = |path: &str| {
        let mut client = balancer.connect();
        write!(client, "GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        BufReader::new(client)
    };
    let mut held = ask("/held");
    wait(|| balancer.open().0 == 1);
    let mut waits = ask("/");
    wait(|| balancer.waiting() == 1);
    // From now on, connections end with their request.
    balancer.edit(|blueprint| {
        let mut changed = (*blueprint.balancers[0]).clone();
        changed.settings.client_keep_alive = Duration::ZERO;
        blueprint.balancers[0] = Arc::new(changed);
    });
    go.send(()).unwrap();
    assert!(read_answer(&mut held).0.contains("200 OK"));
    let (head, _) = read_answer(&mut waits);
    assert!(
        head.contains("200 OK") && head.contains("Connection: close"),
        "{head}"
    );
    assert_eq!(waits.read(&mut [0]).unwrap(), 0, "closed");
}

#[test]
fn what_may_have_no_body_has_none() {
    let fixed = |status| {
        let fixed = FixedResponse {
            status,
            content_type: None,
            body: Some("HTTP/1.1 500 not an answer\r\n\r\n".into()),
        };
        let rules = vec![rule(Priority::At(1), vec![], Action::FixedResponse(fixed))];
        Balancer::start(&[], rules, BalancerSettings::default())
    };
    for status in [204, 205] {
        let answers = fixed(status).exchange(&[GET, GET_AND_CLOSE].concat());
        assert!(
            answers.ends_with("\r\n\r\n") && !answers.contains("500"),
            "{answers}"
        );
        assert_eq!(answers.matches("HTTP/1.1 20").count(), 2, "{answers}");
    }
    // Refused because of its forwarded addresses, of which 30 are allowed.
    let target = ok();
    let balancer = Balancer::simple(&target);
    let addresses = ["192.0.2.1"; 31].join(", ");
    for (method, is_empty) in [("HEAD", true), ("GET", false)] {
        let ask = format!("{method} / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {addresses}\r\n\r\n");
        let answer = balancer.exchange(ask.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 463"), "{answer}");
        assert_eq!(answer.ends_with("\r\n\r\n"), is_empty, "{answer}");
    }
}

#[test]
fn an_answer_whose_end_is_the_connections_does_not_look_whole_when_it_is_cut() {
    let dying = target(|stream, _| {
        let mut writer = stream.try_clone().unwrap();
        let Some((head, _)) = read_request(&mut BufReader::new(stream)) else {
            return;
        };
        let cut = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
        let _ = writer.write_all(if is_probe(&head) { OK } else { cut });
    });
    let balancer = Balancer::simple(&dying);
    let mut stream = balancer.connect();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let ended = stream.read_to_end(&mut Vec::new());
    assert_eq!(ended.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
}
