use super::*;
use forebay_model::{
    BalancerBlueprint, BalancerSettings, ListenerBlueprint, ListenerSettings, LogPlace, Matcher, Priority,
    Protocol,
};
use forebay_node::logging::{
    Classified, ConnectionFacts, ConnectionId, Kind, LogFacts, ProbeFacts, ProbedTarget, RequestLine, Tier,
    TlsLog,
};
use forebay_node::{
    BalancerView, Exchange, ListenerId, ListenerView, NodeView, ProbeResult, Reason, Record, Rewritten,
    Taken, TargetId, TransformError, WorkerState, ZoneId, Zoned,
};
use forebay_units::{Mono, Wall};
use std::io::Read as _;
use std::path::Path;

const ARN: &str =
    "arn:aws:elasticloadbalancing:us-east-2:123456789012:loadbalancer/app/my-lb/50dc6c495c0c9188";

fn balancer(bucket: Option<&str>) -> Arc<BalancerView> {
    let place = bucket.map(|bucket| LogPlace {
        bucket: bucket.into(),
        prefix: String::new(),
    });
    Arc::new(BalancerView {
        blueprint: Arc::new(BalancerBlueprint {
            arn: ARN.into(),
            dns_name: "my-lb-1.local-1.elb.localhost".into(),
            names: Vec::new(),
            nodes: Vec::new(),
            listeners: Vec::new(),
            settings: BalancerSettings {
                access_log: place.clone(),
                connection_log: place.clone(),
                health_log: place,
                ..BalancerSettings::default()
            },
        }),
        stats: Arc::new(Zoned::new(1)),
    })
}

const NODES: [NodeView; 1] = [NodeView {
    exposed: false,
    zone: ZoneId(1),
    address: std::net::IpAddr::V4(std::net::Ipv4Addr::new(127, 80, 0, 4)),
}];

/// A record as the exchange makes it for a request that was refused before routing.
fn record(balancer: &Arc<BalancerView>) -> Record {
    let listener = ListenerView {
        id: ListenerId(1),
        blueprint: Arc::new(ListenerBlueprint {
            arn: "listener".into(),
            protocol: Protocol::Http,
            port: 80,
            tls: None,
            rules: Vec::new(),
            settings: ListenerSettings::default(),
        }),
        nodes: NODES.to_vec(),
        named: Default::default(),
        balancer: Arc::clone(balancer),
        stats: Arc::new(Zoned::new(1)),
        rules: None,
        permit_issuer: None,
    };
    Exchange::refused(
        Mono::from_millis(5),
        Reason::Malformed,
        ZoneId(1),
        &listener,
        &WorkerState::new(0, 1),
    )
}

fn facts<'a>(balancer: &'a Arc<BalancerView>, record: &'a Record) -> LogFacts<'a> {
    LogFacts {
        kind: Kind::Http,
        balancer,
        nodes: &NODES,
        zone: ZoneId(1),
        port: 80,
        client: "192.168.131.39:2817".parse().unwrap(),
        connection: ConnectionId([0x3180_a730_13c8_ca4b, 0xac2f_7311_59d4_b0fe]),
        wall: Wall(1_530_570_180_186_641),
        created: Wall(1_530_570_168_364_999),
        record,
        responded: None,
        status: 400,
        received: 0,
        sent: 272,
        line: None,
        agent: None,
        trace: None,
        tls: None,
        group: None,
        location: None,
        classified: None,
    }
}

fn access(facts: &LogFacts<'_>) -> String {
    let mut out = Vec::new();
    lines::access(
        &mut out,
        &mut text::Stamp::default(),
        facts.balancer.name(),
        facts,
    );
    String::from_utf8(out).unwrap()
}

fn target() -> Arc<forebay_node::TargetView> {
    Arc::new(forebay_node::TargetView {
        id: TargetId(1),
        name: "10.0.0.1".into(),
        port: 80,
        address: Some("10.0.0.1:80".parse().unwrap()),
        tls: forebay_model::TargetTls::Plaintext,
        version: forebay_model::ProtocolVersion::Http1,
        proxy_protocol: false,
        weight: 1,
        stats: Arc::new(forebay_node::TargetStats::default()),
    })
}

#[test]
fn a_request_that_was_not_understood_is_logged_as_on_alb() {
    let balancer = balancer(None);
    let record = record(&balancer);
    assert_eq!(
        access(&facts(&balancer, &record)),
        "http 2018-07-02T22:23:00.186641Z app/my-lb/50dc6c495c0c9188 192.168.131.39:2817 - -1 -1 -1 400 - 0 272 \"- http://my-lb-1.local-1.elb.localhost:80- -\" \"-\" - - - \"-\" \"-\" \"-\" - 2018-07-02T22:22:48.364000Z \"-\" \"-\" \"-\" \"-\" \"-\" \"-\" \"-\" TID_3180a73013c8ca4bac2f731159d4b0fe \"-\" \"-\" \"-\"\n"
    );
}

/// The examples of "Access logs", "Example entries for Lambda functions": one success, one failure. The failure's times are
/// ours.
#[test]
fn functions_have_no_address_and_reasons_of_their_own() {
    let balancer = balancer(None);
    let mut record = record(&balancer);
    record.begun = Mono::from_millis(100);
    record.sent = Some(Mono::from_millis(100));
    record.priority = Some(Priority::Default);
    record.action = Some(Taken::Forward);
    record.target = Some(Arc::new(forebay_node::TargetView {
        id: TargetId(1),
        name: "arn:aws:lambda:us-east-2:123456789012:function:f".into(),
        port: 0,
        address: None,
        tls: forebay_model::TargetTls::Plaintext,
        version: forebay_model::ProtocolVersion::Lambda,
        proxy_protocol: false,
        weight: 1,
        stats: Arc::new(forebay_node::TargetStats::default()),
    }));
    let line = |record: &Record, status| {
        let mut facts = facts(&balancer, record);
        (facts.status, facts.received, facts.sent) = (status, 34, 366);
        facts.line = Some(RequestLine {
            method: b"GET",
            host: b"www.example.com",
            target: b"/",
            version: "HTTP/1.1",
        });
        facts.agent = Some(b"curl/7.46.0");
        facts.trace = Some(b"Root=1-58337364-23a8c76965a2ef7629b185e3");
        facts.group = Some(
            "arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/my-targets/73e2d6bc24d8a067",
        );
        access(&facts)
    };
    let before = "http 2018-07-02T22:23:00.186641Z app/my-lb/50dc6c495c0c9188 192.168.131.39:2817";
    let middle = "34 366 \"GET http://www.example.com:80/ HTTP/1.1\" \"curl/7.46.0\" - - \
                  arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/my-targets/73e2d6bc24d8a067 \
                  \"Root=1-58337364-23a8c76965a2ef7629b185e3\" \"-\" \"-\" 0 2018-07-02T22:22:48.364000Z \"forward\" \"-\"";
    let after = "\"-\" \"-\" \"-\" \"-\" TID_3180a73013c8ca4bac2f731159d4b0fe \"-\" \"-\" \"-\"\n";
    record.reason = Some(Reason::BadFunctionAnswer);
    assert_eq!(
        line(&record, 502),
        format!("{before} - -1 -1 -1 502 - {middle} \"LambdaInvalidResponse\" {after}")
    );
    record.reason = None;
    record.answered = Some(Mono::from_millis(101));
    record.target_status = Some(200);
    assert_eq!(
        line(&record, 200),
        format!("{before} - 0.000 0.001 0.000 200 200 {middle} \"-\" {after}")
    );
}

#[test]
fn a_forwarded_request_has_every_field() {
    let balancer = balancer(None);
    let mut record = record(&balancer);
    record.begun = Mono::from_millis(100);
    record.sent = Some(Mono::from_millis(101));
    record.answered = Some(Mono(143_600_000));
    record.priority = Some(Priority::At(7));
    record.action = Some(Taken::Forward);
    record.transform = Some(Ok(()));
    record.rewritten = Some(Box::new(Rewritten {
        host: Some(b"www.example.com".to_vec()),
        url: Some(b"/new?a".to_vec()),
    }));
    record.target = Some(target());
    record.target_status = Some(200);
    let agent = format!("a\"b{}", "x".repeat(9000));
    let mut facts = facts(&balancer, &record);
    facts.kind = Kind::Https;
    facts.port = 443;
    facts.responded = Some(Mono(144_600_000));
    facts.status = 200;
    (facts.received, facts.sent) = (34, 366);
    facts.line = Some(RequestLine {
        method: b"GET",
        host: b"www.example.com:443",
        target: b"/old?\xe9",
        version: "HTTP/1.1",
    });
    facts.agent = Some(agent.as_bytes());
    facts.trace = Some(b"Root=1-58337262-36d228ad5d99923122bbe354");
    facts.tls = Some(TlsLog {
        protocol: "TLSv1.3",
        cipher: "TLS_AES_128_GCM_SHA256",
        server_name: Some("www.example.com"),
        certificate: "arn:aws:acm:us-east-2:123456789012:certificate/1",
        group: "X25519MLKEM768",
        handshake: Duration::from_millis(4),
    });
    facts.group = Some("arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/t/73e2");
    facts.classified = Some(Classified {
        tier: Tier::Acceptable,
        reason: "SpaceInUri",
    });
    let cut = format!("a\\x22b{}", "x".repeat(8 * 1024 - 3));
    assert_eq!(
        access(&facts),
        format!(
            "https 2018-07-02T22:23:00.186641Z app/my-lb/50dc6c495c0c9188 192.168.131.39:2817 10.0.0.1:80 0.001 0.043 0.001 200 200 34 366 \"GET https://www.example.com:443/old?\\xE9 HTTP/1.1\" \"{cut}\" TLS_AES_128_GCM_SHA256 TLSv1.3 arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/t/73e2 \"Root=1-58337262-36d228ad5d99923122bbe354\" \"www.example.com\" \"arn:aws:acm:us-east-2:123456789012:certificate/1\" 7 2018-07-02T22:22:48.364000Z \"rewrite,forward\" \"-\" \"-\" \"10.0.0.1:80\" \"200\" \"Acceptable\" \"SpaceInUri\" TID_3180a73013c8ca4bac2f731159d4b0fe \"-\" \"/new?a\" \"TransformSuccess\"\n"
        )
    );
    let mut second = Vec::new();
    let connection = ConnectionFacts {
        balancer: &balancer,
        nodes: &NODES,
        zone: ZoneId(1),
        port: 443,
        client: facts.client,
        connection: facts.connection,
        wall: facts.wall,
        tls: facts.tls,
        failed: None,
    };
    lines::connection(&mut second, &mut text::Stamp::default(), &connection);
    assert_eq!(
        String::from_utf8(second).unwrap(),
        "2018-07-02T22:23:00.186641Z 192.168.131.39 2817 443 TLSv1.3 TLS_AES_128_GCM_SHA256 0.004 \"-\" - - Success TID_3180a73013c8ca4bac2f731159d4b0fe X25519MLKEM768\n"
    );
}

#[test]
fn what_ended_early_has_no_times_but_its_target() {
    let balancer = balancer(None);
    let mut record = record(&balancer);
    record.sent = Some(Mono::from_millis(6));
    record.target = Some(target());
    record.priority = Some(Priority::Default);
    record.action = Some(Taken::Forward);
    let mut line = facts(&balancer, &record);
    line.status = 504;
    let text = access(&line);
    assert!(text.contains(" 10.0.0.1:80 -1 -1 -1 504 - "), "{text}");
    assert!(
        text.contains("\"forward\" \"-\" \"-\" \"10.0.0.1:80\" \"-\" "),
        "{text}"
    );
    record.target = None;
    record.action = None;
    record.transform = Some(Err(TransformError::InvalidHost));
    let mut line = facts(&balancer, &record);
    line.status = 0;
    let text = access(&line);
    assert!(text.contains(" - -1 -1 -1 000 - "), "{text}");
    assert!(text.contains(" \"rewrite\" "), "{text}");
    assert!(text.ends_with("\"-\" \"-\" \"TransformInvalidHost\"\n"), "{text}");
    for (error, status) in [
        (TransformError::CompileTooBig, "TransformCompileTooBig"),
        (TransformError::RegexSyntax, "TransformRegexSyntaxError"),
    ] {
        record.transform = Some(Err(error));
        let text = access(&facts(&balancer, &record));
        assert!(text.ends_with(&format!("\"{status}\"\n")), "{text}");
    }
    record.transform = Some(Err(TransformError::InvalidHost));
    record.rule_error = true;
    assert!(access(&facts(&balancer, &record)).contains(" \"-\" \"-\" \"-\" -1 2018-"));
}

#[test]
fn connections_in_plaintext_and_failed_ones() {
    let balancer = balancer(None);
    let mut facts = ConnectionFacts {
        balancer: &balancer,
        nodes: &NODES,
        zone: ZoneId(1),
        port: 80,
        client: "[2001:db8::1]:9".parse().unwrap(),
        connection: ConnectionId([1, 2]),
        wall: Wall(1_530_570_180_186_641),
        tls: None,
        failed: None,
    };
    let write = |facts: &ConnectionFacts<'_>| {
        let mut out = Vec::new();
        lines::connection(&mut out, &mut text::Stamp::default(), facts);
        String::from_utf8(out).unwrap()
    };
    let id = "TID_00000000000000010000000000000002";
    let plain = write(&facts);
    assert_eq!(
        plain,
        format!("2018-07-02T22:23:00.186641Z 2001:db8::1 9 80 - - - \"-\" - - - {id} -\n")
    );
    facts.failed = Some("UnmappedConnectionError");
    assert!(write(&facts).contains("\"-\" - - Failed:UnmappedConnectionError TID_"));
}

#[test]
fn probes_are_logged_as_on_alb() {
    let watch = ProbedTarget {
        group: "HCLogsTestIPs".into(),
        matcher: Matcher::parse("200").unwrap(),
        balancers: vec![],
    };
    let line = |result| {
        let mut out = Vec::new();
        lines::probe(
            &mut out,
            &mut text::Stamp::default(),
            &ProbeFacts {
                watch: &watch,
                address: Some("172.31.31.9:80".parse().unwrap()),
                kind: "http",
                wall: Wall(1_761_914_698_901_409),
                latency: Duration::new(1, 121_980_746),
                result,
            },
        );
        String::from_utf8(out).unwrap()
    };
    let begin = "http 2025-10-31T12:44:58.901409Z 1.121980746 172.31.31.9:80 HCLogsTestIPs";
    // The example of the page on health check logs.
    assert_eq!(
        line(ProbeResult::Answered(502)),
        format!("{begin} FAIL 502 TargetError\n")
    );
    assert_eq!(line(ProbeResult::Answered(200)), format!("{begin} PASS 200 -\n"));
    assert_eq!(
        line(ProbeResult::Answered(404)),
        format!("{begin} FAIL 404 ResponseCodeMismatch\n")
    );
    assert_eq!(line(ProbeResult::TimedOut), format!("{begin} FAIL - TimedOut\n"));
    assert_eq!(
        line(ProbeResult::Failed),
        format!("{begin} FAIL - ConnectionReset\n")
    );
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

fn unpacked(path: &Path) -> String {
    let mut text = String::new();
    let file = std::fs::File::open(path).unwrap();
    flate2::read::MultiGzDecoder::new(file)
        .read_to_string(&mut text)
        .unwrap();
    text
}

#[test]
fn lines_of_all_threads_reach_one_file_whole() {
    let folder = tempfile::tempdir().unwrap();
    let logs = Logs::start(folder.path().join("logs"), &[], 1).unwrap();
    let balancer = balancer(Some("my-bucket"));
    let record = record(&balancer);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut log_writer = logs.log_writer();
                for count in 0..3000 {
                    let mut line = facts(&balancer, &record);
                    line.received = count;
                    log_writer.request(&line);
                }
            });
        }
    });
    logs.finish();
    let found = files(folder.path());
    assert_eq!(found.len(), 1, "{found:?}");
    let name = found[0].strip_prefix(folder.path()).unwrap().to_str().unwrap();
    assert!(
        name.starts_with("logs/my-bucket/AWSLogs/123456789012/elasticloadbalancing/us-east-2/2018/07/02/123456789012_elasticloadbalancing_us-east-2_app.my-lb.50dc6c495c0c9188_20180702T2225Z_127.80.0.4_"),
        "{name}"
    );
    let text = unpacked(&found[0]);
    assert_eq!(text.lines().count(), 6000);
    assert!(
        text.lines().all(
            |line| line.starts_with("http 2018-07-02T22:23:00.186641Z app/my-lb/") && line.ends_with('"')
        )
    );
    assert_eq!(logs.counters().written(Log::Access, Sink::File), 6000);
    assert_eq!(logs.counters().dropped(Log::Access, Sink::File), 0);
}

#[test]
fn five_minutes_later_comes_another_file() {
    let folder = tempfile::tempdir().unwrap();
    let logs = Logs::start(folder.path().to_owned(), &[], 1).unwrap();
    let balancer = balancer(Some("b"));
    let record = record(&balancer);
    let mut log_writer = logs.log_writer();
    for minutes in [0, 4, 5, 11] {
        let mut line = facts(&balancer, &record);
        line.wall = Wall(line.wall.0 + minutes * 60_000_000);
        log_writer.request(&line);
    }
    drop(log_writer);
    logs.finish();
    let mut found = files(folder.path());
    found.sort();
    let lines: Vec<usize> = found.iter().map(|path| unpacked(path).lines().count()).collect();
    // 22:23 belongs to the five minutes until 22:25; 22:27 and 22:28 to those until 22:30; 22:34 to those until 22:35.
    assert_eq!(lines, [1, 2, 1], "{found:?}");
}

/// A regression: SIGHUP ended the process, and a file that was moved away still got lines for five minutes.
#[test]
fn lines_after_a_reopening_begin_a_new_file() {
    let folder = tempfile::tempdir().unwrap();
    let logs = Logs::start(folder.path().to_owned(), &[], 1).unwrap();
    let balancer = balancer(Some("b"));
    let record = record(&balancer);
    for _ in 0..2 {
        let mut log_writer = logs.log_writer();
        log_writer.request(&facts(&balancer, &record));
        drop(log_writer);
        assert!(logs.reopen());
    }
    logs.finish();
    let found = files(folder.path());
    let lines: Vec<usize> = found.iter().map(|path| unpacked(path).lines().count()).collect();
    assert_eq!(lines, [1, 1], "{found:?}");
}

#[test]
fn what_cannot_be_written_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    // A file in place of the bucket's folder: no permission, not even root's, turns it into one.
    std::fs::write(folder.path().join("b"), "").unwrap();
    let logs = Logs::start(folder.path().to_owned(), &[], 1).unwrap();
    let balancer = balancer(Some("b"));
    let record = record(&balancer);
    let mut log_writer = logs.log_writer();
    for _ in 0..10 {
        log_writer.request(&facts(&balancer, &record));
    }
    drop(log_writer);
    logs.finish();
    assert_eq!(logs.counters().dropped(Log::Access, Sink::File), 10);
    assert_eq!(logs.counters().written(Log::Access, Sink::File), 0);
}

#[test]
fn a_socket_gets_lines_as_they_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("collector");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let sink = LiveSink::Unix(path);
    let live = [(Log::Access, sink.clone()), (Log::Health, sink)];
    let logs = Logs::start(folder.path().join("logs"), &live, 1).unwrap();
    assert_eq!(
        logs.always(),
        Always {
            access: true,
            connection: false,
            health: true
        }
    );
    let unlogged = balancer(None);
    let first = record(&unlogged);
    let mut log_writer = logs.log_writer();
    log_writer.request(&facts(&unlogged, &first));
    let logged = balancer(Some("b"));
    log_writer.probe(&ProbeFacts {
        watch: &ProbedTarget {
            group: "g".into(),
            matcher: Matcher::parse("200").unwrap(),
            balancers: vec![(Arc::clone(&logged), NODES[0]), (Arc::clone(&unlogged), NODES[0])],
        },
        address: Some("10.0.0.1:80".parse().unwrap()),
        kind: "http",
        wall: Wall(0),
        latency: Duration::ZERO,
        result: ProbeResult::Answered(200),
    });
    drop(log_writer);
    logs.go();
    let (mut stream, _) = listener.accept().unwrap();
    logs.finish();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let mut kinds: Vec<usize> = text.lines().map(|line| line.split(' ').count()).collect();
    kinds.sort_unstable();
    // The probe is written once though two load balancers log it, and so is the request, which has 33 fields; the request
    // line among them is three words.
    assert_eq!(kinds, [8, 35], "{text}");
    assert_eq!(logs.counters().written(Log::Access, Sink::Live), 1);
    assert_eq!(logs.counters().written(Log::Health, Sink::Live), 1);
    // Only the load balancer with a health log has its file.
    assert_eq!(files(&folder.path().join("logs")).len(), 1);
}

#[test]
fn nobody_listening_costs_lines_only() {
    let folder = tempfile::tempdir().unwrap();
    let live = [(Log::Access, LiveSink::Unix(folder.path().join("nobody")))];
    let logs = Logs::start(folder.path().join("logs"), &live, 1).unwrap();
    let balancer = balancer(None);
    let record = record(&balancer);
    let mut log_writer = logs.log_writer();
    log_writer.request(&facts(&balancer, &record));
    drop(log_writer);
    logs.finish();
    assert_eq!(logs.counters().dropped(Log::Access, Sink::Live), 1);
}
