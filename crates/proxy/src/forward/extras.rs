//! What stands between a target's answer and its client: perhaps another target, perhaps lines of our own.

use super::attempt::Upload;
use super::passage::Passage;
use crate::buffers::Desk;
use crate::cookies::{self, Extra};
use crate::fields::is;
use crate::head::AnswerHead;
use crate::names::Known;
use crate::pump::HEADROOM;
use crate::wire::Wire;
use forebay_node::{Candidate, Exchange, Step};
use std::time::Duration;

/// Seconds that Retry-After asks for. A date is not looked at: clocks differ by more than such waits are long.
pub(super) fn retry_after(value: &[u8]) -> Option<Duration> {
    let seconds = core::str::from_utf8(value).ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

impl<W: Wire> Passage<'_, W> {
    /// Whether to send the request again instead of passing on the answer whose head stands in `body`.
    pub(super) fn reconsider(
        &mut self,
        exchange: &mut Exchange,
        head: &AnswerHead,
        upload: &Upload,
    ) -> Option<Step> {
        if !exchange.may_reconsider(head.status) {
            return None;
        }
        let Desk {
            body,
            body_end,
            answer_fields: fields,
            ..
        } = &*self.desk;
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
        self.ask_again(exchange, candidate)
    }

    /// What the exchange makes of an answer that is not passed on yet.
    pub(super) fn ask_again(&self, exchange: &mut Exchange, candidate: Candidate) -> Option<Step> {
        let picture = self.worker.picture();
        let mind = &mut self.worker.mind.borrow_mut();
        exchange.reconsider(self.now(), candidate, self.listener, &picture, mind)
    }

    /// Lines of our own for the answer whose head stands in `body`. `dated`: it has a date, or needs none.
    pub(super) fn extras(&self, exchange: &Exchange, dated: bool) -> Vec<Extra> {
        let Desk {
            body,
            body_end,
            answer_fields: fields,
            note,
            ..
        } = &*self.desk;
        let head = &body[HEADROOM..*body_end];
        let sets = |name: &str| {
            let mut set = fields.iter().filter(|field| is(field.name(head), b"set-cookie"));
            set.any(|field| cookies::sets(field.value(head), name))
        };
        let crosses = note.crosses_sites;
        let mut extras = cookies::of_answer(self.worker, self.visit, self.listener, exchange, crosses, sets);
        if !dated {
            extras.push(self.worker.date_line());
        }
        extras
    }
}
