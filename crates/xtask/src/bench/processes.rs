//! Processes of a bench: how they are built, started, loaded and read.

use crate::run::{cargo, output, run as run_command};
use anyhow::{Context as _, ensure};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Seconds of each load of a training.
pub(super) const SECONDS: u32 = 5;

pub(super) const BODY: &str = "sixty-three bytes, as small as the answers of many APIs can be.";

/// A process that is killed when this is dropped.
pub(super) struct Running {
    pub(super) child: Child,
    pub(super) address: SocketAddr,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The median of a list; none if it is empty.
pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// Runs wrk on CPU 1; returns the number of answered requests, and fails if one was not answered.
///
/// A script makes each request, so that the load generator is the bottleneck before any proxy is: a saturated proxy finds
/// more events each time it looks, and so seems cheaper than it is at any lower load.
pub(super) fn load(address: SocketAddr, path: &str, seconds: u32) -> anyhow::Result<f64> {
    let script = crate::root::root()?.join("bench/load.lua");
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

pub(super) fn free() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Starts a program pinned to a CPU, and waits until it listens.
pub(super) fn start(
    cpu: &str,
    program: &Path,
    args: &[String],
    address: SocketAddr,
) -> anyhow::Result<Running> {
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

pub(super) struct Backends {
    pub(super) addresses: Vec<SocketAddr>,
    _nginx: Running,
}

impl Backends {
    /// Three ports of one nginx worker, on CPU 1.
    pub(super) fn start(dir: &Path) -> anyhow::Result<Backends> {
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

pub(super) fn start_nginx(
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

/// Names the program to measure; without it, the program is built as for a release, but without the training.
pub(super) const PROGRAM: &str = "FOREBAY_BIN";
/// If set, programs of other profiles are measured as well.
pub(super) const ANY_PROFILE: &str = "FOREBAY_BENCH_ANY_PROFILE";

/// Whether the program to measure was named. Its agent is beside it.
pub(super) fn named() -> bool {
    std::env::var_os(PROGRAM).is_some()
}

pub(super) fn program() -> anyhow::Result<PathBuf> {
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

/// Builds the program to measure, and these others.
pub(super) fn build(others: &[&str]) -> anyhow::Result<()> {
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

pub(super) fn binary(name: &str) -> anyhow::Result<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || crate::root::root().map(|root| root.join("target")),
        |dir| Ok(dir.into()),
    )?;
    Ok(target.join("dist").join(name))
}

/// Forebay without any load balancer; the address is its API's.
pub(super) fn forebay_alone(program: &Path, dir: &Path, pool: &str, cpu: &str) -> anyhow::Result<Running> {
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
pub(super) fn idle_memory(proxy: &Running, count: usize) -> anyhow::Result<f64> {
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

pub(super) fn resident_kib(proxy: &Running) -> anyhow::Result<f64> {
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

/// Asks a program to end, and waits until it has.
pub(super) fn end(mut running: Running) -> anyhow::Result<()> {
    let id = running.child.id().to_string();
    ensure!(
        Command::new("kill").arg(id).status()?.success(),
        "it has ended already"
    );
    let began = Instant::now();
    // The program writes its profile meanwhile.
    let status = loop {
        if let Some(status) = running.child.try_wait()? {
            break status;
        }
        ensure!(began.elapsed() < Duration::from_secs(60), "it does not end");
        std::thread::sleep(Duration::from_millis(10));
    };
    ensure!(status.success(), "it ended with {status}, and wrote no profile");
    Ok(())
}
