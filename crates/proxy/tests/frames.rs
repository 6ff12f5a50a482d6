//! HTTP/2, frame by frame: what streams may do to each other, odd paths, gRPC's errors, and targets that refuse. Comments
//! that say what once happened refer to an earlier build.

#![allow(clippy::unwrap_used, reason = "a test says what failed by where it failed")]

mod harness;

use bytes::Bytes;
use forebay_model::*;
use harness::frames::*;
use harness::*;
use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const REFUSED_STREAM: [u8; 4] = [0, 0, 0, 7];
const NO_ERROR: [u8; 4] = [0, 0, 0, 0];

/// A literal header field that is not added to the table.
fn literal(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()][..], text.as_bytes()].concat();
    [&[0][..], &text(name), &text(value)].concat()
}

fn head(stream: u32, method: u8, path: &str, more: &[(&str, &str)], ends: bool) -> Vec<u8> {
    let mut block = vec![
        method,
        0x87,
        0x01,
        1,
        b'a',
        0x04,
        u8::try_from(path.len()).unwrap(),
    ];
    block.extend_from_slice(path.as_bytes());
    for (name, value) in more {
        block.extend(literal(name, value));
    }
    frame(
        HEADERS,
        END_HEADERS | if ends { END_STREAM } else { 0 },
        stream,
        &block,
    )
}

const GET: u8 = 0x82;
const POST: u8 = 0x83;

fn window(bytes: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, 0, &bytes.to_be_bytes())
}

/// A client in front of HTTP/1.1 targets.
fn client(balancer: &Balancer) -> Frames {
    let config = front(balancer);
    Frames::open(balancer, &config, 65_535)
}

/// The answer of a stream: its status and body.
fn answer(client: &mut Frames, stream: u32) -> (u16, Vec<u8>) {
    let mut body = Vec::new();
    let mut said = None;
    loop {
        let frame = client.next();
        if frame.stream != stream {
            continue;
        }
        match frame.kind {
            HEADERS if said.is_none() => said = Some(status(&frame)),
            DATA => body.extend_from_slice(&frame.payload),
            RST_STREAM => return (0, frame.payload),
            _ => {}
        }
        if frame.flags & END_STREAM != 0 {
            return (said.unwrap(), body);
        }
    }
}

/// A target that reports the path that it saw.
fn mirror() -> Target {
    answering(|head, _| {
        let target = head.split(' ').nth(1).unwrap();
        format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{target}",
            target.len()
        )
        .into_bytes()
    })
}

#[test]
fn odd_paths_pass_as_over_http_1() {
    let target = mirror();
    let balancer = Balancer::simple(&target);
    let mut client = client(&balancer);
    let mut stream = 1;
    // All of these streams were once reset without an answer; the last was cut at its `#`.
    for (path, expected) in [
        ("/a\"b", 200),
        ("/<a>", 200),
        ("/`", 200),
        ("/{\"a\":1}", 200),
        ("/x?q={\"a\":[1,2]}", 200),
        ("/x?<>`^|\\", 200),
        ("/a b", 400),
        ("/a\tb", 400),
        ("/a#b", 400),
        ("nowhere", 400),
    ] {
        client.send(&[head(stream, GET, path, &[], true)]);
        let (status, body) = answer(&mut client, stream);
        assert_eq!(status, expected, "{path}");
        if expected == 200 {
            assert_eq!(String::from_utf8_lossy(&body), path);
            let over_http_1 = balancer_over_http_1(&target, path);
            assert!(over_http_1.ends_with(&format!("\r\n\r\n{path}")), "{over_http_1}");
        }
        stream += 2;
    }
}

fn balancer_over_http_1(target: &Target, path: &str) -> String {
    let balancer = Balancer::simple(target);
    balancer.exchange(format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").as_bytes())
}

#[test]
fn an_authority_that_is_none_gets_an_answer() {
    let target = mirror();
    let balancer = Balancer::simple(&target);
    let mut client = client(&balancer);
    for (stream, authority) in [(1, "a/b"), (3, "a b"), (5, "a<b")] {
        let mut block = vec![GET, 0x87, 0x84, 0x01, u8::try_from(authority.len()).unwrap()];
        block.extend_from_slice(authority.as_bytes());
        client.send(&[frame(HEADERS, END_HEADERS | END_STREAM, stream, &block)]);
        let (status, _) = answer(&mut client, stream);
        // A host may contain odd letters, but nothing that ends it.
        assert_eq!(status, if authority == "a<b" { 200 } else { 400 }, "{authority}");
    }
}

#[test]
fn answers_of_ours_to_grpc_are_one_frame() {
    // Nothing listens at this target.
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let first = mirror();
    let rules = vec![rule(
        Priority::at(1).unwrap(),
        vec![Condition::PathPattern(TextMatch::Wildcards(vec![
            "/fixed*".into(),
        ]))],
        Action::FixedResponse(FixedResponse {
            status: 503,
            content_type: Some("text/plain".into()),
            body: Some("closed for 100 %".into()),
        }),
    )];
    let balancer = Balancer::start(&[&first], rules, BalancerSettings::default());
    balancer.edit_group(|group| {
        group.version = ProtocolVersion::Grpc;
        group.probe = ProbeKind::Grpc;
        group.health.enabled = false;
        group.targets[0].address = Some(gone);
        group.targets[0].port = gone.port();
    });
    let config = front(&balancer);
    let grpc = [("content-type", "application/grpc"), ("te", "trailers")];
    // An HTML page once came behind the head, which gRPC's C core reports as UNKNOWN.
    for (stream, path, method, said) in [
        (1, "/a.B/C", POST, "unavailable"),
        (3, "/fixed.B/C", POST, "closed for 100 %25"),
        (5, "/a#b", POST, "internal"),
    ] {
        // A connection of its own, so that nothing depends on a table.
        let mut client = Frames::open(&balancer, &config, 65_535);
        client.send(&[head(stream, method, path, &grpc, true)]);
        let answer = loop {
            let frame = client.next();
            if frame.stream == stream {
                break frame;
            }
        };
        assert_eq!(
            (answer.kind, answer.flags & END_STREAM),
            (HEADERS, END_STREAM),
            "{path}: one frame says all"
        );
        let mut decoded = Vec::new();
        let mut table = Hpack::new();
        table.decode(&answer.payload, |name, value| decoded.push((name, value)));
        let find = |name: &str| {
            decoded
                .iter()
                .find(|line| line.0 == name)
                .map(|line| line.1.as_str())
        };
        assert_eq!(find("grpc-message"), Some(said), "{decoded:?}");
        assert_eq!(find("content-type"), Some("application/grpc"), "{decoded:?}");
        assert_eq!(find("content-length"), None);
    }
}

/// Decodes a header block of the load balancer with the `h2` crate. That offers no decoder, so a connection is simulated.
struct Hpack;

impl Hpack {
    fn new() -> Hpack {
        Hpack
    }

    fn decode(&mut self, block: &[u8], mut each: impl FnMut(String, String)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let block = block.to_vec();
        runtime.block_on(async move {
            use tokio::io::AsyncReadExt as _;
            let (ours, theirs) = tokio::io::duplex(1 << 16);
            let (mut sender, connection) = h2::client::handshake(ours).await.unwrap();
            tokio::spawn(connection);
            let (response, _) = sender.send_request(http::Request::new(()), true).unwrap();
            let (mut read, mut write) = tokio::io::split(theirs);
            let mut preface = [0; 24];
            read.read_exact(&mut preface).await.unwrap();
            // The answer must not come before the request.
            loop {
                let mut head = [0; 9];
                read.read_exact(&mut head).await.unwrap();
                let mut payload = vec![0; usize::from(u16::from_be_bytes([head[1], head[2]]))];
                read.read_exact(&mut payload).await.unwrap();
                if head[3] == HEADERS {
                    break;
                }
            }
            tokio::spawn(async move { tokio::io::copy(&mut read, &mut tokio::io::sink()).await });
            let settings = frame(SETTINGS, 0, 0, &[]);
            let head = frame(HEADERS, END_HEADERS | END_STREAM, 1, &block);
            tokio::io::AsyncWriteExt::write_all(&mut write, &[settings, head].concat())
                .await
                .unwrap();
            let response = response.await.unwrap();
            for (name, value) in response.headers() {
                each(name.as_str().to_owned(), value.to_str().unwrap().to_owned());
            }
        });
    }
}

#[test]
fn uploads_that_nobody_reads_hold_nobody_else_up() {
    // A target that reads a head and nothing more, with a small buffer.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket
        .bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into())
        .unwrap();
    socket.listen(128).unwrap();
    let held = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&held);
    let stuck = target_at(socket.into(), move |stream, _| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut line = String::new();
        let _ = std::io::BufRead::read_line(&mut reader, &mut line);
        if line.contains("GET / ") {
            let _ = (&stream).write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            return;
        }
        kept.lock().unwrap().push(stream);
    });
    let quick = mirror();
    let other = Action::Forward(Forward {
        groups: vec![WeightedGroup {
            group_arn: "quick".into(),
            weight: 1,
        }],
        stickiness: ForwardStickiness::default(),
    });
    let quickly = rule(
        Priority::at(1).unwrap(),
        vec![Condition::PathPattern(TextMatch::Wildcards(vec![
            "/quick".into(),
        ]))],
        other,
    );
    let balancer = Balancer::simple(&stuck);
    balancer.edit(|blueprint| {
        let mut group = group(&[quick.address]);
        group.arn = "quick".into();
        blueprint.groups.push(Arc::new(group));
    });
    balancer.edit_listener(|listener| listener.rules.insert(0, quickly));
    let ask = b"GET /quick HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    wait(|| balancer.exchange(ask).starts_with("HTTP/1.1 200"));
    let mut client = client(&balancer);
    let mut sent = Vec::new();
    let piece = vec![0; 16_000];
    for at in 0..12 {
        let stream = 2 * at + 1;
        sent.push(head(stream, POST, "/stuck", &[], false));
        // All that a stream's window allows.
        sent.extend((0..4).map(|_| frame(DATA, 0, stream, &piece)));
    }
    // A client first learns the window of the connection: it was once 512 KiB.
    Credit::of(&mut client).wait_for(1_000 + 12 * 64_000);
    client.send(&sent);
    wait(|| held.lock().unwrap().len() == 12);
    // Twelve streams once used up the window of the connection: this waited for the idle timeout.
    client.send(&[head(101, POST, "/quick", &[], false)]);
    client.send(&[frame(DATA, END_STREAM, 101, &[0; 1_000])]);
    assert_eq!(answer(&mut client, 101), (200, b"/quick".to_vec()));
}

/// The window of a connection that its client is told.
struct Credit<'a> {
    client: &'a mut Frames,
    bytes: u32,
}

impl Credit<'_> {
    fn of(client: &mut Frames) -> Credit<'_> {
        Credit {
            client,
            bytes: 65_535,
        }
    }

    fn wait_for(&mut self, wanted: u32) {
        while self.bytes < wanted {
            let frame = self.client.any();
            if (frame.kind, frame.stream) == (WINDOW_UPDATE, 0) {
                self.bytes += u32::from_be_bytes(frame.payload[..4].try_into().unwrap());
            }
        }
    }
}

/// Bytes of bodies at a scripted target, with the numbers of the connection and the stream.
type Bodies = Mutex<Vec<(usize, u32, Vec<u8>)>>;

/// What a scripted HTTP/2 target does with the streams of its connections.
type Script = dyn Fn(&mut TcpStream, usize, u32, bool) -> bool + Send + Sync;

/// A target that answers heads of streams as `script` says (given the connection's number, the stream's, and whether the
/// request ended); true to go on. `bodies` collects what came of bodies, by connection and stream.
fn scripted(bodies: &Arc<Bodies>, script: Arc<Script>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let bodies = Arc::clone(bodies);
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().map_while(Result::ok).enumerate() {
            let (bodies, script) = (Arc::clone(&bodies), Arc::clone(&script));
            std::thread::spawn(move || serve(stream, number, &bodies, &*script));
        }
    });
    address
}

fn serve(mut stream: TcpStream, number: usize, bodies: &Bodies, script: &Script) -> Option<()> {
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).ok()?;
    stream
        .write_all(&[frame(SETTINGS, 0, 0, &[]), frame(SETTINGS, ACK, 0, &[])].concat())
        .ok()?;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).ok()?;
        let [_, high, low, kind, flags, id @ ..] = head;
        let mut payload = vec![0; usize::from(u16::from_be_bytes([high, low]))];
        stream.read_exact(&mut payload).ok()?;
        let id = u32::from_be_bytes(id);
        let ended = flags & END_STREAM != 0;
        match kind {
            HEADERS => {
                bodies.lock().unwrap().push((number, id, Vec::new()));
                if !script(&mut stream, number, id, ended) {
                    return None;
                }
            }
            DATA => {
                let mut bodies = bodies.lock().unwrap();
                let body = bodies.iter_mut().find(|body| (body.0, body.1) == (number, id));
                body?.2.extend_from_slice(&payload);
                drop(bodies);
                let _ = stream.write_all(&frame(
                    WINDOW_UPDATE,
                    0,
                    0,
                    &(payload.len().max(1) as u32).to_be_bytes(),
                ));
                if ended && !script(&mut stream, number, id, true) {
                    return None;
                }
            }
            PING if flags & ACK == 0 => drop(stream.write_all(&frame(PING, ACK, 0, &payload))),
            _ => {}
        }
    }
}

/// `:status: 200`.
const OK: &[u8] = &[0x88];

/// A client of a load balancer in front of this HTTP/2 target.
fn before(address: SocketAddr) -> (Balancer, Frames) {
    let first = mirror();
    let balancer = Balancer::simple(&first);
    balancer.edit_group(|group| {
        group.version = ProtocolVersion::Http2;
        group.probe = ProbeKind::Http2;
        group.health.enabled = false;
        group.targets[0].address = Some(address);
        group.targets[0].port = address.port();
    });
    let mut client = client(&balancer);
    client.send(&[window(1 << 20)]);
    (balancer, client)
}

#[test]
fn what_a_target_did_not_process_is_sent_again() {
    // How the first connection refuses its first stream. A POST, and the first request of any connection, was once answered
    // with 502.
    let refuse = |stream: &mut TcpStream, id: u32| {
        let _ = stream.write_all(&frame(RST_STREAM, 0, id, &REFUSED_STREAM));
        true
    };
    let go_away = |stream: &mut TcpStream, _: u32| {
        let _ = stream.write_all(&frame(GOAWAY, 0, 0, &[[0; 4], NO_ERROR].concat()));
        true
    };
    type TurnDown = fn(&mut TcpStream, u32) -> bool;
    for (name, turn_down) in [("refused", refuse as TurnDown), ("gone", go_away as TurnDown)] {
        for body in [&b""[..], b"a small body"] {
            let bodies = Arc::default();
            let address = scripted(
                &bodies,
                Arc::new(
                    move |stream: &mut TcpStream, number, id, ended| match (number, ended) {
                        (0, true) => turn_down(stream, id),
                        (_, true) => stream
                            .write_all(&frame(HEADERS, END_HEADERS | END_STREAM, id, OK))
                            .is_ok(),
                        (_, false) => true,
                    },
                ),
            );
            let (_balancer, mut client) = before(address);
            client.send(&[
                head(1, POST, "/", &[], body.is_empty()),
                if body.is_empty() {
                    Vec::new()
                } else {
                    frame(DATA, END_STREAM, 1, body)
                },
            ]);
            assert_eq!(answer(&mut client, 1).0, 200, "{name}");
            let seen: Vec<_> = bodies
                .lock()
                .unwrap()
                .iter()
                .map(|body: &(usize, u32, Vec<u8>)| body.2.clone())
                .collect();
            assert!(
                seen.len() >= 2 && seen.iter().all(|seen| seen == body),
                "{name}: whole, each time: {seen:?}"
            );
        }
    }
}

#[test]
fn what_may_have_been_processed_is_not_sent_again() {
    // The target declares stream 1 as processed, and closes without an answer.
    let bodies = Arc::default();
    let address = scripted(
        &bodies,
        Arc::new(|stream: &mut TcpStream, _, _, _| {
            let _ = stream.write_all(&frame(GOAWAY, 0, 0, &[[0, 0, 0, 1], NO_ERROR].concat()));
            false
        }),
    );
    let (_balancer, mut client) = before(address);
    client.send(&[head(1, POST, "/", &[], true)]);
    assert_eq!(answer(&mut client, 1).0, 502);
    assert_eq!(bodies.lock().unwrap().len(), 1);
}

#[test]
fn a_target_that_refuses_all_streams_is_not_asked_for_ever() {
    let bodies = Arc::default();
    let address = scripted(
        &bodies,
        Arc::new(|stream: &mut TcpStream, _, id, _| {
            stream
                .write_all(&frame(RST_STREAM, 0, id, &REFUSED_STREAM))
                .is_ok()
        }),
    );
    let (_balancer, mut client) = before(address);
    client.send(&[head(1, POST, "/", &[], true)]);
    assert_eq!(answer(&mut client, 1).0, 502);
    assert_eq!(bodies.lock().unwrap().len(), 5);
}

#[test]
fn an_early_answer_of_a_target_that_wants_no_more_arrives() {
    // The target answers, and says with NO_ERROR that it needs no more of the body (RFC 9113, section 8.1). The client's
    // stream was once reset with the rest of its body unread.
    let bodies = Arc::default();
    let address = scripted(
        &bodies,
        Arc::new(|stream: &mut TcpStream, _, id, ended| {
            if ended {
                return true;
            }
            let answer = [
                frame(HEADERS, END_HEADERS, id, OK),
                frame(DATA, END_STREAM, id, b"enough"),
                frame(RST_STREAM, 0, id, &NO_ERROR),
            ];
            stream.write_all(&answer.concat()).is_ok()
        }),
    );
    let (balancer, mut client) = before(address);
    client.send(&[head(1, POST, "/", &[], false)]);
    let (mut sent, mut credit, mut said) = (0_usize, 65_535_usize, Vec::new());
    const BODY: usize = 1 << 20;
    // The client sends its whole body before it reads the answer, as far as its window allows.
    while sent < BODY {
        let piece = (BODY - sent).min(16_000).min(credit);
        if piece > 0 {
            let ends = sent + piece == BODY;
            client.send(&[frame(DATA, if ends { END_STREAM } else { 0 }, 1, &vec![0; piece])]);
            (sent, credit) = (sent + piece, credit - piece);
            continue;
        }
        let frame = client.any();
        match (frame.kind, frame.stream) {
            (WINDOW_UPDATE, 1) => {
                credit += u32::from_be_bytes(frame.payload[..4].try_into().unwrap()) as usize
            }
            (RST_STREAM, 1) => panic!("reset after {sent} bytes: {:?}", frame.payload),
            (HEADERS, 1) => assert_eq!(status(&frame), 200),
            (DATA, 1) => said.extend_from_slice(&frame.payload),
            _ => {}
        }
    }
    assert_eq!(said, b"enough");
    wait(|| balancer.open().0 == 0);
}

#[test]
fn interim_answers_of_a_target_are_read_over() {
    // A literal `:status: 103`.
    let early = [&[0x08, 3][..], b"103"].concat();
    let bodies = Arc::default();
    let address = scripted(
        &bodies,
        Arc::new(move |stream: &mut TcpStream, _, id, _| {
            let interim = frame(HEADERS, END_HEADERS, id, &early);
            let answer = [
                interim.repeat(100),
                frame(HEADERS, END_HEADERS | END_STREAM, id, OK),
            ];
            stream.write_all(&answer.concat()).is_ok()
        }),
    );
    let (_balancer, mut client) = before(address);
    client.send(&[head(1, GET, "/", &[], true)]);
    assert_eq!(answer(&mut client, 1).0, 200);
}

#[test]
fn interim_answers_without_end_are_ended() {
    // They were once kept, one by one, as long as the target sent them.
    let early = [&[0x08, 3][..], b"103"].concat();
    let bodies = Arc::default();
    let address = scripted(
        &bodies,
        Arc::new(move |stream: &mut TcpStream, _, id, _| {
            let interim = frame(HEADERS, END_HEADERS, id, &early).repeat(1_000);
            while stream.write_all(&interim).is_ok() {}
            false
        }),
    );
    let (_balancer, mut client) = before(address);
    client.send(&[head(1, GET, "/", &[], true)]);
    assert_eq!(answer(&mut client, 1).0, 502);
}

#[test]
fn odd_paths_reach_targets_of_http_2_escaped() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let paths = Arc::clone(&seen);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let paths = Arc::clone(&paths);
                tokio::spawn(async move {
                    let mut connection = h2::server::handshake(stream).await.unwrap();
                    while let Some(Ok((request, mut respond))) = connection.accept().await {
                        paths.lock().unwrap().push(request.uri().to_string());
                        let mut body = respond.send_response(http::Response::new(()), false).unwrap();
                        let _ = body.send_data(Bytes::from_static(b"ok"), true);
                    }
                });
            }
        });
    });
    let (_balancer, mut client) = before(address);
    // Once 400, whatever the client spoke.
    client.send(&[head(1, GET, "/<a>?b=`c`", &[], true)]);
    assert_eq!(answer(&mut client, 1).0, 200);
    assert!(
        seen.lock().unwrap()[0].ends_with("/%3Ca%3E?b=%60c%60"),
        "{:?}",
        seen.lock().unwrap()
    );
}

#[test]
fn stray_answers_to_pings_end_a_connection() {
    let target = mirror();
    let balancer = Balancer::simple(&target);
    let mut client = client(&balancer);
    client.send(&[frame(PING, ACK, 0, &[7; 8]).repeat(1_000)]);
    let code = loop {
        match client.read() {
            Ok(frame) if frame.kind == GOAWAY => break frame.payload[7],
            Ok(_) => {}
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(code, 11, "ENHANCE_YOUR_CALM");
    wait(|| balancer.open().1 == 0);
}

#[test]
fn silent_connections_hold_no_buffers() {
    let target = mirror();
    // Room for 64 request buffers, all of which silent clients once held: every honest request was answered with 503.
    let settings = BalancerSettings {
        idle_timeout: Duration::from_secs(60),
        ..BalancerSettings::default()
    };
    let balancer = Balancer::bounded(&[&target], vec![], settings, None, 1 << 20);
    let config = front(&balancer);
    let empty: Vec<TcpStream> = (0..100).map(|_| balancer.connect()).collect();
    let mut lines: Vec<TcpStream> = (0..50).map(|_| balancer.connect()).collect();
    for client in &mut lines {
        client.write_all(b"\x16\x03\x01").unwrap();
    }
    wait(|| balancer.open().1 == 150);
    for _ in 0..20 {
        let mut client = Frames::open(&balancer, &config, 65_535);
        client.send(&[head(1, GET, "/", &[], true)]);
        assert_eq!(answer(&mut client, 1).0, 200);
    }
    assert_eq!(balancer.refusals(), 0);
    drop((empty, lines));
}

#[test]
fn descriptors_are_one_budget() {
    let stuck = target(|stream, _| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Some((head, _)) = read_request(&mut reader) {
            if head.contains("ELB-HealthChecker") || head.starts_with("GET /quick") {
                let _ = (&stream).write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            }
        }
    });
    let balancer = Balancer::limited(&[&stuck], 41);
    // One socket listens: 40 are left, and neither side may take the last five of them.
    let slow: Vec<TcpStream> = (0..60)
        .map(|_| {
            let mut client = balancer.connect();
            let _ = client.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
            client
        })
        .collect();
    // Requests once hung if there was no descriptor for a connection to their target.
    let mut answered = 0;
    for mut client in slow.iter().map(|client| client.try_clone().unwrap()) {
        client.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let mut answer = [0; 12];
        if client.read_exact(&mut answer).is_ok() {
            assert_eq!(&answer, b"HTTP/1.1 503", "{}", answer.escape_ascii());
            answered += 1;
        }
    }
    assert!((20..60).contains(&answered), "{answered}");
    let began = std::time::Instant::now();
    let answer = balancer.exchange(b"GET /quick HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
    assert!(began.elapsed() < Duration::from_secs(5));
    drop(slow);
    wait(|| balancer.open() == (0, 0));
    let answer = balancer.exchange(b"GET /quick HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn whoever_is_left_is_told_before() {
    let release = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let open = Arc::clone(&release);
    let target = answering(move |head, _| {
        if head.starts_with("GET /slow") {
            wait(|| open.load(std::sync::atomic::Ordering::SeqCst));
        }
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec()
    });
    let balancer = Balancer::simple(&target);
    let get = |client: &mut TcpStream, path: &str| {
        write!(client, "GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    };
    // Kept alive: one that sends more requests, and one whose target is slow.
    let (mut idle, mut slow) = (balancer.connect(), balancer.connect());
    get(&mut idle, "/");
    let mut idle = BufReader::new(idle);
    assert!(read_answer(&mut idle).0.contains("Connection: keep-alive"));
    get(&mut slow, "/slow");
    wait(|| balancer.open().0 == 1);
    let left = balancer.leave(Duration::from_secs(10));
    // Its listener is gone once no other can come.
    wait(|| TcpStream::connect(balancer.address).is_err());
    // An idle connection was once closed without notice: this request met a reset.
    get(idle.get_mut(), "/");
    let (told, body) = read_answer(&mut idle);
    assert!(told.contains("Connection: close"), "{told}");
    assert_eq!(body, b"ok");
    // This client was told that its connection stays, and found it closed.
    release.store(true, std::sync::atomic::Ordering::SeqCst);
    let (told, _) = read_answer(&mut BufReader::new(slow));
    assert!(told.contains("Connection: close"), "{told}");
    left.join().unwrap();
}

#[test]
fn streams_that_are_open_end_after_their_client_was_told_to_go() {
    let release = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let open = Arc::clone(&release);
    let target = answering(move |_, _| {
        wait(|| open.load(std::sync::atomic::Ordering::SeqCst));
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec()
    });
    let balancer = Balancer::simple(&target);
    let mut client = client(&balancer);
    client.send(&[head(1, GET, "/", &[], true)]);
    wait(|| balancer.open().0 == 1);
    let left = balancer.leave(Duration::from_secs(10));
    // GOAWAY once came only with the next stream.
    while client.any().kind != GOAWAY {}
    release.store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(answer(&mut client, 1), (200, b"ok".to_vec()));
    while client.read().is_ok() {}
    left.join().unwrap();
}

#[test]
fn websockets_are_told_that_the_process_ends_between_two_frames() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&told);
    // Half a frame is sent before the end, and the rest of it once the target has heard of that.
    let target = target(move |mut stream, _| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let Some((request, _)) = read_request(&mut reader) else {
            return;
        };
        if !request.contains("websocket") {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            return;
        }
        let switched =
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x82\x05he";
        stream.write_all(switched).unwrap();
        let mut all = [0; 16];
        reader.read_exact(&mut all).unwrap();
        heard.lock().unwrap().extend(all);
        stream.write_all(b"llo").unwrap();
        let _ = reader.read_to_end(&mut Vec::new());
    });
    let balancer = Balancer::simple(&target);
    let mut client = balancer.connect();
    let asked =
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x82\x82\0\0\0\0hi";
    client.write_all(asked).unwrap();
    let mut client = BufReader::new(client);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "));
    let mut begun = [0; 4];
    client.read_exact(&mut begun).unwrap();
    let left = balancer.leave(Duration::from_millis(100));
    let mut said = [0; 7];
    client.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"llo\x88\x02\x03\xe9");
    drop(client);
    left.join().unwrap();
    // What the client had sent, then a masked close frame with 1001.
    let told = told.lock().unwrap().clone();
    assert_eq!(told[..8], *b"\x82\x82\0\0\0\0hi");
    assert_eq!(told[8..10], [0x88, 0x82]);
    let mask = &told[10..14];
    assert_eq!([told[14] ^ mask[0], told[15] ^ mask[1]], 1001_u16.to_be_bytes());
}
