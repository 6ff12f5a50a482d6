//! `forebay agent`: runs beside an application and holds it to a number of concurrent requests.
//! Never counts requests itself: `admission::permits` does, behind `node`'s permit issuer.
//!
//! In reading order: `args` (the command line), `settled` (what comes of it), `identity` (the certificate), `handover` (the
//! second start), `plan` (what the data plane serves), `admin` (the admin address).
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod admin;
mod args;
mod handover;
mod identity;
mod plan;
mod settled;

pub use args::AgentArgs;

use admin::Shown;
use anyhow::{Context as _, bail};
use forebay_control_channel::{Now, Server};
use forebay_functions::NoFunctions;
use forebay_gateway::Hosts;
use forebay_model::Blueprint;
use forebay_node::PermitIssuer;
use forebay_process::log::{self, LogFormat};
use forebay_process::{out, values};
use forebay_proxy::{Clock, DataPlane, Farewell, Options};
use settled::{MOST_CONCURRENT, Settled};
use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// While draining: interval between looks whether permits are still out, and the number of looks. Each permit is revoked
/// within the longest grace, so more looks would not help.
const DRAIN_LOOK: Duration = Duration::from_millis(5);
const DRAIN_LOOKS: u32 = 100;

/// A running agent.
struct Agent {
    permit_issuer: Arc<PermitIssuer>,
    plane: Arc<DataPlane>,
    server: Server,
    clock: Clock,
    data: SocketAddr,
    control: SocketAddr,
}

/// The default log filter.
pub fn default_filter() -> String {
    values::variable("RUST_LOG").unwrap_or_else(|| "info".to_owned())
}

/// The first run, with the log filter and the log's format.
pub fn run(args: &AgentArgs, log: String, log_format: LogFormat) -> anyhow::Result<ExitCode> {
    let files = args.files();
    let identity = identity::load(&args.tls_security_policy, files.as_ref())?;
    let settled = Settled {
        data: args.data_address,
        control: args.control_address,
        destination: args.destination()?,
        limit: args.max_concurrency,
        version: args.protocol_version.version(),
        policy: args.tls_security_policy.clone(),
        workers: args.workers,
        buffer_bytes: forebay_proxy::affordable_memory().map_or(usize::MAX, |bytes| {
            usize::try_from(bytes / 2).unwrap_or(usize::MAX)
        }),
        drain_seconds: args.drain_seconds,
        log,
        log_format,
        admin: args.admin,
        allowed_host: args.allowed_host.clone(),
        files,
        identity,
    };
    // Executing the program again ends all threads, and the log's thread must have written its lines.
    log::finish();
    let error = handover::hand_over(&settled);
    // This happens for instance without /proc. The agent works, but takes more memory.
    tracing::debug!(%error, "the agent is not executed anew");
    serve(settled)
}

/// The second run's result; none if this is a first run. `start_log` gets the log filter and format.
pub fn resumed(start_log: impl FnOnce(&str, LogFormat)) -> Option<anyhow::Result<ExitCode>> {
    let settled = handover::taken()?;
    Some(settled.and_then(|settled| {
        start_log(&settled.log, settled.log_format);
        serve(settled)
    }))
}

fn serve(settled: Settled) -> anyhow::Result<ExitCode> {
    let agent = Agent::start(&settled)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(agent.serve(&settled))
}

impl Agent {
    /// Starts everything. When it returns, requests and channels are served.
    fn start(settled: &Settled) -> anyhow::Result<Agent> {
        forebay_proxy::raise_descriptor_limit();
        let seed = getrandom::u64().context("the system's random number generator failed")?;
        let clock = Clock::start();
        let permit_issuer = Arc::new(PermitIssuer::new(settled.limit, getrandom::u64()?));
        let control = TcpListener::bind(settled.control)
            .with_context(|| format!("cannot listen on {} (--control-address)", settled.control))?;
        let data = free_port(settled.data)?;
        let (drained, _) = mpsc::unbounded_channel();
        let affordable = forebay_proxy::Affordable::now();
        let options = Options {
            workers: usize::from(settled.workers),
            connections: usize::MAX,
            descriptors: affordable.traffic,
            probes: affordable.probes,
            buffer_bytes: settled.buffer_bytes,
            seed,
            logger: None,
            channels: None,
            functions: Arc::new(NoFunctions),
            permit_issuer: Some(Arc::clone(&permit_issuer)),
            listens: true,
        };
        let plane = DataPlane::start(options, clock, drained)?;
        let tls = identity::data(&settled.identity, &settled.policy);
        plane.apply(plan::blueprint(
            data,
            settled.destination,
            settled.version,
            Arc::new(tls),
        )?);
        if let Some(failure) = plane.served().failures.first() {
            bail!("cannot listen on {} (--data-address): {}", data, failure.error);
        }
        let now: Now = Arc::new(move || clock.now());
        let control_address = control.local_addr()?;
        let identity = identity::control(&settled.identity);
        let server = Server::start(control, identity, Arc::clone(&permit_issuer), now)
            .context("cannot serve the control address")?;
        Ok(Agent {
            permit_issuer,
            plane: Arc::new(plane),
            server,
            clock,
            data,
            control: control_address,
        })
    }

    async fn serve(self, settled: &Settled) -> anyhow::Result<ExitCode> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut raise = signal(SignalKind::user_defined1())?;
        let mut lower = signal(SignalKind::user_defined2())?;
        let mut again = signal(SignalKind::hangup())?;
        let mut line = format!("forebay agent ready data={} control={}", self.data, self.control);
        let shown = Arc::new(Shown {
            permit_issuer: Arc::clone(&self.permit_issuer),
            plane: Arc::clone(&self.plane),
            clock: self.clock,
            hosts: Hosts {
                allowed: settled.allowed_host.clone(),
            },
            leaving: AtomicBool::new(false),
        });
        if let Some(address) = settled.admin {
            let listener = tokio::net::TcpListener::bind(address)
                .await
                .with_context(|| format!("cannot listen on {address} (--admin)"))?;
            line += &format!(" admin=http://{}", listener.local_addr()?);
            tokio::spawn(admin::serve(listener, Arc::clone(&shown)));
        }
        out::line(format_args!("{line}"))?;
        loop {
            tokio::select! {
                _ = interrupt.recv() => break,
                _ = terminate.recv() => break,
                _ = raise.recv() => self.shift(1),
                _ = lower.recv() => self.shift(-1),
                _ = again.recv() => self.read_again(settled).await,
            }
        }
        shown.leaving.store(true, Relaxed);
        // Unlike tracing, this does not fail or wait if standard error is closed or full: the drain must go on.
        log::say(
            tracing::Level::INFO,
            format_args!("forebay agent: finishing requests; once more to end at once"),
        );
        let drain = Duration::from_secs(settled.drain_seconds);
        tokio::select! {
            () = self.leave(drain) => Ok(ExitCode::SUCCESS),
            () = second(&mut interrupt, &mut terminate) => {
                log::finish();
                std::process::exit(1)
            }
        }
    }

    /// Reads the files again, and shows their certificate on connections from now on. Open connections stay, and files that
    /// are wrong change nothing.
    async fn read_again(&self, settled: &Settled) {
        let Some(files) = &settled.files else {
            let told =
                format_args!("forebay agent: nothing to read again: its certificate was made at start");
            return log::say(tracing::Level::INFO, told);
        };
        let reads = || -> anyhow::Result<Blueprint> {
            let pair = identity::read(files)?;
            // The control address comes first, because it checks that the key belongs to the certificate.
            self.server.show(identity::control(&pair))?;
            let tls = Arc::new(identity::data(&pair, &settled.policy));
            plan::blueprint(self.data, settled.destination, settled.version, tls)
        };
        let shows = async {
            let (blueprint, plane) = (reads()?, Arc::clone(&self.plane));
            // `apply` waits for the workers, so it must not run on the runtime's threads.
            tokio::task::spawn_blocking(move || plane.apply(blueprint)).await?;
            anyhow::Ok(())
        };
        match shows.await {
            Ok(()) => log::say(
                tracing::Level::INFO,
                format_args!("forebay agent: its certificate is read again"),
            ),
            Err(error) => log::say(
                tracing::Level::ERROR,
                format_args!("forebay agent: the certificate stays as it was: {error:#}"),
            ),
        }
    }

    fn shift(&self, by: i32) {
        let now = self.clock.now();
        let limit = self.permit_issuer.change(|permits| {
            let limit = permits.limit().saturating_add_signed(by).min(MOST_CONCURRENT);
            permits.set_limit(now, limit);
            limit
        });
        tracing::info!(limit, "the limit has changed");
    }

    /// Grants nothing more, admits the requests that are on their way with permits, and finishes what is in flight.
    async fn leave(self, within: Duration) {
        let now = self.clock.now();
        self.permit_issuer.change(|permits| permits.drain(now));
        for _ in 0..DRAIN_LOOKS {
            if self.permit_issuer.with(|permits| permits.figures().outstanding) == 0 {
                break;
            }
            tokio::time::sleep(DRAIN_LOOK).await;
        }
        let plane = self.plane;
        let _ = tokio::task::spawn_blocking(move || plane.leave(Farewell::within(within))).await;
        drop(self.server);
    }
}

async fn second(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// Replaces port 0 by a free port. The data plane binds its listeners itself and must know the port.
fn free_port(address: SocketAddr) -> anyhow::Result<SocketAddr> {
    if address.port() != 0 {
        return Ok(address);
    }
    let found =
        TcpListener::bind(address).with_context(|| format!("cannot listen on {address} (--data-address)"))?;
    Ok(found.local_addr()?)
}
