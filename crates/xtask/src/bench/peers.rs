//! `cargo xtask bench peers`: CPU time per proxied request (63 bytes, 64 KiB, with an access log) and memory per idle
//! connection, compared with the bare relay, nginx, HAProxy, Envoy and Pingora in one run. The proxy has CPU 0 to itself;
//! load and backends share CPU 1. The figure is CPU 0's busy time over the number of requests, so it holds even if the load
//! is the bottleneck, and its ratio holds from run to run.

use super::balancer::make_balancer;
use super::meter::Meter;
use super::processes::{Backends, Running, build, forebay_alone, idle_memory, load, median, program};
use super::proxies::{envoy, haproxy, nginx, pingora, relay};
use crate::run::is_installed;
use anyhow::{Context as _, ensure};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

/// Forebay as users run it, with a load balancer created through its API: three rules, three targets.
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

/// CPU microseconds per request, by the answer's shape and the proxy, one value per round.
type Costs = BTreeMap<(&'static str, &'static str), Vec<f64>>;

const SMALL: &str = "small";
const LARGE: &str = "64 KiB";
/// The requests: an answer's name, and its path.
const SHAPES: &[(&str, &str)] = &[(SMALL, "/"), (LARGE, "/large")];
/// Forebay with an access log.
const LOGGING: &str = "forebay+log";

pub(super) fn peers(seconds: u32, rounds: u32, idle: usize) -> anyhow::Result<()> {
    for needed in ["wrk", "nginx", "taskset"] {
        ensure!(
            is_installed(needed),
            "{needed} is missing: bench/install.sh installs what the bench needs"
        );
    }
    build(&["--package", "forebay-bench"])?;
    let dir = crate::root::root()?.join("target/bench");
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
    // Ratios are taken within each round, because what slows the machine for a while slows both.
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
