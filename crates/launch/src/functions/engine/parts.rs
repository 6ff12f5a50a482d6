//! The engine's types for environments and invocations.

use crate::functions::log::Tail;
use crate::functions::words::Failure;
use bytes::Bytes;
use forebay_functions::{Begin, Done, FunctionSpec};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::net::unix::pipe;
use tokio::sync::{Notify, OwnedSemaphorePermit, oneshot};
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// An invocation in the form sent to a runtime.
pub(in crate::functions) struct Delivery {
    pub(in crate::functions) request_id: String,
    pub(in crate::functions) deadline_ms: u64,
    pub(in crate::functions) arn: String,
    pub(in crate::functions) trace: String,
    pub(in crate::functions) client_context: Option<String>,
    pub(in crate::functions) payload: Bytes,
    /// Asked whether the invocation should still begin.
    pub(in crate::functions) begin: Option<Begin>,
}

/// The answer to a runtime that asks for the next invocation.
pub(in crate::functions) enum Next {
    /// An invocation is ready.
    Now(Delivery),
    /// An invocation will come.
    Later(oneshot::Receiver<Delivery>),
    /// The environment has one already, or is about to end.
    Refused,
}

/// Why an environment is ended.
pub(super) enum Cause {
    /// It is not needed any more.
    Retired,
    /// Its invocation failed in this way.
    Failed(Failure),
    /// It reported at its start that it cannot run.
    Init(Vec<u8>),
}

pub(super) enum Due {
    Init,
    Invocation,
}

pub(super) struct Pending {
    pub(super) arn: String,
    pub(super) payload: Bytes,
    pub(super) trace: String,
    pub(super) client_context: Option<String>,
    pub(super) wants_log: bool,
    pub(super) request_id: String,
    pub(super) begin: Option<Begin>,
    pub(super) done: Done,
    /// It was given to an environment that ended before receiving it. Tolerated once.
    pub(super) was_lost: bool,
}

pub(super) struct Bound {
    pub(super) invocation: u64,
    pub(super) is_delivered: bool,
    /// When its timeout began to run, and the timer that ends it.
    pub(super) began: Option<Instant>,
    pub(super) timer: Option<AbortHandle>,
}

pub(super) struct Environment {
    pub(super) spec: Arc<FunctionSpec>,
    pub(super) bound: Option<Bound>,
    pub(super) waiting: Option<oneshot::Sender<Delivery>>,
    pub(super) began: Instant,
    pub(super) is_ready: bool,
    /// It has started, or its time to start is over.
    pub(super) is_init_over: bool,
    /// How long its start took; reported with the first invocation.
    pub(super) init: Option<Duration>,
    pub(super) init_timer: Option<AbortHandle>,
    /// Held while it starts, so that not too many do at once.
    pub(super) permit: Option<OwnedSemaphorePermit>,
    pub(super) kill: Rc<Notify>,
    pub(super) cause: Option<Cause>,
    pub(super) shim: i32,
    pub(super) peak: Arc<AtomicU64>,
    pub(super) tail: Tail,
    /// Its unfinished log line.
    pub(super) line: Vec<u8>,
    pub(super) output: Option<Rc<pipe::Receiver>>,
}
