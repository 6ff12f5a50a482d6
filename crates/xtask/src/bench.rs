//! `cargo xtask bench peers`: CPU time per proxied request (63 bytes, 64 KiB, with an access log) and memory per idle
//! connection, beside the bare relay, nginx, HAProxy, Envoy and Pingora in one run. The proxy has CPU 0 to itself, load and backends share CPU 1; the figure is CPU 0's busy time
//! over requests, so it holds when the load is the bottleneck, and its ratio holds from run to run.

use crate::run::{cargo, is_installed, output, run as run_command};
use anyhow::{Context as _, ensure};
use clap::Subcommand;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

mod agent;
mod balancer;
mod meter;
mod proxies;
mod tls;
mod train;

pub(crate) use agent::{IMAGE as AGENT_IMAGE, TOGETHER};
use balancer::make_balancer;
use meter::Meter;
use proxies::{envoy, haproxy, nginx, nginx_with, pingora, relay};
pub(crate) use train::train;

#[derive(Subcommand)]
pub(crate) enum Bench {
    /// Cost per request and per idle connection, beside peers
    Peers {
        /// Seconds of each measurement
        #[arg(long, default_value_t = 2)]
        seconds: u32,
        /// Measurements of each proxy, in turn with the others'
        #[arg(long, default_value_t = 15)]
        rounds: u32,
        /// Idle connections opened to each proxy
        #[arg(long, default_value_t = 5000)]
        idle: usize,
    },
    /// Cost of the agent per request, beside the bare relay in its place
    Agent {
        /// Seconds of each measurement
        #[arg(long, default_value_t = 2)]
        seconds: u32,
        /// Measurements of each, in turn
        #[arg(long, default_value_t = 11)]
        rounds: u32,
    },
    /// Cost per TLS handshake and per HTTPS request, beside nginx
    Tls {
        /// Seconds of each measurement
        #[arg(long, default_value_t = 2)]
        seconds: u32,
        /// Measurements of each proxy and load, in turn
        #[arg(long, default_value_t = 7)]
        rounds: u32,
        /// Idle connections opened to each proxy
        #[arg(long, default_value_t = 2000)]
        idle: usize,
    },
}

pub(crate) fn run(bench: &Bench) -> anyhow::Result<()> {
    match bench {
        Bench::Peers {
            seconds,
            rounds,
            idle,
        } => peers(*seconds, *rounds, *idle),
        Bench::Agent { seconds, rounds } => agent::agent(*seconds, *rounds),
        Bench::Tls {
            seconds,
            rounds,
            idle,
        } => tls::tls(*seconds, *rounds, *idle),
    }
}

/// A process that ends with its measurement.
struct Running {
    child: Child,
    address: SocketAddr,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// CPU microseconds a request, by shape of the answer and proxy, one for each round.
type Costs = BTreeMap<(&'static str, &'static str), Vec<f64>>;

const SMALL: &str = "small";
const LARGE: &str = "64 KiB";
/// What is asked for: an answer's name, and its path.
const SHAPES: &[(&str, &str)] = &[(SMALL, "/"), (LARGE, "/large")];
/// Forebay with an access log.
const LOGGING: &str = "forebay+log";
const BODY: &str = "sixty-three bytes, as small as the answers of many APIs can be.";

fn peers(seconds: u32, rounds: u32, idle: usize) -> anyhow::Result<()> {
    for needed in ["wrk", "nginx", "taskset"] {
        ensure!(
            is_installed(needed),
            "{needed} is missing: bench/install.sh installs what the bench needs"
        );
    }
    build(&["--package", "forebay-bench"])?;
    let dir = crate::root()?.join("target/bench");
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir)?;
    let backends = Backends::start(&dir)?;
    let mut proxies: Vec<(&'static str, Running)> = vec![
        ("relay", relay(&backends.addresses)?),
        ("forebay", forebay(&dir, &backends.addresses, false)?),
        (LOGGING, forebay(&dir.join("logging"), &backends.addresses, true)?),
        ("nginx", nginx(&dir, &backends.addresses)?),
    ];
    for (name, peer) in [
        ("haproxy", haproxy(&dir, &backends.addresses)?),
        ("envoy", envoy(&dir, &backends.addresses)?),
        ("pingora", pingora(&backends.addresses)?),
    ] {
        match peer {
            Some(peer) => proxies.push((name, peer)),
            None => println!("{name} is missing: bench/install.sh installs it; measured without"),
        }
    }
    let mut costs = Costs::new();
    let mut meter = Meter::new(rounds.saturating_mul((proxies.len() * SHAPES.len()) as u32));
    for round in 1..=rounds {
        for (shape, path) in SHAPES {
            for (name, proxy) in proxies
                .iter()
                .filter(|(name, _)| *name != LOGGING || *shape == SMALL)
            {
                // The first second warms connections and caches.
                load(proxy.address, path, 1)?;
                let (cost, requests) = meter.cost(|| load(proxy.address, path, seconds))?;
                println!(
                    "round {round}: {name:<11} {shape:<6} {cost:>6.2} us CPU a request, {:>7.0} requests a second",
                    requests / f64::from(seconds)
                );
                costs.entry((*shape, *name)).or_default().push(cost);
            }
        }
    }
    println!();
    report(&costs, &proxies, idle)
}

fn report(costs: &Costs, proxies: &[(&'static str, Running)], idle: usize) -> anyhow::Result<()> {
    let of = |shape: &'static str, name: &'static str| {
        costs.get(&(shape, name)).map(Vec::as_slice).unwrap_or_default()
    };
    // Ratios are taken within each round: what slows the machine for a while slows both.
    let ratio = |shape: &'static str, name: &'static str, to: &'static str| {
        let pairs = of(shape, name).iter().zip(of(shape, to));
        median(pairs.map(|(own, other)| own / other).collect())
            .with_context(|| format!("{name} and {to} were not both measured"))
    };
    println!("| proxy | small, us CPU | x relay | 64 KiB, us CPU | x relay | KiB / idle connection |");
    println!("|---|---|---|---|---|---|");
    let mut idle_kib = BTreeMap::new();
    for (name, proxy) in proxies {
        let memory = if *name == "relay" {
            None
        } else {
            Some(idle_memory(proxy, idle)?)
        };
        if let Some(memory) = memory {
            idle_kib.insert(*name, memory);
        }
        let memory = memory.map_or("-".to_owned(), |kib| format!("{kib:.2}"));
        print!("| {name} |");
        for (shape, _) in SHAPES {
            match median(of(shape, name).to_vec()) {
                Some(cost) => print!(" {cost:.2} | {:.2} |", ratio(shape, name, "relay")?),
                None => print!(" - | - |"),
            }
        }
        println!(" {memory} |");
    }
    println!();
    let mut kept = true;
    let mut bound = |what: &str, value: f64, limit: f64| {
        let good = value <= limit;
        kept &= good;
        println!(
            "{what}: {value:.2} (bound {limit}) {}",
            if good { "kept" } else { "BROKEN" }
        );
    };
    bound("forebay / relay, small", ratio(SMALL, "forebay", "relay")?, 1.25);
    bound("forebay / nginx, small", ratio(SMALL, "forebay", "nginx")?, 0.9);
    bound("forebay / relay, 64 KiB", ratio(LARGE, "forebay", "relay")?, 1.3);
    bound("access log on / off", ratio(SMALL, LOGGING, "forebay")?, 1.08);
    bound(
        "KiB per idle connection",
        idle_kib.get("forebay").copied().unwrap_or(f64::MAX),
        2.0,
    );
    ensure!(kept, "a bound is broken");
    Ok(())
}

/// The middle of a list; none if it is empty.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// Runs wrk on CPU 1; returns the requests that were answered, and fails if one was not.
///
/// Each request is made by a script, which costs the load generator enough to be the bottleneck before any proxy is: a
/// proxy that is saturated finds more events each time it looks, and so looks cheaper than it is at any lower load.
fn load(address: SocketAddr, path: &str, seconds: u32) -> anyhow::Result<f64> {
    let script = crate::root()?.join("bench/load.lua");
    let output = Command::new("taskset")
        .args([
            "-c",
            "1",
            "wrk",
            "-t1",
            "-c64",
            &format!("-d{seconds}s"),
            "-s",
            &script.display().to_string(),
            &format!("http://{address}{path}"),
        ])
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        !said.contains("Non-2xx") && !said.contains("Socket errors"),
        "requests failed: {said}"
    );
    let line = said
        .lines()
        .find(|line| line.contains("requests in"))
        .with_context(|| format!("wrk said: {said}"))?;
    Ok(line.split_whitespace().next().unwrap_or_default().parse()?)
}

fn free() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Starts a program pinned to a CPU, and waits until it listens.
fn start(cpu: &str, program: &Path, args: &[String], address: SocketAddr) -> anyhow::Result<Running> {
    let mut command = Command::new("taskset");
    command
        .args(["-c", cpu])
        .arg(program)
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let running = Running {
        child: command
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?,
        address,
    };
    let began = Instant::now();
    while TcpStream::connect(address).is_err() {
        ensure!(
            began.elapsed() < Duration::from_secs(20),
            "{} does not listen at {address}",
            program.display()
        );
        std::thread::yield_now();
    }
    Ok(running)
}

struct Backends {
    addresses: Vec<SocketAddr>,
    _nginx: Running,
}

impl Backends {
    /// Three ports of one nginx worker, on CPU 1.
    fn start(dir: &Path) -> anyhow::Result<Backends> {
        let addresses = [free()?, free()?, free()?];
        let pages = dir.join("pages");
        std::fs::create_dir_all(&pages)?;
        std::fs::write(pages.join("large"), "x".repeat(64 * 1024))?;
        let servers: String = addresses
            .iter()
            .map(|address| {
                format!("server {{ listen {address} backlog=4096; root {}; location = / {{ return 200 '{BODY}'; }} }}\n", pages.display())
            })
            .collect();
        let nginx = start_nginx(dir, "backend", "1", &servers, addresses[0])?;
        Ok(Backends {
            addresses: addresses.to_vec(),
            _nginx: nginx,
        })
    }
}

fn start_nginx(
    dir: &Path,
    name: &str,
    cpu: &str,
    inside: &str,
    address: SocketAddr,
) -> anyhow::Result<Running> {
    let home = dir.join(name);
    std::fs::create_dir_all(&home)?;
    let config = home.join("nginx.conf");
    let temp: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("{kind}_temp_path {}/{kind};\n", home.display()))
        .collect();
    std::fs::write(
        &config,
        format!(
            "daemon off;\nmaster_process off;\nworker_processes 1;\npid {home}/pid;\nerror_log {home}/error.log;\nworker_rlimit_nofile 20000;\nevents {{ worker_connections 16384; }}\nhttp {{\naccess_log off;\nkeepalive_requests 1000000000;\nkeepalive_timeout 3600;\n{temp}{inside}}}\n",
            home = home.display()
        ),
    )?;
    let args = [
        "-c".to_owned(),
        config.display().to_string(),
        "-p".to_owned(),
        home.display().to_string(),
    ];
    start(cpu, Path::new("nginx"), &args, address)
}

/// Names the program to measure; without it, it is built as it is released, but for the training.
const PROGRAM: &str = "FOREBAY_BIN";
/// Set, programs of other profiles are measured, too.
const ANY_PROFILE: &str = "FOREBAY_BENCH_ANY_PROFILE";

/// Whether the program to measure was named. Its agent is beside it.
fn named() -> bool {
    std::env::var_os(PROGRAM).is_some()
}

fn program() -> anyhow::Result<PathBuf> {
    let Some(program) = std::env::var_os(PROGRAM) else {
        return binary("forebay");
    };
    let told = output(Command::new(&program).arg("--version"))?;
    let told = String::from_utf8_lossy(&told.stdout).trim().to_owned();
    ensure!(
        told.ends_with("(dist)") || std::env::var_os(ANY_PROFILE).is_some(),
        "{PROGRAM} is '{told}', and no figure but of a dist build counts: cargo build --profile dist --package forebay, or cargo xtask release; to measure it all the same, set {ANY_PROFILE}=1"
    );
    Ok(program.into())
}

/// Builds what is measured, and these.
fn build(others: &[&str]) -> anyhow::Result<()> {
    let mut wanted = others.to_vec();
    if !named() {
        wanted.extend(["--package", "forebay"]);
    }
    if wanted.is_empty() {
        return Ok(());
    }
    let mut command = cargo(&["build", "--profile", "dist"])?;
    run_command(command.args(wanted))
}

fn binary(name: &str) -> anyhow::Result<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || crate::root().map(|root| root.join("target")),
        |dir| Ok(dir.into()),
    )?;
    Ok(target.join("dist").join(name))
}

/// Forebay as a user runs it, with a load balancer made through its API: three rules, three targets.
fn forebay(dir: &Path, backends: &[SocketAddr], logs: bool) -> anyhow::Result<Running> {
    let mut running = forebay_alone(
        &program()?,
        dir,
        if logs { "127.209.0.0/16" } else { "127.208.0.0/16" },
        "0",
    )?;
    running.address = make_balancer(running.address, backends, None, logs, None)?;
    Ok(running)
}

/// Forebay with nothing to serve yet; the address is its API's.
fn forebay_alone(program: &Path, dir: &Path, pool: &str, cpu: &str) -> anyhow::Result<Running> {
    std::fs::create_dir_all(dir)?;
    let mut command = Command::new("taskset");
    command.args(["-c", cpu]).arg(program).args([
        "up",
        "--workers",
        "1",
        "--no-auth",
        "--api",
        "127.0.0.1:0",
    ]);
    command.args(["--admin", "127.0.0.1:0", "--address-pool", pool, "--data-dir"]);
    command
        .arg(dir.join("forebay"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.spawn()?;
    let mut ready = String::new();
    BufReader::new(child.stdout.take().context("forebay has no output")?).read_line(&mut ready)?;
    let api = ready
        .split("api=http://")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    let api: SocketAddr = api.context("forebay did not become ready")?.parse()?;
    Ok(Running { child, address: api })
}

/// KiB of resident memory per idle connection, each after one request.
fn idle_memory(proxy: &Running, count: usize) -> anyhow::Result<f64> {
    let before = resident_kib(proxy)?;
    let request = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", proxy.address);
    let mut open = Vec::with_capacity(count);
    let mut buffer = [0; 4096];
    for _ in 0..count {
        let mut stream = TcpStream::connect(proxy.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.write_all(request.as_bytes())?;
        let mut read = 0;
        while !buffer[..read].ends_with(BODY.as_bytes()) {
            let more = stream.read(&mut buffer[read..])?;
            ensure!(more > 0, "closed before the answer's end");
            read += more;
        }
        open.push(stream);
    }
    let after = resident_kib(proxy)?;
    Ok((after - before).max(0.0) / count as f64)
}

fn resident_kib(proxy: &Running) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", proxy.child.id()))?;
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .context("no VmRSS")?;
    Ok(line
        .split_whitespace()
        .nth(1)
        .context("no figure in VmRSS")?
        .parse()?)
}
