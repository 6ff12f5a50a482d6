//! What a running Forebay and the one that takes over from it say to each other.

use forebay_signals::Summary;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// What is spoken. Whoever speaks another version is told to stop and start instead.
pub(super) const VERSION: u32 = 1;

/// A row of the state: table, key, JSON.
pub(super) type Row = (String, String, String);

/// A target, as every process calls it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Named {
    pub(super) group: String,
    pub(super) id: String,
    pub(super) port: u16,
}

/// What is known of a target's health.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Health {
    pub(super) target: Named,
    pub(super) healthy: Option<bool>,
    pub(super) failure: Option<Failure>,
    pub(super) successes: u32,
    pub(super) failures: u32,
    pub(super) has_passed: bool,
}

/// Why a target is not healthy.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Failure {
    Answered(u16),
    TimedOut,
    Failed,
    Refused,
}

/// A key of session tickets.
#[derive(Serialize, Deserialize)]
pub(super) struct TicketKey {
    pub(super) listener: String,
    pub(super) name: [u8; 16],
    pub(super) secret: [u8; 32],
    pub(super) age_seconds: u64,
}

impl core::fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("TicketKey").finish_non_exhaustive()
    }
}

/// A request that waits for a slot. Times are from now on, or ago: clocks differ.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Claim {
    pub(super) group: String,
    pub(super) number: u64,
    pub(super) zone: String,
    pub(super) class: u64,
    pub(super) weight: u32,
    pub(super) waited_us: u64,
    pub(super) left_us: u64,
    pub(super) front: bool,
    pub(super) prefers: Option<Named>,
}

/// A datapoint of a metric.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Point {
    pub(super) region: String,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) dimensions: Vec<(String, String)>,
    pub(super) at_us: i64,
    pub(super) unit: Option<String>,
    pub(super) summary: Summary,
    pub(super) high_resolution: bool,
}

/// Everything that is said. The successor's side is marked so.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Message {
    /// Successor: who it is, and which formats of the store it reads.
    Hello {
        version: u32,
        program: String,
        format: u64,
    },
    /// Who runs: its process, program and formats, and its state.
    Welcome {
        process: u32,
        program: String,
        format: u64,
        api: SocketAddr,
        admin: SocketAddr,
        rows: Vec<Row>,
    },
    /// It will not be taken over from, and why.
    Refused(String),
    /// Successor: it could serve. Nothing is to be written any more.
    Freeze,
    /// The last state; the store is free. Then come so many batches of [`Message::Sockets`].
    Frozen { rows: Vec<Row>, batches: usize },
    /// Listening sockets, whose descriptors follow: the APIs, the admin address, then those of load balancers.
    Sockets(Vec<SocketAddr>),
    /// Successor: all is prepared, it waits only for what follows.
    Ready,
    /// No connection is taken any more, and the gates are lent. What has slots of targets of limited groups.
    Yours {
        health: Vec<Health>,
        tickets: Vec<TicketKey>,
        slots: Vec<(Named, u32)>,
    },
    /// Successor: it takes connections.
    Serving,
    /// A request wants a slot.
    Claim(Claim),
    /// It wants none any more.
    Withdraw { group: String, number: u64 },
    /// A request that had a slot is over; a success took so long.
    Release { target: Named, took_us: Option<u64> },
    /// A target pushed back.
    Pause { target: Named, time_us: u64 },
    /// So many requests are at a target whose group has no limit.
    InFlight { target: Named, count: u32 },
    /// Datapoints of what is under way there.
    Points(Vec<Point>),
    /// Whoever makes a backup: wants the store's file, and nothing else.
    Backup,
    /// Who runs, and the file, of which so many bytes follow.
    Store {
        process: u32,
        program: String,
        format: u64,
        api: SocketAddr,
        admin: SocketAddr,
        bytes: u64,
    },
    /// Successor: what of the state has changed. A row without JSON is gone.
    Changed(Vec<(String, String, Option<String>)>),
    /// Successor: a claim has this target's slot.
    Granted { number: u64, target: Named },
    /// Successor: a claim gets no slot.
    Denied {
        group: String,
        number: u64,
        why: usize,
        retry_after_ms: u64,
    },
}
