//! Sizes a group of workers on a queue, so that each message is done within an acceptable latency of its coming.
//!
//! An instance that is ordered now works after its lead, a start-up and a look. What is left of the latency then are so many rounds, of
//! the time that a message takes each; so many messages can each of its slots do in time. All that are visible or in flight, over that,
//! is the capacity. The time that a message takes is learnt, and in this way the target moves. The ages of messages are a guard: where
//! what there is will not be done with them in time, more is ordered. Nothing is taken away from under a message that is at work.

mod arrivals;
mod deadlines;
mod explain;
mod in_flight;
mod inputs;
mod processing_time;

pub use deadlines::Guard;
pub use inputs::{ScaleIn, Settings, Work, Workers};
pub use processing_time::ProcessingTime;

use crate::window_maximum::WindowMaximum;
use arrivals::Arrivals;
use core::time::Duration;
use deadlines::{Capacity, guard};
use forebay_units::Mono;
use in_flight::InFlight;

/// From a change of the queue to the look that sees it, and the order.
const LOOK: Duration = Duration::from_millis(100);
/// The least time for which something must have been too much, and the same in leads.
const SHORTEST_HOLD: Duration = Duration::from_secs(60);
const HOLD_LEADS: u32 = 5;
/// Standard deviations of the time that a message takes that are kept free before the latency is over: the last one may take longer.
const DEVIATIONS: f64 = 2.0;
/// Until the next look if nothing changes: time makes messages late, and capacity too much.
const SOON: Duration = Duration::from_secs(1);
const LATER: Duration = Duration::from_secs(10);
/// So many must be in flight for their ages to count in full; that of one or two counts half.
const FEW: u64 = 3;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// More is ordered.
    Order,
    /// What there is is enough, and not too much.
    Keep,
    /// It is too much, and has not been for long enough.
    Hold,
    /// It is too much, and whichever instance went might be at work.
    AtWork,
    /// Nothing has been to do, and not for long enough for the last instance to go.
    Idle,
    /// Something is taken away.
    Release,
    /// More is needed than there may be.
    AtMaximum,
}

/// How the time is known that a message takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Known {
    /// From so many messages, from their receive to their delete.
    Learnt(u64),
    /// A metric has it.
    Metric,
    /// It was told, and nothing was learnt yet.
    Told,
    /// Those in flight have been so for longer than all else says.
    InFlight,
    /// Not at all: no message was done, and none is in flight for long.
    Nothing,
}

/// What was found at one look, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// What there was to do.
    pub work: Work,
    /// Who was there to do it.
    pub workers: Workers,
    /// What was chosen.
    pub settings: Settings,
    /// Seconds that a message takes.
    pub processing: f64,
    /// How many more the last of several may take.
    pub spread: f64,
    /// How that is known.
    pub known: Known,
    /// From a change of the queue to an instance that works.
    pub lead: Duration,
    /// Messages that one slot of an instance that is ordered now can do within the latency.
    pub rounds: u32,
    /// Not even one can it do: the latency can't be promised.
    pub is_too_short: bool,
    /// The capacity that all messages need.
    pub by_backlog: u32,
    /// What their ages say.
    pub guard: Guard,
    /// What is needed, within no bounds.
    pub needed: u32,
    /// The greatest need of the last while; none before a while was seen.
    pub greatest: Option<u32>,
    /// How long that while is.
    pub hold: Duration,
    /// What is to be done.
    pub verdict: Verdict,
    /// What is to be wanted from now on.
    pub desired: u32,
    /// In how long to look again, if nothing changes.
    pub next: Duration,
}

/// Plans for one Auto Scaling group of workers.
#[derive(Clone, Debug, Default)]
pub struct Planner {
    processing: ProcessingTime,
    in_flight: InFlight,
    arrivals: Arrivals,
    greatest: WindowMaximum,
    active: Option<Mono>,
}

fn count(instances: u64) -> u32 {
    u32::try_from(instances).unwrap_or(u32::MAX)
}

impl Planner {
    /// One that has seen nothing.
    pub fn new() -> Planner {
        Planner::default()
    }

    /// What it has learnt of the time that a message takes.
    pub fn processing(&self) -> &ProcessingTime {
        &self.processing
    }

    /// Looks at a queue, and at what was deleted since the last look: for each message, how long after its receive. To be asked whenever
    /// the queue has changed, and after [`Plan::next`]. O(deleted x 64 + moments x log instances).
    pub fn plan(
        &mut self,
        now: Mono,
        work: &Work,
        deleted: &[Duration],
        workers: &Workers,
        settings: &Settings,
    ) -> Plan {
        for &took in deleted {
            self.processing.learn(took);
        }
        self.in_flight.look(now, work.in_flight, deleted);
        let there = work.visible + work.in_flight + work.delayed;
        self.arrivals
            .look(now, there, work.visible, deleted.len() as u64, settings.latency);
        let fleet = &workers.fleet;
        let lead = fleet.start_up.unwrap_or(settings.start_up) + LOOK;
        let (processing, known) = self.processing_time(now, work, settings);
        let spread = self.processing.deviation() * DEVIATIONS;
        let slots = u64::from(settings.concurrency.max(1));
        let (latency, lead_seconds) = (settings.latency.as_secs_f64(), lead.as_secs_f64());
        let capacity = Capacity {
            ages: self.in_flight.ages(now).collect(),
            pending: &fleet.pending,
            ready: fleet.ready,
            slots,
            lead: lead_seconds,
            processing,
            spread,
        };
        let seconds = latency - lead_seconds - spread;
        let is_too_short = known != Known::Nothing && seconds < processing;
        let (rounds, by_backlog) = if known == Known::Nothing {
            // One learns how long a message takes; those in flight tell soon that more are needed.
            (1, u32::from(work.visible + work.in_flight > 0))
        } else {
            let rounds = deadlines::rounds(seconds, processing).max(1);
            let each = u64::from(rounds) * slots;
            let needed = count((work.visible + work.in_flight).div_ceil(each));
            // Where even one round is too much, nothing is ordered for what is done before it would be there.
            let helps = capacity
                .there()
                .saturating_add(count(capacity.left_over(work.visible).div_ceil(slots)));
            (rounds, if is_too_short { needed.min(helps) } else { needed })
        };
        let cohorts = self.arrivals.cohorts(now, work.visible, work.oldest);
        let guard = if known == Known::Nothing {
            Guard::default()
        } else {
            guard(&cohorts, latency, rounds, &capacity)
        };
        let mut plan = Plan {
            work: *work,
            workers: workers.clone(),
            settings: settings.clone(),
            processing,
            spread,
            known,
            lead,
            rounds,
            is_too_short,
            by_backlog,
            needed: by_backlog.max(guard.needed),
            guard,
            greatest: None,
            hold: (lead * HOLD_LEADS).max(SHORTEST_HOLD),
            verdict: Verdict::Keep,
            desired: fleet.desired,
            next: if there > 0 { SOON } else { LATER },
        };
        self.decide(now, &mut plan);
        plan
    }

    /// Seconds that a message takes. What was learnt goes before what was told, and those in flight before both if they take longer.
    fn processing_time(&self, now: Mono, work: &Work, settings: &Settings) -> (f64, Known) {
        let learnt = self.processing.seconds();
        let (seconds, known) = match (settings.measured, learnt, settings.processing) {
            (Some(measured), ..) => (measured, Known::Metric),
            (None, Some(learnt), _) => (learnt, Known::Learnt(self.processing.counted())),
            (None, None, Some(told)) => (told, Known::Told),
            (None, None, None) => (0.0, Known::Nothing),
        };
        let mut median = self.in_flight.median(now);
        if work.in_flight < FEW && known != Known::Nothing {
            median /= 2.0;
        }
        if median > seconds {
            return (median, Known::InFlight);
        }
        (seconds, known)
    }

    fn decide(&mut self, now: Mono, plan: &mut Plan) {
        let (fleet, work) = (&plan.workers.fleet, &plan.work);
        let busy = work
            .in_flight
            .div_ceil(u64::from(plan.settings.concurrency.max(1)));
        let busy = count(busy);
        let enough = plan.by_backlog.max(plan.guard.enough).max(busy.min(fleet.ready));
        let greatest = self.greatest.put(now, f64::from(enough), plan.hold);
        plan.greatest = greatest.map(|units| units as u32);
        if work.visible + work.in_flight > 0 {
            self.active = Some(now);
        }
        // One that has seen nothing does not know for how long there has been nothing.
        let active = *self.active.get_or_insert(now);
        let wanted = plan.needed.min(fleet.maximum).max(fleet.minimum);
        if wanted > fleet.desired {
            (plan.verdict, plan.desired) = (Verdict::Order, wanted);
            return;
        }
        if plan.needed > fleet.maximum {
            plan.verdict = Verdict::AtMaximum;
        }
        let rest = plan.greatest.map(|greatest| greatest.max(fleet.minimum));
        if enough.max(fleet.minimum) >= fleet.desired {
            return;
        }
        plan.next = plan.next.min(SOON);
        let Some(mut rest) = rest.filter(|rest| *rest < fleet.desired) else {
            plan.verdict = Verdict::Hold;
            return;
        };
        if !plan
            .workers
            .may_shrink(busy, work.in_flight, plan.settings.scale_in)
        {
            plan.verdict = Verdict::AtWork;
            return;
        }
        let is_idle = now.since(active) >= plan.settings.idle;
        if rest == 0 && !is_idle {
            rest = 1;
        }
        if rest >= fleet.desired {
            plan.verdict = Verdict::Idle;
            return;
        }
        (plan.verdict, plan.desired) = (Verdict::Release, rest);
    }
}

#[cfg(test)]
mod tests;
