//! Orders capacity before any request is refused: as much as the arriving requests will need by the time it can be in
//! service.
//!
//! It uses arrivals, which an overloaded group does not hide, and not requests in flight, which cannot exceed the slots
//! there are. The slots needed are arrivals per second times the time that each holds a slot (Little's law), as they
//! will be one start-up from now, plus headroom for chance, which grows as the square root, plus whatever drains a
//! queue. Capacity that was ordered and has not come counts in full, so nothing is ordered twice. Excess capacity is
//! removed after it has been in excess for a while: five start-ups, and at least a minute.
//!
//! In reading order: `inputs`, `arrivals` (the rate of arrivals and its slope), `service_time`, `flow` (what one target
//! group needs), `explain` (a plan in words).

mod arrivals;
mod explain;
mod flow;
mod inputs;
mod service_time;

pub use arrivals::Rate;
pub use flow::{FlowPlan, Margins};
pub use inputs::{Demand, Fleet, Settings};

use crate::window_maximum::WindowMaximum;
use core::time::Duration;
use flow::Flow;
use forebay_units::Mono;
use std::collections::BTreeMap;

/// Time from an arrival to the look that counts it and orders.
const LOOK: Duration = Duration::from_millis(200);
/// The least time for which capacity must have been in excess.
const SHORTEST_HOLD: Duration = Duration::from_secs(60);
/// Like [`SHORTEST_HOLD`], in start-ups.
const HOLD_START_UPS: u32 = 5;
/// Scale-in leaves this many times the greatest need, or chance would soon order the capacity again.
const SLACK: f64 = 1.2;
/// A smaller fraction of a group than this is not worth a change, unless it is one of the last instances.
const WORTH: f64 = 0.05;
/// The fraction of a group that is released per lead, and at least one instance.
const RELEASED: f64 = 0.1;

/// The decision of a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// More capacity is ordered.
    Order,
    /// The capacity is right.
    Keep,
    /// There is excess capacity, but not for long enough yet.
    Hold,
    /// Some capacity is released.
    Release,
    /// More is needed than the maximum allows.
    AtMaximum,
    /// It is not known how many requests an instance may have at a time, so nothing is done.
    NoSlots,
}

/// The result of a look, with its reasons.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The capacity that was found.
    pub fleet: Fleet,
    /// The decision.
    pub verdict: Verdict,
    /// The desired capacity from now on.
    pub desired: u32,
    /// The capacity needed, regardless of bounds.
    pub needed: u32,
    /// The greatest need during `hold`, in fractions of a unit; `None` before that time has passed.
    pub greatest: Option<f64>,
    /// The time that scale-in looks back.
    pub hold: Duration,
    /// Time from a change of the load to slots for it.
    pub lead: Duration,
    /// Capacity beyond what is needed.
    pub spare: u32,
    /// Each target group's part, the one that needs most first.
    pub flows: Vec<FlowPlan>,
}

impl Plan {
    /// The capacity on its way once the plan is carried out: how soon on average, and how many units. `None` if nothing
    /// is.
    pub fn coming(&self) -> Option<(Duration, u32)> {
        let units = self
            .desired
            .max(self.fleet.desired)
            .saturating_sub(self.fleet.ready);
        let pending = &self.fleet.pending;
        let ages: Duration = pending.iter().map(|age| (*age).min(self.lead)).sum();
        (units > 0).then(|| (self.lead - ages / units.max(pending.len() as u32), units))
    }
}

/// The planner of one Auto Scaling group.
#[derive(Clone, Debug, Default)]
pub struct Planner {
    flows: BTreeMap<String, Flow>,
    greatest: WindowMaximum,
    released: Option<Mono>,
    active: Option<Mono>,
}

fn whole(units: f64) -> u32 {
    (units - 1e-9).ceil().clamp(0.0, f64::from(u32::MAX)) as u32
}

impl Planner {
    /// A planner that has seen nothing.
    pub fn new() -> Planner {
        Planner::default()
    }

    /// Counts what has arrived since the last look and decides. To be called about ten times a second, and whenever a
    /// request has to wait or is refused. O(target groups + pending units).
    pub fn plan(&mut self, now: Mono, demands: &[Demand], fleet: &Fleet, settings: &Settings) -> Plan {
        let lead = fleet.start_up.unwrap_or(settings.start_up) + LOOK;
        self.flows
            .retain(|name, _| demands.iter().any(|demand| demand.name == *name));
        let mut flows: Vec<FlowPlan> = demands
            .iter()
            .map(|demand| {
                let flow = self.flows.entry(demand.name.clone()).or_default();
                flow.look(now, demand, fleet, lead, settings)
            })
            .collect();
        flows.sort_by(|one, other| other.units.total_cmp(&one.units));
        if flows.iter().any(FlowPlan::is_active) {
            self.active = Some(now);
        }
        let mut plan = Plan {
            fleet: fleet.clone(),
            verdict: Verdict::NoSlots,
            desired: fleet.desired,
            needed: 0,
            greatest: None,
            hold: (lead * HOLD_START_UPS).max(SHORTEST_HOLD),
            lead,
            spare: settings.spare,
            flows,
        };
        // Without slots there is nothing to divide by. One flow that has some is enough.
        let Some(units) = plan.flows.first().map(|flow| flow.units) else {
            return plan;
        };
        if plan.flows.iter().all(|flow| flow.slots.is_none()) {
            return plan;
        }
        plan.needed = whole(units).saturating_add(settings.spare);
        // Capacity in use by requests in flight is never released.
        let busy = plan.flows.iter().map(FlowPlan::busy_units).fold(units, f64::max);
        plan.greatest = self.greatest.put(now, busy, plan.hold);
        self.decide(now, &mut plan, settings);
        plan
    }

    fn decide(&mut self, now: Mono, plan: &mut Plan, settings: &Settings) {
        let fleet = &plan.fleet;
        let wanted = plan.needed.min(fleet.maximum).max(fleet.minimum);
        if wanted > fleet.desired {
            (plan.verdict, plan.desired) = (Verdict::Order, wanted);
            return;
        }
        plan.verdict = if plan.needed > fleet.maximum {
            Verdict::AtMaximum
        } else if wanted == fleet.desired {
            Verdict::Keep
        } else {
            Verdict::Hold
        };
        // Until it has watched for as long as `hold`, as after a restart, it does not know the greatest need and
        // releases nothing.
        let Some(greatest) = plan.greatest else { return };
        let mut rest = whole(greatest * SLACK)
            .saturating_add(settings.spare)
            .max(fleet.minimum);
        let is_idle = self
            .active
            .is_none_or(|active| now.since(active) >= settings.idle);
        // The last instance goes only after an idle time, since the next request would wait for a whole start-up.
        if rest == 0 && !is_idle {
            rest = 1;
        }
        // One release per lead, so that its effect shows before the next one.
        let rests = self.released.is_some_and(|at| now.since(at) < plan.lead);
        let worth = (f64::from(fleet.desired) * WORTH).max(1.0);
        if rests || f64::from(fleet.desired) - f64::from(rest) < worth {
            return;
        }
        let most = (f64::from(fleet.desired) * RELEASED).max(1.0) as u32;
        self.released = Some(now);
        (plan.verdict, plan.desired) = (Verdict::Release, rest.max(fleet.desired - most));
    }
}

#[cfg(test)]
mod tests;
