//! The admin address: `GET /health` and `GET /metrics`.

use crate::backlog::BacklogMetrics;
use crate::exports::{DatapointMetrics, ExportCounters, NotificationMetrics};
use crate::logs::LogCounters;
use crate::metrics::{ExpiryMetrics, MetricsSnapshot, Own, PlannerMetrics, ServerMetrics, render};
use crate::planner;
use crate::process::ProcessMetrics;
use crate::standing::Standing;
use crate::text::text;
use bytes::Bytes;
use forebay_node::{Distribution, Node, NodeMetrics};
use forebay_units::Wall;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};

/// Whose state is shown.
pub trait Source {
    /// Calls `read` with the node.
    fn read(&self, read: &mut dyn FnMut(&Node));
    /// What was logged and what was lost.
    fn counters(&self) -> &LogCounters;
    /// Lines of the process's own log that were not written.
    fn own_lines_dropped(&self) -> u64;
    /// What was sent of metrics, and what of it was lost.
    fn exports(&self) -> &ExportCounters;
    /// What became of notifications of alarms.
    fn notifications(&self) -> NotificationMetrics;
    /// What is kept of datapoints.
    fn datapoints(&self) -> DatapointMetrics;
    /// How long changes took from being stored until every worker decided by them.
    fn adoptions(&self) -> Distribution;
    /// What was planned last.
    fn planners(&self) -> Vec<PlannerMetrics>;
    /// What was planned last for workers on queues.
    fn backlogs(&self) -> Vec<BacklogMetrics>;
    /// From what made a planner's order necessary until it was durable.
    fn orders(&self) -> Distribution;
    /// How long looks at all planned groups took.
    fn looks(&self) -> Distribution;
    /// All schedules: what runs next, and what ran, as JSON.
    fn schedules(&self) -> serde_json::Value;
    /// Whether everything is served that should be.
    fn health(&self) -> Health;
}

/// How it is, for people and probes.
#[derive(Clone, Debug)]
pub struct Health {
    /// In a word.
    pub standing: Standing,
    /// Why it is not `Ok`, a sentence each.
    pub reasons: Vec<String>,
    /// What else is worth knowing.
    pub facts: serde_json::Map<String, serde_json::Value>,
}

/// The answer to whoever asks how it is.
pub fn health(health: Health) -> Response<Full<Bytes>> {
    let mut page = health.facts;
    page.insert("status".to_owned(), health.standing.word().into());
    page.insert("reasons".to_owned(), health.reasons.into());
    let page = serde_json::Value::Object(page);
    text(
        health.standing.status(),
        "application/json",
        format!("{page:#}\n"),
    )
}

/// Whether OpenMetrics is asked for: Prometheus does, and others may not understand it.
fn wants_open_metrics(request: &Request<Incoming>) -> bool {
    let accepts = request.headers().get_all("accept").iter();
    accepts
        .filter_map(|accepts| accepts.to_str().ok())
        .flat_map(|accepts| accepts.split(','))
        .any(|kind| {
            let mut parts = kind.split(';').map(str::trim);
            let is_it = parts
                .next()
                .is_some_and(|kind| kind.eq_ignore_ascii_case("application/openmetrics-text"));
            let quality = parts.find_map(|part| part.strip_prefix("q="));
            is_it && quality.is_none_or(|quality| quality.parse().is_ok_and(|quality: f64| quality > 0.0))
        })
}

/// What is answered there.
pub fn answer(request: &Request<Incoming>, source: &dyn Source) -> Response<Full<Bytes>> {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    match request.uri().path() {
        _ if !reads => text(
            StatusCode::METHOD_NOT_ALLOWED,
            "text/plain",
            "Only GET and HEAD are answered here.\n".into(),
        ),
        "/health" => health(source.health()),
        "/metrics" => page(request, snapshot(source)),
        "/planner" => planner::page(request, &source.planners(), &source.backlogs()),
        "/schedules" => text(
            StatusCode::OK,
            "application/json",
            format!("{:#}\n", source.schedules()),
        ),
        "/" => text(
            StatusCode::OK,
            "text/plain",
            "Forebay. See /health, /metrics, /planner and /schedules.\n".into(),
        ),
        _ => text(
            StatusCode::NOT_FOUND,
            "text/plain",
            "Nothing here. See /health, /metrics, /planner and /schedules.\n".into(),
        ),
    }
}

/// All that metrics are read of at this moment.
pub fn snapshot(source: &dyn Source) -> MetricsSnapshot {
    let mut node = NodeMetrics::default();
    source.read(&mut |of| node = of.metrics());
    let certificates = ExpiryMetrics::of(&node, Wall::from_seconds(epoch_seconds()));
    MetricsSnapshot::Server(ServerMetrics {
        node,
        certificates,
        planners: source.planners(),
        backlogs: source.backlogs(),
        logs: source.counters().metrics(),
        own: Box::new(Own {
            lines_dropped: source.own_lines_dropped(),
            standing: source.health().standing,
            process: ProcessMetrics::now(),
            exports: source.exports().metrics(),
            notifications: source.notifications(),
            datapoints: source.datapoints(),
            adoptions: source.adoptions(),
            orders: source.orders(),
            looks: source.looks(),
        }),
    })
}

fn epoch_seconds() -> i64 {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Metrics as whoever asks reads them: in OpenMetrics' text, or in Prometheus' older one.
pub fn page(request: &Request<Incoming>, snapshot: MetricsSnapshot) -> Response<Full<Bytes>> {
    let metrics = render(snapshot);
    if wants_open_metrics(request) {
        let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        text(StatusCode::OK, kind, metrics)
    } else {
        let kind = "text/plain; version=0.0.4; charset=utf-8";
        text(StatusCode::OK, kind, crate::plain::plain(&metrics))
    }
}

/// The answer to who may not ask, with the reason.
pub fn forbidden(reason: &str) -> Response<Full<Bytes>> {
    text(StatusCode::FORBIDDEN, "text/plain", format!("{reason}\n"))
}
