//! The thread that posts spans to the collector.

use crate::logs::LogCounters;
use crate::otlp;
use crate::post::{Complaint, Poster};
use bytes::Bytes;
use hyper::Uri;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// Time to send what is left when the process ends.
pub(super) const ENDING: Duration = Duration::from_secs(5);

/// Spans in one post, unless the last batch added more.
const POST: usize = 2048;
/// Waits between attempts of the same post, growing as the specification asks.
const RETRIES: [Duration; 3] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
];

pub(super) struct Sender {
    poster: Poster,
    counters: Arc<LogCounters>,
    complaint: Complaint,
}

impl Sender {
    pub(super) fn new(uri: Uri, counters: Arc<LogCounters>) -> Sender {
        Sender {
            poster: Poster::new(uri, otlp::headers(), otlp::again),
            counters,
            complaint: Complaint::default(),
        }
    }

    /// Posts spans as they come until `ending` is set; then what waits, once.
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
            let failed = match self.poster.post(body.clone()).await {
                Ok(answer) => {
                    let rejected = rejected(answer).min(count);
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
            // The collector may ask for a longer wait.
            let wait = failed.after.map_or(wait, |after| after.max(wait));
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = ending.wait_for(|ends| *ends) => {}
            }
        }
    }

    fn tell(&mut self, why: &str) {
        let uri = self.poster.uri();
        self.complaint
            .tell("spans", uri, why, "forebay_spans_dropped_total");
    }
}

/// How many spans the collector rejected. An answer that cannot be decoded counts by its status alone.
fn rejected(answer: Bytes) -> usize {
    let answer = ExportTraceServiceResponse::decode(answer).unwrap_or_default();
    let rejected = answer.partial_success.map_or(0, |partial| partial.rejected_spans);
    usize::try_from(rejected).unwrap_or(0)
}

/// Adds batches that wait already, up to the size of a post.
fn fill(mut spans: Vec<Span>, batches: &mut mpsc::Receiver<Vec<Span>>) -> Vec<Span> {
    while spans.len() < POST
        && let Ok(more) = batches.try_recv()
    {
        spans.extend(more);
    }
    spans
}

fn message(spans: Vec<Span>) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(otlp::resource()),
            scope_spans: vec![ScopeSpans {
                scope: Some(otlp::scope()),
                spans,
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    }
}
