//! Counts of lines written and lost, by log and by sink.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// The three logs of a load balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Log {
    /// A line per request.
    Access,
    /// A line per connection.
    Connection,
    /// A line per probe.
    Health,
}

impl Log {
    /// All logs.
    pub const ALL: [Log; 3] = [Log::Access, Log::Connection, Log::Health];

    /// The log's name in metrics and flags.
    pub const fn word(self) -> &'static str {
        match self {
            Log::Access => "access",
            Log::Connection => "connection",
            Log::Health => "health",
        }
    }
}

/// Where lines go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sink {
    /// To files, under their bucket's name.
    File,
    /// To standard output or a socket.
    Live,
}

impl Sink {
    /// Both sinks.
    pub const ALL: [Sink; 2] = [Sink::File, Sink::Live];

    /// The sink's name in metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Sink::File => "file",
            Sink::Live => "live",
        }
    }
}

/// Counts of log lines and spans, written and lost.
#[derive(Debug, Default)]
pub struct LogCounters {
    written: [[AtomicU64; 3]; 2],
    dropped: [[AtomicU64; 3]; 2],
    deleted: [AtomicU64; 3],
    spans_sent: AtomicU64,
    spans_dropped: AtomicU64,
}

/// The values of [`LogCounters`] at one moment.
#[derive(Clone, Debug, Default)]
pub struct LogMetrics {
    /// Lines of each log and sink.
    pub lines: Vec<LineMetrics>,
    /// Files of each log that were deleted at the end of their retention.
    pub deleted: Vec<(Log, u64)>,
    /// Spans that the collector accepted.
    pub spans_sent: u64,
    /// Spans that were lost.
    pub spans_dropped: u64,
}

/// Lines of one log at one sink.
#[derive(Clone, Copy, Debug)]
pub struct LineMetrics {
    /// The log.
    pub log: Log,
    /// The sink.
    pub sink: Sink,
    /// Lines that were written.
    pub written: u64,
    /// Lines that were lost.
    pub dropped: u64,
}

impl LogCounters {
    /// All counts.
    pub fn metrics(&self) -> LogMetrics {
        let of = |log, sink| LineMetrics {
            log,
            sink,
            written: self.written(log, sink),
            dropped: self.dropped(log, sink),
        };
        let each = Log::ALL
            .into_iter()
            .flat_map(|log| Sink::ALL.map(|sink| of(log, sink)));
        LogMetrics {
            lines: each.collect(),
            deleted: Log::ALL
                .map(|log| (log, self.deleted[log as usize].load(Relaxed)))
                .to_vec(),
            spans_sent: self.spans_sent(),
            spans_dropped: self.spans_dropped(),
        }
    }

    /// Lines of this log that were written to this sink.
    pub fn written(&self, log: Log, sink: Sink) -> u64 {
        self.written[sink as usize][log as usize].load(Relaxed)
    }

    /// Lines that were lost because the sink was too slow, full or gone.
    pub fn dropped(&self, log: Log, sink: Sink) -> u64 {
        self.dropped[sink as usize][log as usize].load(Relaxed)
    }

    /// Spans that the collector accepted.
    pub fn spans_sent(&self) -> u64 {
        self.spans_sent.load(Relaxed)
    }

    /// Spans that were lost because the collector was too slow, could not be reached or rejected them.
    pub fn spans_dropped(&self) -> u64 {
        self.spans_dropped.load(Relaxed)
    }

    pub(crate) fn sent_spans(&self, count: usize) {
        self.spans_sent.fetch_add(count as u64, Relaxed);
    }

    pub(crate) fn lost_spans(&self, count: usize) {
        self.spans_dropped.fetch_add(count as u64, Relaxed);
    }

    pub(super) fn wrote(&self, log: Log, sink: Sink, lines: u64) {
        self.written[sink as usize][log as usize].fetch_add(lines, Relaxed);
    }

    pub(super) fn deleted(&self, log: Log) {
        self.deleted[log as usize].fetch_add(1, Relaxed);
    }

    pub(super) fn lost(&self, log: Log, sink: Sink, lines: u64) {
        self.dropped[sink as usize][log as usize].fetch_add(lines, Relaxed);
    }
}
