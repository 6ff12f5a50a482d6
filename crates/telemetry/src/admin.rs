//! The admin address: `GET /health` and `GET /metrics`.

use crate::logs::Tally;
use bytes::Bytes;
use forebay_node::Node;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};

/// Whose state is shown.
pub trait Source: Send + Sync + 'static {
    /// Calls `read` with the node.
    fn read(&self, read: &mut dyn FnMut(&Node));
    /// What was logged and what was lost.
    fn tally(&self) -> &Tally;
    /// Lines of the process's own log that were not written.
    fn own_lines_dropped(&self) -> u64;
    /// Whether everything is served that should be, and what is worth knowing, as JSON.
    fn health(&self) -> serde_json::Value;
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
        "/health" => text(
            StatusCode::OK,
            "application/json",
            format!("{:#}\n", source.health()),
        ),
        "/metrics" => {
            let mut metrics = String::new();
            source
                .read(&mut |node| metrics = crate::render(node, source.tally(), source.own_lines_dropped()));
            text(
                StatusCode::OK,
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
                metrics,
            )
        }
        "/" => text(
            StatusCode::OK,
            "text/plain",
            "Forebay. See /health and /metrics.\n".into(),
        ),
        _ => text(
            StatusCode::NOT_FOUND,
            "text/plain",
            "Nothing here. See /health and /metrics.\n".into(),
        ),
    }
}

fn text(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert("content-type", hyper::header::HeaderValue::from_static(kind));
    response
}
