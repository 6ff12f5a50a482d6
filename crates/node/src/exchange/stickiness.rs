//! Sticky sessions: which target or group a client's cookies name, and which cookies its answer sets.

use super::cookies::{Cookies, cookie};
use super::state::Exchange;
use crate::ids::GroupId;
use crate::in_flight::InFlight;
use crate::request::Request;
use crate::snapshot::{GroupView, ListenerView, Snapshot};
use crate::target::TargetView;
use crate::worker_state::WorkerState;
use forebay_balance::{Mark, Scope};
use forebay_model::Stickiness;
use forebay_routing::{Headers, Split};
use forebay_units::Wall;
use std::sync::Arc;

/// The value of the client's first cookie of this name.
fn cookie_of(headers: &dyn Headers, name: &str) -> Option<Vec<u8>> {
    let mut found = None;
    headers.any("cookie", &mut |line| {
        found = line.split(|&byte| byte == b';').find_map(|pair| {
            let pair = pair.trim_ascii();
            let value = pair.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
            Some(value.to_vec())
        });
        found.is_some()
    });
    found
}

/// The mark in the client's cookie, if it was sealed for `scope` and is fresh. Any other cookie is ignored, and the
/// answer sets a new one.
fn opened(
    worker: &mut WorkerState,
    request: &Request<'_>,
    names: &[&str],
    scope: Scope<'_>,
    seconds: u64,
) -> Option<Mark> {
    let value = names
        .iter()
        // From the last name to the first: the cross-site variant takes precedence.
        .rev()
        .find_map(|name| cookie_of(request.facts.headers, name))?;
    let opened = worker.keys.open(request.wall, scope, &value)?;
    opened.is_fresh(request.wall, seconds).then_some(opened.mark)
}

impl Exchange {
    /// The group that the client's cookie names; `None` if it names no group of this split.
    pub(super) fn sticky_group(
        &mut self,
        request: &Request<'_>,
        split: &Split<GroupId>,
        listener: &ListenerView,
        snapshot: &Snapshot,
        worker: &mut WorkerState,
    ) -> Option<GroupId> {
        let seconds = split.stickiness()?;
        self.sticky.get_or_insert_default().group = true;
        let scope = Scope::Group(&listener.balancer.blueprint.arn);
        let mark = opened(worker, request, &cookie::GROUP, scope, seconds)?;
        // A group whose weight was set to 0 loses its sticky clients, too.
        split
            .weighted(|&group| {
                snapshot
                    .group(group)
                    .is_some_and(|group| Mark::group(&group.blueprint.arn) == mark)
            })
            .copied()
    }

    /// Records which target of the group the client's cookie names.
    pub(super) fn note_target(&mut self, request: &Request<'_>, group: &GroupView, worker: &mut WorkerState) {
        let (wanted, app) = match &group.settings().stickiness {
            Stickiness::Off => return,
            Stickiness::Balancer { seconds } => (
                opened(
                    worker,
                    request,
                    &cookie::TARGET,
                    Scope::Target(&group.blueprint.arn),
                    *seconds,
                ),
                false,
            ),
            // Both must be sent: the application may have ended its session by deleting its own cookie.
            Stickiness::App { cookie, seconds } => {
                let own = cookie_of(request.facts.headers, cookie).is_some();
                let scope = Scope::App(&group.blueprint.arn);
                let wanted = own
                    .then(|| opened(worker, request, &cookie::APP[..1], scope, *seconds))
                    .flatten();
                (wanted, wanted.is_some())
            }
        };
        let sticky = self.sticky.get_or_insert_default();
        (sticky.target, sticky.wanted, sticky.app) = (true, wanted, app);
    }

    /// Whether the group is sticky and the client's cookie does not name this target.
    pub(super) fn is_astray(&self, target: &TargetView) -> bool {
        self.sticky
            .as_ref()
            .is_some_and(|sticky| sticky.target && sticky.wanted != Some(target.mark()))
    }

    /// The client's sticky target, if it gets traffic, did not refuse the request, and is not overloaded.
    pub(super) fn sticky_target(&self, group: &GroupView) -> Option<InFlight> {
        self.sticky_choice(group)
            .map(|target| InFlight::new(Arc::clone(target)))
    }

    /// Like `sticky_target`, without a slot.
    pub(super) fn sticky_choice<'a>(&self, group: &'a GroupView) -> Option<&'a Arc<TargetView>> {
        let mark = self.sticky.as_ref()?.wanted?;
        let eligible = &group.eligible(self.zone).targets;
        let target = eligible
            .iter()
            .map(|&index| &group.targets[index as usize])
            .find(|target| target.mark() == mark)?;
        let overloaded = || {
            let percent = u64::from(group.settings().sticky_ceiling_percent);
            // Summing over all targets is the price of this extension; only groups that use it pay.
            let load = |index: &u32| u64::from(group.targets[*index as usize].stats.load());
            let sum: u64 = eligible.iter().map(load).sum();
            let own = u64::from(target.stats.load());
            // At least one request per target is allowed: with few requests the mean is less than one.
            percent > 0
                && own > 0
                && own * 100 * eligible.len() as u64 > percent * sum.max(eligible.len() as u64)
        };
        (!self.refused.contains(&target.id) && !overloaded()).then_some(target)
    }

    /// Whether the answer may set cookies. If not, [`Exchange::cookies`] need not be called.
    pub fn is_sticky(&self) -> bool {
        self.sticky.is_some()
    }

    /// The cookies to add to the target's answer. `sets` says whether the answer sets a cookie of this name.
    pub fn cookies(
        &self,
        wall: Wall,
        listener: &ListenerView,
        snapshot: &Snapshot,
        worker: &mut WorkerState,
        sets: impl Fn(&str) -> bool,
    ) -> Cookies {
        let mut cookies = Cookies::default();
        let (Some(sticky), Some(target)) = (&self.sticky, &self.record.target) else {
            return cookies;
        };
        let Some(group) = self.record.group.and_then(|group| snapshot.group(group)) else {
            return cookies;
        };
        let mut seal = |scope, mark| {
            let rng = [worker.draw(), worker.draw()];
            worker.keys.seal(wall, rng, scope, mark)
        };
        if sticky.group {
            cookies.group = seal(
                Scope::Group(&listener.balancer.blueprint.arn),
                Mark::group(&group.blueprint.arn),
            );
        }
        let mark = target.mark();
        match &group.settings().stickiness {
            Stickiness::Off => {}
            Stickiness::Balancer { .. } => cookies.target = seal(Scope::Target(&group.blueprint.arn), mark),
            // A client whose target left stays with the new one from now on, even if that sets no cookie.
            Stickiness::App { cookie, .. } if sets(cookie) || (sticky.app && sticky.wanted != Some(mark)) => {
                cookies.app = seal(Scope::App(&group.blueprint.arn), mark);
            }
            Stickiness::App { .. } => {}
        }
        cookies
    }
}

#[cfg(test)]
mod tests;
