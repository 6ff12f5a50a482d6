//! `forebay experiment algorithms`: round robin, least outstanding requests, and all the other algorithms.

use super::algorithms_args::{AlgorithmsArgs, JOINS, SLOWER};
use super::peers::Peer;
use super::plot::{self, Curve};
use super::scene::{Actor, Scene, Stage};
use super::simulated;
use super::users::{self, Arrivals, Crowd, Seen};
use crate::demo_balancer::free_port;
use anyhow::{Context as _, bail};
use forebay_model::Algorithm;
use forebay_process::out;
use forebay_process::runtime;
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Blocking requests among the four of a user.
const POSTS: f64 = 1.0;
/// Most targets with real sockets: each has its own thread.
const LIVE_TARGETS: u16 = 200;

/// A round: the load that all algorithms get.
#[derive(Clone, Debug)]
struct Round {
    title: String,
    rate: f64,
    arrivals: Arrivals,
}

/// A load balancer in the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Contender {
    Forebay(Algorithm),
    Other(Peer),
}

impl Contender {
    fn word(self) -> &'static str {
        match self {
            Contender::Forebay(algorithm) => algorithm.word(),
            Contender::Other(peer) => peer.word(),
        }
    }
}

/// The results of a contender's turns.
struct Turn {
    contender: Contender,
    /// Requests of each run.
    runs: Vec<Vec<Seen>>,
}

impl AlgorithmsArgs {
    fn contenders(&self) -> anyhow::Result<Vec<Contender>> {
        let mut contenders: Vec<_> = self.chosen()?.into_iter().map(Contender::Forebay).collect();
        if self.peers {
            contenders.extend(Peer::ALL.map(Contender::Other));
        }
        Ok(contenders)
    }

    fn chosen(&self) -> anyhow::Result<Vec<Algorithm>> {
        if self.algorithms == ["all"] {
            return Ok(Algorithm::ALL.to_vec());
        }
        let names = || Algorithm::ALL.map(Algorithm::word).join(", ");
        self.algorithms
            .iter()
            .map(|name| {
                Algorithm::parse(name)
                    .with_context(|| format!("there is no algorithm {name}; there are {}, or all", names()))
            })
            .collect()
    }

    /// Milliseconds for which a POST holds a thread, least and most.
    fn span(&self) -> anyhow::Result<(u64, u64)> {
        let (low, high) = self.post.split_once('-').unwrap_or((&self.post, &self.post));
        let read = |text: &str| text.trim().parse::<u64>().ok();
        match (read(low), read(high)) {
            (Some(low), Some(high)) if low <= high && (1..=10_000).contains(&high) => Ok((low, high)),
            _ => bail!(
                "--post {} is not a range of milliseconds up to 10000, such as 0-200",
                self.post
            ),
        }
    }

    /// How many targets are slow, failing and cold; in this order they come first.
    pub(crate) fn odd(&self) -> (u16, u16, u16) {
        (self.slow, self.failing, self.cold)
    }

    /// Seconds of slow start; zero for none.
    pub(crate) fn slow_start(&self) -> u64 {
        u64::from(self.slow_start.unwrap_or(0))
    }

    /// The capacity of all targets, in normal targets: a slow one does less.
    fn capacity(&self) -> f64 {
        f64::from(self.targets() - self.slow) + f64::from(self.slow) / SLOWER as f64
    }

    pub(crate) fn targets(&self) -> u16 {
        if self.phase_lock { 4 } else { self.targets }
    }

    fn rounds(&self) -> anyhow::Result<Vec<Round>> {
        let targets = self.targets();
        if self.slow + self.failing + self.cold > targets {
            bail!("--slow, --failing and --cold ask for more than {targets} targets");
        }
        if targets > LIVE_TARGETS && !self.simulated {
            bail!("more than {LIVE_TARGETS} targets with real sockets are too many threads: add --simulated");
        }
        let (low, high) = self.span()?;
        let mean = (low + high) as f64 / 2000.0;
        let busy = |rate: f64| 100.0 * rate * POSTS * mean / self.capacity();
        let round = |rate: f64, arrivals: Arrivals| Round {
            title: format!(
                "{targets} targets, {rate:.1} users a second, {} arrivals, {:.0} % busy",
                match arrivals {
                    Arrivals::Even => "even",
                    Arrivals::Poisson => "Poisson",
                },
                busy(rate)
            ),
            rate,
            arrivals,
        };
        if self.phase_lock {
            return Ok(vec![round(10.0, Arrivals::Even), round(10.0, Arrivals::Poisson)]);
        }
        if let Some(rate) = self.rate {
            if !(0.01..=100_000.0).contains(&rate) {
                bail!("--rate {rate} is not between 0.01 and 100000 users a second");
            }
            return Ok(vec![round(rate, self.arrivals)]);
        }
        let rate = |percent: &u8| f64::from(*percent) / 100.0 * self.capacity() / (POSTS * mean);
        Ok(self
            .utilisation
            .iter()
            .map(|percent| round(rate(percent), self.arrivals))
            .collect())
    }

    fn actors(&self) -> Vec<Actor> {
        (0..self.targets()).map(|index| self.actor(index)).collect()
    }

    pub(crate) fn actor(&self, index: u16) -> Actor {
        let mut flags = vec![
            "--spare-probes".to_owned(),
            "--block-method".to_owned(),
            "POST".to_owned(),
        ];
        let mut flag = |name: &str, value: String| flags.extend([name.to_owned(), value]);
        flag("--seed", (self.seed * 1000 + u64::from(index)).to_string());
        let (slow, failing) = (self.slow, self.slow + self.failing);
        let mut block = self.post.clone();
        let name = if index < slow {
            block = longer(&self.post);
            format!("slow-{index}")
        } else if index < failing {
            block = "0".to_owned();
            flag("--failure-rate", "1".to_owned());
            format!("failing-{index}")
        } else if index < failing + self.cold {
            flag("--warm-up", "10".to_owned());
            format!("cold-{index}")
        } else {
            format!("target-{index}")
        };
        flag("--block", block);
        Actor { name, flags }
    }
}

fn longer(post: &str) -> String {
    let parts: Vec<String> = post
        .split('-')
        .map(|part| (part.trim().parse::<u64>().unwrap_or(0) * SLOWER).to_string())
        .collect();
    parts.join("-")
}

pub(crate) fn run(args: &AlgorithmsArgs) -> anyhow::Result<ExitCode> {
    let (contenders, rounds) = (args.contenders()?, args.rounds()?);
    let plots = args.plot.iter();
    let plots = plots.flat_map(|file| rounds.iter().map(|round| numbered(file, &rounds, round)));
    for file in plots.chain(args.json.clone()) {
        plot::try_file(&file)?;
    }
    runtime()?.block_on(async {
        let turns = contenders.len() * rounds.len() * usize::from(args.runs);
        out::line(format_args!("{turns} turns of {} s each.", args.seconds))?;
        let mut figures = Vec::new();
        for round in &rounds {
            let played = play(args, &contenders, round).await?;
            out::line(format_args!("\n{}", round.title))?;
            print_table(&played)?;
            figures.push(serde_json::json!({"round": round.title, "algorithms": played.iter().map(figures_of).collect::<Vec<_>>()}));
            if let Some(file) = &args.plot {
                let file = numbered(file, &rounds, round);
                let curves: Vec<Curve> = played.iter().map(curve).collect();
                plot::draw(&file, &round.title, &curves)?;
                out::line(format_args!("Drawn: {}", file.display()))?;
            }
        }
        if let Some(file) = &args.json {
            std::fs::write(file, serde_json::to_vec_pretty(&figures)?)
                .with_context(|| format!("cannot write {}", file.display()))?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Each of several rounds has its own file: `p-1.svg`, `p-2.svg`.
fn numbered(file: &std::path::Path, rounds: &[Round], round: &Round) -> PathBuf {
    if rounds.len() == 1 {
        return file.to_owned();
    }
    let number = rounds
        .iter()
        .position(|one| one.title == round.title)
        .unwrap_or(0)
        + 1;
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    file.with_file_name(format!("{stem}-{number}.svg"))
}

async fn play(args: &AlgorithmsArgs, contenders: &[Contender], round: &Round) -> anyhow::Result<Vec<Turn>> {
    let mut turns: Vec<Turn> = contenders
        .iter()
        .map(|&contender| Turn {
            contender,
            runs: Vec::new(),
        })
        .collect();
    for run in 0..args.runs {
        // Algorithms take turns, so that a disturbance of the machine does not affect only one of them.
        for turn in &mut turns {
            let seen = one_turn(args, turn.contender, round, args.seed + u64::from(run)).await?;
            turn.runs.push(seen);
        }
    }
    Ok(turns)
}

/// Plays a turn in a fresh scene, so that nobody inherits connections, warmth or backlog.
async fn one_turn(
    args: &AlgorithmsArgs,
    contender: Contender,
    round: &Round,
    seed: u64,
) -> anyhow::Result<Vec<Seen>> {
    let crowd = Crowd {
        rate: round.rate,
        arrivals: round.arrivals,
        time: Duration::from_secs(args.seconds),
        seed,
    };
    match contender {
        Contender::Forebay(algorithm) if args.simulated => {
            Ok(simulated::turn(args, algorithm, crowd, args.span()?))
        }
        Contender::Forebay(algorithm) => ours(args, algorithm, crowd).await,
        Contender::Other(peer) => {
            let stage = Stage::open(&args.actors())?;
            let peer = peer.start(stage.dir(), free_port(0)?, &stage.addresses())?;
            Ok(sent(args, contender.word(), peer.listen, crowd).await)
        }
    }
}

async fn sent(args: &AlgorithmsArgs, word: &'static str, address: SocketAddr, crowd: Crowd) -> Vec<Seen> {
    let bar = ProgressBar::new(args.seconds * 10);
    if let Ok(style) = ProgressStyle::with_template("{msg:28} {bar:40} {eta}") {
        bar.set_style(style);
    }
    bar.set_message(word);
    let seen = users::send(address, crowd, |passed| {
        bar.set_position(u64::try_from(passed.as_millis() / 100).unwrap_or(0));
    })
    .await;
    bar.finish_and_clear();
    seen
}

async fn ours(args: &AlgorithmsArgs, algorithm: Algorithm, crowd: Crowd) -> anyhow::Result<Vec<Seen>> {
    let scene = Scene::open(args.address_pool, &args.actors()).await?;
    scene.balance(algorithm, args.mitigation).await?;
    if let Some(seconds) = args.slow_start {
        scene.tag("forebay:slow-start", &seconds.to_string()).await?;
    }
    let joins = async {
        if args.joining {
            tokio::time::sleep(crowd.time / 2).await;
            let mut actor = args.actor(args.targets());
            actor.name = JOINS.to_owned();
            scene.join(&actor).await?;
        }
        anyhow::Ok(())
    };
    let (seen, joined) = tokio::join!(sent(args, algorithm.word(), scene.address(), crowd), joins);
    joined?;
    scene.close().await?;
    Ok(seen)
}

/// The latency that this share of requests did not exceed, of the median run.
fn quantile(turn: &Turn, share: f64) -> Duration {
    let of_run = |seen: &Vec<Seen>| {
        let mut sorted: Vec<Duration> = seen.iter().map(|one| one.took).collect();
        sorted.sort_unstable();
        let rank = (share * sorted.len() as f64) as usize;
        sorted
            .get(rank.min(sorted.len().saturating_sub(1)))
            .copied()
            .unwrap_or_default()
    };
    let mut runs: Vec<Duration> = turn.runs.iter().map(of_run).collect();
    runs.sort_unstable();
    runs.get(runs.len() / 2).copied().unwrap_or_default()
}

/// Each target's share of the requests for which `counts` holds, over all runs.
fn shares(turn: &Turn, counts: impl Fn(&Seen) -> bool) -> BTreeMap<&str, f64> {
    let mut shares: BTreeMap<&str, f64> = BTreeMap::new();
    let all = || {
        let answered = turn.runs.iter().flatten().filter(|one| !one.target.is_empty());
        answered.filter(|one| counts(one))
    };
    let total = all().count() as f64;
    for one in all() {
        *shares.entry(one.target.as_str()).or_default() += 1.0 / total;
    }
    shares
}

fn bad(turn: &Turn) -> usize {
    turn.runs.iter().flatten().filter(|one| !one.is_good()).count()
}

fn figures_of(turn: &Turn) -> serde_json::Value {
    let millis = |share| quantile(turn, share).as_secs_f64() * 1000.0;
    serde_json::json!({
        "algorithm": turn.contender.word(),
        "requests": turn.runs.iter().map(Vec::len).sum::<usize>(),
        "failed": bad(turn),
        "p50_ms": millis(0.5), "p95_ms": millis(0.95), "p99_ms": millis(0.99),
        "shares": shares(turn, |_| true), "shares_of_posts": shares(turn, |one| one.blocks),
    })
}

fn curve(turn: &Turn) -> Curve {
    Curve {
        name: turn.contender.word().to_owned(),
        latencies: turn.runs.iter().flatten().map(|one| one.took).collect(),
    }
}

fn print_table(turns: &[Turn]) -> anyhow::Result<()> {
    let Some(first) = turns.first() else {
        return Ok(());
    };
    let base = quantile(first, 0.99).as_secs_f64();
    out::line(format_args!(
        "  {:<27} {:>9} {:>7} {:>9} {:>9} {:>9} {:>12} {:>13}  share of a target (of the fair one)",
        "algorithm", "requests", "failed", "p50 ms", "p95 ms", "p99 ms", "p99, first/x", "POSTs, most"
    ))?;
    for turn in turns {
        let millis = |share| quantile(turn, share).as_secs_f64() * 1000.0;
        let busiest = shares(turn, |one| one.blocks).into_values().fold(0.0, f64::max);
        let shares = shares(turn, |_| true);
        let fair = 1.0 / shares.len().max(1) as f64;
        let least = shares.values().copied().fold(f64::MAX, f64::min) / fair;
        let most = shares.values().copied().fold(0.0, f64::max) / fair;
        let odd: Vec<String> = shares
            .iter()
            .filter(|(name, _)| !name.starts_with("target"))
            .map(|(name, share)| format!("{name} {:.2}", share / fair))
            .collect();
        out::line(format_args!(
            "  {:<27} {:>9} {:>7} {:>9.1} {:>9.1} {:>9.1} {:>12.2} {:>11.0} %  {least:.2} to {most:.2}{}{}",
            turn.contender.word(),
            turn.runs.iter().map(Vec::len).sum::<usize>(),
            bad(turn),
            millis(0.5),
            millis(0.95),
            millis(0.99),
            base / quantile(turn, 0.99).as_secs_f64().max(1e-6),
            busiest * 100.0,
            if odd.is_empty() { "" } else { "; " },
            odd.join(", "),
        ))?;
    }
    Ok(())
}
