//! Counts of what was sent and lost, by receiver.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// The receivers of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receiver {
    /// A receiver of Prometheus' remote-write.
    RemoteWrite,
    /// An OpenTelemetry collector.
    Otlp,
}

impl Receiver {
    /// All receivers.
    pub const ALL: [Receiver; 2] = [Receiver::RemoteWrite, Receiver::Otlp];

    /// The receiver's label value in metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Receiver::RemoteWrite => "remote-write",
            Receiver::Otlp => "otlp",
        }
    }
}

/// Counts of samples that receivers accepted, and of samples that were lost.
#[derive(Debug, Default)]
pub struct ExportCounters {
    sent: [AtomicU64; Receiver::ALL.len()],
    dropped: [AtomicU64; Receiver::ALL.len()],
}

/// The counts of one receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExportMetrics {
    /// The receiver.
    pub receiver: Receiver,
    /// Samples that it accepted.
    pub sent: u64,
    /// Samples that were lost.
    pub dropped: u64,
}

impl ExportCounters {
    /// The counts of all receivers.
    pub fn metrics(&self) -> [ExportMetrics; Receiver::ALL.len()] {
        Receiver::ALL.map(|receiver| ExportMetrics {
            receiver,
            sent: self.sent[receiver as usize].load(Relaxed),
            dropped: self.dropped[receiver as usize].load(Relaxed),
        })
    }

    pub(crate) fn sent(&self, receiver: Receiver, samples: usize) {
        self.sent[receiver as usize].fetch_add(samples as u64, Relaxed);
    }

    pub(crate) fn dropped(&self, receiver: Receiver, samples: usize) {
        self.dropped[receiver as usize].fetch_add(samples as u64, Relaxed);
    }
}

/// Counts of notifications of alarms that webhooks accepted, and of those that were lost.
#[derive(Debug, Default)]
pub struct NotificationCounters {
    sent: AtomicU64,
    dropped: AtomicU64,
}

/// The counts of notifications.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NotificationMetrics {
    /// Notifications that a webhook accepted.
    pub sent: u64,
    /// Notifications that were lost.
    pub dropped: u64,
}

impl NotificationCounters {
    /// Counts a notification that a webhook accepted.
    pub fn sent(&self) {
        self.sent.fetch_add(1, Relaxed);
    }

    /// Counts a notification that was lost.
    pub fn dropped(&self) {
        self.dropped.fetch_add(1, Relaxed);
    }

    /// The counts.
    pub fn metrics(&self) -> NotificationMetrics {
        NotificationMetrics {
            sent: self.sent.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
        }
    }
}

/// Figures of the stored CloudWatch datapoints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DatapointMetrics {
    /// Metrics with datapoints.
    pub series: u64,
    /// Approximate bytes in memory.
    pub memory_bytes: u64,
    /// Bytes on disk, when they were last measured.
    pub disk_bytes: u64,
    /// Points that were dropped before their time, for lack of memory or because the disk was slow.
    pub points_dropped: u64,
    /// Files that were deleted before their time, for lack of disk space.
    pub files_dropped: u64,
}
