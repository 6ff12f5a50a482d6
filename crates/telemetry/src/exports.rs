//! What was sent of metrics, and what of it was lost, by who it was for.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// Who metrics are sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receiver {
    /// Whoever takes Prometheus' remote-write.
    RemoteWrite,
    /// An OpenTelemetry collector.
    Otlp,
}

impl Receiver {
    /// Both.
    pub const ALL: [Receiver; 2] = [Receiver::RemoteWrite, Receiver::Otlp];

    /// Its name in metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Receiver::RemoteWrite => "remote-write",
            Receiver::Otlp => "otlp",
        }
    }
}

/// Samples that receivers took, and samples that were lost.
#[derive(Debug, Default)]
pub struct ExportCounters {
    sent: [AtomicU64; Receiver::ALL.len()],
    dropped: [AtomicU64; Receiver::ALL.len()],
}

/// What was counted for one receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExportMetrics {
    /// Who they were for.
    pub receiver: Receiver,
    /// Samples that it took.
    pub sent: u64,
    /// Samples that were lost.
    pub dropped: u64,
}

impl ExportCounters {
    /// All of it.
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

/// Notifications of alarms that webhooks took, and those that were lost.
#[derive(Debug, Default)]
pub struct NotificationCounters {
    sent: AtomicU64,
    dropped: AtomicU64,
}

/// What was counted of notifications.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NotificationMetrics {
    /// Those that a webhook took.
    pub sent: u64,
    /// Those that were lost.
    pub dropped: u64,
}

impl NotificationCounters {
    /// A webhook took one.
    pub fn sent(&self) {
        self.sent.fetch_add(1, Relaxed);
    }

    /// One was lost.
    pub fn dropped(&self) {
        self.dropped.fetch_add(1, Relaxed);
    }

    /// All of it.
    pub fn metrics(&self) -> NotificationMetrics {
        NotificationMetrics {
            sent: self.sent.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
        }
    }
}

/// What is kept of CloudWatch's datapoints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DatapointMetrics {
    /// Metrics with datapoints.
    pub series: u64,
    /// Bytes of memory, about.
    pub memory_bytes: u64,
    /// Bytes on disk, when that was last looked at.
    pub disk_bytes: u64,
    /// Points that went before their time, for want of memory or because the disk was slow.
    pub points_dropped: u64,
    /// Files that were deleted before their time, for want of disk.
    pub files_dropped: u64,
}
