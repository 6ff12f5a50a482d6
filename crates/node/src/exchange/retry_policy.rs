//! What a request's group allows it beyond one target, and an answer that may be kept from its client for that.

use crate::snapshot::GroupView;
use core::time::Duration;

/// What its group allows a request.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RetryPolicy {
    /// Times it may still be sent to another target.
    pub(super) retries: u8,
    /// 429 and 503 mean that the target had no slot and did nothing.
    pub(super) push_back: bool,
}

/// An answer whose head came, and nothing of which has gone on.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// Its status.
    pub status: u16,
    /// What its Retry-After says.
    pub retry_after: Option<Duration>,
    /// The whole request is still at hand and can be sent again.
    pub replayable: bool,
    /// An agent says that it does not know the request's permit, so that its application never saw the request.
    pub permit_refused: bool,
}

impl RetryPolicy {
    pub(super) fn of(group: &GroupView) -> RetryPolicy {
        RetryPolicy {
            retries: group.settings().retries,
            push_back: group.settings().push_back,
        }
    }

    pub(super) fn earns(self) -> bool {
        self.retries > 0
    }

    pub(super) fn is_push_back(self, status: u16) -> bool {
        self.push_back && matches!(status, 429 | 503)
    }
}
