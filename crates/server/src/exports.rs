//! Sends metrics to the receivers that flags name.

use crate::flags::UpArgs;
use crate::shown::Shown;
use anyhow::Context as _;
use forebay_telemetry::export::{Destination, Exporter};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Starts a sender for each receiver.
pub(crate) fn start(args: &UpArgs, admin: SocketAddr, shown: &Arc<Shown>) -> anyhow::Result<Vec<Exporter>> {
    let write = args.remote_write_url.iter().map(|url| {
        let to = Destination::RemoteWrite(url.clone(), instance(admin));
        (to, args.remote_write_interval)
    });
    let otlp = args.otlp_metrics_endpoint.iter().map(|endpoint| {
        let to = Destination::Otlp(endpoint.clone());
        (to, args.otlp_metrics_interval)
    });
    write
        .chain(otlp)
        .map(|(to, seconds)| {
            let counters = Arc::clone(shown.exports());
            let shown = Arc::clone(shown);
            let snapshot = move || shown.snapshot();
            Exporter::start(to, Duration::from_secs(seconds), snapshot, counters)
                .context("cannot start a sender of metrics")
        })
        .collect()
}

/// Distinguishes one Forebay from another, as the label `instance` does for a scraper: the admin address, or the machine's
/// name where that address is the same everywhere.
fn instance(admin: SocketAddr) -> String {
    if !admin.ip().is_loopback() && !admin.ip().is_unspecified() {
        return admin.to_string();
    }
    match std::fs::read_to_string("/proc/sys/kernel/hostname") {
        Ok(name) if !name.trim().is_empty() => format!("{}:{}", name.trim(), admin.port()),
        _ => admin.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_differ_from_machine_to_machine() {
        assert_eq!(instance("10.0.0.7:4567".parse().unwrap()), "10.0.0.7:4567");
        let own = instance("127.0.0.1:4567".parse().unwrap());
        assert!(own.ends_with(":4567") && own != "127.0.0.1:4567", "{own}");
    }
}
