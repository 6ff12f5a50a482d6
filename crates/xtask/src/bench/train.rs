//! The benches' loads, which show the compiler the paths of requests.

use super::agent;
use super::balancer::make_balancer;
use super::processes::{Backends, SECONDS, end, forebay_alone, load};
use super::tls::{self, Load};
use crate::run::is_installed;
use anyhow::ensure;
use std::path::Path;

/// Puts a Forebay and an agent under load. Both record a profile and write it when they end.
pub(crate) fn train(program: &Path, beside: &Path) -> anyhow::Result<()> {
    for needed in ["wrk", "h2load", "nginx", "taskset", "openssl"] {
        ensure!(
            is_installed(needed),
            "{needed} is missing: bench/install.sh installs what the loads need"
        );
    }
    let dir = crate::root::root()?.join("target/training/run");
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir)?;
    let backends = Backends::start(&dir)?;
    for logs in [false, true] {
        let mut running = forebay_alone(program, &dir.join(format!("logs-{logs}")), "127.208.0.0/16", "0")?;
        running.address = make_balancer(running.address, &backends.addresses, None, logs, None)?;
        for path in ["/", "/large"] {
            load(running.address, path, SECONDS)?;
        }
        end(running)?;
    }
    agent::train(program, beside, &dir.join("agent"), backends.addresses[0])?;
    let (certificate, key) = tls::certificate(&dir)?;
    let pair = (
        std::fs::read_to_string(certificate)?,
        std::fs::read_to_string(key)?,
    );
    let mut running = forebay_alone(program, &dir.join("tls"), "127.208.0.0/16", "0")?;
    let pair = Some((pair.0.as_str(), pair.1.as_str()));
    running.address = make_balancer(running.address, &backends.addresses, pair, false, None)?;
    tls::load(running.address, SECONDS, Load::Requests)?;
    // Shorter, because a connection ends after 10,000 requests, as ALB's do, and a load that reaches that counts failures.
    tls::load(running.address, 2, Load::Streams)?;
    for (_, kind, _) in tls::LOADS {
        tls::load(running.address, 1, *kind)?;
    }
    end(running)
}
