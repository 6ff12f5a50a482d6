//! The log gets each request once, however it ended, and each connection.

#![allow(clippy::unwrap_used, reason = "a test says what failed by where it failed")]

mod harness;

use forebay_model::*;
use forebay_node::logging::{Always, ConnectionFacts, ConnectionId, LogFacts, LogWriter, Logger, ProbeFacts};
use forebay_node::{Reason, Taken};
use harness::*;
use std::io::{BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What was logged about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    status: u16,
    target_status: Option<u16>,
    received: u64,
    sent: u64,
    line: Option<String>,
    trace: Option<String>,
    action: Option<Taken>,
    class: Option<&'static str>,
    reason: Option<Reason>,
    connection: ConnectionId,
}

#[derive(Clone, Default)]
struct Reader {
    requests: Arc<Mutex<Vec<Told>>>,
    connections: Arc<Mutex<Vec<ConnectionId>>>,
    probes: Arc<Mutex<usize>>,
}

impl Logger for Reader {
    fn log_writer(&self) -> Box<dyn LogWriter> {
        Box::new(self.clone())
    }

    fn always(&self) -> Always {
        Always {
            access: true,
            connection: true,
            health: true,
        }
    }
}

impl LogWriter for Reader {
    fn request(&mut self, facts: &LogFacts<'_>) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let line = facts.line.map(|line| {
            let parts = [text(line.method), text(line.host), text(line.target)];
            format!("{} {}", parts.join(" "), line.version)
        });
        self.requests.lock().unwrap().push(Told {
            status: facts.status,
            target_status: facts.record.target_status,
            received: facts.received,
            sent: facts.sent,
            line,
            trace: facts.trace.map(text),
            action: facts.record.action,
            class: facts.classified.map(|classified| classified.reason),
            reason: facts.record.reason,
            connection: facts.connection,
        });
    }

    fn connection(&mut self, facts: &ConnectionFacts<'_>) {
        self.connections.lock().unwrap().push(facts.connection);
    }

    fn probe(&mut self, _: &ProbeFacts<'_>) {
        *self.probes.lock().unwrap() += 1;
    }

    fn flush(&mut self) {}
}

fn logged(target: &Target, rules: Vec<RuleBlueprint>) -> (Balancer, Reader) {
    let reader = Reader::default();
    let settings = BalancerSettings {
        idle_timeout: Duration::from_secs(1),
        ..BalancerSettings::default()
    };
    let balancer = Balancer::logged(&[target], rules, settings, Some(Arc::new(reader.clone())));
    (balancer, reader)
}

impl Reader {
    /// The logged requests, once there are this many.
    fn told(&self, count: usize) -> Vec<Told> {
        wait(|| self.requests.lock().unwrap().len() >= count);
        let told = core::mem::take(&mut *self.requests.lock().unwrap());
        assert_eq!(told.len(), count, "{told:?}");
        told
    }
}

fn fixed() -> RuleBlueprint {
    let fixed = Action::FixedResponse(FixedResponse {
        status: 418,
        content_type: None,
        body: Some("tea".into()),
    });
    let path = Condition::PathPattern(TextMatch::Wildcards(vec!["/fixed".into()]));
    rule(Priority::At(7), vec![path], fixed)
}

fn ok() -> Target {
    answering(|_, _| b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec())
}

#[test]
fn requests_of_a_connection_are_told_in_order_and_bytes_are_those_of_the_wire() {
    let (balancer, reader) = logged(&ok(), vec![fixed()]);
    let requests = [
        "GET /a?b HTTP/1.1\r\nHost: x.y\r\n\r\n",
        "POST http://z/fixed HTTP/1.1\r\nHost: x.y\r\nContent-Length: 3\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHost: x.y\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3;x\r\nabc\r\n0\r\n\r\n",
    ];
    let answer = balancer.exchange(requests.concat().as_bytes());
    let told = reader.told(3);
    let received: Vec<usize> = told.iter().map(|told| told.received as usize).collect();
    assert_eq!(received, requests.map(str::len));
    assert_eq!(
        told.iter().map(|told| told.sent).sum::<u64>(),
        answer.len() as u64
    );
    let lines: Vec<_> = told.iter().map(|told| told.line.as_deref().unwrap()).collect();
    assert_eq!(
        lines,
        [
            "GET x.y /a?b HTTP/1.1",
            "POST z /fixed HTTP/1.1",
            "POST x.y / HTTP/1.1"
        ]
    );
    let ends: Vec<_> = told
        .iter()
        .map(|told| (told.status, told.target_status, told.action))
        .collect();
    assert_eq!(
        ends,
        [
            (200, Some(200), Some(Taken::Forward)),
            (418, None, Some(Taken::Fixed)),
            (200, Some(200), Some(Taken::Forward))
        ]
    );
    assert!(told.iter().all(|told| {
        told.trace
            .as_ref()
            .is_some_and(|trace| trace.starts_with("Root=1-"))
    }));
    assert!(told.iter().all(|other| other.connection == told[0].connection));
    assert_eq!(*reader.connections.lock().unwrap(), [told[0].connection]);
    assert!(*reader.probes.lock().unwrap() > 0);
}

#[test]
fn a_streamed_upload_is_told_with_the_head_it_had() {
    let (balancer, reader) = logged(&ok(), vec![]);
    let body = vec![b'x'; 300_000];
    let head = format!(
        "POST /up HTTP/1.1\r\nHost: up.example\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let mut stream = balancer.connect();
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&body).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let told = reader.told(1).remove(0);
    assert_eq!(told.line.as_deref(), Some("POST up.example /up HTTP/1.1"));
    assert_eq!(told.received, (head.len() + body.len()) as u64);
    assert_eq!(told.sent, answer.len() as u64);
}

#[test]
fn what_is_no_request_is_told_too_with_its_class() {
    let (balancer, reader) = logged(&ok(), vec![]);
    let cases: [(&[u8], u16, bool, Option<&str>); 5] = [
        (b"what?\r\n\r\n", 400, false, Some("BadMethod")),
        (b"GET / HTTP/1.1\r\n\r\n", 400, true, None),
        (b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405, true, None),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            400,
            true,
            Some("MultipleContentLength"),
        ),
        (b"", 408, false, None),
    ];
    for (request, status, understood, class) in cases {
        let answer = balancer.exchange(request);
        let told = reader.told(1).remove(0);
        assert_eq!((told.status, told.class), (status, class), "{request:?}");
        assert_eq!(told.line.is_some(), understood, "{request:?}");
        assert_eq!(told.sent, answer.len() as u64);
        assert_eq!((told.trace, told.action), (None, None));
    }
}

#[test]
fn a_client_that_leaves_is_told_as_460() {
    let silent = target(|stream, _| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Some((head, _)) = read_request(&mut reader) {
            if head.contains("ELB-HealthChecker") {
                let _ = (&stream).write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
                return;
            }
        }
    });
    let (balancer, reader) = logged(&silent, vec![]);
    let mut stream: TcpStream = balancer.connect();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    stream.shutdown(Shutdown::Both).unwrap();
    let told = reader.told(1).remove(0);
    assert_eq!((told.status, told.target_status, told.sent), (460, None, 0));
}

#[test]
fn after_an_ambiguous_request_both_connections_end() {
    let (balancer, reader) = logged(&ok(), vec![]);
    let ambiguous = b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx";
    let answer = balancer.exchange(ambiguous);
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.contains("Connection: close"),
        "{answer}"
    );
    assert_eq!(reader.told(1)[0].class, Some("UndefinedContentLengthSemantics"));
    balancer.edit(|blueprint| {
        let mut changed = (*blueprint.balancers[0]).clone();
        changed.settings.desync = DesyncMode::Strictest;
        blueprint.balancers[0] = Arc::new(changed);
    });
    let answer = balancer.exchange(ambiguous);
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    let told = reader.told(1).remove(0);
    assert_eq!(
        (told.status, told.class),
        (400, Some("UndefinedContentLengthSemantics"))
    );
}

const SWITCH: &[u8] =
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
const SWITCHED: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";

#[test]
fn targets_are_not_blamed_for_their_clients() {
    // The client leaves with a reset.
    let (balancer, reader) = logged(&says(SWITCHED.to_vec()), vec![]);
    let stream = balancer.connect();
    (&stream).write_all(SWITCH).unwrap();
    read_answer(&mut BufReader::new(&stream));
    socket2::SockRef::from(&stream)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(stream);
    assert_eq!(reader.told(1)[0].reason, Some(Reason::ClientGone));
    // Neither side sends anything.
    let stream = balancer.connect();
    (&stream).write_all(SWITCH).unwrap();
    assert_eq!(reader.told(1)[0].reason, Some(Reason::ClientSilent));
    drop(stream);
    // The client does not read its answer.
    let length = 64 * 1024 * 1024;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
    let answer = [head.as_bytes(), &vec![b'a'; length]].concat();
    let (balancer, reader) = logged(&says(answer), vec![]);
    let stream = balancer.connect();
    (&stream).write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let told = reader.told(1).remove(0);
    assert_eq!((told.status, told.reason), (200, Some(Reason::ClientSilent)));
}
