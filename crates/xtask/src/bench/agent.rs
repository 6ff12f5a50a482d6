//! `cargo xtask bench agent`: the agent's cost per request, compared with the bare relay in the same place: `wrk -> forebay
//! -> (agent or relay) -> nginx`, work ids, grants and all. The measured program has CPU 0 to itself; everything else
//! shares CPU 1.

use super::balancer::make_balancer;
use super::meter::Meter;
use super::processes::{
    Backends, Running, SECONDS, binary, build, end, forebay_alone, free, load, median, named, program,
    resident_kib, start,
};
use super::proxies::relay;
use crate::run::{cargo, is_installed, run as run_command};
use anyhow::{Context as _, ensure};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

/// Keeps code that requests run together, where a profile names it: fewer pages are touched, and so resident.
pub(crate) const TOGETHER: &str = "-Clink-arg=-Wl,-z,keep-text-section-prefix";
/// The build of the agent for images.
pub(crate) const IMAGE: [&str; 10] = [
    "rustc",
    "--profile",
    "agent",
    "--package",
    "forebay-agent",
    "--bin",
    "forebay-agent",
    "--",
    "-Ctarget-feature=+crt-static",
    TOGETHER,
];
/// The most that AWS's agent allows, so that no request waits.
const LIMIT: &str = "1000";
/// The bounds that the agent must keep.
const COST: f64 = 1.25;
const MEMORY_KIB: f64 = 8.0 * 1024.0;

pub(super) fn agent(seconds: u32, rounds: u32) -> anyhow::Result<()> {
    for needed in ["wrk", "nginx", "taskset"] {
        ensure!(
            is_installed(needed),
            "{needed} is missing: bench/install.sh installs what the bench needs"
        );
    }
    build(&["--package", "forebay-bench"])?;
    let built = if named() {
        program()?.with_file_name("forebay-agent")
    } else {
        // Built like its images (docs/target-control.md).
        run_command(&mut cargo(&IMAGE)?)?;
        binary("forebay")?.with_file_name("../agent/forebay-agent")
    };
    let dir = crate::root::root()?.join("target/bench-agent");
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir)?;
    let backends = Backends::start(&dir)?;
    let bare = relay(&backends.addresses[..1])?;
    let (beside, control) = start_agent(&built, backends.addresses[0])?;
    let ways: [(&str, Running); 2] = [
        (
            "relay",
            chain(&program()?, &dir.join("a"), "127.208.0.0/16", bare.address, None)?,
        ),
        (
            "agent",
            chain(
                &program()?,
                &dir.join("b"),
                "127.209.0.0/16",
                beside.address,
                Some(control),
            )?,
        ),
    ];
    // By then its node is connected and has sent requests.
    std::thread::sleep(Duration::from_secs(1));
    let idle = resident_kib(&beside)?;
    let mut costs: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let mut meter = Meter::new(rounds.saturating_mul(ways.len() as u32));
    for round in 1..=rounds {
        for (name, front) in &ways {
            load(front.address, "/", 1)?;
            let (cost, requests) = meter.cost(|| load(front.address, "/", seconds))?;
            println!(
                "round {round}: {name} {cost:>6.2} us CPU a request, {:>7.0} requests a second",
                requests / f64::from(seconds)
            );
            costs.entry(name).or_default().push(cost);
        }
    }
    let of = |name: &str| costs.get(name).cloned().unwrap_or_default();
    let pairs = of("agent").into_iter().zip(of("relay"));
    let ratio = median(pairs.map(|(own, other)| own / other).collect()).context("nothing was measured")?;
    println!("agent / relay: {ratio:.2} (bound {COST}) {}", word(ratio <= COST));
    println!(
        "agent, idle: {idle:.0} KiB resident (bound {MEMORY_KIB:.0}) {}",
        word(idle <= MEMORY_KIB)
    );
    ensure!(ratio <= COST && idle <= MEMORY_KIB, "a bound is broken");
    Ok(())
}

fn word(kept: bool) -> &'static str {
    if kept { "kept" } else { "BROKEN" }
}

/// Starts an agent in front of this backend, on CPU 0; returns it with its control port.
fn start_agent(program: &Path, backend: SocketAddr) -> anyhow::Result<(Running, u16)> {
    let (data, control) = (free()?, free()?);
    let args = [
        "--data-address".to_owned(),
        data.to_string(),
        "--control-address".to_owned(),
        control.to_string(),
        "--destination-address".to_owned(),
        backend.to_string(),
        "--max-concurrency".to_owned(),
        LIMIT.to_owned(),
    ];
    Ok((start("0", program, &args, data)?, control.port()))
}

/// Puts this agent under load, behind a Forebay.
pub(super) fn train(forebay: &Path, program: &Path, dir: &Path, backend: SocketAddr) -> anyhow::Result<()> {
    let (beside, control) = start_agent(program, backend)?;
    let front = chain(forebay, dir, "127.208.0.0/16", beside.address, Some(control))?;
    load(front.address, "/", SECONDS)?;
    end(front)?;
    end(beside)
}

/// A load balancer on CPU 1 that sends to this address.
fn chain(
    program: &Path,
    dir: &Path,
    pool: &str,
    target: SocketAddr,
    control: Option<u16>,
) -> anyhow::Result<Running> {
    let mut running = forebay_alone(program, dir, pool, "1")?;
    running.address = make_balancer(running.address, &[target], None, false, control)?;
    let began = Instant::now();
    while load(running.address, "/", 1).is_err() {
        ensure!(
            began.elapsed() < Duration::from_secs(20),
            "no request gets through"
        );
    }
    Ok(running)
}
