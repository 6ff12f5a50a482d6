//! Sizes a group of workers on a queue, so that each message is done within an acceptable latency of its arrival.
//!
//! An instance ordered now works after its lead, which is a start-up and a look. The rest of the latency is enough for
//! a number of rounds, each as long as a message takes; each of its slots can do that many messages in time. The
//! capacity is the number of visible and in-flight messages over that. The processing time of a message is learned, so
//! the target moves with it. The ages of messages are a guard: where the existing capacity would finish some of them
//! too late, more is ordered. An instance is never taken away from a message that it works on. See docs/decisions/0040.
//!
//! In reading order: `inputs`, `processing_time`, `in_flight` and `arrivals` (since when messages are in flight, and
//! since when they wait), `deadlines` (the guard), `explain` (a plan in words).

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

/// Time from a change of the queue to the look that sees it and orders.
const LOOK: Duration = Duration::from_millis(100);
/// The least time for which capacity must have been in excess, and the same in leads.
const SHORTEST_HOLD: Duration = Duration::from_secs(60);
const HOLD_LEADS: u32 = 5;
/// Standard deviations of the processing time that are kept free at the end of the latency: the last message may take
/// longer.
const DEVIATIONS: f64 = 2.0;
/// Time until the next look if nothing changes, because time alone makes messages late and capacity excessive.
const SOON: Duration = Duration::from_secs(1);
const LATER: Duration = Duration::from_secs(10);
/// With fewer messages in flight than this, their ages count half.
const FEW: u64 = 3;

/// The decision of a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// More capacity is ordered.
    Order,
    /// The capacity is right.
    Keep,
    /// There is excess capacity, but not for long enough yet.
    Hold,
    /// There is excess capacity, but any instance might be working on a message.
    AtWork,
    /// There is nothing to do, but not for long enough for the last instance to go.
    Idle,
    /// Some capacity is released.
    Release,
    /// More is needed than the maximum allows.
    AtMaximum,
}

/// How the processing time is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Known {
    /// Learned from this many messages, from receive to delete.
    Learnt(u64),
    /// From a metric.
    Metric,
    /// From a setting; nothing was learned yet.
    Told,
    /// From the messages in flight, which have been so for longer than all else says.
    InFlight,
    /// Not at all: no message was done, and none has been in flight for long.
    Nothing,
}

/// The result of a look, with its reasons.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The work that was found.
    pub work: Work,
    /// The workers that were found.
    pub workers: Workers,
    /// The operator's settings.
    pub settings: Settings,
    /// Processing time of a message in seconds.
    pub processing: f64,
    /// Seconds by which the last of several messages may take longer.
    pub spread: f64,
    /// How the processing time is known.
    pub known: Known,
    /// Time from a change of the queue to an instance that works.
    pub lead: Duration,
    /// Messages that one slot of an instance ordered now can do within the latency.
    pub rounds: u32,
    /// An instance ordered now cannot do even one message in time, so the latency cannot be promised.
    pub is_too_short: bool,
    /// The capacity that all messages need.
    pub by_backlog: u32,
    /// The capacity that the messages' deadlines need.
    pub guard: Guard,
    /// The capacity needed, regardless of bounds.
    pub needed: u32,
    /// The greatest need during `hold`; `None` before that time has passed.
    pub greatest: Option<u32>,
    /// The time that scale-in looks back.
    pub hold: Duration,
    /// The decision.
    pub verdict: Verdict,
    /// The desired capacity from now on.
    pub desired: u32,
    /// Time until the next look, if nothing changes.
    pub next: Duration,
}

/// The planner of one Auto Scaling group of workers.
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
    /// A planner that has seen nothing.
    pub fn new() -> Planner {
        Planner::default()
    }

    /// The processing time that it has learned.
    pub fn processing(&self) -> &ProcessingTime {
        &self.processing
    }

    /// Looks at a queue. `deleted` has, for each message deleted since the last look, the time since its receive. To be
    /// called whenever the queue has changed, and after [`Plan::next`]. O(deleted x 64 + moments x log instances).
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
        // The spread is kept free once and not per round: slots that finish early take the next message.
        let seconds = latency - lead_seconds - spread;
        let is_too_short = known != Known::Nothing && seconds < processing;
        let (rounds, by_backlog) = if known == Known::Nothing {
            // One instance finds out how long a message takes. The messages in flight soon show if more are needed.
            (1, u32::from(work.visible + work.in_flight > 0))
        } else {
            let rounds = deadlines::rounds(seconds, processing).max(1);
            let each = u64::from(rounds) * slots;
            let needed = count((work.visible + work.in_flight).div_ceil(each));
            // If even one round is too long, nothing is ordered for messages that are done before a new instance could
            // do them.
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

    /// The processing time in seconds. What was learned takes precedence over the setting, and the messages in flight
    /// over both if they take longer.
    fn processing_time(&self, now: Mono, work: &Work, settings: &Settings) -> (f64, Known) {
        let learnt = self.processing.seconds();
        let (seconds, known) = match (settings.measured, learnt, settings.processing) {
            (Some(measured), ..) => (measured, Known::Metric),
            (None, Some(learnt), _) => (learnt, Known::Learnt(self.processing.counted())),
            (None, None, Some(told)) => (told, Known::Told),
            (None, None, None) => (0.0, Known::Nothing),
        };
        let mut median = self.in_flight.median(now);
        // One slow message says little about the others.
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
        // Instances that are busy count as needed, so that `enough` does not fall below them while they work.
        let enough = plan.by_backlog.max(plan.guard.enough).max(busy.min(fleet.ready));
        let greatest = self.greatest.put(now, f64::from(enough), plan.hold);
        plan.greatest = greatest.map(|units| units as u32);
        if work.visible + work.in_flight > 0 {
            self.active = Some(now);
        }
        // A new planner does not know for how long there has been nothing to do.
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
