//! What one worker keeps between requests to decide by: turns, its random stream, how long successes take, and slots that
//! failed and still count.

use crate::ids::{GroupId, TargetId, ZoneId};
use crate::in_flight::{Held, InFlight};
use crate::picture::{GroupView, Picture};
use crate::roster::Side;
use crate::stats::TargetStats;
use core::sync::atomic::Ordering::Relaxed;
use core::time::Duration;
use forebay_balance::{
    Choose as _, Chooser, Keys, MedianLatency, PeakLatency, RetryBudget, Seats, Service, Weight, load_class,
};
use forebay_units::{Mono, Stream};
use std::collections::{BTreeMap, BinaryHeap};

/// Slots that failed, at most, per worker: with more, the one that would end first ends now.
const HOLDS: usize = 16_384;

/// A worker's memory. One per worker; never shared.
#[derive(Debug)]
pub struct Mind {
    /// Which shard of the counters is its own.
    pub worker: usize,
    pub(crate) draws: Stream,
    pub(crate) keys: Keys,
    choosers: BTreeMap<(GroupId, Side), Chooser>,
    services: BTreeMap<GroupId, Service>,
    budgets: BTreeMap<GroupId, RetryBudget>,
    holds: BinaryHeap<Held>,
    held: u64,
}

impl Mind {
    /// The mind of worker number `worker`, drawing from a stream of this seed.
    pub fn new(worker: usize, seed: u64) -> Mind {
        Mind {
            worker,
            draws: Stream::named(seed, &format!("worker-{worker}")),
            keys: Keys::default(),
            choosers: BTreeMap::new(),
            services: BTreeMap::new(),
            budgets: BTreeMap::new(),
            holds: BinaryHeap::new(),
            held: 0,
        }
    }

    /// 64 random bits from the worker's stream.
    pub fn draw(&mut self) -> u64 {
        self.draws.next_u64()
    }

    /// Picks a target of the group for a node in `zone`, by the group's algorithm, passing over those in `refused`, and
    /// counts the request there. O(log groups), and O(refused squared) when some are passed over.
    pub fn choose(
        &mut self,
        now: Mono,
        group: &GroupView,
        zone: ZoneId,
        refused: &[TargetId],
    ) -> Option<InFlight> {
        self.expire(now);
        let side = group.zones.as_ref().map(|_| zone);
        let chooser = self
            .choosers
            .entry((group.id, side))
            .or_insert_with(|| Chooser::new(group.algorithm));
        if chooser.algorithm() != group.algorithm {
            *chooser = Chooser::new(group.algorithm);
        }
        let table = Table {
            group,
            eligible: &group.eligible(zone).targets,
            side,
            refused,
        };
        chooser.choose(now, &table, &mut self.draws)
    }

    /// A request that this target took at `start` is over and was a success; `latency` is the time to its answer's head.
    pub(crate) fn succeeded(
        &mut self,
        now: Mono,
        group: GroupId,
        slot: &InFlight,
        start: Mono,
        latency: Duration,
    ) {
        let service = self.services.entry(group).or_default();
        service.succeeded(now.since(start), latency);
        slot.target().stats.tally(self.worker, latency);
        slot.target().stats.measure(now, slot.load(), latency, latency);
    }

    /// A request that this target took at `start` has failed through its fault: the slot stays counted as long as a success
    /// would have kept it (the black-hole guard), or as long as the target asks to be left alone: `wait`.
    pub(crate) fn failed(
        &mut self,
        now: Mono,
        group: GroupId,
        slot: InFlight,
        start: Mono,
        wait: Option<Duration>,
    ) {
        let service = self.services.get(&group).copied().unwrap_or_default();
        let took = now.since(start);
        let (peak, typical) = (service.failure_peak(took), service.failure_time(took));
        slot.target().stats.measure(now, slot.load(), peak, typical);
        let asked = wait.map(|wait| now + wait);
        let until = service.busy_until(start).max(asked);
        if let Some(until) = until.filter(|&until| until > now) {
            if self.holds.len() >= HOLDS {
                self.holds.pop();
            }
            self.held += 1;
            self.holds.push(Held::new(slot, until, self.held));
        }
    }

    /// A request came to a group that allows retries.
    pub(crate) fn earn(&mut self, group: GroupId) {
        self.budgets.entry(group).or_default().earn();
    }

    /// Whether the group's budget has a retry left; if so, it is spent.
    pub(crate) fn may_retry(&mut self, now: Mono, group: GroupId) -> bool {
        self.budgets.entry(group).or_default().spend(now)
    }

    /// Ends the holds that are due. Called with each pick; call it now and then while no request comes.
    pub fn expire(&mut self, now: Mono) {
        while self.holds.peek().is_some_and(|held| held.until() <= now) {
            self.holds.pop();
        }
    }

    /// Forgets groups that are gone, and keys of another secret. Call when a new picture was adopted.
    pub fn forget(&mut self, picture: &Picture) {
        if self.keys.secret() != picture.secret {
            self.keys = Keys::new(picture.secret);
        }
        self.choosers
            .retain(|&(group, _), _| picture.group(group).is_some());
        self.services.retain(|&group, _| picture.group(group).is_some());
        self.budgets.retain(|&group, _| picture.group(group).is_some());
    }
}

/// A group's eligible targets, as algorithms see them.
struct Table<'a> {
    group: &'a GroupView,
    eligible: &'a [u32],
    side: Side,
    refused: &'a [TargetId],
}

impl Table<'_> {
    fn stats(&self, seat: usize) -> &TargetStats {
        &self.group.stats[self.eligible[seat] as usize]
    }

    fn view(&self, seat: usize) -> &std::sync::Arc<crate::target::TargetView> {
        &self.group.targets[self.eligible[seat] as usize]
    }
}

impl Seats for Table<'_> {
    type Taken = InFlight;

    fn count(&self) -> usize {
        self.eligible.len()
    }

    fn is_weighted(&self) -> bool {
        self.group.roster.is_weighted()
    }

    fn is_passed_over(&self, seat: usize) -> bool {
        !self.refused.is_empty() && self.refused.contains(&self.view(seat).id)
    }

    fn weight(&self, seat: usize) -> Weight {
        self.stats(seat).weight()
    }

    fn load(&self, seat: usize) -> u32 {
        self.stats(seat).load()
    }

    fn peak_latency(&self, seat: usize, now: Mono) -> Option<f32> {
        PeakLatency(self.stats(seat).peak.load(Relaxed)).nanos(now)
    }

    fn median_latency(&self, seat: usize, load: u32, now: Mono) -> Option<f32> {
        let medians = &self.stats(seat).medians;
        MedianLatency(medians[load_class(load)].load(Relaxed)).nanos(now)
    }

    fn take(&self, seat: usize) -> InFlight {
        InFlight::new(std::sync::Arc::clone(self.view(seat)))
    }

    fn take_least(&self, draws: &mut Stream) -> Option<InFlight> {
        let taken = self.group.roster.take_least(self.side, self.refused, draws);
        taken.map(InFlight::from)
    }
}
