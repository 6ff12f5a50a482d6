//! Logs which load balancer is the default at each exposed address and port, and when that changes.

use forebay_process::log;
use forebay_proxy::Served;
use forebay_units::lock::lock;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;
use tracing::Level;

/// Most lines at once; the rest is counted. The log itself accepts no more lines of a kind per second.
const LINES: usize = 10;

/// What was logged last.
pub(crate) struct ExposedLog {
    exposed: Vec<IpAddr>,
    /// None before the first time.
    told: Mutex<Option<BTreeMap<SocketAddr, String>>>,
}

impl ExposedLog {
    /// For load balancers exposed at these addresses.
    pub(crate) fn new(exposed: &[IpAddr]) -> ExposedLog {
        ExposedLog {
            exposed: exposed.to_owned(),
            told: Mutex::new(None),
        }
    }

    /// Logs what is served now, as far as it is new.
    pub(crate) fn look(&self, served: &Served) {
        let now = defaults(served);
        let mut told = lock(&self.told);
        let mut lines = news(&self.exposed, told.as_ref(), &now);
        if lines.len() > LINES {
            let more = lines.len() - LINES;
            lines.truncate(LINES);
            lines.push(format!(
                "exposed: {more} more addresses and ports, all under `exposed` of /health"
            ));
        }
        // Exposing to other machines is logged at start whatever the log level, because one load balancer becomes
        // everyone's default.
        let is_start = told.is_none() && self.exposed.iter().any(|address| !address.is_loopback());
        for line in lines {
            if is_start {
                log::say(Level::INFO, format_args!("forebay: {line}"));
            } else {
                tracing::info!("{line}");
            }
        }
        *told = Some(now);
    }
}

/// The default load balancers, by address. Addresses that could not be bound are left out.
fn defaults(served: &Served) -> BTreeMap<SocketAddr, String> {
    let mut found = BTreeMap::new();
    for listener in &served.snapshot.listeners {
        for node in listener.nodes.iter().filter(|node| node.exposed) {
            let address = SocketAddr::new(node.address, listener.blueprint.port);
            if !served.failures.iter().any(|failure| failure.address == address) {
                found.insert(address, listener.balancer.name().to_owned());
            }
        }
    }
    found
}

/// The lines to log.
fn news(
    exposed: &[IpAddr],
    before: Option<&BTreeMap<SocketAddr, String>>,
    now: &BTreeMap<SocketAddr, String>,
) -> Vec<String> {
    if before.is_none() && now.is_empty() {
        let places: Vec<String> = exposed.iter().take(LINES).map(IpAddr::to_string).collect();
        return vec![format!(
            "load balancers will be reached at {}, on their listeners' ports",
            places.join(", ")
        )];
    }
    let nobody = BTreeMap::new();
    let old = before.unwrap_or(&nobody);
    let came = now
        .iter()
        .filter(|(address, name)| old.get(address) != Some(name));
    let came =
        came.map(|(address, name)| format!("exposed at {address}: {name} has what names no load balancer"));
    let gone = old.keys().filter(|address| !now.contains_key(address));
    let gone = gone.map(|address| format!("exposed at {address}: no load balancer any more"));
    came.chain(gone).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(entries: &[(&str, &str)]) -> BTreeMap<SocketAddr, String> {
        let entries = entries.iter();
        entries
            .map(|(address, name)| (address.parse().unwrap(), (*name).to_owned()))
            .collect()
    }

    #[test]
    fn what_is_new_is_told_once() {
        let exposed = ["192.0.2.1".parse().unwrap(), "::".parse().unwrap()];
        let nothing = table(&[]);
        assert_eq!(
            news(&exposed, None, &nothing),
            ["load balancers will be reached at 192.0.2.1, ::, on their listeners' ports"]
        );
        assert!(news(&exposed, Some(&nothing), &nothing).is_empty());
        let one = table(&[("192.0.2.1:80", "app/a/1"), ("[::]:80", "app/a/1")]);
        let said = ["192.0.2.1:80", "[::]:80"]
            .map(|place| format!("exposed at {place}: app/a/1 has what names no load balancer"));
        assert_eq!(news(&exposed, None, &one), said);
        assert_eq!(news(&exposed, Some(&nothing), &one), said);
        let two = table(&[("192.0.2.1:80", "app/b/2")]);
        assert_eq!(
            news(&exposed, Some(&one), &two),
            [
                "exposed at 192.0.2.1:80: app/b/2 has what names no load balancer",
                "exposed at [::]:80: no load balancer any more"
            ]
        );
    }
}
