//! What stands between a target's answer and its client: perhaps another target, perhaps lines of our own.

use super::attempt::Upload;
use crate::buffers::Desk;
use crate::cookies::{self, Extra};
use crate::fields::is;
use crate::head::AnswerHead;
use crate::names::Known;
use crate::pump::HEADROOM;
use crate::session::RequestContext;
use crate::wire::Wire;
use forebay_node::{Candidate, Step};
use std::time::Duration;

/// Seconds that Retry-After asks for. A date is not looked at: clocks differ by more than such waits are long.
pub(super) fn retry_after(value: &[u8]) -> Option<Duration> {
    let seconds = core::str::from_utf8(value).ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

impl<W: Wire> RequestContext<'_, W> {
    /// Whether to send the request again instead of passing on the answer whose head stands in `body`.
    pub(super) fn reconsider(&mut self, head: &AnswerHead, upload: &Upload) -> Option<Step> {
        if !self.exchange.may_reconsider(head.status) {
            return None;
        }
        let Desk {
            body,
            body_end,
            answer_fields: fields,
            ..
        } = &*self.session.desk;
        let bytes = &body[HEADROOM..*body_end];
        let mut asked = fields
            .iter()
            .filter(|field| is(field.name(bytes), b"retry-after"));
        let candidate = Candidate {
            status: head.status,
            retry_after: asked.next().and_then(|field| retry_after(field.value(bytes))),
            replayable: !upload.streamed,
            permit_refused: fields.iter().any(|field| field.is(Known::WorkRefused)),
        };
        self.ask_again(candidate)
    }

    /// What the exchange makes of an answer that is not passed on yet.
    pub(super) fn ask_again(&mut self, candidate: Candidate) -> Option<Step> {
        let worker = self.session.worker;
        let picture = worker.picture();
        let mind = &mut worker.mind.borrow_mut();
        self.exchange
            .reconsider(worker.now(), candidate, self.listener, &picture, mind)
    }

    /// Lines of our own for the answer whose head stands in `body`. `dated`: it has a date, or needs none.
    pub(super) fn extras(&self, dated: bool) -> Vec<Extra> {
        let Desk {
            body,
            body_end,
            answer_fields: fields,
            ..
        } = &*self.session.desk;
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
