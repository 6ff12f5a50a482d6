//! Connections that fail: what may be sent again, over which connection and to whom.

use super::counts::count;
use super::outcome::{ConnectError, Death, Sent};
use super::state::{ATTEMPTS, Exchange};
use super::step::Step;
use crate::in_flight::InFlight;
use crate::mind::Mind;
use crate::picture::Picture;
use crate::reason::Reason;
use crate::reuse::Reuse;
use crate::stats::BalancerStats;
use crate::target::TargetView;
use core::time::Duration;
use forebay_units::Mono;
use std::sync::Arc;

/// A pooled connection that was closing when the request was sent dies about one round trip later. One that dies
/// after this time died of something else, and its request may have been at work all the while.
const STALE_WINDOW: Duration = Duration::from_secs(1);

/// Times a request is sent that no target processes: each may cost a fresh connection.
const UNPROCESSED_ATTEMPTS: usize = 5;

impl Exchange {
    pub(super) fn not_connected(
        &mut self,
        now: Mono,
        error: ConnectError,
        picture: &Picture,
        mind: &mut Mind,
        stats: &BalancerStats,
    ) -> Step {
        if let Some(target) = &self.record.target {
            let totals = target.stats.totals.of(mind.worker);
            count(match error {
                ConnectError::Handshake => &totals.tls_errors,
                _ => &totals.connect_errors,
            });
            self.refused.push(target.id);
        }
        // A slot at a target that refuses is not held for as long as a success would take: its health says when it is back.
        let free = error == ConnectError::Refused && self.line.is_some();
        if free && self.permit().is_none() {
            // Else the next in line would be sent there, too, while a slot elsewhere will come.
            self.rest(now, picture);
        }
        if error != ConnectError::OutOfResources && !free {
            self.lose(now, mind);
        }
        match error {
            // Not a byte was sent: any request may go to another target.
            ConnectError::Refused => {
                count(&stats.connect_retries);
                self.choose(now, picture, mind, stats)
            }
            ConnectError::TimedOut => self.answer(Reason::ConnectTimeout),
            // Answered, as ALB does, and not tried elsewhere: a client whose Host no target has a certificate
            // for would make us shake hands with all of them.
            ConnectError::Handshake => self.answer(Reason::TargetHandshake),
            ConnectError::OutOfResources => self.answer(Reason::OutOfResources),
        }
    }

    pub(super) fn died(
        &mut self,
        now: Mono,
        death: Death,
        picture: &Picture,
        mind: &mut Mind,
        stats: &BalancerStats,
    ) -> Step {
        let unprocessed = death.sent == Sent::Unprocessed;
        let unsent = death.sent == Sent::Nothing;
        let quick = self
            .record
            .sent
            .is_some_and(|sent| now.since(sent) < STALE_WINDOW);
        let stale = death.reused && death.replayable && !unprocessed && (unsent || (self.safe && quick));
        match self.record.target.clone() {
            Some(target) if unprocessed && death.replayable && self.attempts < UNPROCESSED_ATTEMPTS => {
                count(&stats.stale_retries);
                self.elsewhere(now, target, picture, mind, stats)
            }
            Some(target) if stale && self.attempts < ATTEMPTS => {
                count(&stats.stale_retries);
                self.resend(now, target, Reuse::Never, picture, mind, stats)
            }
            target => {
                if let Some(target) = target {
                    count(&target.stats.totals.of(mind.worker).died);
                }
                let harmless = death.replayable && (unsent || unprocessed || self.safe);
                if let Some(step) = harmless.then(|| self.again(now, picture, mind, stats)).flatten() {
                    count(&stats.answer_retries);
                    return step;
                }
                self.lose(now, mind);
                self.answer(Reason::TargetClosed)
            }
        }
    }

    /// Sends what this target did not process to another one, at last to one that was tried before; to the same if there is no
    /// other, or if a slot is held there: in turns over a connection that stands and a fresh one, for who refuses on the one need not
    /// on the other.
    fn elsewhere(
        &mut self,
        now: Mono,
        target: Arc<TargetView>,
        picture: &Picture,
        mind: &mut Mind,
        stats: &BalancerStats,
    ) -> Step {
        self.refused.push(target.id);
        let group = self.record.group.and_then(|group| picture.group(group));
        let other = group
            .filter(|group| self.line.is_none() || !group.is_limited())
            .and_then(|group| {
                let fresh = mind.choose(now, group, self.zone, &self.refused);
                fresh.or_else(|| mind.choose(now, group, self.zone, &[target.id]))
            });
        let reuse = if self.attempts.is_multiple_of(2) {
            Reuse::Never
        } else {
            self.reuse()
        };
        match other {
            Some(slot) => self.send(now, slot, reuse, mind),
            None => self.resend(now, target, reuse, picture, mind, stats),
        }
    }

    /// Sends anew: to the same target if it still gets traffic, else to another.
    fn resend(
        &mut self,
        now: Mono,
        target: Arc<TargetView>,
        reuse: Reuse,
        picture: &Picture,
        mind: &mut Mind,
        stats: &BalancerStats,
    ) -> Step {
        let group = self.record.group.and_then(|group| picture.group(group));
        let still = group.is_some_and(|group| {
            group
                .eligible(self.zone)
                .targets
                .iter()
                .any(|&index| group.targets[index as usize].id == target.id)
        });
        if still {
            let slot = self.in_flight.take().unwrap_or_else(|| InFlight::new(target));
            self.send(now, slot, reuse, mind)
        } else {
            self.choose(now, picture, mind, stats)
        }
    }
}
