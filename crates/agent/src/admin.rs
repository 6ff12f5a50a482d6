//! The agent's admin address: `GET /metrics`, `GET /health`, and `POST /limit`, which changes the limit.

use super::settled::MOST_CONCURRENT;
use bytes::Bytes;
use forebay_gateway::front::{self, Answer, FrontConnection};
use forebay_gateway::{Bounds, Hosts, comes_from_a_page};
use forebay_node::PermitIssuer;
use forebay_proxy::{Clock, DataPlane};
use forebay_telemetry::ProcessMetrics;
use forebay_telemetry::metrics::{AgentMetrics, MetricsSnapshot};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use tokio::net::TcpListener;

/// Most connections served at once.
const CONNECTIONS: usize = 16;
/// Most bytes of a limit, which has four digits at most.
const LIMIT_BYTES: usize = 16;

/// The agent's state, for its pages.
pub(super) struct Shown {
    pub(super) permit_issuer: Arc<PermitIssuer>,
    pub(super) plane: Arc<DataPlane>,
    pub(super) clock: Clock,
    pub(super) hosts: Hosts,
    /// The agent was told to end, and finishes requests.
    pub(super) leaving: AtomicBool,
}

pub(super) async fn serve(listener: TcpListener, shown: Arc<Shown>) {
    front::serve(listener, Bounds::of(CONNECTIONS), shown, std::future::pending()).await;
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
            "A web page may not set the limit: any page could.\n".to_owned(),
        ),
        (Method::POST | Method::PUT, "/limit") => set_limit(request, connection, shown).await,
        (_, "/metrics" | "/health" | "/limit") => text(
            StatusCode::METHOD_NOT_ALLOWED,
            "Read pages with GET, and set the limit with POST.\n".to_owned(),
        ),
        _ => text(
            StatusCode::NOT_FOUND,
            "Not found. See /metrics, /health and /limit.\n".to_owned(),
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

impl Shown {
    /// All figures at this moment.
    fn metrics(&self) -> MetricsSnapshot {
        MetricsSnapshot::Agent(AgentMetrics {
            node: self.plane.with_node(|node| node.metrics()),
            permit_issuer: self.permit_issuer.metrics(),
            log_lines_dropped: forebay_process::log::dropped(),
            process: ProcessMetrics::now(),
        })
    }
}
