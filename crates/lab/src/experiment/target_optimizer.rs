//! `forebay experiment target-optimizer`: targets that take one request at a time, in ALB's mode and with a queue; and
//! `forebay experiment llm`: long answers of very different lengths, compared with peers.

use super::asks::Services;
use super::peers::Peer;
use super::plot;
use super::queueing::{Contender, Play, draw, print_table, write};
use clap::Args;
use forebay_process::out;
use forebay_process::runtime;
use ipnet::Ipv4Net;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// The exponent of a bounded Pareto distribution: few long answers, most of them short.
const SHAPE: f64 = 1.1;

/// Flags that both have.
#[derive(Args, Debug, Clone)]
struct Usual {
    /// Seconds in which requests arrive
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Seconds that a request may wait for a slot
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=3600))]
    queue_wait: u32,
    /// Draw waits into this SVG file; several loads make one file each
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Also write all figures into this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Seed of requests
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Pool of the experiment's addresses
    #[arg(long, default_value = "127.224.0.0/12", value_name = "CIDR")]
    address_pool: Ipv4Net,
}

/// Flags of `forebay experiment target-optimizer`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "\
Each target has an agent in front (`forebay agent`, a separate process) that admits --limit requests at a time. Users arrive at random
(Poisson), and do not return when they are refused. In ALB's mode no request waits: one that finds no permit gets 503.

Examples:
  forebay experiment target-optimizer                             three targets, one request at a time, at 70 and at 150 %
  forebay experiment target-optimizer --plot p.svg --load 150     with a picture: p.svg
  forebay experiment target-optimizer --without-agents            limits kept by the load balancer alone")]
pub struct TargetOptimizerArgs {
    /// Number of targets
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    targets: u16,
    /// Requests at a time at each target
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Milliseconds that a target works on a request
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    service: u64,
    /// Offered load, in percent of what the targets can serve; several values make several rounds
    #[arg(long, value_delimiter = ',', default_value = "70,150", value_name = "PERCENT,...",
          value_parser = clap::value_parser!(u16).range(1..=1000))]
    load: Vec<u16>,
    /// No agents: the load balancer keeps the limits itself (tag `forebay:concurrency`)
    #[arg(long)]
    without_agents: bool,
    #[command(flatten)]
    usual: Usual,
}

/// Flags of `forebay experiment llm`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "\
Each target works on --limit requests at a time and lets others wait inside, unless the load balancer in front does not send them.
Work is drawn from a bounded Pareto distribution (exponent 1.1); answers begin at once and come bit by bit. The wait is the time
to the answer's head. All contenders get the same requests. HAProxy and nginx must be installed.

Examples:
  forebay experiment llm --seconds 120 --plot llm.svg
  forebay experiment llm --load 60,80,95")]
pub struct LlmArgs {
    /// Number of targets
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=100))]
    targets: u16,
    /// Requests at a time at each target
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Shortest work, in milliseconds
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    shortest: u64,
    /// Longest work, in milliseconds
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..=600_000))]
    longest: u64,
    /// Offered load, in percent of what the targets can serve; several values make several rounds
    #[arg(long, value_delimiter = ',', default_value = "80", value_name = "PERCENT,...",
          value_parser = clap::value_parser!(u16).range(1..=1000))]
    load: Vec<u16>,
    /// Without HAProxy and nginx
    #[arg(long)]
    alone: bool,
    #[command(flatten)]
    usual: Usual,
}

impl Usual {
    fn play(&self, targets: u16, limit: u32, inside: bool, services: Services) -> Play {
        Play {
            targets,
            limit,
            inside,
            services,
            time: Duration::from_secs(self.seconds),
            wait: self.queue_wait,
            seed: self.seed,
            pool: self.address_pool,
        }
    }

    /// Plays all loads.
    fn rounds(&self, play: &Play, contenders: &[Contender], loads: &[u16]) -> anyhow::Result<ExitCode> {
        let plots = self.plot.iter();
        let plots = plots.flat_map(|file| loads.iter().map(|&load| of_load(file, load, loads)));
        for file in plots.chain(self.json.clone()) {
            plot::try_file(&file)?;
        }
        runtime()?.block_on(async {
            out::line(format_args!(
                "{} turns of {} s each.",
                contenders.len() * loads.len(),
                self.seconds
            ))?;
            let mut rounds = Vec::new();
            for &load in loads {
                let title = format!(
                    "{} targets, {} at a time, {load} % of what they can do ({:.1} a second)",
                    play.targets,
                    play.limit,
                    play.rate(load)
                );
                let runs = play.runs(contenders, load).await?;
                print_table(&title, &runs)?;
                if let Some(file) = &self.plot {
                    draw(&of_load(file, load, loads), &title, &runs)?;
                }
                rounds.push((title, runs));
            }
            if let Some(file) = &self.json {
                write(file, &rounds)?;
            }
            Ok(ExitCode::SUCCESS)
        })
    }
}

/// Each of several loads has its own file: `p-70.svg`, `p-150.svg`.
fn of_load(file: &Path, load: u16, loads: &[u16]) -> PathBuf {
    if loads.len() == 1 {
        return file.to_owned();
    }
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    file.with_file_name(format!("{stem}-{load}.svg"))
}

pub(crate) fn run(args: &TargetOptimizerArgs) -> anyhow::Result<ExitCode> {
    let service = Duration::from_millis(args.service);
    let services = Services {
        low: service,
        high: service,
        shape: SHAPE,
    };
    let play = args.usual.play(args.targets, args.limit, false, services);
    let contenders = if args.without_agents {
        [Contender::LimitedRefusing, Contender::Limited]
    } else {
        [Contender::Refusing, Contender::Queueing]
    };
    args.usual.rounds(&play, &contenders, &args.load)
}

pub(crate) fn run_llm(args: &LlmArgs) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(args.shortest <= args.longest, "--shortest is more than --longest");
    let services = Services {
        low: Duration::from_millis(args.shortest),
        high: Duration::from_millis(args.longest),
        shape: SHAPE,
    };
    let play = args.usual.play(args.targets, args.limit, true, services);
    let mut contenders = vec![Contender::Limited, Contender::Unlimited];
    if !args.alone {
        let peers = [Peer::HaproxyQueue(args.limit), Peer::Nginx];
        contenders.extend(peers.map(Contender::Other));
    }
    args.usual.rounds(&play, &contenders, &args.load)
}
