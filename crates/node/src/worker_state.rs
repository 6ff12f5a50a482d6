//! The state that one worker keeps between requests: turns of algorithms, a random stream, times of successes, and
//! failed slots that still count.

use crate::ids::{GroupId, TargetId, ZoneId};
use crate::in_flight::{Held, InFlight};
use crate::load_index::Side;
use crate::snapshot::{GroupView, Snapshot};
use crate::stats::TargetStats;
use core::sync::atomic::Ordering::Relaxed;
use core::time::Duration;
use forebay_balance::{
    Choose as _, Chooser, EligibleTargets, Keys, MedianLatency, PeakLatency, RetryBudget, ServiceTime,
    Weight, load_class,
};
use forebay_units::{Mono, Rng};
use std::collections::{BTreeMap, BinaryHeap};

/// Bound on failed slots held per worker. With more, the hold that would end first ends now.
const HOLDS: usize = 16_384;

/// The state of one worker. Never shared.
#[derive(Debug)]
pub struct WorkerState {
    /// The worker's number: its shard of the counters.
    pub index: usize,
    pub(crate) rng: Rng,
    pub(crate) keys: Keys,
    choosers: BTreeMap<(GroupId, Side), Chooser>,
    service_times: BTreeMap<GroupId, ServiceTime>,
    budgets: BTreeMap<GroupId, RetryBudget>,
    holds: BinaryHeap<Held>,
    held: u64,
}

impl WorkerState {
    /// The state of worker number `worker`, with a random stream from this seed.
    pub fn new(worker: usize, seed: u64) -> WorkerState {
        WorkerState {
            index: worker,
            rng: Rng::named(seed, &format!("worker-{worker}")),
            keys: Keys::default(),
            choosers: BTreeMap::new(),
            service_times: BTreeMap::new(),
            budgets: BTreeMap::new(),
            holds: BinaryHeap::new(),
            held: 0,
        }
    }

    /// 64 random bits from the worker's stream.
    pub fn draw(&mut self) -> u64 {
        self.rng.next_u64()
    }

    /// Picks a target of the group for a node in `zone` by the group's algorithm, passing over those in `refused`, and
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
            .or_insert_with(|| Chooser::new(group.settings().algorithm));
        if chooser.algorithm() != group.settings().algorithm {
            *chooser = Chooser::new(group.settings().algorithm);
        }
        let table = Table {
            group,
            eligible: &group.eligible(zone).targets,
            side,
            refused,
        };
        chooser.choose(now, &table, &mut self.rng)
    }

    /// Records a success that was sent to its target at `start`; `latency` is the time to the answer's head.
    pub(crate) fn succeeded(
        &mut self,
        now: Mono,
        group: GroupId,
        slot: &InFlight,
        start: Mono,
        latency: Duration,
    ) {
        let service_time = self.service_times.entry(group).or_default();
        service_time.succeeded(now.since(start), latency);
        slot.target().stats.record_latency(self.index, latency);
        slot.target().stats.measure(now, slot.load(), latency, latency);
    }

    /// Records a failure of a request that was sent to its target at `start`. The slot stays counted for as long as a
    /// success would have kept it, or for as long as the target asked to be left alone (`wait`). Otherwise a target
    /// that fails at once would look idle and draw all traffic.
    pub(crate) fn failed(
        &mut self,
        now: Mono,
        group: GroupId,
        slot: InFlight,
        start: Mono,
        wait: Option<Duration>,
    ) {
        let service_time = self.service_times.get(&group).copied().unwrap_or_default();
        let took = now.since(start);
        let (peak, typical) = (service_time.failure_peak(took), service_time.failure_time(took));
        slot.target().stats.measure(now, slot.load(), peak, typical);
        let asked = wait.map(|wait| now + wait);
        // The later of both: failing quickly must not shorten a pause that the target asked for.
        let until = service_time.busy_until(start).max(asked);
        if let Some(until) = until.filter(|&until| until > now) {
            if self.holds.len() >= HOLDS {
                self.holds.pop();
            }
            self.held += 1;
            self.holds.push(Held::new(slot, until, self.held));
        }
    }

    /// Adds to the retry budget of a group, for a request to it.
    pub(crate) fn earn(&mut self, group: GroupId) {
        self.budgets.entry(group).or_default().earn();
    }

    /// Spends a retry of the group's budget; false if there is none left.
    pub(crate) fn may_retry(&mut self, now: Mono, group: GroupId) -> bool {
        self.budgets.entry(group).or_default().spend(now)
    }

    /// Ends the holds that are due. Called at each pick; call it now and then while no request comes.
    pub fn expire(&mut self, now: Mono) {
        while self.holds.peek().is_some_and(|held| held.until() <= now) {
            self.holds.pop();
        }
    }

    /// Drops state of groups that are gone, and keys of an old secret. Call it when a new snapshot was adopted.
    pub fn forget(&mut self, snapshot: &Snapshot) {
        if self.keys.secret() != snapshot.secret {
            self.keys = Keys::new(snapshot.secret);
        }
        self.choosers
            .retain(|&(group, _), _| snapshot.group(group).is_some());
        self.service_times
            .retain(|&group, _| snapshot.group(group).is_some());
        self.budgets.retain(|&group, _| snapshot.group(group).is_some());
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
    fn stats(&self, index: usize) -> &TargetStats {
        &self.group.stats[self.eligible[index] as usize]
    }

    fn view(&self, index: usize) -> &std::sync::Arc<crate::target::TargetView> {
        &self.group.targets[self.eligible[index] as usize]
    }
}

impl EligibleTargets for Table<'_> {
    type Taken = InFlight;

    fn count(&self) -> usize {
        self.eligible.len()
    }

    fn is_weighted(&self) -> bool {
        self.group.load_index.is_weighted()
    }

    fn is_passed_over(&self, index: usize) -> bool {
        !self.refused.is_empty() && self.refused.contains(&self.view(index).id)
    }

    fn weight(&self, index: usize) -> Weight {
        self.stats(index).weight()
    }

    fn load(&self, index: usize) -> u32 {
        self.stats(index).load()
    }

    fn peak_latency(&self, index: usize, now: Mono) -> Option<f32> {
        PeakLatency(self.stats(index).peak.load(Relaxed)).nanos(now)
    }

    fn median_latency(&self, index: usize, load: u32, now: Mono) -> Option<f32> {
        let medians = &self.stats(index).medians;
        MedianLatency(medians[load_class(load)].load(Relaxed)).nanos(now)
    }

    fn take(&self, index: usize) -> InFlight {
        InFlight::new(std::sync::Arc::clone(self.view(index)))
    }

    fn take_least(&self, rng: &mut Rng) -> Option<InFlight> {
        let taken = self.group.load_index.take_least(self.side, self.refused, rng);
        taken.map(InFlight::from)
    }
}
