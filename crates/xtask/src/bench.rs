//! Measurements in comparison with peers. `processes` starts programs and loads, `proxies` the peers, `balancer` Forebay's
//! load balancer, and `meter` reads CPU times; `peers`, `agent` and `tls` are the benches, and `train` their loads for a
//! release's profile.

use clap::Subcommand;

mod agent;
mod balancer;
mod meter;
mod peers;
mod processes;
mod proxies;
mod tls;
mod train;

pub(crate) use agent::{IMAGE as AGENT_IMAGE, TOGETHER};
pub(crate) use train::train;

#[derive(Subcommand)]
pub(crate) enum Bench {
    /// Cost per request and per idle connection, compared with peers
    Peers {
        /// Seconds of each measurement
        #[arg(long, default_value_t = 2)]
        seconds: u32,
        /// Measurements of each proxy, taking turns with the others
        #[arg(long, default_value_t = 15)]
        rounds: u32,
        /// Idle connections opened to each proxy
        #[arg(long, default_value_t = 5000)]
        idle: usize,
    },
    /// Cost of the agent per request, compared with the bare relay in its place
    Agent {
        /// Seconds of each measurement
        #[arg(long, default_value_t = 2)]
        seconds: u32,
        /// Measurements of each, taking turns
        #[arg(long, default_value_t = 11)]
        rounds: u32,
    },
    /// Cost per TLS handshake and per HTTPS request, compared with nginx
    Tls {
        /// Seconds of each measurement
        #[arg(long, default_value_t = 2)]
        seconds: u32,
        /// Measurements of each proxy and load, taking turns
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
        } => peers::peers(*seconds, *rounds, *idle),
        Bench::Agent { seconds, rounds } => agent::agent(*seconds, *rounds),
        Bench::Tls {
            seconds,
            rounds,
            idle,
        } => tls::tls(*seconds, *rounds, *idle),
    }
}
