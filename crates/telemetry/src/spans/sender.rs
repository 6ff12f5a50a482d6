//! The thread that posts spans to the collector.

use super::otlp;
use crate::logs::LogCounters;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::CONTENT_TYPE;
use hyper::{Request, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// Time to send what is there when all ends.
pub(super) const ENDING: Duration = Duration::from_secs(5);

/// Spans in one post, unless the last batch brought more.
const POST: usize = 2048;
/// Time for one post (OpenTelemetry's default).
const PATIENCE: Duration = Duration::from_secs(10);
/// Waits between tries of the same post: the specification asks for ever longer ones.
const RETRIES: [Duration; 3] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
];
/// Bytes of a collector's answer that are read.
const ANSWER_BYTES: usize = 64 * 1024;
/// Whoever loses spans says so this often.
const TELLING: Duration = Duration::from_secs(60);

/// Why a post came to nothing.
struct Failed {
    why: String,
    /// The same post may do later.
    again: bool,
}

pub(super) struct Sender {
    uri: Uri,
    counters: Arc<LogCounters>,
    client: Client<HttpConnector, Full<Bytes>>,
    told: Option<Instant>,
}

impl Sender {
    pub(super) fn new(uri: Uri, counters: Arc<LogCounters>) -> Sender {
        Sender {
            uri,
            counters,
            client: Client::builder(TokioExecutor::new()).build_http(),
            told: None,
        }
    }

    /// Posts what comes until `ending` says that all ends; then what waits, once.
    pub(super) async fn run(
        mut self,
        mut batches: mpsc::Receiver<Vec<Span>>,
        mut ending: watch::Receiver<bool>,
    ) {
        loop {
            let batch = tokio::select! {
                batch = batches.recv() => batch,
                _ = ending.wait_for(|ends| *ends) => break,
            };
            let Some(spans) = batch else { break };
            let spans = fill(spans, &mut batches);
            self.send(spans, &mut ending).await;
        }
        let deadline = Instant::now() + ENDING;
        while let Ok(spans) = batches.try_recv() {
            let spans = fill(spans, &mut batches);
            let lost = spans.len();
            if tokio::time::timeout_at(deadline, self.send(spans, &mut ending))
                .await
                .is_err()
            {
                self.counters.lost_spans(lost);
            }
        }
    }

    async fn send(&mut self, spans: Vec<Span>, ending: &mut watch::Receiver<bool>) {
        let count = spans.len();
        let body = Bytes::from(message(spans).encode_to_vec());
        let mut waits = RETRIES.into_iter();
        loop {
            let failed = match self.post(body.clone()).await {
                Ok(rejected) => {
                    let rejected = rejected.min(count);
                    self.counters.sent_spans(count - rejected);
                    self.counters.lost_spans(rejected);
                    return;
                }
                Err(failed) => failed,
            };
            let wait = waits.next().filter(|_| failed.again && !*ending.borrow());
            let Some(wait) = wait else {
                self.counters.lost_spans(count);
                return self.tell(&failed.why);
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = ending.wait_for(|ends| *ends) => {}
            }
        }
    }

    /// Posts once; returns how many spans the collector did not want.
    async fn post(&self, body: Bytes) -> Result<usize, Failed> {
        let again = |why: String| Failed { why, again: true };
        let request = Request::post(self.uri.clone())
            .header(CONTENT_TYPE, "application/x-protobuf")
            .body(Full::new(body))
            .map_err(|error| again(error.to_string()))?;
        let answered = async {
            let response = self
                .client
                .request(request)
                .await
                .map_err(|error| error.to_string())?;
            let status = response.status();
            let body = Limited::new(response.into_body(), ANSWER_BYTES).collect().await;
            Ok::<_, String>((status, body.map(|body| body.to_bytes()).unwrap_or_default()))
        };
        let (status, body) = match tokio::time::timeout(PATIENCE, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(again(error)),
            Err(_) => return Err(again("no answer in time".to_owned())),
        };
        if status.is_success() {
            // An answer that can't be read says no less than its status does.
            let answer = ExportTraceServiceResponse::decode(body).unwrap_or_default();
            let rejected = answer.partial_success.map_or(0, |partial| partial.rejected_spans);
            return Ok(usize::try_from(rejected).unwrap_or(0));
        }
        // The statuses that OTLP/HTTP calls retryable.
        let again = matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS
                | StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT
        );
        let why = format!("the collector answered {status}");
        Err(Failed { why, again })
    }

    fn tell(&mut self, why: &str) {
        let now = Instant::now();
        if self.told.is_none_or(|told| now.duration_since(told) >= TELLING) {
            self.told = Some(now);
            tracing::warn!(
                "spans are lost: {}: {why} (forebay_spans_dropped_total counts them)",
                self.uri
            );
        }
    }
}

/// Adds what waits already, up to a post's worth.
fn fill(mut spans: Vec<Span>, batches: &mut mpsc::Receiver<Vec<Span>>) -> Vec<Span> {
    while spans.len() < POST
        && let Ok(more) = batches.try_recv()
    {
        spans.extend(more);
    }
    spans
}

fn message(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let version = env!("CARGO_PKG_VERSION");
    let resource = Resource {
        attributes: vec![
            otlp::text("service.name", "forebay"),
            otlp::text("service.version", version),
        ],
        ..Resource::default()
    };
    let scope = InstrumentationScope {
        name: "forebay".to_owned(),
        version: version.to_owned(),
        ..InstrumentationScope::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource),
            scope_spans: vec![ScopeSpans {
                scope: Some(scope),
                spans,
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    }
}
