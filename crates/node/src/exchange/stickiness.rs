//! Stickiness: which target or group a client's cookies name, and which cookies its answer brings.

use super::state::Exchange;
use super::sticky::{Cookies, cookie};
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

/// The first cookie of this name that the client sent.
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

/// What the client's cookie names, if it was sealed for `scope` and is not too old. Any other is ignored: its answer brings
/// a new one.
fn opened(
    worker: &mut WorkerState,
    request: &Request<'_>,
    names: &[&str],
    scope: Scope<'_>,
    seconds: u64,
) -> Option<Mark> {
    let value = names
        .iter()
        .rev()
        .find_map(|name| cookie_of(request.facts.headers, name))?;
    let opened = worker.keys.open(request.wall, scope, &value)?;
    opened.is_fresh(request.wall, seconds).then_some(opened.mark)
}

impl Exchange {
    /// The group its client stays with; none if it has none yet.
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
        split
            .weighted(|&group| {
                snapshot
                    .group(group)
                    .is_some_and(|group| Mark::group(&group.blueprint.arn) == mark)
            })
            .copied()
    }

    /// Notes which target of the group its client wants to stay with.
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
            // Both must come back: the application may have ended its session by dropping its own.
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

    /// Whether its group keeps clients with their target, and this client has none yet, or not this one.
    pub(super) fn is_astray(&self, target: &TargetView) -> bool {
        self.sticky
            .as_ref()
            .is_some_and(|sticky| sticky.target && sticky.wanted != Some(target.mark()))
    }

    /// The target its client stays with: while that gets traffic, did not refuse the request, and is not overloaded.
    pub(super) fn sticky_target(&self, group: &GroupView) -> Option<InFlight> {
        self.sticky_choice(group)
            .map(|target| InFlight::new(Arc::clone(target)))
    }

    /// Which that is.
    pub(super) fn sticky_choice<'a>(&self, group: &'a GroupView) -> Option<&'a Arc<TargetView>> {
        let mark = self.sticky.as_ref()?.wanted?;
        let eligible = &group.eligible(self.zone).targets;
        let target = eligible
            .iter()
            .map(|&index| &group.targets[index as usize])
            .find(|target| target.mark() == mark)?;
        let overloaded = || {
            let percent = u64::from(group.settings().sticky_ceiling_percent);
            // Summing over all targets is what this extension costs those who ask for it.
            let load = |index: &u32| u64::from(group.targets[*index as usize].stats.load());
            let sum: u64 = eligible.iter().map(load).sum();
            let own = u64::from(target.stats.load());
            // One request more than the mean allows is not yet too many: with few requests all means are small.
            percent > 0
                && own > 0
                && own * 100 * eligible.len() as u64 > percent * sum.max(eligible.len() as u64)
        };
        (!self.refused.contains(&target.id) && !overloaded()).then_some(target)
    }

    /// Whether its answer may bring cookies. If not, [`Exchange::cookies`] need not be asked.
    pub fn is_sticky(&self) -> bool {
        self.sticky.is_some()
    }

    /// The cookies its target's answer brings. `sets`: whether the answer sets a cookie of this name.
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
            // A client whose target is gone stays with its new one from now on, even if that sets no cookie.
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
