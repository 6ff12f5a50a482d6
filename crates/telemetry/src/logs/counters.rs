//! What was logged and what was lost, by log and by where it went.

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
    /// All of them.
    pub const ALL: [Log; 3] = [Log::Access, Log::Connection, Log::Health];

    /// Its name in metrics and flags.
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
    /// Both.
    pub const ALL: [Sink; 2] = [Sink::File, Sink::Live];

    /// Its name in metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Sink::File => "file",
            Sink::Live => "live",
        }
    }
}

/// Lines written and lines lost; spans likewise.
#[derive(Debug, Default)]
pub struct LogCounters {
    written: [[AtomicU64; 3]; 2],
    dropped: [[AtomicU64; 3]; 2],
    spans_sent: AtomicU64,
    spans_dropped: AtomicU64,
}

impl LogCounters {
    /// Lines that went all the way.
    pub fn written(&self, log: Log, sink: Sink) -> u64 {
        self.written[sink as usize][log as usize].load(Relaxed)
    }

    /// Lines that were lost: the sink was too slow, full or gone.
    pub fn dropped(&self, log: Log, sink: Sink) -> u64 {
        self.dropped[sink as usize][log as usize].load(Relaxed)
    }

    /// Spans that a collector took.
    pub fn spans_sent(&self) -> u64 {
        self.spans_sent.load(Relaxed)
    }

    /// Spans that were lost: the collector was too slow, away or did not want them.
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

    pub(super) fn lost(&self, log: Log, sink: Sink, lines: u64) {
        self.dropped[sink as usize][log as usize].fetch_add(lines, Relaxed);
    }
}
