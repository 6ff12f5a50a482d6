//! What the planner of a queue's workers is told.

use crate::planner::Fleet;
use core::time::Duration;

/// What there is to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Messages that may be received.
    pub visible: u64,
    /// Messages that were received, and neither deleted nor visible again.
    pub in_flight: u64,
    /// Messages whose delay lasts; they count once it is over.
    pub delayed: u64,
    /// For how long the oldest message has been in the queue.
    pub oldest: Option<Duration>,
}

/// Who is there to do it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Workers {
    /// Instances, in service and on their way, and their bounds.
    pub fleet: Fleet,
    /// Instances that are protected from scale-in, as workers protect themselves while they work.
    pub protected: u32,
    /// A lifecycle hook lets instances that go finish what they are at.
    pub may_finish: bool,
}

impl Workers {
    /// Whether instances may go without one being at work that is not asked: with so many messages in flight, at so many instances.
    pub(super) fn may_shrink(&self, busy: u32, in_flight: u64, scale_in: ScaleIn) -> bool {
        in_flight == 0 || self.may_finish || self.protected >= busy || scale_in == ScaleIn::Any
    }
}

/// When instances may be taken away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScaleIn {
    /// When none is at work, or those that are are protected or may finish.
    #[default]
    Safe,
    /// As soon as they are too many. Messages of an instance that goes are visible again when their visibility timeout is over.
    Any,
}

/// What an operator has chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Within what time of its coming a message is to be done.
    pub latency: Duration,
    /// Messages that an instance works on at a time.
    pub concurrency: u32,
    /// Seconds that a message takes, before anything was learnt.
    pub processing: Option<f64>,
    /// Seconds that a message takes, as a metric has it; it goes before what is learnt.
    pub measured: Option<f64>,
    /// A start-up's time, before one was measured.
    pub start_up: Duration,
    /// How long there may have been nothing to do before the last instance goes, where a group may have none.
    pub idle: Duration,
    /// When instances may be taken away.
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
