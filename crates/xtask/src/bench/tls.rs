//! `cargo xtask bench tls`: CPU time per TLS handshake, full and resumed, and per request over HTTPS and HTTP/2, compared
//! with nginx with the same certificate, version, cipher and session settings.

use super::balancer::make_balancer;
use super::meter::Meter;
use super::processes::{Backends, Running, build, forebay_alone, free, median, program, resident_kib};
use super::proxies::nginx_with;
use crate::run::{is_installed, output};
use anyhow::{Context as _, ensure};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

const SUITE: &str = "TLS_AES_128_GCM_SHA256";

/// The generator of a load.
#[derive(Clone, Copy)]
pub(super) enum Load {
    /// `openssl s_time` with these options.
    Handshakes(&'static [&'static str]),
    /// `wrk` over kept connections.
    Requests,
    /// `h2load`: 32 connections with 4 streams each, so that none reaches the 10,000 requests after which Forebay ends it.
    Streams,
}

/// The measured loads, and the least ratio of nginx's cost to Forebay's.
pub(super) const LOADS: &[(&str, Load, f64)] = &[
    (
        "full TLS 1.3 handshake",
        Load::Handshakes(&["-new", "-tls1_3", "-ciphersuites", SUITE]),
        1.0,
    ),
    (
        "full TLS 1.2 handshake",
        Load::Handshakes(&["-new", "-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"]),
        1.0,
    ),
    (
        "resumed TLS 1.2 handshake",
        Load::Handshakes(&["-reuse", "-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"]),
        1.0,
    ),
    ("HTTPS request", Load::Requests, 1.0),
    ("HTTP/2 request", Load::Streams, 0.9),
];

pub(super) fn tls(seconds: u32, rounds: u32, idle: usize) -> anyhow::Result<()> {
    for needed in ["wrk", "h2load", "nginx", "taskset", "openssl"] {
        ensure!(
            is_installed(needed),
            "{needed} is missing: bench/install.sh installs what the bench needs"
        );
    }
    build(&[])?;
    let dir = crate::root::root()?.join("target/bench-tls");
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir)?;
    let (certificate, key) = certificate(&dir)?;
    let backends = Backends::start(&dir)?;
    let mut forebay = forebay_alone(&program()?, &dir, "127.208.0.0/16", "0")?;
    let pem = (
        std::fs::read_to_string(&certificate)?,
        std::fs::read_to_string(&key)?,
    );
    forebay.address = make_balancer(
        forebay.address,
        &backends.addresses,
        Some((&pem.0, &pem.1)),
        false,
        None,
    )?;
    let address = free()?;
    let listen = format!(
        "listen {address} ssl http2 backlog=4096;\nssl_certificate {};\nssl_certificate_key {};\nssl_protocols TLSv1.2 TLSv1.3;\nssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256;\nssl_conf_command Ciphersuites {SUITE};\nssl_ecdh_curve X25519:prime256v1;\nssl_prefer_server_ciphers on;\nssl_session_tickets on;\nssl_session_cache shared:tls:10m;\n",
        certificate.display(),
        key.display(),
    );
    let nginx = nginx_with(&dir, address, &listen, &backends.addresses)?;
    let proxies = [("forebay", forebay), ("nginx", nginx)];
    let mut costs: BTreeMap<(&str, &str), Vec<f64>> = BTreeMap::new();
    let mut meter = Meter::new(rounds.saturating_mul((LOADS.len() * proxies.len()) as u32));
    for round in 1..=rounds {
        for (what, kind, _) in LOADS {
            for (name, proxy) in &proxies {
                // The first second warms connections, sessions and caches.
                load(proxy.address, 1, *kind)?;
                let (cost, count) = meter.cost(|| load(proxy.address, seconds, *kind))?;
                println!(
                    "round {round}: {name:<8} {cost:>7.1} us CPU a {what}, {:>6.0} a second",
                    count / f64::from(seconds)
                );
                costs.entry((what, name)).or_default().push(cost);
            }
        }
    }
    println!();
    report(&costs, &proxies, idle)
}

fn report(
    costs: &BTreeMap<(&str, &str), Vec<f64>>,
    proxies: &[(&str, Running)],
    idle: usize,
) -> anyhow::Result<()> {
    println!("| | forebay, us CPU | nginx, us CPU | nginx / forebay (median of rounds) |\n|---|---|---|---|");
    let mut kept = true;
    for (what, _, least) in LOADS {
        let of = |name: &'static str| costs.get(&(*what, name)).cloned().unwrap_or_default();
        let (own, other) = (of("forebay"), of("nginx"));
        let ratios = own.iter().zip(&other).map(|(own, other)| other / own).collect();
        let ratio = median(ratios).context("nothing was measured")?;
        kept &= ratio >= *least;
        let (own, other) = (median(own).unwrap_or(0.0), median(other).unwrap_or(0.0));
        println!("| {what} | {own:.1} | {other:.1} | {ratio:.2} |");
    }
    println!();
    for (name, proxy) in proxies {
        println!(
            "{name}: {:.2} KiB per idle connection over TLS",
            idle_memory(proxy, idle)?
        );
    }
    ensure!(
        kept,
        "a bound is broken: nginx / forebay >= 1.0 each, 0.9 for HTTP/2"
    );
    Ok(())
}

/// Handshakes or requests made in this time; fails if one fails.
pub(super) fn load(address: SocketAddr, seconds: u32, kind: Load) -> anyhow::Result<f64> {
    let (address, time) = (address.to_string(), seconds.to_string());
    let mut command = Command::new("taskset");
    command.args(["-c", "1"]);
    match kind {
        Load::Handshakes(options) => command
            .args(["openssl", "s_time", "-connect", &address, "-time", &time])
            .args(options),
        Load::Streams => command
            .args(["h2load", "-t1", "-c32", "-m4", "-D", &time])
            .arg(format!("https://{address}/")),
        Load::Requests => {
            let script = crate::root::root()?.join("bench/load.lua");
            command
                .args(["wrk", "-t1", "-c64", &format!("-d{time}s"), "-s"])
                .arg(script)
                .arg(format!("https://{address}/"))
        }
    };
    let output = output(&mut command)?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.success() && !said.contains("Non-2xx") && !said.contains("Socket errors"),
        "failed: {said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    if matches!(kind, Load::Streams) {
        return streams(&said);
    }
    let marker = if matches!(kind, Load::Handshakes(_)) {
        "real seconds"
    } else {
        "requests in"
    };
    let line = said
        .lines()
        .find(|line| line.contains(marker))
        .with_context(|| format!("no count in: {said}"))?;
    Ok(line.split_whitespace().next().unwrap_or_default().parse()?)
}

/// The count of h2load's line `requests: 9 total, 9 started, 9 done, 9 succeeded, 0 failed, 0 errored, 0 timeout`.
fn streams(said: &str) -> anyhow::Result<f64> {
    let line = said.lines().find(|line| line.starts_with("requests: "));
    let line = line.with_context(|| format!("no count in: {said}"))?;
    let count = |word: &str| -> Option<f64> {
        let part = line.split([':', ',']).find(|part| part.ends_with(word))?;
        part.split_whitespace().next()?.parse().ok()
    };
    ensure!(count(" failed") == Some(0.0), "requests failed: {said}");
    count(" succeeded").with_context(|| format!("no count in: {said}"))
}

/// An ECDSA certificate and its key, as files.
pub(super) fn certificate(dir: &Path) -> anyhow::Result<(std::path::PathBuf, std::path::PathBuf)> {
    let (certificate, key) = (dir.join("certificate.pem"), dir.join("key.pem"));
    let made = output(
        Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
            ])
            .args([
                "-days",
                "30",
                "-subj",
                "/CN=bench.test",
                "-addext",
                "subjectAltName=DNS:bench.test",
                "-keyout",
            ])
            .arg(&key)
            .arg("-out")
            .arg(&certificate),
    )?;
    ensure!(
        made.status.success(),
        "openssl: {}",
        String::from_utf8_lossy(&made.stderr)
    );
    Ok((certificate, key))
}

/// KiB of resident memory per idle connection over TLS, each after one request. Python holds the connections, because
/// `openssl s_client` would need a process for each.
fn idle_memory(proxy: &Running, count: usize) -> anyhow::Result<f64> {
    let script = crate::root::root()?.join("bench/idle_tls.py");
    let mut holder = Command::new("python3")
        .arg(script)
        .args([proxy.address.to_string(), count.to_string()])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()?;
    let before = resident_kib(proxy)?;
    let mut line = String::new();
    // The script reports when it is ready to connect, and again when all connections are open.
    std::io::Write::write_all(holder.stdin.as_mut().context("no input")?, b"go\n")?;
    std::io::BufRead::read_line(
        &mut std::io::BufReader::new(holder.stdout.take().context("no output")?),
        &mut line,
    )?;
    let after = resident_kib(proxy)?;
    drop(holder.stdin.take());
    ensure!(
        holder.wait()?.success() && line.starts_with("open"),
        "idle connections: {line}"
    );
    Ok((after - before).max(0.0) / count as f64)
}
