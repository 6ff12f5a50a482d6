//! The agent's admin address: `GET /metrics`, `GET /health`, and `POST /limit` to change how many requests are let in.

use super::settled::MOST_CONCURRENT;
use bytes::Bytes;
use forebay_gateway::front::{self, Answer, Visit};
use forebay_gateway::{Hosts, comes_from_a_page};
use forebay_node::Turnstile;
use forebay_proxy::{Clock, DataPlane};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use tokio::net::TcpListener;

/// Connections served at once.
const CONNECTIONS: usize = 16;
/// A limit has four digits at most.
const LIMIT_BYTES: usize = 16;

/// Whose state is shown.
pub(super) struct Shown {
    pub(super) turnstile: Arc<Turnstile>,
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
    async fn answer(&self, visit: &Visit, request: Request<Incoming>) -> Response<Full<Bytes>> {
        answer(request, visit, self).await
    }
}

async fn answer(request: Request<Incoming>, visit: &Visit, shown: &Shown) -> Response<Full<Bytes>> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let refusal = shown
        .hosts
        .refusal(request.uri(), request.headers(), visit.local());
    if let Some(refusal) = refusal {
        return text(StatusCode::FORBIDDEN, refusal + "\n");
    }
    match (method, path.as_str()) {
        (Method::GET | Method::HEAD, "/metrics") => text(StatusCode::OK, shown.metrics()),
        (Method::GET | Method::HEAD, "/health") if shown.leaving.load(Relaxed) => {
            text(StatusCode::SERVICE_UNAVAILABLE, "draining\n".to_owned())
        }
        (Method::GET | Method::HEAD, "/health") => text(StatusCode::OK, "ok\n".to_owned()),
        (Method::GET | Method::HEAD, "/limit") => {
            let limit = shown.turnstile.with(|permits| permits.limit());
            text(StatusCode::OK, format!("{limit}\n"))
        }
        (Method::POST | Method::PUT, "/limit") if comes_from_a_page(request.headers()) => text(
            StatusCode::FORBIDDEN,
            "A limit is not taken from a web page: any page could set it.\n".to_owned(),
        ),
        (Method::POST | Method::PUT, "/limit") => set_limit(request, visit, shown).await,
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

async fn set_limit(request: Request<Incoming>, visit: &Visit, shown: &Shown) -> Response<Full<Bytes>> {
    let waits = visit.body();
    let body = Limited::new(request.into_body(), LIMIT_BYTES).collect().await;
    drop(waits);
    let said = body
        .ok()
        .and_then(|body| String::from_utf8(body.to_bytes().to_vec()).ok());
    let limit = said.and_then(|said| said.trim().parse::<u32>().ok());
    match limit.filter(|&limit| limit <= MOST_CONCURRENT) {
        Some(limit) => {
            let now = shown.clock.now();
            shown.turnstile.change(|permits| permits.set_limit(now, limit));
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

impl Shown {
    fn metrics(&self) -> String {
        let figures = self.turnstile.with(|permits| permits.figures());
        let mut page = Page::default();
        let count = u64::from;
        let at_once = "Requests that may be at the application at once.";
        let waiting = "Requests that wait at nodes, as they last told.";
        let gauges = [
            ("limit", at_once, count(figures.limit)),
            (
                "in_flight",
                "Requests at the application.",
                count(figures.in_flight),
            ),
            ("permits", "Permits that nodes hold.", count(figures.outstanding)),
            (
                "channels",
                "Nodes with a control channel.",
                count(figures.sessions),
            ),
            ("waiting", waiting, figures.waiting),
        ];
        for (name, help, value) in gauges {
            page.write(name, "gauge", help, &[("", value)]);
        }
        let probes = self.turnstile.probes.load(Relaxed);
        let counters = [
            (
                "permits_granted_total",
                "Permits granted to nodes.",
                figures.granted,
            ),
            (
                "permits_returned_total",
                "Permits that nodes gave back.",
                figures.returned,
            ),
            (
                "permits_revoked_total",
                "Permits recalled and not given back in time.",
                figures.revoked,
            ),
            ("requests_total", "Requests let in with a permit.", figures.used),
            ("probes_total", "Health checks let in without one.", probes),
        ];
        for (name, help, value) in counters {
            page.write(name, "counter", help, &[("", value)]);
        }
        let refused = [
            ("{reason=\"missing\"}", self.turnstile.missing.load(Relaxed)),
            ("{reason=\"unknown\"}", figures.refused_unknown),
            ("{reason=\"revoked\"}", figures.refused_revoked),
            ("{reason=\"above-limit\"}", figures.refused_above_limit),
        ];
        page.write("refused_total", "counter", "Requests not let in.", &refused);
        let dropped = [("", forebay_process::log::dropped())];
        let lost = "Lines of its own log that were left out: too many of a kind, or standard error did not take them.";
        page.write("log_lines_dropped_total", "counter", lost, &dropped);
        let (connect, closed) = self.failures();
        page.write(
            "application_failures_total",
            "counter",
            "Connections to the application that failed.",
            &[("{reason=\"connect\"}", connect), ("{reason=\"closed\"}", closed)],
        );
        page.0
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

/// Metrics as Prometheus reads them.
#[derive(Default)]
struct Page(String);

impl Page {
    fn write(&mut self, name: &str, kind: &str, help: &str, values: &[(&str, u64)]) {
        let out = &mut self.0;
        let _ = writeln!(out, "# HELP forebay_agent_{name} {help}");
        let _ = writeln!(out, "# TYPE forebay_agent_{name} {kind}");
        for (labels, value) in values {
            let _ = writeln!(out, "forebay_agent_{name}{labels} {value}");
        }
    }
}
