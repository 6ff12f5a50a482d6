//! Shared parts of experiments with queues: what is in front of limited targets, a run of each, a table and a plot.

use super::agents::Agent;
use super::asks::{self, Ask, Met, Services};
use super::peers::Peer;
use super::plot::{self, Curve};
use super::scene::{Actor, Scene, Stage};
use crate::demo_balancer::free_port;
use anyhow::Context as _;
use bytes::Bytes;
use forebay_model::Algorithm;
use forebay_process::out;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use indicatif::{ProgressBar, ProgressStyle};
use ipnet::Ipv4Net;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A queue length that no experiment reaches.
const ENOUGH: &str = "100000";

/// What is in front of the targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contender {
    /// Agents at the targets; a request that finds no permit is refused, as by ALB.
    Refusing,
    /// Agents at the targets; a request that finds no permit waits.
    Queueing,
    /// No agents: limits at the load balancer, and a queue.
    Limited,
    /// Limits at the load balancer, without a queue.
    LimitedRefusing,
    /// Least outstanding requests, without limits.
    Unlimited,
    Other(Peer),
}

impl Contender {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Contender::Refusing => "ALB's mode: no queue",
            Contender::Queueing => "forebay: queue",
            Contender::Limited => "forebay: limits, queue",
            Contender::LimitedRefusing => "forebay: limits, no queue",
            Contender::Unlimited => "forebay: LOR, no limits",
            Contender::Other(peer) => peer.word(),
        }
    }
}

/// The targets and their load.
#[derive(Clone, Debug)]
pub(crate) struct Play {
    pub(crate) targets: u16,
    /// Most requests at a time at each target.
    pub(crate) limit: u32,
    /// Whether a target lets further requests wait inside; else it works on all that it gets.
    pub(crate) inside: bool,
    pub(crate) services: Services,
    pub(crate) time: Duration,
    /// Longest wait of a request, in seconds.
    pub(crate) wait: u32,
    pub(crate) seed: u64,
    pub(crate) pool: Ipv4Net,
}

/// The result of one contender's run.
pub(crate) struct Run {
    pub(crate) contender: Contender,
    pub(crate) met: Vec<Met>,
    /// The most requests at a time that each target had.
    pub(crate) peaks: Vec<u64>,
}

impl Play {
    /// Requests a second that keep this percentage of all slots busy.
    pub(crate) fn rate(&self, load: u16) -> f64 {
        let slots = f64::from(self.targets) * f64::from(self.limit);
        f64::from(load) / 100.0 * slots / self.services.mean()
    }

    /// Plays the same requests at this load for each contender in turn.
    pub(crate) async fn runs(&self, contenders: &[Contender], load: u16) -> anyhow::Result<Vec<Run>> {
        let asks = asks::plan(self.rate(load), self.time, self.services, self.seed);
        let mut runs = Vec::new();
        for &contender in contenders {
            let run = self.run(contender, &asks).await;
            runs.push(run.with_context(|| contender.word())?);
        }
        Ok(runs)
    }

    fn actors(&self) -> Vec<Actor> {
        let mut flags = vec!["--spare-probes".to_owned()];
        if self.inside {
            flags.extend(["--slots".to_owned(), self.limit.to_string()]);
        }
        let actor = |index| Actor {
            name: format!("target-{index}"),
            flags: flags.clone(),
        };
        (0..self.targets).map(actor).collect()
    }

    async fn run(&self, contender: Contender, asks: &[Ask]) -> anyhow::Result<Run> {
        let stage = Stage::open(&self.actors())?;
        let targets = stage.addresses();
        let (met, peaks) = if let Contender::Other(peer) = contender {
            let peer = peer.start(stage.dir(), free_port(0)?, &targets)?;
            let met = sent(contender, &[peer.listen], asks).await;
            (met, peaks(&targets).await?)
        } else {
            let (_agents, scene) = self.scene(contender, stage).await?;
            let met = sent(contender, scene.nodes(), asks).await;
            let peaks = peaks(&targets).await?;
            scene.close().await?;
            (met, peaks)
        };
        Ok(Run {
            contender,
            met,
            peaks,
        })
    }

    async fn scene(&self, contender: Contender, stage: Stage) -> anyhow::Result<(Vec<Agent>, Scene)> {
        if matches!(contender, Contender::Refusing | Contender::Queueing) {
            let (agents, control) = self.agents(&stage)?;
            let names = stage.targets().iter().map(|target| target.0.clone());
            let targets: Vec<_> = names.zip(agents.iter().map(|agent| agent.data)).collect();
            let control = control.to_string();
            let scene = Scene::before(stage, self.pool, &targets, &[("TargetControlPort", &control)]).await?;
            self.queue(&scene, contender == Contender::Queueing).await?;
            return Ok((agents, scene));
        }
        let targets = stage.targets().to_vec();
        let scene = Scene::before(stage, self.pool, &targets, &[]).await?;
        scene.balance(Algorithm::LeastOutstandingRequests, false).await?;
        if contender != Contender::Unlimited {
            self.queue(&scene, contender == Contender::Limited).await?;
            scene.tag("forebay:concurrency", &self.limit.to_string()).await?;
        }
        Ok((Vec::new(), scene))
    }

    async fn queue(&self, scene: &Scene, waits: bool) -> anyhow::Result<()> {
        scene.tag("forebay:queue-wait", &self.wait.to_string()).await?;
        let length = if waits { ENOUGH } else { "0" };
        scene.tag("forebay:queue-length", length).await
    }

    /// An agent before each target, each at its own address because they share the control port.
    fn agents(&self, stage: &Stage) -> anyhow::Result<(Vec<Agent>, u16)> {
        let control = free_port(0)?;
        let data = loop {
            let port = free_port(0)?;
            // A free port may be returned twice.
            if port != control {
                break port;
            }
        };
        let mut agents = Vec::new();
        for (index, destination) in (0_u16..).zip(stage.addresses()) {
            let [high, low] = (index + 2).to_be_bytes();
            let address = |port| SocketAddr::from((Ipv4Addr::new(127, 0, high, low), port));
            agents.push(Agent::start(
                address(data),
                address(control),
                destination,
                self.limit,
            )?);
        }
        Ok((agents, control))
    }
}

async fn sent(contender: Contender, addresses: &[SocketAddr], asks: &[Ask]) -> Vec<Met> {
    let bar = ProgressBar::new(asks.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{msg:28} {bar:40} {eta}") {
        bar.set_style(style);
    }
    bar.set_message(contender.word());
    let met = asks::ask_all(addresses, asks, |_| bar.inc(1)).await;
    bar.finish_and_clear();
    met
}

/// Asks each target for the most requests that it had at a time.
async fn peaks(targets: &[SocketAddr]) -> anyhow::Result<Vec<u64>> {
    let mut peaks = Vec::new();
    for &target in targets {
        let stream = tokio::net::TcpStream::connect(target).await?;
        let (mut sender, driver) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(driver);
        let request = hyper::Request::builder()
            .uri("/counts")
            .header("host", "experiment.test");
        let answer = sender.send_request(request.body(Empty::<Bytes>::new())?).await?;
        let body = answer.into_body().collect().await?.to_bytes();
        let counts: serde_json::Value = serde_json::from_slice(&body)?;
        peaks.push(
            counts["peak_in_flight"]
                .as_u64()
                .context("a target does not count")?,
        );
    }
    Ok(peaks)
}

impl Run {
    pub(crate) fn served(&self) -> usize {
        self.met.iter().filter(|met| met.is_served()).count()
    }

    /// Requests answered with 503.
    pub(crate) fn refused(&self) -> usize {
        self.met.iter().filter(|met| met.status == Some(503)).count()
    }

    fn waits(&self) -> Vec<Duration> {
        let served = self.met.iter().filter(|met| met.is_served());
        let mut waits: Vec<Duration> = served.map(|met| met.wait).collect();
        waits.sort_unstable();
        waits
    }

    /// The wait that this share of the served requests did not exceed, in milliseconds.
    pub(crate) fn wait_ms(&self, share: f64) -> f64 {
        let waits = self.waits();
        let rank = (share * waits.len() as f64) as usize;
        let wait = waits.get(rank.min(waits.len().saturating_sub(1)));
        wait.copied().unwrap_or_default().as_secs_f64() * 1000.0
    }

    /// Time from sending to the answer's end, divided by the target's work; the 99th percentile of served requests.
    fn slowdown(&self) -> f64 {
        let served = self.met.iter().filter(|met| met.is_served());
        let mut ratios: Vec<f64> = served
            .map(|met| met.took.as_secs_f64() / met.service.as_secs_f64().max(1e-3))
            .collect();
        ratios.sort_unstable_by(f64::total_cmp);
        ratios.get(ratios.len() * 99 / 100).copied().unwrap_or_default()
    }

    fn peaks(&self) -> String {
        let peaks: Vec<String> = self.peaks.iter().map(u64::to_string).collect();
        peaks.join(" ")
    }

    fn figures(&self) -> serde_json::Value {
        serde_json::json!({
            "contender": self.contender.word(), "requests": self.met.len(), "served": self.served(), "refused": self.refused(),
            "wait_p50_ms": self.wait_ms(0.5), "wait_p95_ms": self.wait_ms(0.95), "wait_p99_ms": self.wait_ms(0.99),
            "wait_longest_ms": self.wait_ms(1.0), "slowdown_p99": self.slowdown(), "at_a_time": self.peaks,
        })
    }
}

/// Prints the results of the runs of one load.
pub(crate) fn print_table(title: &str, runs: &[Run]) -> anyhow::Result<()> {
    out::line(format_args!("\n{title}"))?;
    out::line(format_args!(
        "  {:<26} {:>8} {:>7} {:>8} {:>7} {:>9} {:>9} {:>9} {:>9} {:>13}  at a time, at each target",
        "",
        "requests",
        "served",
        "refused",
        "failed",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "longest",
        "p99 slowdown"
    ))?;
    for run in runs {
        let failed = run.met.len() - run.served() - run.refused();
        out::line(format_args!(
            "  {:<26} {:>8} {:>7} {:>8} {:>7} {:>9.1} {:>9.1} {:>9.1} {:>9.1} {:>13.1}  {}",
            run.contender.word(),
            run.met.len(),
            run.served(),
            run.refused(),
            failed,
            run.wait_ms(0.5),
            run.wait_ms(0.95),
            run.wait_ms(0.99),
            run.wait_ms(1.0),
            run.slowdown(),
            run.peaks(),
        ))?;
    }
    Ok(())
}

/// Draws the waits of served requests.
pub(crate) fn draw(file: &Path, title: &str, runs: &[Run]) -> anyhow::Result<()> {
    let curve = |run: &Run| {
        let refused = 100.0 * run.refused() as f64 / run.met.len().max(1) as f64;
        Curve {
            name: format!("{}, {refused:.0} % refused", run.contender.word()),
            latencies: run.waits(),
        }
    };
    let curves: Vec<Curve> = runs.iter().map(curve).collect();
    plot::draw(file, title, &curves)?;
    out::line(format_args!("Drawn: {}", file.display()))?;
    Ok(())
}

/// Writes all figures.
pub(crate) fn write(file: &PathBuf, rounds: &[(String, Vec<Run>)]) -> anyhow::Result<()> {
    let round = |(title, runs): &(String, Vec<Run>)| serde_json::json!({"round": title, "runs": runs.iter().map(Run::figures).collect::<Vec<_>>()});
    let all: Vec<_> = rounds.iter().map(round).collect();
    std::fs::write(file, serde_json::to_vec_pretty(&all)?)
        .with_context(|| format!("cannot write {}", file.display()))
}
