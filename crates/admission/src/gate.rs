//! The gate of a target group: who may start now, who waits, who is refused.

use crate::drain::Drain;
use crate::figures::Figures;
use crate::messages::{
    Arrival, Claim, Key, Leaving, Limit, Member, Place, Refusal, Released, Rules, Slots, Verdict, Why,
};
use crate::permits::WorkId;
use crate::queue::Queue;
use crate::target_slots::TargetSlots;
use core::time::Duration;
use forebay_units::{Mono, Rng};
use std::collections::VecDeque;

/// What a refusal promises at least and at most.
const SOONEST: Duration = Duration::from_secs(1);
const LATEST: Duration = Duration::from_secs(300);

/// Slots on their way are told again and again; those that nobody has spoken of for so long after their time are not expected any more.
const OVERDUE: Duration = Duration::from_secs(1);

/// Slots that are on their way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coming {
    /// When they are expected.
    pub at: Mono,
    /// How many.
    pub slots: f64,
}

impl Coming {
    /// What becomes of a wait of so many seconds that so many slots make.
    fn shortened(self, now: Mono, wait: f64, slots: u64) -> f64 {
        let until = self.at.since(now).as_secs_f64();
        if wait <= until || now.since(self.at) > OVERDUE {
            return wait;
        }
        let slots = slots.max(1) as f64;
        until + (wait - until) * slots / (slots + self.slots)
    }
}

/// Slots and queue of one group in one node process. After anything that may free a slot or end a wait, ask `poll` until
/// it has nothing more: only then does no slot stay free while someone waits for it.
#[derive(Debug)]
pub struct Gate<T, W> {
    rules: Rules,
    targets: TargetSlots<T>,
    queue: Queue<W>,
    /// Those whose wait is over and who were not yet told.
    dismissed: VecDeque<Released<T, W>>,
    drain: Drain,
    figures: Figures,
    /// Something has changed since `poll` had nothing more.
    stirred: bool,
    /// Nobody comes in any more.
    closed: bool,
    /// What is on its way.
    coming: Option<Coming>,
}

impl<T: Clone, W> Gate<T, W> {
    /// A gate without targets.
    pub fn new(rules: Rules) -> Self {
        Gate {
            targets: TargetSlots::new(rules.limit, rules.balanced),
            rules,
            queue: Queue::default(),
            dismissed: VecDeque::new(),
            drain: Drain::default(),
            figures: Figures::default(),
            stirred: false,
            closed: false,
            coming: None,
        }
    }

    /// Goes by these rules from now on. If fewer may wait than do, `poll` returns the newest refused: with `NoSlot` if none
    /// may wait, else with `Full`. O(targets log targets + waiters log waiters).
    pub fn set_rules(&mut self, now: Mono, rules: Rules) {
        self.stir(now);
        self.targets.set_limit(rules.limit, rules.balanced);
        let shorter = rules.length < self.rules.length;
        self.rules = rules;
        // Slots that are free now, as with a larger limit, go before.
        while let Some(released) = self.serve(now) {
            self.dismissed.push_back(released);
        }
        if shorter {
            self.shorten(now);
        }
    }

    fn shorten(&mut self, now: Mono) {
        let why = if self.rules.length == 0 {
            Why::NoSlot
        } else {
            Why::Full
        };
        let places = self.queue.beyond(self.rules.length);
        self.dismiss(now, &places, why);
    }

    /// Refuses whoever waits, and whoever comes from now on.
    pub fn close(&mut self, now: Mono) {
        self.stir(now);
        self.closed = true;
        let places = self.queue.places();
        self.dismiss(now, &places, Why::NoSlot);
    }

    fn dismiss(&mut self, now: Mono, places: &[Place], why: Why) {
        for &place in places {
            let Some(entry) = self.queue.leave(place) else {
                continue;
            };
            self.figures.refused[why as usize] += 1;
            self.dismissed.push_back(Released {
                waited: now.since(entry.since),
                outcome: Err(Refusal { why, ..self.late() }),
                waiter: entry.waiter,
            });
        }
    }

    /// Says who may be picked now. Counts, permits and pauses of those that stay are kept, and of those that leave until
    /// they are nothing, so also of those that leave and come back. O(targets log targets).
    pub fn arrange(&mut self, now: Mono, members: Vec<Member<T>>) {
        self.stir(now);
        self.targets.arrange(members);
    }

    /// A request wants a slot. `rng` is not used by the orders there are now.
    pub fn arrive(
        &mut self,
        now: Mono,
        arrival: &Arrival<'_>,
        _rng: &mut Rng,
        waiter: impl FnOnce() -> W,
    ) -> Verdict<T> {
        if self.targets.next_resume() <= now {
            self.stir(now);
        }
        // Whoever waits has been served as far as possible, so a slot that is free now is of no use to them.
        if (!self.stirred || self.queue.is_empty())
            && let Some(slot) = self.targets.take(arrival.zone, arrival.avoid, arrival.prefers)
        {
            self.figures.admitted += 1;
            return Verdict::Admitted(slot);
        }
        self.drain.advance(now, !self.queue.is_empty());
        if let Some(refusal) = self.refusal(now, arrival) {
            self.figures.refused[refusal.why as usize] += 1;
            return Verdict::Refused(refusal);
        }
        Verdict::Waits(self.queue.join(&arrival.claim(), waiter()))
    }

    /// Whether this request must not wait. Makes room for it if its class is owed some.
    fn refusal(&mut self, now: Mono, arrival: &Arrival<'_>) -> Option<Refusal> {
        let refusal = |why, wait: Option<Duration>| {
            let retry_after = wait.unwrap_or(SOONEST).clamp(SOONEST, LATEST);
            Some(Refusal { why, retry_after })
        };
        if self.closed {
            return refusal(Why::NoSlot, None);
        }
        if arrival.deadline <= now {
            return refusal(Why::Late, self.predicted(now, arrival));
        }
        if arrival.front {
            return None;
        }
        let predicted = self.predicted(now, arrival);
        if self.rules.length == 0 {
            return refusal(Why::NoSlot, predicted);
        }
        if predicted.is_some_and(|wait| wait > arrival.deadline.since(now)) {
            return refusal(Why::TooLong, predicted);
        }
        if self.queue.len() < self.rules.length {
            return None;
        }
        let place = self
            .queue
            .to_displace(arrival.class, arrival.weight, self.rules.length);
        let Some(entry) = place.and_then(|place| self.queue.leave(place)) else {
            return refusal(Why::Full, predicted);
        };
        self.figures.refused[Why::Displaced as usize] += 1;
        self.dismissed.push_back(Released {
            waited: now.since(entry.since),
            waiter: entry.waiter,
            outcome: Err(Refusal {
                why: Why::Displaced,
                retry_after: predicted.unwrap_or(SOONEST).clamp(SOONEST, LATEST),
            }),
        });
        None
    }

    /// So many slots are on their way: nobody is refused at the door who will have got one in time thanks to them.
    pub fn expect(&mut self, coming: Option<Coming>) {
        self.coming = coming;
    }

    /// How long an arrival would wait. None if nothing tells, as with no target or before the first drained slot.
    fn predicted(&self, now: Mono, arrival: &Arrival<'_>) -> Option<Duration> {
        if self.rules.limit == Limit::Open || self.targets.members() == 0 {
            return None;
        }
        let slots = self.all_slots();
        let rate = self.drain.rate(slots)?;
        let (ahead, share) = self.queue.ahead(arrival.class, arrival.weight, arrival.deadline);
        // The class gets its share of what is drained, or more while others want less; it never waits for more than all.
        let own = (ahead + 1) as f64 / (rate * share);
        let all = (self.queue.len() + 1) as f64 / rate;
        let wait = own.min(all);
        let wait = self
            .coming
            .map_or(wait, |coming| coming.shortened(now, wait, slots));
        Duration::try_from_secs_f64(wait).ok()
    }

    /// A waiter leaves by itself. None if it was released already: then it has, or had, a slot or a refusal.
    pub fn leave(&mut self, now: Mono, place: Place, why: Leaving) -> Option<(W, Refusal)> {
        self.drain.advance(now, !self.queue.is_empty());
        let entry = self.queue.leave(place)?;
        match why {
            Leaving::Gone => self.figures.gone += 1,
            Leaving::Late => self.figures.refused[Why::Late as usize] += 1,
        }
        let refusal = self.late();
        Some((entry.waiter, refusal))
    }

    fn late(&self) -> Refusal {
        let slots = self.targets.busy() + self.targets.free();
        let rate = if self.targets.members() == 0 {
            None
        } else {
            self.drain.rate(slots)
        };
        let wait =
            rate.and_then(|rate| Duration::try_from_secs_f64((self.queue.len() + 1) as f64 / rate).ok());
        Refusal {
            why: Why::Late,
            retry_after: wait.unwrap_or(SOONEST).clamp(SOONEST, LATEST),
        }
    }

    /// A request that had a slot is over. `took`, of a success, tells how long slots are held, and feeds `Limit::Auto`.
    /// With `Limit::Permits` it frees nothing here: the agent grants anew.
    pub fn release(&mut self, now: Mono, key: Key, took: Option<Duration>) {
        if !self.queue.is_empty() {
            self.stir(now);
        }
        if let Some(took) = took {
            self.drain.held(took);
        }
        self.targets.release(now, key, took);
    }

    /// Takes out everyone who waits, in the order in which they came: somebody else serves them from now on.
    pub fn hand_over(&mut self, now: Mono) -> Vec<(Claim, W)> {
        self.drain.advance(now, !self.queue.is_empty());
        self.queue.take_all()
    }

    /// Someone who was handed over comes back, and waits again: never refused, whatever the queue's length.
    pub fn rejoin(&mut self, now: Mono, claim: &Claim, waiter: W) -> Place {
        self.stir(now);
        self.queue.join(claim, waiter)
    }

    /// A request is at this target already: it has a slot there, even if that is one more than there are.
    pub fn occupy(&mut self, key: Key) {
        self.targets.occupy(key);
    }

    /// Which targets requests have slots of, and how many.
    pub fn occupied(&self) -> Vec<(Key, u32)> {
        self.targets.occupied()
    }

    /// Permits came. Those beyond 4,096 unused ones of a target are not kept.
    pub fn grant(&mut self, now: Mono, key: Key, ids: &[WorkId]) {
        self.stir(now);
        self.targets.grant(key, ids);
    }

    /// Takes back at most so many unused permits, the oldest; requests take the newest.
    pub fn take_back(&mut self, _now: Mono, key: Key, count: usize) -> Vec<WorkId> {
        self.targets.take_back(key, count)
    }

    /// The channel to a target's agent is gone: its unused permits are void.
    pub fn lost(&mut self, now: Mono, key: Key) {
        self.take_back(now, key, usize::MAX);
    }

    /// The target pushed back: it has a slot less until then. An open gate has no slots to lose.
    pub fn pause(&mut self, now: Mono, key: Key, until: Mono) {
        self.targets.pause(now, key, until);
    }

    /// Lets targets' limits that are being learned go on, now and then; then `poll` must be asked.
    pub fn measure(&mut self, now: Mono) {
        if self.targets.measure(now) {
            self.stir(now);
        }
    }

    /// When `poll` must be asked again though nothing else has happened; `Mono::NEVER` if not at all.
    pub fn next_deadline(&self) -> Mono {
        self.targets.next_resume()
    }

    /// The next one whose wait is over: it gets a slot, or was displaced, or its deadline has come.
    pub fn poll(&mut self, now: Mono) -> Option<Released<T, W>> {
        if let Some(released) = self.dismissed.pop_front() {
            return Some(released);
        }
        if self.targets.next_resume() <= now {
            self.stir(now);
        }
        if !self.stirred {
            return None;
        }
        let released = self.serve(now);
        self.stirred = released.is_some() && !self.queue.is_empty();
        released
    }

    fn serve(&mut self, now: Mono) -> Option<Released<T, W>> {
        if self.queue.is_empty() {
            return None;
        }
        let place = self.queue.head(|zone| self.targets.has_free(zone))?;
        let entry = self.queue.entry(place)?;
        if entry.deadline <= now {
            let entry = self.queue.leave(place)?;
            self.figures.refused[Why::Late as usize] += 1;
            return Some(Released {
                waited: now.since(entry.since),
                outcome: Err(self.late()),
                waiter: entry.waiter,
            });
        }
        let slot = self.targets.take(entry.zone, &[], entry.prefers)?;
        let entry = self.queue.serve(place)?;
        let waited = now.since(entry.since);
        self.drain.drained();
        self.figures.admitted += 1;
        self.figures.queued += 1;
        self.figures.waits.record(waited);
        Some(Released {
            waiter: entry.waiter,
            waited,
            outcome: Ok(slot),
        })
    }

    /// Something changes: whoever waits may have to be served.
    fn stir(&mut self, now: Mono) {
        self.drain.advance(now, !self.queue.is_empty());
        self.targets.resume(now);
        self.stirred = true;
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// How many wait that may use this target: what to tell its agent.
    pub fn waiting_for(&self, key: Key) -> usize {
        if !self.targets.is_member(key) {
            return 0;
        }
        self.queue.waiting_for(self.targets.zone_of(key))
    }

    /// Slots of all targets: those in use and those that are free. O(1).
    pub fn all_slots(&self) -> u64 {
        self.targets.busy() + self.targets.free()
    }

    /// Slots of one target; all zero if it is not known.
    pub fn slots(&self, key: Key) -> Slots {
        self.targets.slots(key)
    }

    /// What it goes by.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Counts, and how things stand.
    pub fn figures(&self) -> Figures {
        Figures {
            waiting: self.queue.len(),
            busy: self.targets.busy(),
            free: self.targets.free(),
            ..self.figures.clone()
        }
    }

    /// Panics if what it keeps does not agree with itself, or if a slot is free that someone waits for.
    #[cfg(test)]
    pub(crate) fn check_invariants(&self) {
        self.targets.check_invariants();
        self.queue.check_invariants();
        if !self.stirred {
            assert_eq!(self.queue.head(|zone| self.targets.has_free(zone)), None);
        }
    }
}

#[cfg(test)]
mod tests;
