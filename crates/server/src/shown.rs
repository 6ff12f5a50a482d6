//! What the admin address shows, from the first moment of a daemon to its last.

use crate::backlogs::Backlogs;
use crate::datapoints::KeptDatapoints;
use crate::planner::Plans;
use bytes::Bytes;
use forebay_gateway::front::{Answer, FrontConnection};
use forebay_gateway::{Hosts, Writer};
use forebay_node::{Distribution, Node, ResponseTimes, Snapshot};
use forebay_proxy::{Clock, DataPlane};
use forebay_telemetry::logs::{LogCounters, Logs};
use forebay_telemetry::metrics::MetricsSnapshot;
use forebay_telemetry::{
    BacklogMetrics, DatapointMetrics, ExportCounters, Health, NotificationCounters, NotificationMetrics,
    PlannerMetrics, Source, Standing,
};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Request, Response};
use serde_json::{Map, json};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// The daemon, as far as it has started.
pub(crate) struct Shown {
    hosts: Hosts,
    served: OnceLock<Served>,
    leaving: AtomicBool,
    exports: Arc<ExportCounters>,
    notifications: Arc<NotificationCounters>,
}

/// Everything that can be shown once traffic is served.
pub(crate) struct Served {
    pub(crate) plane: Arc<DataPlane>,
    pub(crate) logs: Arc<Logs>,
    pub(crate) writer: Writer,
    pub(crate) adoptions: Arc<ResponseTimes>,
    pub(crate) datapoints: Arc<KeptDatapoints>,
    pub(crate) plans: Arc<Plans>,
    pub(crate) backlogs: Backlogs,
    pub(crate) began: Instant,
    pub(crate) clock: Clock,
}

impl Shown {
    /// For a daemon that has not started yet.
    pub(crate) fn new(hosts: Hosts) -> Shown {
        Shown {
            hosts,
            served: OnceLock::new(),
            leaving: AtomicBool::new(false),
            exports: Arc::default(),
            notifications: Arc::default(),
        }
    }

    /// Called when traffic is served.
    pub(crate) fn serves(&self, served: Served) {
        let _ = self.served.set(served);
    }

    /// All current figures; none while nothing is served yet.
    pub(crate) fn snapshot(&self) -> Option<MetricsSnapshot> {
        let served = self.served.get()?;
        Some(forebay_telemetry::snapshot(&Looked { served, shown: self }))
    }

    /// The counters of metrics' senders.
    pub(crate) fn exports(&self) -> &Arc<ExportCounters> {
        &self.exports
    }

    /// The counters of notifications' senders.
    pub(crate) fn notifications(&self) -> &Arc<NotificationCounters> {
        &self.notifications
    }

    /// Called when only requests in flight are still finished.
    pub(crate) fn leaves(&self) {
        self.leaving.store(true, Relaxed);
    }
}

impl Answer for Shown {
    async fn answer(
        &self,
        connection: &FrontConnection,
        request: Request<Incoming>,
    ) -> Response<Full<Bytes>> {
        let refusal = self
            .hosts
            .refusal(request.uri(), request.headers(), connection.local());
        if let Some(text) = refusal {
            return forebay_telemetry::forbidden(&text);
        }
        match self.served.get() {
            Some(served) => forebay_telemetry::answer(&request, &Looked { served, shown: self }),
            None => forebay_telemetry::health(Health {
                standing: Standing::Starting,
                reasons: vec!["the state is being loaded".to_owned()],
                facts: Map::from_iter([("version".to_owned(), env!("CARGO_PKG_VERSION").into())]),
            }),
        }
    }
}

struct Looked<'a> {
    served: &'a Served,
    shown: &'a Shown,
}

impl Source for Looked<'_> {
    fn read(&self, read: &mut dyn FnMut(&Node)) {
        self.served.plane.with_node(|node| read(node));
    }

    fn counters(&self) -> &LogCounters {
        self.served.logs.counters()
    }

    fn own_lines_dropped(&self) -> u64 {
        forebay_process::log::dropped()
    }

    fn exports(&self) -> &ExportCounters {
        &self.shown.exports
    }

    fn notifications(&self) -> NotificationMetrics {
        self.shown.notifications.metrics()
    }

    fn datapoints(&self) -> DatapointMetrics {
        self.served.datapoints.metrics()
    }

    fn adoptions(&self) -> Distribution {
        self.served.adoptions.distribution()
    }

    fn planners(&self) -> Vec<PlannerMetrics> {
        self.served.plans.all()
    }

    fn backlogs(&self) -> Vec<BacklogMetrics> {
        self.served.backlogs.plans()
    }

    fn orders(&self) -> Distribution {
        self.served.plans.orders().distribution()
    }

    fn looks(&self) -> Distribution {
        self.served.plans.looks().distribution()
    }

    fn schedules(&self) -> serde_json::Value {
        crate::schedule_page::page(&self.served.writer.state(), self.served.clock.wall())
    }

    fn health(&self) -> Health {
        let (daemon, leaving) = (self.served, self.shown.leaving.load(Relaxed));
        let served = daemon.plane.served();
        let mut reasons = Vec::new();
        if leaving {
            reasons.push("it is stopping, and finishes requests".to_owned());
        }
        let stores = daemon.writer.stores();
        if !stores {
            reasons
                .push("no change can be stored: see the log, and the disk of the data directory".to_owned());
        }
        reasons.extend(served.failures.iter().map(|failure| {
            let (listener, address, error) = (&failure.listener, failure.address, &failure.error);
            format!("listener {listener} is not served at {address}: {error}")
        }));
        let standing = match (leaving, stores, served.failures.is_empty()) {
            (true, _, _) => Standing::Draining,
            (_, false, _) => Standing::CannotStore,
            (_, _, false) => Standing::Impaired,
            _ => Standing::Ok,
        };
        let failures = served.failures.iter().map(|failure| {
            json!({"listener": failure.listener, "address": failure.address.to_string(), "error": failure.error})
        });
        let state = daemon.writer.state();
        let idle = state.without_traffic().map(|balancer| {
            json!({"name": balancer.name, "type": balancer.kind.word(), "why": "load balancers of this type are stored, but carry no traffic yet"})
        });
        let facts = [
            ("version", env!("CARGO_PKG_VERSION").into()),
            ("uptime_seconds", daemon.began.elapsed().as_secs().into()),
            ("picture_version", served.snapshot.version.into()),
            ("listeners", served.snapshot.listeners.len().into()),
            ("target_groups", served.snapshot.groups.len().into()),
            ("exposed", exposed(&served.snapshot).into()),
            ("listeners_not_bound", failures.collect::<Vec<_>>().into()),
            ("load_balancers_without_traffic", idle.collect::<Vec<_>>().into()),
        ];
        Health {
            standing,
            reasons,
            facts: facts
                .map(|(name, fact)| (name.to_owned(), fact))
                .into_iter()
                .collect(),
        }
    }
}

/// The exposed addresses: for each, the default load balancer and the number of names.
fn exposed(snapshot: &Snapshot) -> Vec<serde_json::Value> {
    let mut found = Vec::new();
    for listener in &snapshot.listeners {
        for node in listener.nodes.iter().filter(|node| node.exposed) {
            let address = SocketAddr::new(node.address, listener.blueprint.port);
            found.push(json!({
                "address": address.to_string(), "default": listener.balancer.name(), "names": listener.named.len(),
            }));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    async fn ask(address: SocketAddr, host: &str) -> String {
        let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!("GET /health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn before_it_stands_it_says_so_and_to_no_page() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let hosts = Hosts {
            allowed: vec!["probe.test".to_owned()],
        };
        let shown = Arc::new(Shown::new(hosts));
        tokio::spawn(forebay_gateway::front::serve(
            listener,
            forebay_gateway::Bounds::of(4),
            shown,
            std::future::pending(),
        ));
        for host in ["127.0.0.1", "localhost:4567", "probe.test"] {
            let answer = ask(address, host).await;
            assert!(
                answer.starts_with("HTTP/1.1 503 ") && answer.contains("\"status\": \"starting\""),
                "{answer}"
            );
        }
        let answer = ask(address, "evil.test").await;
        assert!(
            answer.starts_with("HTTP/1.1 403 ") && answer.contains("--allowed-host"),
            "{answer}"
        );
    }
}
