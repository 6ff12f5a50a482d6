//! Unusual but possible HTTP/1.1 messages: which are served, which are refused, and with what. Comments that say what once
//! happened refer to an earlier build.

#![allow(clippy::unwrap_used, reason = "a test says what failed by where it failed")]

mod harness;

use forebay_model::*;
use harness::*;
use std::io::{BufReader, Read, Write};
use std::time::Duration;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A target that reports the path, Host and body that it saw.
fn mirror() -> Target {
    answering(|head, body| {
        let target = head.split(' ').nth(1).unwrap().to_owned();
        let hosts = head.lines().filter_map(|line| line.strip_prefix("Host: "));
        let hosts: Vec<&str> = hosts.collect();
        let said = format!("{target} {} {}", hosts.join("|"), String::from_utf8_lossy(body));
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{said}", said.len()).into_bytes()
    })
}

fn status(answer: &str) -> &str {
    answer.get(9..12).unwrap_or("none")
}

fn said(answer: &str) -> &str {
    answer.split("\r\n\r\n").nth(1).unwrap_or_default()
}

fn head(lines: &str) -> Vec<u8> {
    format!("{lines}\r\nConnection: close\r\n\r\n").into_bytes()
}

#[test]
fn chunk_lines_have_their_form_or_the_request_is_refused() {
    let target = mirror();
    let balancer = Balancer::simple(&target);
    let post = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    // All of these were once forwarded.
    for line in ["5;", "5 ", "5 garbage", "5 5", "5;a=\0"] {
        let answer = balancer.exchange(format!("{post}{line}\r\nhello\r\n0\r\n\r\n").as_bytes());
        assert_eq!(status(&answer), "400", "{line:?}: {answer}");
    }
    for end in ["0 x\r\n\r\n", "0\r\nno colon\r\n\r\n"] {
        let answer = balancer.exchange(format!("{post}5\r\nhello\r\n{end}").as_bytes());
        assert_eq!(status(&answer), "400", "{end:?}: {answer}");
    }
    // This was once refused.
    let zeros = "0".repeat(20);
    let answer = balancer.exchange(format!("{post}{zeros}5\r\nhello\r\n{zeros}\r\n\r\n").as_bytes());
    assert!(answer.ends_with("hello"), "{answer}");
}

#[test]
fn codings_are_a_list() {
    let target = mirror();
    let post = |lines: &str| {
        format!("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{lines}\r\n5\r\nhello\r\n0\r\n\r\n")
    };
    for (mode, listed, identity) in [
        (DesyncMode::Monitor, "200", "200"),
        (DesyncMode::Defensive, "200", "200"),
        (DesyncMode::Strictest, "400", "400"),
    ] {
        let settings = BalancerSettings {
            desync: mode,
            ..BalancerSettings::default()
        };
        let balancer = Balancer::start(&[&target], vec![], settings);
        for list in [", chunked", "chunked,"] {
            // Once 501.
            let answer = balancer.exchange(post(&format!("Transfer-Encoding: {list}\r\n")).as_bytes());
            assert_eq!(status(&answer), listed, "{mode:?} {list:?}: {answer}");
            assert_eq!(answer.ends_with("hello"), listed == "200");
        }
        // Without a length it was once taken for a request without a body, and the chunks for the next request.
        let answer = balancer.exchange(post("Transfer-Encoding: identity\r\n").as_bytes());
        assert_eq!(status(&answer), "400", "{mode:?}: {answer}");
        let both =
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello";
        let answer = balancer.exchange(both.as_bytes());
        assert_eq!(status(&answer), identity, "{mode:?}: {answer}");
        // The load balancer closed the connection; otherwise this read would not have ended.
        assert!(answer.contains("Connection: close"), "{answer}");
    }
}

#[test]
fn a_coding_that_is_passed_over_ends_the_targets_connection_too() {
    let connections = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&connections);
    let target = target(move |stream, _| {
        let mut writer = stream.try_clone().unwrap();
        let mut reader = BufReader::new(stream);
        let mut first = true;
        while let Some((head, _)) = read_request(&mut reader) {
            if first && !head.contains("ELB-HealthChecker") {
                count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            }
            first = false;
            let _ = writer.write_all(OK);
        }
    });
    let settings = BalancerSettings {
        desync: DesyncMode::Monitor,
        ..BalancerSettings::default()
    };
    let balancer = Balancer::start(&[&target], vec![], settings);
    let both = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello";
    (0..3).for_each(|_| assert_eq!(status(&balancer.exchange(both.as_bytes())), "200"));
    assert_eq!(connections.load(std::sync::atomic::Ordering::SeqCst), 3);
}

#[test]
fn a_host_is_one_host() {
    let target = mirror();
    for (preserve, check, odd) in [(false, true, "400"), (true, true, "400"), (true, false, "200")] {
        let settings = BalancerSettings {
            preserve_host: preserve,
            check_host: check,
            ..BalancerSettings::default()
        };
        let balancer = Balancer::start(&[&target], vec![], settings);
        // With preserve_host_header on, all of these once reached the target; empty ones always did.
        for host in ["a@b", "a/b", "a b", "a\r\nHost: b", "", ":80"] {
            let answer = balancer.exchange(&head(&format!("GET / HTTP/1.1\r\nHost: {host}")));
            assert_eq!(status(&answer), odd, "{preserve} {check} {host:?}: {answer}");
        }
        let answer = balancer.exchange(&head("GET / HTTP/1.1\r\nHost: a.example."));
        assert!(said(&answer).contains(" a.example."), "{answer}");
        let answer = balancer.exchange(b"GET / HTTP/1.0\r\n\r\n");
        assert_eq!(status(&answer), "200", "HTTP/1.0 need not name one");
    }
}

#[test]
fn a_trailing_dot_is_no_part_of_a_name() {
    let target = mirror();
    let condition = Condition::HostHeader(TextMatch::Wildcards(vec!["a.example".into()]));
    let fixed = Action::FixedResponse(FixedResponse {
        status: 418,
        content_type: None,
        body: None,
    });
    let rules = vec![rule(Priority::at(1).unwrap(), vec![condition], fixed)];
    let balancer = Balancer::start(&[&target], rules, BalancerSettings::default());
    // A single one was once enough to pass the rule.
    for (host, expected) in [
        ("a.example", "418"),
        ("A.example.", "418"),
        ("a.example.:80", "418"),
        ("a.example..", "200"),
    ] {
        let answer = balancer.exchange(&head(&format!("GET / HTTP/1.1\r\nHost: {host}")));
        assert_eq!(status(&answer), expected, "{host}");
    }
}

#[test]
fn later_minor_versions_are_served() {
    let target = mirror();
    let balancer = Balancer::simple(&target);
    for (version, expected) in [
        ("HTTP/1.2", "200"),
        ("HTTP/1.9", "200"),
        ("HTTP/2.0", "505"),
        ("HTTP/1", "400"),
        ("HTTP/01.01", "400"),
        ("HTTP/1.10", "400"),
    ] {
        let answer = balancer.exchange(&head(&format!("GET / {version}\r\nHost: a")));
        assert_eq!(status(&answer), expected, "{version}: {answer}");
        assert!(answer.starts_with("HTTP/1.1 "));
    }
}

#[test]
fn strict_paths_meet_their_rules_or_are_refused() {
    let target = mirror();
    let admin = || {
        let condition = Condition::PathPattern(TextMatch::Wildcards(vec!["/admin*".into()]));
        let fixed = Action::FixedResponse(FixedResponse {
            status: 403,
            content_type: None,
            body: None,
        });
        vec![rule(Priority::at(1).unwrap(), vec![condition], fixed)]
    };
    for (paths, expected) in [
        (
            PathMode::Normal,
            ["403", "200", "200", "200", "200", "403", "200"],
        ),
        (
            PathMode::Strict,
            ["403", "403", "403", "400", "400", "403", "200"],
        ),
    ] {
        let settings = BalancerSettings {
            paths,
            ..BalancerSettings::default()
        };
        let balancer = Balancer::start(&[&target], admin(), settings);
        let asked = [
            "/admin/x",
            "//admin",
            "/%2fadmin",
            "/public//../admin",
            "/x/..%2fadmin",
            "/x/../%61dmin",
            "/a//b?c=//d",
        ];
        for (path, expected) in asked.iter().zip(expected) {
            let answer = balancer.exchange(&head(&format!("GET {path} HTTP/1.1\r\nHost: a")));
            assert_eq!(status(&answer), expected, "{paths:?} {path}: {answer}");
            if expected == "200" {
                assert!(said(&answer).starts_with(path), "as sent: {answer}");
            }
        }
    }
}

#[test]
fn answers_have_a_date_and_say_what_to_upgrade_to() {
    let dated = "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 0\r\n\r\n";
    let upgrade = "HTTP/1.1 426 Upgrade Required\r\nUpgrade: TLS/1.3, HTTP/1.1\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n";
    let target = answering(move |head, _| match head.split(' ').nth(1) {
        Some("/dated") => dated.into(),
        Some("/upgrade") => upgrade.into(),
        _ => OK.to_vec(),
    });
    let balancer = Balancer::simple(&target);
    let get = |path: &str| balancer.exchange(&head(&format!("GET {path} HTTP/1.1\r\nHost: a")));
    let dates = |answer: &str| answer.matches("\r\nDate: ").count();
    // An answer without one once stayed without.
    let answer = get("/");
    assert_eq!(
        (dates(&answer), answer.contains(" GMT\r\n")),
        (1, true),
        "{answer}"
    );
    let answer = get("/dated");
    assert_eq!((dates(&answer), answer.contains("1970")), (1, true), "{answer}");
    let answer = get("/upgrade");
    assert!(answer.contains("\r\nUpgrade: TLS/1.3, HTTP/1.1\r\n"), "{answer}");
    assert!(answer.contains("\r\nConnection: close, Upgrade\r\n"), "{answer}");
}

#[test]
fn options_of_a_server_asks_of_all_of_it() {
    let target = mirror();
    let balancer = Balancer::simple(&target);
    // Once `/`.
    let answer = balancer.exchange(&head("OPTIONS http://a.example HTTP/1.1\r\nHost: a.example"));
    assert!(said(&answer).starts_with("* a.example"), "{answer}");
    let answer = balancer.exchange(&head("OPTIONS http://a.example/ HTTP/1.1\r\nHost: a.example"));
    assert!(said(&answer).starts_with("/ a.example"), "{answer}");
    let answer = balancer.exchange(&head("GET http://a.example HTTP/1.1\r\nHost: a.example"));
    assert!(said(&answer).starts_with("/ a.example"), "{answer}");
}

#[test]
fn an_answer_broken_from_its_first_chunk_is_502() {
    // The client once got nothing, and the log said 200.
    let target =
        says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n".to_vec());
    let balancer = Balancer::simple(&target);
    let answer = balancer.exchange(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(status(&answer), "502", "{answer}");
    // An HTTP/1.0 client, whose answer ends with the connection.
    assert_eq!(
        status(&balancer.exchange(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")),
        "502"
    );
    // Sizes may have leading zeros, and blanks behind them.
    let padded =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n00000000000000000005  \r\nhello\r\n0\r\n\r\n";
    let target = says(padded.into());
    let balancer = Balancer::simple(&target);
    let answer = balancer.exchange(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n");
    assert!(answer.ends_with("\r\n\r\nhello"), "{answer}");
}

#[test]
fn a_hundred_interim_answers_are_read_over() {
    for (count, expected) in [(17, "200"), (120, "200"), (100_000, "502")] {
        let interim = "HTTP/1.1 102 Processing\r\n\r\n".repeat(count);
        let target = says([interim.as_bytes(), OK].concat());
        let balancer = Balancer::simple(&target);
        let answer = balancer.exchange(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        assert_eq!(status(&answer), expected, "{count}");
    }
}

/// A target that answers once it has read 1 MB of a body, and closes.
fn hasty(answer: &'static [u8], body: usize) -> Target {
    target(move |mut stream, _| {
        let mut read = vec![0; 1 << 20];
        let mut probe = [0; 4096];
        let count = stream.peek(&mut probe).unwrap_or(0);
        if String::from_utf8_lossy(&probe[..count]).contains("ELB-HealthChecker") {
            let _ = stream.write_all(OK);
            return;
        }
        let _ = stream.read_exact(&mut read);
        let _ = stream.write_all(answer);
        let _ = stream.write_all(&vec![b'x'; body]);
        // A reset would destroy the end of a longer answer.
        if body > 4 {
            let _ = stream.shutdown(std::net::Shutdown::Write);
            while let Ok(1..) = stream.read(&mut read) {}
        }
    })
}

#[test]
fn an_early_answer_reaches_a_client_that_writes_all_of_its_body_first() {
    // After 4 MiB or 2 s the connection was once reset, and the answer lost.
    const BODY: usize = 40 << 20;
    let short: &[u8] = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\nConnection: close\r\n\r\n";

    let long: &[u8] =
        b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 262144\r\nConnection: close\r\n\r\n";
    for (answer, length) in [(short, 4), (long, 256 << 10)] {
        let target = hasty(answer, length);
        let balancer = Balancer::simple(&target);
        let mut client = balancer.connect();
        write!(
            client,
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {BODY}\r\n\r\n"
        )
        .unwrap();
        let piece = vec![0; 1 << 20];
        for _ in 0..BODY / piece.len() {
            client.write_all(&piece).unwrap();
        }
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).unwrap();
        assert!(
            answer.starts_with(b"HTTP/1.1 413"),
            "{}",
            answer[..answer.len().min(200)].escape_ascii()
        );
        assert!(answer.len() > length);
        wait(|| balancer.open() == (0, 0));
    }
}

#[test]
fn who_owes_a_body_holds_no_buffers() {
    let target = hasty(
        b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        0,
    );
    let quick = mirror();
    // Room for two large uploads, or for about thirty request buffers.
    let balancer = Balancer::bounded(&[&target], vec![], BalancerSettings::default(), None, 512 << 10);
    let owing: Vec<_> = (0..20)
        .map(|_| {
            let mut client = balancer.connect();
            client
                .write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n")
                .unwrap();
            client.write_all(&vec![0; 2 << 20]).unwrap();
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).unwrap();
            assert!(answer.starts_with(b"HTTP/1.1 413"), "{}", answer.escape_ascii());
            client
        })
        .collect();
    balancer.edit_group(|group| {
        group.targets[0].address = Some(quick.address);
        group.targets[0].port = quick.address.port();
    });
    balancer.wait_for(&quick, HealthState::Healthy);
    for _ in 0..10 {
        let answer = balancer.exchange(&head("GET / HTTP/1.1\r\nHost: a"));
        assert_eq!(status(&answer), "200", "{answer}");
    }
    assert_eq!(balancer.refusals(), 0);
    drop(owing);
}

#[test]
fn a_client_that_owes_its_body_has_its_time_for_it() {
    let settings = BalancerSettings {
        idle_timeout: Duration::from_secs(2),
        ..BalancerSettings::default()
    };
    let target = hasty(
        b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        0,
    );
    let balancer = Balancer::start(&[&target], vec![], settings);
    let mut client = balancer.connect();
    client
        .write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n")
        .unwrap();
    client.write_all(&vec![0; 2 << 20]).unwrap();
    // A silent client is kept for the idle timeout at most.
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 413"));
    wait(|| balancer.open() == (0, 0));
}
