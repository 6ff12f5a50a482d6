//! `forebay demo`: a server, targets and load in one program, set up through the public API.

use crate::aws_client::AwsClient;
use crate::demo_balancer::{DemoBalancer, free_port, make};
use crate::load::{self, Outcome};
use crate::sample::{self, SampleArgs};
use anyhow::Context as _;
use clap::Args;
use clap::Parser as _;
use forebay_process::out;
use forebay_process::runtime;
use forebay_server::Daemon;
use forebay_server::UpArgs;
use forebay_server::pools::free_pool;
use indicatif::{ProgressBar, ProgressStyle};
use ipnet::Ipv4Net;
use std::fs::Permissions;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};

/// Flags of `forebay demo`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "\
Examples:
  forebay demo            look at it, try the printed commands, end with Ctrl-C
  forebay demo --exit     exit after the table, with 0 if no request failed")]
pub struct DemoArgs {
    /// Exit after the table, with 0 only if no request failed
    #[arg(long)]
    pub(crate) exit: bool,
    /// Seconds of load
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) seconds: u64,
    /// Connections that send the load
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub(crate) connections: u16,
    /// Pool of the demo's addresses [default: 127.192.0.0/12, or another that no running Forebay uses]
    #[arg(long, value_name = "CIDR")]
    pub(crate) address_pool: Option<Ipv4Net>,
}

/// The demo's targets: the name, and the last byte of the address of each.
const TARGETS: [(&str, u8); 3] = [("amber", 11), ("birch", 12), ("cedar", 13)];
/// The first bytes of their addresses: loopback addresses outside every pool.
const TARGET_NET: [u8; 3] = [127, 63, 0];
/// The pool of the load balancer's addresses, if it is free.
const POOL: &str = "127.192.0.0/12";
/// Settings of the health checks.
const CHECKS: [(&str, &str); 2] = [
    ("HealthCheckIntervalSeconds", "5"),
    ("HealthCheckTimeoutSeconds", "2"),
];

/// Runs the demo, and exits with 0 only if no request failed.
pub fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    runtime()?.block_on(demo(args))
}

/// The demo's pool: the flag's, or a free one.
fn pool(args: &DemoArgs) -> anyhow::Result<Ipv4Net> {
    match args.address_pool {
        Some(pool) => Ok(pool),
        None => Ok(free_pool(POOL.parse().context("the demo's address pool")?)),
    }
}

#[derive(clap::Parser)]
struct SampleCli {
    #[command(flatten)]
    args: SampleArgs,
}

async fn demo(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let dir = tempfile::Builder::new()
        .prefix("forebay-demo-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir()
        .context("cannot make a fresh directory")?;
    let daemon = Daemon::start(UpArgs {
        api: free_or(4566),
        admin: free_or(4567),
        ..UpArgs::scratch(dir.path(), pool(&args)?)
    })
    .await?;
    out::line(format_args!(
        "Forebay serves the AWS APIs at http://{}.",
        daemon.api
    ))?;
    let targets = start_targets()?;
    let caller = AwsClient::from_file(daemon.api, "local-1", &daemon.credentials)?;
    let port = free_port(8080)?;
    let made = tokio::select! {
        made = make(&caller, "demo", port, &targets, &CHECKS) => made?,
        _ = interrupt.recv() => return Ok(ExitCode::FAILURE),
        _ = terminate.recv() => return Ok(ExitCode::FAILURE),
    };
    out::line(format_args!(
        "Load balancer demo has {} nodes, one per zone, and three healthy targets.",
        made.nodes.len()
    ))?;
    let outcome = tokio::select! {
        outcome = load_with_bar(&made.nodes, &args) => outcome?,
        _ = interrupt.recv() => return Ok(ExitCode::FAILURE),
        _ = terminate.recv() => return Ok(ExitCode::FAILURE),
    };
    print_table(&outcome, args.seconds)?;
    if !args.exit {
        print_next(&daemon, &made, port)?;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
    daemon.stop().await?;
    let good = outcome.failed() == 0 && outcome.answered() > 0;
    Ok(if good || !args.exit {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// This port on loopback if it is free, else any free port.
fn free_or(port: u16) -> SocketAddr {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    if TcpListener::bind(address).is_ok() {
        address
    } else {
        SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
    }
}

/// Starts three sample targets, each on its own thread and loopback address.
fn start_targets() -> anyhow::Result<Vec<(&'static str, SocketAddr)>> {
    let mut started = Vec::new();
    for (name, last) in TARGETS {
        let [a, b, c] = TARGET_NET;
        let listener =
            TcpListener::bind((Ipv4Addr::new(a, b, c, last), 0)).context("cannot start a sample target")?;
        let address = listener.local_addr()?;
        let args = SampleCli::try_parse_from(["sample-target", "--name", name])?.args;
        std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            if let Err(error) = sample::serve(args, listener, std::future::pending()) {
                tracing::error!(%error, "a sample target ended");
            }
        })?;
        out::line(format_args!("Target {name} listens at {address}."))?;
        started.push((name, address));
    }
    Ok(started)
}

async fn load_with_bar(nodes: &[SocketAddr], args: &DemoArgs) -> anyhow::Result<Outcome> {
    let time = Duration::from_secs(args.seconds);
    let bar = ProgressBar::new(args.seconds * 10);
    bar.set_style(ProgressStyle::with_template("Sending requests {bar:40} {msg}")?);
    let done = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let load = load::run(nodes, usize::from(args.connections), time, &done);
    tokio::pin!(load);
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    let outcome = loop {
        tokio::select! {
            outcome = &mut load => break outcome,
            _ = ticks.tick() => {
                let elapsed = began.elapsed();
                bar.set_position(u64::try_from(elapsed.as_millis() / 100).unwrap_or(u64::MAX));
                let rate = done.load(Relaxed) as f64 / elapsed.as_secs_f64().max(0.1);
                bar.set_message(format!("{} requests, {rate:.0} a second", done.load(Relaxed)));
            }
        }
    };
    bar.finish_and_clear();
    outcome
}

fn print_table(outcome: &Outcome, seconds: u64) -> anyhow::Result<()> {
    let total = outcome.answered() + outcome.failed();
    let share = |count: u64| {
        if total == 0 {
            0.0
        } else {
            100.0 * count as f64 / total as f64
        }
    };
    let millis = |quantile| outcome.latency.value_at_quantile(quantile) as f64 / 1000.0;
    out::line(format_args!(""))?;
    out::line(format_args!(
        "  requests   {total:>10}   ({:.0} a second for {seconds} s)",
        total as f64 / seconds as f64
    ))?;
    out::line(format_args!("  errors     {:>10}", outcome.failed()))?;
    out::line(format_args!("  p50        {:>10.2} ms", millis(0.5)))?;
    out::line(format_args!("  p99        {:>10.2} ms", millis(0.99)))?;
    out::line(format_args!(""))?;
    out::line(format_args!(
        "  {:<10} {:>10} {:>8}",
        "target", "requests", "share"
    ))?;
    for (name, &count) in &outcome.by_target {
        out::line(format_args!("  {name:<10} {count:>10} {:>7.1}%", share(count)))?;
    }
    for (what, count) in &outcome.errors {
        out::line(format_args!("  error: {what}: {count}"))?;
    }
    out::line(format_args!(""))?;
    Ok(())
}

fn print_next(daemon: &Daemon, made: &DemoBalancer, port: u16) -> anyhow::Result<()> {
    out::line(format_args!("Try next, while this stays up:"))?;
    out::line(format_args!(""))?;
    out::line(format_args!("  curl http://127.0.0.1:{port}/"))?;
    out::line(format_args!("  curl http://{}:{port}/headers", made.dns_name))?;
    out::line(format_args!("  curl http://{}/metrics", daemon.admin))?;
    out::line(format_args!(""))?;
    let program = std::env::args().next().unwrap_or_else(|| "forebay".to_owned());
    out::line(format_args!(
        "  eval \"$({program} env --api {} --data-dir {})\"",
        daemon.api,
        daemon.data_dir.display()
    ))?;
    out::line(format_args!("  aws elbv2 describe-load-balancers --names demo"))?;
    out::line(format_args!(
        "  aws elbv2 describe-listeners --load-balancer-arn {}",
        made.arn
    ))?;
    out::line(format_args!(""))?;
    out::line(format_args!("Ctrl-C ends it and deletes its directory."))?;
    Ok(())
}
