//! What instances see of the machine: users, networks, groups, the console.

use crate::bench::{Bench, Test, instance, is_root, running, until};
use forebay_launch::{NetworkMode, RunAs, ShapeFile};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

pub(crate) const TESTS: &[Test] = &[
    ("another_user_has_no_rights", another_user_has_no_rights),
    (
        "nothing_of_ours_is_open_in_an_instance",
        nothing_of_ours_is_open_in_an_instance,
    ),
    ("a_console_is_bounded", a_console_is_bounded),
    ("a_port_in_use_is_told", a_port_in_use_is_told),
    (
        "two_that_listen_on_the_same_port_live_side_by_side",
        two_that_listen_on_the_same_port_live_side_by_side,
    ),
    ("the_metadata_service_answers", the_metadata_service_answers),
    (
        "metadata_and_api_are_found_within_a_namespace",
        metadata_and_api_are_found_within_a_namespace,
    ),
    ("shapes_are_limits", shapes_are_limits),
];

/// Listens where it is told to, and answers each connection with what it read from the environment.
const SERVER: &str = "use IO::Socket::INET; \
    my $s = IO::Socket::INET->new(LocalAddr => $ARGV[0], LocalPort => $ENV{PORT}, Listen => 9, ReuseAddr => 1) or die \"$@\\n\"; \
    while (my $c = $s->accept) { print $c $ENV{INSTANCE_ID}; close $c }";

fn server(address: &str) -> String {
    format!("exec perl -e '{}' {address}", SERVER.replace('\'', "\""))
}

fn needs_root(what: &str) -> bool {
    if !is_root() {
        eprintln!("skipped: {what} needs root");
    }
    is_root()
}

fn another_user_has_no_rights() {
    if !needs_root("changing the user") {
        return;
    }
    let bench = Bench::with(|options| options.run_as = RunAs::Nobody);
    let wanted = instance(&bench.image("cat /proc/self/status > status; echo own > own; exec sleep 1000"));
    bench.want(&[&wanted]);
    bench.until(&wanted, 1, running);
    let status = bench.work(&wanted, "status");
    let field = |name: &str| -> Vec<String> {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or("?")
            .split_whitespace()
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(field("Uid"), ["65534"; 4]);
    assert_eq!(field("Gid"), ["65534"; 4]);
    assert_eq!(field("Groups"), [""; 0]);
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(field(set), ["0000000000000000"], "{set}");
    }
    assert_eq!(field("NoNewPrivs"), ["1"]);
    assert_eq!(field("SigBlk"), ["0000000000000000"]);
    // SIGPIPE is not ignored, unlike in Rust's own programs.
    let ignored = u64::from_str_radix(&field("SigIgn")[0], 16).unwrap();
    assert_eq!(ignored & (1 << 12), 0);
}

fn nothing_of_ours_is_open_in_an_instance() {
    let bench = Bench::new();
    let wanted = instance(&bench.image("ls /proc/$$/fd > fds; exec sleep 1000"));
    bench.want(&[&wanted]);
    bench.until(&wanted, 1, running);
    let fds = bench.work(&wanted, "fds");
    let unexpected: Vec<&str> = fds
        .lines()
        .filter(|fd| !["0", "1", "2", "10"].contains(fd))
        .collect();
    assert!(unexpected.is_empty(), "{fds}");
}

fn a_console_is_bounded() {
    let bench = Bench::new();
    let wanted = instance(
        &bench
            .image("head -c 30000000 /dev/zero | tr '\\0' 'x'; echo; echo done; touch done; exec sleep 1000"),
    );
    bench.want(&[&wanted]);
    bench.until(&wanted, 1, running);
    assert!(until(|| bench.dir(&wanted).join("work/done").exists()));
    assert!(until(|| bench.console(&wanted).ends_with("done\n")));
    for file in ["console.log", "console.log.1"] {
        assert!(
            fs::metadata(bench.dir(&wanted).join(file)).unwrap().len() <= 8 << 20,
            "{file}"
        );
    }
}

fn a_port_in_use_is_told() {
    let bench = Bench::with(|options| options.network = NetworkMode::Never);
    let image = bench.image(&server("$FOREBAY_ADDRESS"));
    let (one, mut other) = (instance(&image), instance(&image));
    other.address = one.address;
    bench.want(&[&one]);
    bench.until(&one, 1, running);
    assert_eq!(ask((one.address, 8000).into()), one.id);
    bench.want(&[&one, &other]);
    let ended = until(|| {
        use forebay_control::fleet::SeenPhase::{Failed, Stopped};
        let phase = bench.seen(&other).map(|seen| seen.phase);
        // A slow machine may take longer than a start lasts.
        matches!(phase, Some(Failed { why } | Stopped { why }) if why.contains("Address already in use"))
    });
    assert!(ended, "{:?}", bench.seen(&other));
}

fn ask(address: SocketAddr) -> String {
    let mut told = String::new();
    let met = until(|| {
        told.clear();
        let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_secs(2)) else {
            return false;
        };
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream.read_to_string(&mut told).is_ok() && !told.is_empty()
    });
    assert!(met, "nobody answers at {address}");
    told
}

fn namespaces(bench: &Bench) -> Vec<String> {
    let ends: Vec<String> = fs::read_dir(bench.scratch.path().join("instances"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let names = fs::read_dir("/run/netns").into_iter().flatten().flatten();
    let names = names.map(|entry| entry.file_name().into_string().unwrap());
    names
        .filter(|name| ends.iter().any(|id| name.ends_with(id)))
        .collect()
}

fn two_that_listen_on_the_same_port_live_side_by_side() {
    if !needs_root("a network namespace") {
        return;
    }
    let mut bench = Bench::with(|options| options.network = NetworkMode::Always);
    let image = bench.image(&server("0.0.0.0"));
    let (one, other) = (instance(&image), instance(&image));
    bench.want(&[&one, &other]);
    for wanted in [&one, &other] {
        bench.until(wanted, 1, running);
        assert_eq!(ask((wanted.address, 8000).into()), wanted.id);
    }
    bench.restart();
    bench.want(&[&one]);
    bench.until_gone(&other);
    assert_eq!(ask((one.address, 8000).into()), one.id, "it is where it was");
    assert_eq!(namespaces(&bench).len(), 1);
    let space = namespaces(&bench).remove(0);
    bench.want(&[]);
    bench.until_gone(&one);
    assert!(!Path::new("/run/netns").join(space).exists());
}

/// One request on a new connection; returns status and body.
fn http(address: SocketAddr, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let (line, headers) = request.split_once('\n').unwrap_or((request, ""));
    let headers = headers.replace('\n', "\r\n");
    write!(
        stream,
        "{line} HTTP/1.1\r\nHost: metadata\r\nConnection: close\r\n{headers}\r\n"
    )
    .unwrap();
    let mut told = String::new();
    stream.read_to_string(&mut told).unwrap();
    let (head, body) = told.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.to_owned())
}

fn the_metadata_service_answers() {
    let bench = Bench::with(|options| options.network = NetworkMode::Never);
    let mut wanted = instance(&bench.image("env > env; exec sleep 1000"));
    wanted.profile = Some("web".to_owned());
    bench.want(&[&wanted]);
    bench.until(&wanted, 1, running);
    let env = bench.work(&wanted, "env");
    let endpoint = env
        .lines()
        .find_map(|line| line.strip_prefix("AWS_EC2_METADATA_SERVICE_ENDPOINT=http://"));
    let address: SocketAddr = endpoint.unwrap().parse().unwrap();
    assert_eq!(http(address, "GET /latest/meta-data/instance-id").0, 401);
    let (status, token) = http(
        address,
        "PUT /latest/api/token\nX-aws-ec2-metadata-token-ttl-seconds: 60\n",
    );
    assert_eq!(status, 200);
    let get = |path: &str| {
        http(
            address,
            &format!("GET {path}\nX-aws-ec2-metadata-token: {token}\n"),
        )
    };
    assert_eq!(get("/latest/meta-data/instance-id"), (200, wanted.id.clone()));
    assert_eq!(get("/latest/meta-data/spot/instance-action").0, 404);
    // Anyone on the machine can ask there, so keys are not given.
    assert_eq!(get("/latest/meta-data/iam/security-credentials/").0, 404);
    wanted.target_lifecycle_state = Some("InService".to_owned());
    bench.want(&[&wanted]);
    assert!(until(|| get(
        "/latest/meta-data/autoscaling/target-lifecycle-state"
    )
    .1 == "InService"));
}

fn metadata_and_api_are_found_within_a_namespace() {
    if !needs_root("a network namespace") {
        return;
    }
    // A stand-in for the API: sends a line to each connection.
    let api = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = api.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in api.incoming() {
            stream.unwrap().write_all(b"the API\n").unwrap();
        }
    });
    let bench = Bench::with(|options| {
        options.network = NetworkMode::Always;
        options.facts.api = address;
    });
    let program = "use IO::Socket::INET; my $e = $ENV{AWS_ENDPOINT_URL}; $e =~ s,http://,,; \
        my $c = IO::Socket::INET->new(PeerAddr => $e) or die $@; open(F, \">api\"); print F <$c>; close F; \
        my $m = IO::Socket::INET->new(PeerAddr => \"169.254.169.254:80\") or die $@; \
        print $m \"PUT /latest/api/token HTTP/1.0\\r\\nHost: x\\r\\nX-aws-ec2-metadata-token-ttl-seconds: 9\\r\\n\\r\\n\"; \
        open(F, \">token\"); print F <$m>; close F; sleep 1000";
    let wanted = instance(&bench.image(&format!("exec perl -e '{program}'")));
    bench.want(&[&wanted]);
    bench.until(&wanted, 1, running);
    assert!(
        until(|| bench.work(&wanted, "api") == "the API\n"),
        "{}",
        bench.console(&wanted)
    );
    assert!(
        until(|| bench.work(&wanted, "token").contains("200 OK")),
        "{}",
        bench.console(&wanted)
    );
}

fn shapes_are_limits() {
    if !needs_root("a control group") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("shapes.json");
    fs::write(&file, r#"[{"name": "c6i.large", "vcpus": 2, "memoryMib": 64}]"#).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let bench = Bench::with(|options| options.shapes = Arc::new(ShapeFile::open(&file).unwrap()));
    let wanted = instance(&bench.image("cat /proc/self/cgroup > cgroup; exec sleep 1000"));
    bench.want(&[&wanted]);
    bench.until(&wanted, 1, running);
    let groups = bench.work(&wanted, "cgroup");
    let Some(group) = groups.lines().find(|line| line.ends_with(&wanted.id)) else {
        eprintln!("skipped: control groups may not be used here: {groups}");
        return;
    };
    let path = group.rsplit(':').next().unwrap().trim_start_matches('/');
    let limits = Command::new("sh")
        .args([
            "-c",
            "cat /sys/fs/cgroup/memory/$0/memory.limit_in_bytes /sys/fs/cgroup/$0/memory.max 2>/dev/null",
        ])
        .arg(
            groups
                .lines()
                .find(|line| line.contains("memory"))
                .map_or(path, |line| {
                    line.rsplit(':').next().unwrap().trim_start_matches('/')
                }),
        )
        .output()
        .unwrap();
    let limits = String::from_utf8(limits.stdout).unwrap();
    assert_eq!(limits.trim(), (64 << 20).to_string());
    bench.want(&[]);
    bench.until_gone(&wanted);
    let left = Command::new("find")
        .args(["/sys/fs/cgroup", "-name"])
        .arg(&wanted.id)
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8(left.stdout).unwrap(),
        "",
        "groups go with their instance"
    );
}
