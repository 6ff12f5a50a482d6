//! The inputs of the planner of a queue's workers.

use crate::planner::Fleet;
use core::time::Duration;

/// The work that there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Messages that can be received.
    pub visible: u64,
    /// Messages that were received, and neither deleted nor visible again.
    pub in_flight: u64,
    /// Messages still delayed; they count once their delay is over.
    pub delayed: u64,
    /// Age of the oldest message in the queue.
    pub oldest: Option<Duration>,
}

/// The workers that there are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Workers {
    /// Instances in service and on their way, and the group's bounds.
    pub fleet: Fleet,
    /// Instances protected from scale-in, as workers protect themselves while they work.
    pub protected: u32,
    /// A lifecycle hook lets terminating instances finish their messages.
    pub may_finish: bool,
}

impl Workers {
    /// Whether instances may be terminated without cutting off work, with `in_flight` messages at `busy` instances.
    pub(super) fn may_shrink(&self, busy: u32, in_flight: u64, scale_in: ScaleIn) -> bool {
        in_flight == 0 || self.may_finish || self.protected >= busy || scale_in == ScaleIn::Any
    }
}

/// When instances may be terminated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScaleIn {
    /// When none is working, or the working ones are protected or may finish.
    #[default]
    Safe,
    /// As soon as there are too many. Messages of a terminated instance are visible again after their visibility
    /// timeout.
    Any,
}

/// An operator's settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Time within which a message must be done after its arrival.
    pub latency: Duration,
    /// Messages that an instance works on at a time.
    pub concurrency: u32,
    /// Processing time in seconds, before any was learned.
    pub processing: Option<f64>,
    /// Processing time in seconds from a metric; takes precedence over what is learned.
    pub measured: Option<f64>,
    /// The start-up time to assume before one was measured.
    pub start_up: Duration,
    /// How long there must be nothing to do before the last instance goes, where the minimum is zero.
    pub idle: Duration,
    /// When instances may be terminated.
    pub scale_in: ScaleIn,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            latency: Duration::from_secs(300),
            concurrency: 1,
            processing: None,
            measured: None,
            start_up: Duration::from_secs(30),
            idle: Duration::from_secs(300),
            scale_in: ScaleIn::Safe,
        }
    }
}
