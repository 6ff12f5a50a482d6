//! Whether the existing capacity will do each message in time, and what that takes if not.

use super::arrivals::Cohort;
use core::time::Duration;

/// The guard orders at most this many times the capacity that the backlog needs: a late message is not worth more.
const DEAREST: u32 = 4;

/// The capacity that the messages' deadlines require.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Guard {
    /// The capacity that does in time all messages for which that is still possible: the existing one, or more. Zero
    /// without messages.
    pub needed: u32,
    /// The capacity in service that would be enough for them. What exceeds it is not needed for the present messages.
    pub enough: u32,
    /// Visible messages that will be late, whatever is ordered.
    pub late: u64,
    /// Seconds left to the messages for which more is needed.
    pub left: Option<f64>,
}

/// The capacity that does the work.
pub(super) struct Capacity<'a> {
    /// How long messages have been in flight, with their numbers, the newest first.
    pub(super) ages: Vec<(Duration, u64)>,
    /// For each instance on its way, how long ago it was ordered.
    pub(super) pending: &'a [Duration],
    /// Instances in service.
    pub(super) ready: u32,
    /// Messages that an instance works on at a time.
    pub(super) slots: u64,
    /// Seconds from an order to an instance that works.
    pub(super) lead: f64,
    /// Processing time of a message in seconds, and how much longer the last one may take.
    pub(super) processing: f64,
    pub(super) spread: f64,
}

/// Messages that a slot can do one after the other in `seconds`.
pub(super) fn rounds(seconds: f64, processing: f64) -> u32 {
    (seconds / processing.max(1e-3) + 1e-9).floor().clamp(0.0, 1e9) as u32
}

/// Slots, by the seconds until they can take a message.
struct Slots(Vec<(f64, u64)>);

impl Slots {
    /// Messages done within `seconds`.
    fn done(&self, seconds: f64, processing: f64) -> u64 {
        let of = |&(free, count): &(f64, u64)| count * u64::from(rounds(seconds - free, processing));
        self.0.iter().map(of).sum()
    }
}

impl Capacity<'_> {
    /// The slots of `instances` instances in service, and with `pending` those on their way. Messages in flight beyond
    /// all slots have been so for longest and no longer have a worker.
    fn of(&self, instances: u32, pending: bool) -> Slots {
        let mut free = u64::from(instances) * self.slots;
        let mut slots = Vec::with_capacity(self.ages.len() + self.pending.len() + 1);
        for &(age, count) in &self.ages {
            let busy = count.min(free);
            free -= busy;
            slots.push(((self.processing - age.as_secs_f64()).max(0.0), busy));
        }
        slots.push((0.0, free));
        if pending {
            let left = |age: &Duration| (self.lead - age.as_secs_f64()).max(0.0);
            slots.extend(self.pending.iter().map(|age| (left(age), self.slots)));
        }
        Slots(slots)
    }

    /// Messages that wait and that the existing capacity would not do sooner than an instance ordered now.
    pub(super) fn left_over(&self, visible: u64) -> u64 {
        let all = self.of(self.ready, true);
        visible.saturating_sub(all.done(self.lead + self.processing, self.processing))
    }

    /// Instances in service and on their way.
    pub(super) fn there(&self) -> u32 {
        self.ready.saturating_add(self.pending.len() as u32)
    }
}

/// The capacity that the deadlines of visible messages require, for this latency and `rounds_now` rounds for a message
/// that arrives now. A message gets its turn after all older ones. O(cohorts x moments x log instances).
pub(super) fn guard(cohorts: &[Cohort], latency: f64, rounds_now: u32, capacity: &Capacity<'_>) -> Guard {
    let all = capacity.of(capacity.ready, true);
    let mut found = Guard::default();
    let mut before = 0;
    let mut dues = Vec::with_capacity(cohorts.len());
    let mut more = 0;
    for cohort in cohorts.iter().filter(|cohort| cohort.count > 0) {
        // The oldest are done first, so what is done in time for these must include all before them.
        before += cohort.count;
        let left = latency - cohort.age.as_secs_f64() - capacity.spread;
        let done = all.done(left, capacity.processing);
        // Only what can still be done in time, so that late messages do not hold capacity.
        dues.push((left, before.min(done)));
        let missing = before.saturating_sub(done);
        if missing == 0 {
            continue;
        }
        let rounds_left = rounds(left - capacity.lead, capacity.processing);
        // Too late for an instance that is ordered now: it would only be paid for.
        if rounds_left == 0 {
            found.late = found.late.max(missing);
            continue;
        }
        // Bounds the price: messages with little time left must not each get an instance.
        let each = u64::from(rounds_left.max(rounds_now.div_ceil(DEAREST))) * capacity.slots;
        let wanted = u32::try_from(missing.div_ceil(each)).unwrap_or(u32::MAX);
        if wanted > more {
            more = wanted;
            found.left = Some(left);
        }
    }
    if more > 0 {
        found.needed = capacity.there().saturating_add(more);
        found.enough = found.needed;
        return found;
    }
    let is_enough = |instances: u32| {
        let slots = capacity.of(instances, false);
        dues.iter()
            .all(|&(left, due)| slots.done(left, capacity.processing) >= due)
    };
    // The smallest capacity that is enough; what is on its way counts only if all instances in service are not enough.
    let (mut least, mut most) = (0, capacity.ready);
    if !is_enough(most) {
        found.enough = capacity.there();
        return found;
    }
    while least < most {
        let middle = least.midpoint(most);
        if is_enough(middle) {
            most = middle;
        } else {
            least = middle + 1;
        }
    }
    found.enough = least;
    found
}
