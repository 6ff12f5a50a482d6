//! The gate of a target group: decides which request starts now, which waits and which is refused.

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

/// The bounds of what a refusal promises.
const SOONEST: Duration = Duration::from_secs(1);
const LATEST: Duration = Duration::from_secs(300);

/// Expected slots are announced again and again. When this long after their time nobody has announced them again, they
/// are not expected any more.
const OVERDUE: Duration = Duration::from_secs(1);

/// Slots that are being started, as a planner expects them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coming {
    /// When they are expected.
    pub at: Mono,
    /// Their number.
    pub slots: f64,
}

impl Coming {
    /// Shortens a wait of `wait` seconds, predicted for `slots` slots, by the slots that come meanwhile.
    fn shortened(self, now: Mono, wait: f64, slots: u64) -> f64 {
        let until = self.at.since(now).as_secs_f64();
        if wait <= until || now.since(self.at) > OVERDUE {
            return wait;
        }
        let slots = slots.max(1) as f64;
        until + (wait - until) * slots / (slots + self.slots)
    }
}

/// Slots and queue of one group in one node process. After any call that may free a slot or end a wait, call `poll`
/// until it returns `None`: only then is no slot free that a waiting request could use.
#[derive(Debug)]
pub struct Gate<T, W> {
    rules: Rules,
    targets: TargetSlots<T>,
    queue: Queue<W>,
    /// Requests whose wait is over and that `poll` has not returned yet.
    dismissed: VecDeque<Released<T, W>>,
    drain: Drain,
    figures: Figures,
    /// Something has changed since `poll` last returned `None`.
    stirred: bool,
    /// All arrivals are refused from now on.
    closed: bool,
    /// The slots expected next.
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

    /// Replaces the settings. If more requests wait than may wait now, `poll` returns the newest ones refused: with
    /// `NoSlot` if none may wait, else with `Full`. O(targets log targets + waiters log waiters).
    pub fn set_rules(&mut self, now: Mono, rules: Rules) {
        self.stir(now);
        self.targets.set_limit(rules.limit, rules.balanced);
        let shorter = rules.length < self.rules.length;
        self.rules = rules;
        // A larger limit frees slots: waiting requests get them before any is refused for the shorter queue.
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

    /// Refuses all requests that wait, and all that arrive from now on.
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
                // Only the Retry-After of `late` is used: the wait predicted from the queue that is left.
                outcome: Err(Refusal { why, ..self.late() }),
                waiter: entry.waiter,
            });
        }
    }

    /// Replaces the targets that may be picked. Counts, permits and pauses are kept of targets that stay. Those of
    /// targets that leave are kept until they reach zero, so that a target may leave and come back. O(targets log
    /// targets).
    pub fn arrange(&mut self, now: Mono, members: Vec<Member<T>>) {
        self.stir(now);
        self.targets.arrange(members);
    }

    /// Asks for a slot. No present order draws from `rng`.
    pub fn arrive(
        &mut self,
        now: Mono,
        arrival: &Arrival<'_>,
        _rng: &mut Rng,
        waiter: impl FnOnce() -> W,
    ) -> Verdict<T> {
        // A pause that has ended frees a slot. Without this the arrival would wait, or be refused, though a slot is free.
        if self.targets.next_resume() <= now {
            self.stir(now);
        }
        // Once the gate has settled, no waiting request can use any slot that is free (its zone differs), so the
        // arrival may take one. While it is stirred, a free slot belongs to the queue.
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

    /// Decides whether the request must be refused instead of waiting. Makes room for it if its class is owed a place.
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
        // A request that had a slot was admitted once: the queue's length and the prediction are for newcomers.
        if arrival.front {
            return None;
        }
        let predicted = self.predicted(now, arrival);
        // Before the prediction counts: without a queue the reason is the missing slot, not the wait.
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

    /// Announces slots that are being started. An arrival is not refused for its predicted wait if these slots would
    /// serve it in time.
    pub fn expect(&mut self, coming: Option<Coming>) {
        self.coming = coming;
    }

    /// The wait that an arrival must expect. `None` if there is nothing to predict it from: no target, or no slot
    /// drained yet.
    fn predicted(&self, now: Mono, arrival: &Arrival<'_>) -> Option<Duration> {
        // Without slots or targets there is no rate at which the queue drains, and nobody is refused on a guess.
        if self.rules.limit == Limit::Open || self.targets.members() == 0 {
            return None;
        }
        let slots = self.all_slots();
        let rate = self.drain.rate(slots)?;
        let (ahead, share) = self.queue.ahead(arrival.class, arrival.weight, arrival.deadline);
        // The class gets its share of the drained slots, or more while others want less. It never waits longer than the
        // whole queue.
        let own = (ahead + 1) as f64 / (rate * share);
        let all = (self.queue.len() + 1) as f64 / rate;
        let wait = own.min(all);
        let wait = self
            .coming
            .map_or(wait, |coming| coming.shortened(now, wait, slots));
        Duration::try_from_secs_f64(wait).ok()
    }

    /// A waiting request leaves by itself. `None` if it was released already and so has, or had, a slot or a refusal.
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

    /// A request that had a slot is over. `took` is given for a success: it tells how long slots are held and feeds
    /// `Limit::Auto`. Under `Limit::Permits` no slot becomes free here: the agent grants a new permit.
    pub fn release(&mut self, now: Mono, key: Key, took: Option<Duration>) {
        // There is nothing to settle while nobody waits, and every request passes here when it ends.
        if !self.queue.is_empty() {
            self.stir(now);
        }
        if let Some(took) = took {
            self.drain.held(took);
        }
        self.targets.release(now, key, took);
    }

    /// Takes out all waiting requests in the order in which they came; another process serves them from now on.
    pub fn hand_over(&mut self, now: Mono) -> Vec<(Claim, W)> {
        self.drain.advance(now, !self.queue.is_empty());
        self.queue.take_all()
    }

    /// Puts a request back that was handed over. It is never refused, whatever the queue's length.
    pub fn rejoin(&mut self, now: Mono, claim: &Claim, waiter: W) -> Place {
        self.stir(now);
        self.queue.join(claim, waiter)
    }

    /// Records a request that is at this target already: it has a slot there, even beyond the limit.
    pub fn occupy(&mut self, key: Key) {
        self.targets.occupy(key);
    }

    /// The targets that have requests, and how many each.
    pub fn occupied(&self) -> Vec<(Key, u32)> {
        self.targets.occupied()
    }

    /// Adds permits that an agent granted. Of one target, unused permits beyond 4,096 are not kept.
    pub fn grant(&mut self, now: Mono, key: Key, ids: &[WorkId]) {
        self.stir(now);
        self.targets.grant(key, ids);
    }

    /// Records the limit that the agent of a target announced. It bounds what `slots` tells; permits alone decide.
    pub fn announce(&mut self, key: Key, limit: u32) {
        self.targets.announce(key, Some(limit));
    }

    /// Takes back up to `count` unused permits, the oldest first; requests take the newest.
    pub fn take_back(&mut self, key: Key, count: usize) -> Vec<WorkId> {
        self.targets.take_back(key, count)
    }

    /// Voids a target's unused permits, because the channel to its agent is lost.
    pub fn lost(&mut self, key: Key) {
        self.targets.announce(key, None);
        self.take_back(key, usize::MAX);
    }

    /// The target pushed back: it has one slot less until `until`. An open gate has no slots to lose.
    pub fn pause(&mut self, now: Mono, key: Key, until: Mono) {
        self.targets.pause(now, key, until);
    }

    /// Moves on the measurements of learned limits; to be called now and then, followed by `poll`.
    pub fn measure(&mut self, now: Mono) {
        if self.targets.measure(now) {
            self.stir(now);
        }
    }

    /// When `poll` must be called again even if nothing else happens; `Mono::NEVER` if not at all.
    pub fn next_deadline(&self) -> Mono {
        self.targets.next_resume()
    }

    /// The next request whose wait is over: it gets a slot, was displaced, or its deadline has passed.
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
        // With nobody waiting there is nothing left to settle, and the next arrival may take a free slot at once.
        self.stirred = released.is_some() && !self.queue.is_empty();
        released
    }

    fn serve(&mut self, now: Mono) -> Option<Released<T, W>> {
        if self.queue.is_empty() {
            return None;
        }
        let place = self.queue.head(|zone| self.targets.has_free(zone))?;
        let entry = self.queue.entry(place)?;
        // Its own timer may not have fired yet, but a slot is of no use to it any more and must go to the next request.
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

    /// Marks that something changed, so that `poll` looks at the queue again.
    fn stir(&mut self, now: Mono) {
        // Before anything changes, so that the time that has passed is counted under the state it had.
        self.drain.advance(now, !self.queue.is_empty());
        self.targets.resume(now);
        self.stirred = true;
    }

    /// Number of requests that wait.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Number of waiting requests that may use this target: the demand to send to its agent.
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

    /// The settings in force.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The counters and the present state.
    pub fn figures(&self) -> Figures {
        Figures {
            waiting: self.queue.len(),
            busy: self.targets.busy(),
            free: self.targets.free(),
            ..self.figures.clone()
        }
    }

    /// Panics if the parts disagree, or if a slot is free that a waiting request could use.
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
