//! What a queue was told: its kind, its times, where dead letters go. All of SQS's ranges stand here.

use core::time::Duration;
use serde::{Deserialize, Serialize};

/// SQS's defaults and limits (the API reference of CreateQueue and the developer guide's quotas).
pub mod limits {
    use core::time::Duration;

    /// A message is hidden no longer than this after it was received.
    pub const VISIBILITY_MAX: Duration = Duration::from_secs(12 * 3600);
    /// The longest delay of a message or a queue.
    pub const DELAY_MAX: Duration = Duration::from_secs(900);
    /// The shortest retention.
    pub const RETENTION_MIN: Duration = Duration::from_secs(60);
    /// The longest retention.
    pub const RETENTION_MAX: Duration = Duration::from_secs(14 * 24 * 3600);
    /// The longest wait of a receive.
    pub const WAIT_MAX: Duration = Duration::from_secs(20);
    /// The most messages of one receive, and entries of a batch.
    pub const BATCH_MAX: usize = 10;
    /// The most that `maxReceiveCount` may be.
    pub const RECEIVES_MAX: u32 = 1000;
    /// For how long sends and receive attempts of FIFO queues are remembered.
    pub const DEDUPLICATION: Duration = Duration::from_secs(300);
    /// No second purge for so long.
    pub const PURGE: Duration = Duration::from_secs(60);
    /// Messages in flight of a standard queue.
    pub const IN_FLIGHT_STANDARD: usize = 120_000;
    /// Messages in flight of a FIFO queue. The quotas page says 20,000; the API reference of today says 120,000.
    pub const IN_FLIGHT_FIFO: usize = 20_000;
    /// The most messages that a move task moves in a second.
    pub const MOVE_RATE_MAX: u32 = 500;
}

/// A queue's number; none is ever used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct QueueId(pub u64);

/// Among which messages a deduplication id is unique.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// In the queue.
    Queue,
    /// In each message group; what high throughput asks for.
    Group,
}

/// What order a queue keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Oldest first, as far as messages are visible; nothing is promised.
    Standard,
    /// In order within each message group, each message sent once.
    Fifo(Scope),
}

/// Where messages go that were received too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redrive {
    /// After so many receives the next one moves the message.
    pub max_receives: u32,
    /// To this queue.
    pub to: QueueId,
}

/// A queue's attributes as a caller gives them, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawSettings {
    /// Standard or FIFO.
    pub kind: Kind,
    /// `FifoThroughputLimit` is `perMessageGroupId`.
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

/// Why attributes are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// More than 12 hours.
    #[error("VisibilityTimeout must be from 0 to 43200 seconds")]
    Visibility,
    /// More than 15 minutes.
    #[error("DelaySeconds must be from 0 to 900")]
    Delay,
    /// Not from a minute to 14 days.
    #[error("MessageRetentionPeriod must be from 60 to 1209600 seconds")]
    Retention,
    /// Not from 1 to 1000.
    #[error("maxReceiveCount must be from 1 to 1000")]
    MaxReceives,
    /// Only FIFO queues have a limit by group, and only if ids are unique by group.
    #[error("perMessageGroupId needs a FIFO queue whose DeduplicationScope is messageGroup")]
    LimitPerGroup,
}

/// A queue's attributes within their ranges.
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
    /// Attributes within SQS's ranges.
    ///
    /// # Errors
    /// The first that is not.
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

    /// The same with another limit of messages in flight.
    #[must_use]
    pub fn with_in_flight_max(self, in_flight_max: usize) -> Settings {
        Settings {
            in_flight_max,
            ..self
        }
    }

    /// The same, whose messages may be received as often as anyone likes.
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

    /// For how long a received message is hidden, unless the receive says otherwise.
    pub fn visibility(&self) -> Duration {
        self.visibility
    }

    /// For how long a new message is hidden, unless it says otherwise.
    pub fn delay(&self) -> Duration {
        self.delay
    }

    /// For how long a message stays.
    pub fn retention(&self) -> Duration {
        self.retention
    }

    /// Where dead letters go.
    pub fn redrive(&self) -> Option<Redrive> {
        self.redrive
    }

    /// How many messages may be in flight.
    pub fn in_flight_max(&self) -> usize {
        self.in_flight_max
    }
}
