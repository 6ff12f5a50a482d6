//! The admin address: `GET /health`, `GET /metrics`, `GET /planner` and `GET /schedules`.

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

/// The program whose state is shown.
pub trait Source {
    /// Calls `read` with the node.
    fn read(&self, read: &mut dyn FnMut(&Node));
    /// Counts of log lines and spans written and lost.
    fn counters(&self) -> &LogCounters;
    /// Lines of the process's own log that were not written.
    fn own_lines_dropped(&self) -> u64;
    /// Counts of exported samples, and of those that were lost.
    fn exports(&self) -> &ExportCounters;
    /// Counts of notifications of alarms, sent and lost.
    fn notifications(&self) -> NotificationMetrics;
    /// Figures of the stored datapoints.
    fn datapoints(&self) -> DatapointMetrics;
    /// How long changes took from being stored until every worker used them.
    fn adoptions(&self) -> Distribution;
    /// Planned groups, as of the last look at each.
    fn planners(&self) -> Vec<PlannerMetrics>;
    /// Groups that are sized by their workers' queue, as of the last look at each.
    fn backlogs(&self) -> Vec<BacklogMetrics>;
    /// Times from the moment that a planner's order became necessary until it was durable.
    fn orders(&self) -> Distribution;
    /// Durations of looks at all planned groups.
    fn looks(&self) -> Distribution;
    /// All schedules as JSON: what runs next, and what ran.
    fn schedules(&self) -> serde_json::Value;
    /// Whether everything is served that should be.
    fn health(&self) -> Health;
}

/// The process's state, for people and probes.
#[derive(Clone, Debug)]
pub struct Health {
    /// The state in a word.
    pub standing: Standing,
    /// Why it is not `Ok`, one sentence each.
    pub reasons: Vec<String>,
    /// Further facts on the page.
    pub facts: serde_json::Map<String, serde_json::Value>,
}

/// The answer to `GET /health`.
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

/// Whether the client asks for OpenMetrics. Prometheus does; other readers may not understand it.
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

/// The answer to a request at the admin address.
pub fn answer(request: &Request<Incoming>, source: &dyn Source) -> Response<Full<Bytes>> {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    match request.uri().path() {
        _ if !reads => text(
            StatusCode::METHOD_NOT_ALLOWED,
            "text/plain",
            "Only GET and HEAD are allowed here.\n".into(),
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
            "Not found. See /health, /metrics, /planner and /schedules.\n".into(),
        ),
    }
}

/// All figures at this moment.
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

/// Metrics in OpenMetrics' text if the client asks for it, else in Prometheus' older format.
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

/// The answer to a client that may not ask, with the reason.
pub fn forbidden(reason: &str) -> Response<Full<Bytes>> {
    text(StatusCode::FORBIDDEN, "text/plain", format!("{reason}\n"))
}
