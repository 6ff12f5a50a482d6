//! The retries that a group allows a request, and the answer that may be withheld for a retry.

use crate::snapshot::GroupView;
use core::time::Duration;

/// The retries that a group allows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RetryPolicy {
    /// How often the request may still be sent to another target.
    pub(super) retries: u8,
    /// 429 and 503 mean that the target had no slot and did nothing.
    pub(super) push_back: bool,
}

/// An answer whose head has arrived, and of which nothing was passed on yet.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// Its status.
    pub status: u16,
    /// The pause that its Retry-After asks for.
    pub retry_after: Option<Duration>,
    /// The whole request is still buffered and can be sent again.
    pub replayable: bool,
    /// An agent reports that it does not know the request's permit, so its application never saw the request.
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
