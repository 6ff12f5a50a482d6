//! Flags of `forebay experiment algorithms`.

use super::users::Arrivals;
use clap::Args;
use ipnet::Ipv4Net;
use std::path::PathBuf;

/// The factor by which slow targets are slower.
pub(crate) const SLOWER: u64 = 3;
/// Name of the target that joins.
pub(crate) const JOINS: &str = "joining";

/// Flags of `forebay experiment algorithms`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "\
Each target has one thread. GET is answered at once, unless the thread is busy; POST holds the thread for a time drawn from
--post. A user sends three GETs and one POST, one after another. Each algorithm gets the same users, in its turn.

Examples:
  forebay experiment algorithms                                   round robin against least outstanding requests
  forebay experiment algorithms --utilisation 70,85 --plot p.svg  at two loads, with a picture
  forebay experiment algorithms --phase-lock                      four targets, evenly spaced users: round robin's trap
  forebay experiment algorithms --algorithms all --slow 2 --targets 20 --utilisation 75
  forebay experiment algorithms --algorithms all --failing 1      a target that fails at once: which algorithms are drawn to it
  forebay experiment algorithms --joining --slow-start 30         a target that joins halfway
  forebay experiment algorithms --simulated --targets 1000 --utilisation 85 --runs 5       in virtual time")]
pub struct AlgorithmsArgs {
    /// Number of targets
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(super) targets: u16,
    /// Mean utilisation of the targets, in percent; several values make several rounds
    #[arg(long, value_delimiter = ',', default_value = "70", value_name = "PERCENT,...",
          value_parser = clap::value_parser!(u8).range(1..=99))]
    pub(super) utilisation: Vec<u8>,
    /// Users a second, instead of --utilisation
    #[arg(long, value_name = "USERS")]
    pub(super) rate: Option<f64>,
    /// How users arrive
    #[arg(long, value_enum, default_value_t = Arrivals::Poisson)]
    pub(super) arrivals: Arrivals,
    /// Seconds of each algorithm's turn
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(super) seconds: u64,
    /// Turns of each algorithm; the table has the median of each figure
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=50))]
    pub(super) runs: u16,
    /// Algorithms to compare, or `all`
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "round_robin,least_outstanding_requests",
        value_name = "NAME,..."
    )]
    pub(super) algorithms: Vec<String>,
    /// Milliseconds for which a POST holds its target's thread
    #[arg(long, default_value = "0-200", value_name = "MS-MS")]
    pub(super) post: String,
    /// Number of targets that hold their thread three times as long
    #[arg(long, default_value_t = 0)]
    pub(super) slow: u16,
    /// Number of targets that answer 500 at once (health checks still pass)
    #[arg(long, default_value_t = 0)]
    pub(super) failing: u16,
    /// Number of targets that take three times as long for the first ten seconds of a turn
    #[arg(long, default_value_t = 0)]
    pub(super) cold: u16,
    /// One more target joins halfway through each turn
    #[arg(long)]
    pub(crate) joining: bool,
    /// Slow start in seconds, with every algorithm (tag `forebay:slow-start`)
    #[arg(long, value_name = "SECONDS")]
    pub(super) slow_start: Option<u16>,
    /// Anomaly mitigation with weighted_random
    #[arg(long)]
    pub(crate) mitigation: bool,
    /// Run in virtual time, with the same code that decides live; --runs is the number of seeds
    #[arg(long, conflicts_with = "peers")]
    pub(super) simulated: bool,
    /// Also measure nginx (least_conn) and HAProxy (leastconn) in front of the same targets; both must be installed
    #[arg(long, conflicts_with = "joining")]
    pub(super) peers: bool,
    /// Round robin's trap: four targets, one user every 100 ms
    #[arg(long, conflicts_with_all = ["rate", "utilisation", "targets", "arrivals"])]
    pub(super) phase_lock: bool,
    /// Draw latencies into this SVG file
    #[arg(long, value_name = "FILE")]
    pub(super) plot: Option<PathBuf>,
    /// Also write all figures into this file
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    /// Seed of users and targets
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// Pool of the experiment's addresses
    #[arg(long, default_value = "127.224.0.0/12", value_name = "CIDR")]
    pub(super) address_pool: Ipv4Net,
}
