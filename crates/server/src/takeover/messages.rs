//! The messages between a running Forebay and its successor.

use forebay_signals::Summary;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// Version of the protocol. A successor with another version is told to stop the running process and start instead.
pub(super) const VERSION: u32 = 1;

/// A row of the state: table, key, JSON.
pub(super) type Row = (String, String, String);

/// A target by its name, which is the same in every process.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Named {
    pub(super) group: String,
    pub(super) id: String,
    pub(super) port: u16,
}

/// A target's health.
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

/// A request that waits for a slot. Times are durations from now, because the processes' clocks differ.
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

/// All messages. Those marked "Successor" are sent by it, the others by the running process.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Message {
    /// Successor: its version, and the formats of the store that it reads.
    Hello {
        version: u32,
        program: String,
        format: u64,
    },
    /// The running process: its id, program, formats, addresses and state.
    Welcome {
        process: u32,
        program: String,
        format: u64,
        api: SocketAddr,
        admin: SocketAddr,
        rows: Vec<Row>,
    },
    /// It refuses the take-over, for this reason.
    Refused(String),
    /// Successor: it is able to serve. Nothing may be written from now on.
    Freeze,
    /// The last state; the store is released. Then come `batches` messages of [`Message::Sockets`].
    Frozen { rows: Vec<Row>, batches: usize },
    /// Listening sockets, whose descriptors follow: the APIs, the admin address, then those of load balancers.
    Sockets(Vec<SocketAddr>),
    /// Successor: everything is prepared; it waits only for [`Message::Yours`].
    Ready,
    /// No more connections are accepted, and the gates are lent. With the slots in use at targets of limited groups.
    Yours {
        health: Vec<Health>,
        tickets: Vec<TicketKey>,
        slots: Vec<(Named, u32)>,
    },
    /// Successor: it accepts connections.
    Serving,
    /// A request asks for a slot.
    Claim(Claim),
    /// The request has given up waiting.
    Withdraw { group: String, number: u64 },
    /// A request that held a slot has ended; with its duration if it succeeded.
    Release { target: Named, took_us: Option<u64> },
    /// A target asked for a pause.
    Pause { target: Named, time_us: u64 },
    /// The number of requests at a target whose group has no limit.
    InFlight { target: Named, count: u32 },
    /// Datapoints of the requests that are still in flight.
    Points(Vec<Point>),
    /// From a backup: asks for the store file, and nothing else.
    Backup,
    /// The running process, and the store file, of which `bytes` bytes follow.
    Store {
        process: u32,
        program: String,
        format: u64,
        api: SocketAddr,
        admin: SocketAddr,
        bytes: u64,
    },
    /// Successor: rows of the state that changed. A row without JSON was deleted.
    Changed(Vec<(String, String, Option<String>)>),
    /// Successor: a claim gets this target's slot.
    Granted { number: u64, target: Named },
    /// Successor: a claim is refused.
    Denied {
        group: String,
        number: u64,
        why: usize,
        retry_after_ms: u64,
    },
}
