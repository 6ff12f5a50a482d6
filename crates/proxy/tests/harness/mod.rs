//! A data plane with one listener and scripted targets, addressed over raw sockets.

// Each test file is a program of its own and uses only a part of this.
#![allow(dead_code, reason = "shared by several test programs")]

pub(crate) mod fake;
pub(crate) mod frames;
pub(crate) mod secure;

use forebay_functions::{Functions, NoFunctions};
use forebay_model::*;
use forebay_proxy::{Clock, DataPlane, Farewell, Options};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The ARN of the function that is a target in some tests.
pub(crate) const FUNCTION: &str = "arn:aws:lambda:local-1:123456789012:function:f:live";

pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) heads: Arc<Mutex<Vec<String>>>,
}

/// Reads one request: its head and, by Content-Length or chunks, its body.
pub(crate) fn read_request(reader: &mut BufReader<TcpStream>) -> Option<(String, Vec<u8>)> {
    let mut head = String::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        head.push_str(&line);
        if line == "\r\n" {
            break;
        }
    }
    let lower = head.to_ascii_lowercase();
    let mut body = Vec::new();
    if let Some(at) = lower.find("content-length: ") {
        let length: usize = lower[at + 16..].split("\r\n").next()?.parse().ok()?;
        body.resize(length, 0);
        reader.read_exact(&mut body).ok()?;
    } else if lower.contains("transfer-encoding: chunked") {
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let size = usize::from_str_radix(line.trim(), 16).ok()?;
            let mut chunk = vec![0; size + 2];
            reader.read_exact(&mut chunk).ok()?;
            if size == 0 {
                break;
            }
            body.extend_from_slice(&chunk[..size]);
        }
    }
    Some((head, body))
}

/// A target that hands each connection to `serve`, on a thread of its own.
pub(crate) fn target(serve: impl Fn(TcpStream, Arc<Mutex<Vec<String>>>) + Send + Sync + 'static) -> Target {
    target_at(TcpListener::bind("127.0.0.1:0").unwrap(), serve)
}

/// Like `target`, but on a socket of the test's own.
pub(crate) fn target_at(
    listener: TcpListener,
    serve: impl Fn(TcpStream, Arc<Mutex<Vec<String>>>) + Send + Sync + 'static,
) -> Target {
    let address = listener.local_addr().unwrap();
    let heads = Arc::new(Mutex::new(Vec::new()));
    let (serve, shared) = (Arc::new(serve), Arc::clone(&heads));
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (serve, shared) = (Arc::clone(&serve), Arc::clone(&shared));
            std::thread::spawn(move || serve(stream, shared));
        }
    });
    Target { address, heads }
}

/// A target that answers every request with `answer(head, body)` and keeps the connection. Probes get 200.
pub(crate) fn answering(answer: impl Fn(&str, &[u8]) -> Vec<u8> + Send + Sync + 'static) -> Target {
    target(move |stream, heads| {
        let mut writer = stream.try_clone().unwrap();
        let mut reader = BufReader::new(stream);
        while let Some((head, body)) = read_request(&mut reader) {
            if head.contains("ELB-HealthChecker") {
                let _ = writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
                return;
            }
            let bytes = answer(&head, &body);
            heads.lock().unwrap().push(head);
            if writer.write_all(&bytes).is_err() {
                return;
            }
            if bytes.windows(17).any(|window| window == b"Connection: close") {
                return;
            }
        }
    })
}

/// A target that sends this answer, perhaps empty, to every request and keeps the connection. Probes get 200.
pub(crate) fn says(said: Vec<u8>) -> Target {
    answering(move |_, _| said.clone())
}

pub(crate) struct Balancer {
    pub(crate) address: SocketAddr,
    plane: Arc<DataPlane>,
    blueprint: Mutex<Blueprint>,
    pub(crate) drained: Mutex<tokio::sync::mpsc::UnboundedReceiver<forebay_proxy::Drained>>,
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.plane.leave(Farewell::within(Duration::from_millis(100)));
    }
}

pub(crate) fn group(targets: &[SocketAddr]) -> GroupBlueprint {
    GroupBlueprint {
        health: HealthCheck {
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            healthy_threshold: 5,
            ..fixtures::health_check()
        },
        ..fixtures::group("group", targets.iter().copied().map(fixtures::target).collect())
    }
}

pub(crate) fn forward() -> Action {
    fixtures::forward("group")
}

pub(crate) fn rule(priority: Priority, conditions: Vec<Condition>, action: Action) -> RuleBlueprint {
    RuleBlueprint {
        conditions,
        ..fixtures::rule(priority, action)
    }
}

/// The options of a test's data plane unless the test sets others.
fn options() -> Options {
    Options {
        workers: 1,
        connections: 300,
        descriptors: usize::MAX,
        probes: 64,
        buffer_bytes: usize::MAX,
        seed: 1,
        logger: None,
        channels: None,
        functions: Arc::new(NoFunctions),
        permit_issuer: None,
        listens: true,
    }
}

impl Balancer {
    /// Serves these targets on a port of its own, with extra rules before the default forward.
    pub(crate) fn start(
        targets: &[&Target],
        rules: Vec<RuleBlueprint>,
        settings: BalancerSettings,
    ) -> Balancer {
        Balancer::logged(targets, rules, settings, None)
    }

    /// Like `serving`, with a logger for requests, connections and probes.
    pub(crate) fn logged(
        targets: &[&Target],
        rules: Vec<RuleBlueprint>,
        settings: BalancerSettings,
        logger: Option<Arc<dyn forebay_node::logging::Logger>>,
    ) -> Balancer {
        Balancer::bounded(targets, rules, settings, logger, usize::MAX)
    }

    /// Like `serving`, with this many bytes of buffers.
    pub(crate) fn bounded(
        targets: &[&Target],
        rules: Vec<RuleBlueprint>,
        settings: BalancerSettings,
        logger: Option<Arc<dyn forebay_node::logging::Logger>>,
        buffer_bytes: usize,
    ) -> Balancer {
        let options = Options {
            logger,
            buffer_bytes,
            ..options()
        };
        Balancer::with(targets, rules, settings, options)
    }

    /// A data plane with this many descriptors for both sides.
    pub(crate) fn limited(targets: &[&Target], descriptors: usize) -> Balancer {
        let options = Options {
            descriptors,
            ..options()
        };
        Balancer::with(targets, vec![], BalancerSettings::default(), options)
    }

    /// A data plane whose only target is a function, which `functions` runs.
    pub(crate) fn of_function(
        functions: Arc<dyn Functions>,
        settings: BalancerSettings,
        logger: Option<Arc<dyn forebay_node::logging::Logger>>,
        buffer_bytes: usize,
    ) -> Balancer {
        let options = Options {
            functions,
            logger,
            buffer_bytes,
            ..options()
        };
        let balancer = Balancer::with(&[], vec![], settings, options);
        balancer.edit(|blueprint| {
            blueprint.groups[0] = Arc::new(fixtures::function_group("group", FUNCTION));
        });
        balancer
    }

    fn with(
        targets: &[&Target],
        rules: Vec<RuleBlueprint>,
        settings: BalancerSettings,
        options: Options,
    ) -> Balancer {
        let addresses: Vec<SocketAddr> = targets.iter().map(|target| target.address).collect();
        let (sender, drained) = tokio::sync::mpsc::unbounded_channel();
        let plane = DataPlane::start(options, Clock::start(), sender).unwrap();
        // The plane takes ports from listeners, which have no port 0: find a free one.
        let port = TcpListener::bind("127.77.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut rules = rules;
        rules.push(rule(Priority::Default, vec![], forward()));
        let listener = ListenerBlueprint {
            arn: "listener".into(),
            protocol: Protocol::Http,
            port,
            rules,
            tls: None,
            settings: ListenerSettings::default(),
        };
        let blueprint = Blueprint {
            generation: 1,
            balancers: vec![Arc::new(BalancerBlueprint {
                arn: "balancer".into(),
                dns_name: "lb.elb.localhost".into(),
                names: Vec::new(),
                nodes: vec![NodeBlueprint {
                    zone: "a".into(),
                    address: "127.77.0.1".parse().unwrap(),
                }],
                listeners: vec![Arc::new(listener)],
                settings,
            })],
            groups: vec![Arc::new(group(&addresses))],
            ..Blueprint::default()
        };
        plane.apply(blueprint.clone());
        let balancer = Balancer {
            address: SocketAddr::new("127.77.0.1".parse().unwrap(), port),
            plane: Arc::new(plane),
            blueprint: Mutex::new(blueprint),
            drained: Mutex::new(drained),
        };
        for target in targets {
            balancer.wait_for(target, HealthState::Healthy);
        }
        balancer
    }

    pub(crate) fn simple(target: &Target) -> Balancer {
        Balancer::start(&[target], vec![], BalancerSettings::default())
    }

    /// Leaves, on a thread of its own: stops listening, and lets requests in flight end within this time.
    pub(crate) fn leave(&self, within: Duration) -> std::thread::JoinHandle<()> {
        let plane = Arc::clone(&self.plane);
        std::thread::spawn(move || plane.leave(Farewell::within(within)))
    }

    /// The function's health.
    pub(crate) fn function_health(&self) -> Option<TargetHealth> {
        self.plane.health("group", FUNCTION, 0)
    }

    /// Failed requests to functions, by cause: their users, and us.
    pub(crate) fn lambda_errors(&self) -> (u64, u64) {
        let metrics = self.plane.with_node(forebay_node::Node::metrics);
        let counts = metrics.target_groups.iter().flat_map(|group| &group.nodes);
        counts.fold((0, 0), |(users, internal), node| {
            let counts = &node.counts;
            (
                users + counts.lambda_user_errors,
                internal + counts.lambda_internal_errors,
            )
        })
    }

    /// Waits until the target has this state.
    pub(crate) fn wait_for(&self, target: &Target, state: HealthState) {
        wait(|| self.health(target) == Some(state));
    }

    pub(crate) fn health(&self, target: &Target) -> Option<HealthState> {
        let id = target.address.ip().to_string();
        self.plane
            .health("group", &id, target.address.port())
            .map(|health| health.state)
    }

    pub(crate) fn edit(&self, edit: impl FnOnce(&mut Blueprint)) {
        let mut blueprint = self.blueprint.lock().unwrap();
        edit(&mut blueprint);
        self.plane.apply(blueprint.clone());
    }

    pub(crate) fn edit_group(&self, edit: impl FnOnce(&mut GroupBlueprint)) {
        self.edit(|blueprint| {
            let mut group = (*blueprint.groups[0]).clone();
            edit(&mut group);
            blueprint.groups[0] = Arc::new(group);
        });
    }

    /// Addresses that could not be bound.
    pub(crate) fn failures(&self) -> Vec<String> {
        self.plane
            .served()
            .failures
            .into_iter()
            .map(|failure| failure.error)
            .collect()
    }

    /// TLS handshakes with targets that failed.
    pub(crate) fn tls_errors(&self) -> u64 {
        self.plane.with_node(|node| {
            let totals = node.targets().flat_map(|target| target.4.totals.iter());
            totals.map(|totals| totals.tls_errors.load(Relaxed)).sum()
        })
    }

    /// Requests in flight at all targets, and open client connections.
    pub(crate) fn open(&self) -> (u32, u64) {
        self.plane.with_node(|node| {
            let in_flight = node
                .targets()
                .map(|target| target.4.in_flight.load(Relaxed))
                .sum();
            let open = node
                .balancers()
                .flat_map(|balancer| balancer.1.iter())
                .map(|stats| stats.open.load(Relaxed))
                .sum();
            (in_flight, open)
        })
    }

    /// Requests that wait at gates.
    pub(crate) fn waiting(&self) -> usize {
        self.plane
            .with_node(|node| node.gates().map(|(_, gate)| gate.waiting()).sum())
    }

    /// Requests that found no memory.
    pub(crate) fn refusals(&self) -> u64 {
        self.sum(|stats| stats.no_memory.load(Relaxed))
    }

    /// The load balancer's counters, summed over all workers.
    pub(crate) fn sum(&self, read: impl Fn(&forebay_node::BalancerStats) -> u64) -> u64 {
        self.plane.with_node(|node| {
            let stats = node.balancers().flat_map(|balancer| balancer.1.iter());
            stats.map(&read).sum()
        })
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// Sends bytes on a new connection and reads until the load balancer closes it.
    pub(crate) fn exchange(&self, request: &[u8]) -> String {
        let mut stream = self.connect();
        stream.write_all(request).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }
}

/// Waits until a condition holds; fails after 20 seconds.
pub(crate) fn wait(mut condition: impl FnMut() -> bool) {
    let began = std::time::Instant::now();
    while !condition() {
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "the condition did not come to hold"
        );
        std::thread::yield_now();
    }
}

/// Reads one answer, delimited by Content-Length or chunks; returns its head and body.
pub(crate) fn read_answer(reader: &mut impl BufRead) -> (String, Vec<u8>) {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(
            reader.read_line(&mut head).unwrap() > 0,
            "closed in a head: {head:?}"
        );
    }
    let lower = head.to_ascii_lowercase();
    let mut body = Vec::new();
    if let Some(at) = lower.find("content-length: ") {
        body.resize(lower[at + 16..].split("\r\n").next().unwrap().parse().unwrap(), 0);
        reader.read_exact(&mut body).unwrap();
    } else if lower.contains("transfer-encoding: chunked") {
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            let size = usize::from_str_radix(line.trim(), 16).unwrap();
            let mut chunk = vec![0; size + 2];
            reader.read_exact(&mut chunk).unwrap();
            if size == 0 {
                break;
            }
            body.extend_from_slice(&chunk[..size]);
        }
    }
    (head, body)
}
