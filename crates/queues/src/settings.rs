//! The attributes of a queue: its kind, its times, its dead-letter queue. All of SQS's ranges are here.

use core::time::Duration;
use serde::{Deserialize, Serialize};

/// SQS's defaults and limits (API reference, CreateQueue; Amazon SQS Developer Guide, quotas).
pub mod limits {
    use core::time::Duration;

    /// The longest visibility timeout, counted from the receive.
    pub const VISIBILITY_MAX: Duration = Duration::from_secs(12 * 3600);
    /// The longest delay of a message or a queue.
    pub const DELAY_MAX: Duration = Duration::from_secs(900);
    /// The shortest retention.
    pub const RETENTION_MIN: Duration = Duration::from_secs(60);
    /// The longest retention.
    pub const RETENTION_MAX: Duration = Duration::from_secs(14 * 24 * 3600);
    /// The longest wait of a receive.
    pub const WAIT_MAX: Duration = Duration::from_secs(20);
    /// Maximum number of messages of one receive, and of entries of a batch.
    pub const BATCH_MAX: usize = 10;
    /// Maximum of `maxReceiveCount`.
    pub const RECEIVES_MAX: u32 = 1000;
    /// How long sends and receive attempts of FIFO queues are remembered.
    pub const DEDUPLICATION: Duration = Duration::from_secs(300);
    /// The least time between two purges.
    pub const PURGE: Duration = Duration::from_secs(60);
    /// Maximum number of messages in flight of a standard queue.
    pub const IN_FLIGHT_STANDARD: usize = 120_000;
    /// Maximum number of messages in flight of a FIFO queue. The quotas page says 20,000; the present API reference
    /// says 120,000.
    pub const IN_FLIGHT_FIFO: usize = 20_000;
    /// Maximum number of messages that a move task moves per second.
    pub const MOVE_RATE_MAX: u32 = 500;
}

/// A queue's number; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct QueueId(pub u64);

/// The scope in which a deduplication id is unique.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// The queue.
    Queue,
    /// The message group, which high throughput requires.
    Group,
}

/// The order that a queue keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Oldest visible message first, but without a guarantee.
    Standard,
    /// In order within each message group, and each message only once.
    Fifo(Scope),
}

/// Where messages go that were received too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redrive {
    /// Number of receives after which the next one moves the message.
    pub max_receives: u32,
    /// The dead-letter queue.
    pub to: QueueId,
}

/// A queue's attributes as given by a caller, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawSettings {
    /// Standard or FIFO.
    pub kind: Kind,
    /// Whether `FifoThroughputLimit` is `perMessageGroupId`.
    pub limit_per_group: bool,
    /// `VisibilityTimeout`.
    pub visibility_s: u64,
    /// `DelaySeconds`.
    pub delay_s: u64,
    /// `MessageRetentionPeriod`.
    pub retention_s: u64,
    /// `RedrivePolicy`.
    pub redrive: Option<Redrive>,
}

impl RawSettings {
    /// SQS's defaults for a queue of this kind.
    pub const fn of(kind: Kind) -> RawSettings {
        RawSettings {
            kind,
            limit_per_group: false,
            visibility_s: 30,
            delay_s: 0,
            retention_s: 4 * 24 * 3600,
            redrive: None,
        }
    }
}

/// Why attributes are invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// It exceeds 12 hours.
    #[error("VisibilityTimeout must be from 0 to 43200 seconds")]
    Visibility,
    /// It exceeds 15 minutes.
    #[error("DelaySeconds must be from 0 to 900")]
    Delay,
    /// It is not between a minute and 14 days.
    #[error("MessageRetentionPeriod must be from 60 to 1209600 seconds")]
    Retention,
    /// It is not between 1 and 1000.
    #[error("maxReceiveCount must be from 1 to 1000")]
    MaxReceives,
    /// Only FIFO queues can have a limit per group, and only if deduplication ids are unique per group.
    #[error("perMessageGroupId needs a FIFO queue whose DeduplicationScope is messageGroup")]
    LimitPerGroup,
}

/// A queue's attributes, validated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    kind: Kind,
    visibility: Duration,
    delay: Duration,
    retention: Duration,
    redrive: Option<Redrive>,
    in_flight_max: usize,
}

impl Settings {
    /// Validates attributes against SQS's ranges.
    ///
    /// # Errors
    /// The first attribute that is out of range.
    pub fn new(raw: RawSettings) -> Result<Settings, SettingsError> {
        let visibility = Duration::from_secs(raw.visibility_s);
        let delay = Duration::from_secs(raw.delay_s);
        let retention = Duration::from_secs(raw.retention_s);
        let receives = raw.redrive.map_or(1, |redrive| redrive.max_receives);
        if visibility > limits::VISIBILITY_MAX {
            return Err(SettingsError::Visibility);
        }
        if delay > limits::DELAY_MAX {
            return Err(SettingsError::Delay);
        }
        if !(limits::RETENTION_MIN..=limits::RETENTION_MAX).contains(&retention) {
            return Err(SettingsError::Retention);
        }
        if !(1..=limits::RECEIVES_MAX).contains(&receives) {
            return Err(SettingsError::MaxReceives);
        }
        if raw.limit_per_group && raw.kind != Kind::Fifo(Scope::Group) {
            return Err(SettingsError::LimitPerGroup);
        }
        Ok(Settings {
            kind: raw.kind,
            visibility,
            delay,
            retention,
            redrive: raw.redrive,
            in_flight_max: match raw.kind {
                Kind::Standard => limits::IN_FLIGHT_STANDARD,
                Kind::Fifo(_) => limits::IN_FLIGHT_FIFO,
            },
        })
    }

    /// SQS's defaults for a queue of this kind.
    pub const fn of(kind: Kind) -> Settings {
        let raw = RawSettings::of(kind);
        Settings {
            kind,
            visibility: Duration::from_secs(raw.visibility_s),
            delay: Duration::from_secs(raw.delay_s),
            retention: Duration::from_secs(raw.retention_s),
            redrive: None,
            in_flight_max: match kind {
                Kind::Standard => limits::IN_FLIGHT_STANDARD,
                Kind::Fifo(_) => limits::IN_FLIGHT_FIFO,
            },
        }
    }

    /// Replaces the maximum number of messages in flight.
    #[must_use]
    pub fn with_in_flight_max(self, in_flight_max: usize) -> Settings {
        Settings {
            in_flight_max,
            ..self
        }
    }

    /// Replaces the retention, which need not be within SQS's range.
    #[must_use]
    pub fn with_retention(self, retention: Duration) -> Settings {
        Settings { retention, ..self }
    }

    /// Removes the redrive policy, so that messages may be received any number of times.
    #[must_use]
    pub fn without_redrive(self) -> Settings {
        let redrive = None;
        Settings { redrive, ..self }
    }

    /// Standard or FIFO.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether this is a FIFO queue.
    pub fn fifo(&self) -> bool {
        self.kind != Kind::Standard
    }

    /// How long a received message is hidden, unless the receive says otherwise.
    pub fn visibility(&self) -> Duration {
        self.visibility
    }

    /// How long a new message is hidden, unless it says otherwise.
    pub fn delay(&self) -> Duration {
        self.delay
    }

    /// How long a message is kept.
    pub fn retention(&self) -> Duration {
        self.retention
    }

    /// The redrive policy.
    pub fn redrive(&self) -> Option<Redrive> {
        self.redrive
    }

    /// Maximum number of messages in flight.
    pub fn in_flight_max(&self) -> usize {
        self.in_flight_max
    }
}
