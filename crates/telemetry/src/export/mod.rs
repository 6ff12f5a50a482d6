//! Sends all metrics to receivers at an interval: by Prometheus' remote-write, or to an OpenTelemetry collector. Each
//! receiver has its own thread, and nothing waits for it: what a receiver does not take in time is dropped and counted.
//!
//! In reading order: `message` (one post), `sender` (the thread that takes snapshots and posts), `remote_write` and `otlp`
//! (the encodings).

mod message;
mod otlp;
mod remote_write;
mod sender;

use crate::endpoint::{MetricsEndpoint, RemoteWriteUrl};
use crate::exports::{ExportCounters, Receiver};
use crate::metrics::MetricsSnapshot;
use crate::otlp::{again, headers};
use crate::post::Poster;
use message::Encode;
use sender::{ENDING, Sender};
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Where metrics go, and in which protocol.
#[derive(Clone, Debug)]
pub enum Destination {
    /// By Prometheus' remote-write. Series carry `job="forebay"` and this `instance`, as if they had been scraped.
    RemoteWrite(RemoteWriteUrl, String),
    /// To an OpenTelemetry collector.
    Otlp(MetricsEndpoint),
}

/// The export of metrics to one receiver.
pub struct Exporter {
    ending: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl Exporter {
    /// Sends a snapshot at once, and then one after each `interval`.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(
        destination: Destination,
        interval: Duration,
        snapshot: impl Fn() -> Option<MetricsSnapshot> + Send + 'static,
        counters: Arc<ExportCounters>,
    ) -> io::Result<Exporter> {
        let (receiver, poster, encode): (_, _, Box<dyn Encode>) = match destination {
            Destination::RemoteWrite(url, instance) => (
                Receiver::RemoteWrite,
                Poster::new(url.0, remote_write::headers(), remote_write::again),
                Box::new(remote_write::RemoteWrite::new(instance)),
            ),
            Destination::Otlp(endpoint) => (
                Receiver::Otlp,
                Poster::new(endpoint.0, headers(), again),
                Box::new(otlp::Otlp::default()),
            ),
        };
        let (ending, ends) = watch::channel(false);
        let sender = Sender::new(receiver, poster, encode, Box::new(snapshot), counters);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let thread = std::thread::Builder::new()
            .name(receiver.word().to_owned())
            .spawn(move || runtime.block_on(sender.run(interval, ends)))?;
        Ok(Exporter { ending, thread })
    }

    /// Sends a last snapshot and ends. Blocks, but only for a limited time.
    pub fn finish(self) {
        self.ending.send_replace(true);
        let deadline = Instant::now() + ENDING + Duration::from_secs(1);
        while !self.thread.is_finished() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
        if self.thread.is_finished() {
            let _ = self.thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
