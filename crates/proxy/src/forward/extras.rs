//! When a target's answer asks for another try, and the header lines that we add to it.

use crate::buffers::RequestBuffers;
use crate::cookies::{self, Extra};
use crate::fields::is;
use crate::pump::HEADROOM;
use crate::session::RequestContext;
use crate::wire::Wire;
use std::time::Duration;

/// The seconds that Retry-After asks for. A date is ignored: clocks differ by more than such waits last.
pub(super) fn retry_after(value: &[u8]) -> Option<Duration> {
    let seconds = core::str::from_utf8(value).ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

impl<W: Wire> RequestContext<'_, W> {
    /// Header lines of our own for the answer whose head is in `body`. `dated`: it has a date, or needs none.
    pub(super) fn extras(&self, dated: bool) -> Vec<Extra> {
        let RequestBuffers {
            body,
            body_end,
            answer_fields: fields,
            ..
        } = &*self.session.buffers;
        let head = &body[HEADROOM..*body_end];
        let sets = |name: &str| {
            let mut set = fields.iter().filter(|field| is(field.name(head), b"set-cookie"));
            set.any(|field| cookies::sets(field.value(head), name))
        };
        let mut extras = cookies::of_answer(self, sets);
        if !dated {
            extras.push(self.session.worker.date_line());
        }
        extras
    }
}
