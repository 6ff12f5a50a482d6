//! OpenTelemetry spans: one per request and one per stage that it passed, sent to a collector over OTLP/HTTP. Threads that
//! carry traffic fill their own batches and hand these over without waiting; one thread sends them. What the thread or the
//! collector cannot take in time is dropped and counted.
//!
//! `otlp` makes spans of a finished request; `sender` is the thread that posts them.

mod otlp;
mod sender;

use crate::endpoint::{NoEndpoint, of_signal};
use crate::logs::LogCounters;
use forebay_node::Sampling;
use forebay_node::logging::{LogFacts, SpanFacts};
use forebay_units::lock::lock;
use hyper::Uri;
use opentelemetry_proto::tonic::trace::v1::Span;
use sender::{ENDING, Sender};
use std::io;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};

/// Spans in a batch that is handed over.
const BATCH: usize = 256;
/// Most batches that may wait for the sender: with half a KiB a span, some 8 MiB.
const WAITING: usize = 64;

/// The address of the collector that spans go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(Uri);

impl core::str::FromStr for Endpoint {
    type Err = NoEndpoint;

    /// Parses `http://HOST:PORT`, perhaps with a path, and adds `/v1/traces`, as OpenTelemetry does for an endpoint of all
    /// signals.
    fn from_str(text: &str) -> Result<Endpoint, NoEndpoint> {
        of_signal(text, "/v1/traces").map(Endpoint)
    }
}

/// Everything that sends spans.
pub(crate) struct Spans {
    sampling: Sampling,
    counters: Arc<LogCounters>,
    batches: mpsc::Sender<Vec<Span>>,
    ending: watch::Sender<bool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Spans {
    /// Starts the sender.
    ///
    /// # Errors
    /// If its thread cannot be started.
    pub(crate) fn start(
        endpoint: Endpoint,
        sampling: Sampling,
        counters: Arc<LogCounters>,
    ) -> io::Result<Spans> {
        let (batches, waiting) = mpsc::channel(WAITING);
        let (ending, ends) = watch::channel(false);
        let sender = Sender::new(endpoint.0, Arc::clone(&counters));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let thread = std::thread::Builder::new()
            .name("spans".to_owned())
            .spawn(move || runtime.block_on(sender.run(waiting, ends)))?;
        Ok(Spans {
            sampling,
            counters,
            batches,
            ending,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Which requests are recorded.
    pub(crate) fn sampling(&self) -> Sampling {
        self.sampling
    }

    pub(crate) fn log_writer(&self) -> SpanWriter {
        SpanWriter {
            batch: Vec::new(),
            batches: self.batches.clone(),
            counters: Arc::clone(&self.counters),
        }
    }

    /// Sends what was handed over, and ends. Log writers must have been flushed. Blocks, but only for a limited time.
    pub(crate) fn finish(&self) {
        self.ending.send_replace(true);
        let thread = lock(&self.thread).take();
        let Some(thread) = thread else { return };
        let deadline = Instant::now() + ENDING + Duration::from_secs(1);
        while !thread.is_finished() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
        if thread.is_finished() {
            let _ = thread.join();
        }
    }
}

/// One thread's way to record spans.
pub(crate) struct SpanWriter {
    batch: Vec<Span>,
    batches: mpsc::Sender<Vec<Span>>,
    counters: Arc<LogCounters>,
}

impl SpanWriter {
    pub(crate) fn request(&mut self, facts: &LogFacts<'_>, span: &SpanFacts<'_>) {
        otlp::request(&mut self.batch, facts, span);
        if self.batch.len() >= BATCH {
            self.flush();
        }
    }

    pub(crate) fn flush(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let batch = core::mem::take(&mut self.batch);
        if let Err(refused) = self.batches.try_send(batch) {
            let (mpsc::error::TrySendError::Full(batch) | mpsc::error::TrySendError::Closed(batch)) = refused;
            self.counters.lost_spans(batch.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints() {
        let uri = |text: &str| text.parse::<Endpoint>().map(|endpoint| endpoint.0.to_string());
        assert_eq!(
            uri("http://127.0.0.1:4318").as_deref(),
            Ok("http://127.0.0.1:4318/v1/traces")
        );
        assert_eq!(
            uri("http://[::1]:4318/").as_deref(),
            Ok("http://[::1]:4318/v1/traces")
        );
        assert_eq!(
            uri("http://otel/api/x").as_deref(),
            Ok("http://otel/api/x/v1/traces")
        );
        assert_eq!(
            uri("https://otel:4318").as_deref(),
            Ok("https://otel:4318/v1/traces")
        );
        for bad in [
            "",
            "127.0.0.1:4318",
            "ftp://otel:4318",
            "http://",
            "http:///x",
            "http://a/?b",
            "grpc://a:4317",
            "http://me:secret@a:4318",
        ] {
            assert_eq!(uri(bad), Err(NoEndpoint), "{bad}");
        }
    }
}
