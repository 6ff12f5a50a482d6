//! The agent's admin address: `GET /metrics`, `GET /health`, and `POST /limit` to change how many requests are let in.

use super::settled::MOST_CONCURRENT;
use bytes::Bytes;
use forebay_gateway::front::{self, Answer, FrontConnection};
use forebay_gateway::{Hosts, comes_from_a_page};
use forebay_node::PermitIssuer;
use forebay_proxy::{Clock, DataPlane};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use tokio::net::TcpListener;

/// Connections served at once.
const CONNECTIONS: usize = 16;
/// A limit has four digits at most.
const LIMIT_BYTES: usize = 16;

/// Whose state is shown.
pub(super) struct Shown {
    pub(super) permit_issuer: Arc<PermitIssuer>,
    pub(super) plane: Arc<DataPlane>,
    pub(super) clock: Clock,
    pub(super) hosts: Hosts,
    /// It was told to end, and finishes requests.
    pub(super) leaving: AtomicBool,
}

pub(super) async fn serve(listener: TcpListener, shown: Arc<Shown>) {
    front::serve(listener, CONNECTIONS, shown, std::future::pending()).await;
}

impl Answer for Shown {
    async fn answer(
        &self,
        connection: &FrontConnection,
        request: Request<Incoming>,
    ) -> Response<Full<Bytes>> {
        answer(request, connection, self).await
    }
}

async fn answer(
    request: Request<Incoming>,
    connection: &FrontConnection,
    shown: &Shown,
) -> Response<Full<Bytes>> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let refusal = shown
        .hosts
        .refusal(request.uri(), request.headers(), connection.local());
    if let Some(refusal) = refusal {
        return text(StatusCode::FORBIDDEN, refusal + "\n");
    }
    match (method, path.as_str()) {
        (Method::GET | Method::HEAD, "/metrics") => forebay_telemetry::page(&request, shown.metrics()),
        (Method::GET | Method::HEAD, "/health") if shown.leaving.load(Relaxed) => {
            text(StatusCode::SERVICE_UNAVAILABLE, "draining\n".to_owned())
        }
        (Method::GET | Method::HEAD, "/health") => text(StatusCode::OK, "ok\n".to_owned()),
        (Method::GET | Method::HEAD, "/limit") => {
            let limit = shown.permit_issuer.with(|permits| permits.limit());
            text(StatusCode::OK, format!("{limit}\n"))
        }
        (Method::POST | Method::PUT, "/limit") if comes_from_a_page(request.headers()) => text(
            StatusCode::FORBIDDEN,
            "A limit is not taken from a web page: any page could set it.\n".to_owned(),
        ),
        (Method::POST | Method::PUT, "/limit") => set_limit(request, connection, shown).await,
        (_, "/metrics" | "/health" | "/limit") => text(
            StatusCode::METHOD_NOT_ALLOWED,
            "Read it with GET; a limit is set with POST.\n".to_owned(),
        ),
        _ => text(
            StatusCode::NOT_FOUND,
            "Nothing here. See /metrics, /health and /limit.\n".to_owned(),
        ),
    }
}

async fn set_limit(
    request: Request<Incoming>,
    connection: &FrontConnection,
    shown: &Shown,
) -> Response<Full<Bytes>> {
    let waits = connection.body();
    let body = Limited::new(request.into_body(), LIMIT_BYTES).collect().await;
    drop(waits);
    let said = body
        .ok()
        .and_then(|body| String::from_utf8(body.to_bytes().to_vec()).ok());
    let limit = said.and_then(|said| said.trim().parse::<u32>().ok());
    match limit.filter(|&limit| limit <= MOST_CONCURRENT) {
        Some(limit) => {
            let now = shown.clock.now();
            shown
                .permit_issuer
                .change(|permits| permits.set_limit(now, limit));
            tracing::info!(limit, "the limit has changed");
            text(StatusCode::OK, format!("{limit}\n"))
        }
        None => text(
            StatusCode::BAD_REQUEST,
            format!("A limit is a number from 0 to {MOST_CONCURRENT}.\n"),
        ),
    }
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let kind = hyper::header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert("content-type", kind);
    response
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Why {
    reason: &'static str,
}

/// A counter whose count is kept elsewhere.
fn count(registry: &mut Registry, name: &str, help: &str, value: u64) {
    let counter = Counter::<u64>::default();
    counter.inc_by(value);
    registry.register(name, help, counter);
}

/// The same by reason.
fn counts(registry: &mut Registry, name: &str, help: &str, values: &[(&'static str, u64)]) {
    let family = Family::<Why, Counter>::default();
    for &(reason, value) in values {
        family.get_or_create(&Why { reason }).inc_by(value);
    }
    registry.register(name, help, family);
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: u64) {
    let gauge = Gauge::<i64>::default();
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
    registry.register(name, help, gauge);
}

impl Shown {
    /// In OpenMetrics' text.
    fn metrics(&self) -> String {
        let figures = self.permit_issuer.with(|permits| permits.figures());
        let mut registry = Registry::with_prefix("forebay_agent");
        let all = &mut registry;
        let of = u64::from;
        let limit = "Requests that may be at the application at once";
        gauge(all, "limit", limit, of(figures.limit));
        gauge(
            all,
            "in_flight",
            "Requests at the application",
            of(figures.in_flight),
        );
        gauge(all, "permits", "Permits that nodes hold", of(figures.outstanding));
        gauge(
            all,
            "channels",
            "Nodes with a control channel",
            of(figures.sessions),
        );
        let waiting = "Requests that wait at nodes, as they last told";
        gauge(all, "waiting", waiting, figures.waiting);
        count(
            all,
            "permits_granted",
            "Permits granted to nodes",
            figures.granted,
        );
        count(
            all,
            "permits_returned",
            "Permits that nodes gave back",
            figures.returned,
        );
        let revoked = "Permits recalled and not given back in time";
        count(all, "permits_revoked", revoked, figures.revoked);
        count(all, "requests", "Requests let in with a permit", figures.used);
        let probes = self.permit_issuer.probes.load(Relaxed);
        count(all, "probes", "Health checks let in without one", probes);
        let refused = [
            ("missing", self.permit_issuer.missing.load(Relaxed)),
            ("unknown", figures.refused_unknown),
            ("revoked", figures.refused_revoked),
            ("above-limit", figures.refused_above_limit),
        ];
        counts(all, "refused", "Requests not let in", &refused);
        let lost = "Lines of its own log that were left out: too many of a kind, or standard error did not take them";
        count(all, "log_lines_dropped", lost, forebay_process::log::dropped());
        let (connect, closed) = self.failures();
        let failures = [("connect", connect), ("closed", closed)];
        counts(
            all,
            "application_failures",
            "Connections to the application that failed",
            &failures,
        );
        let mut text = String::new();
        // Writing into a String cannot fail; a metric without its line would show at the first scrape.
        if encode(&mut text, &registry).is_err() {
            text.clear();
        }
        text
    }

    /// Connections to the application that were not made, and that broke.
    fn failures(&self) -> (u64, u64) {
        self.plane.with_node(|node| {
            let totals = node.targets().flat_map(|target| target.4.totals.iter());
            totals.fold((0, 0), |(refused, died), totals| {
                (
                    refused + totals.connect_errors.load(Relaxed),
                    died + totals.died.load(Relaxed),
                )
            })
        })
    }
}
