//! Orders capacity before anyone is refused: as much as the requests that come will need by the time at which it can be there.
//!
//! It goes by arrivals, which a busy group does not hide, and not by requests in flight, which can't exceed the slots there are. Slots
//! needed are arrivals a second times the time that each holds a slot (Little's law), as they will be one start-up from now; headroom
//! for chance, which grows as the square root; and what drains a queue. What is ordered and has not come counts in full, so nothing is
//! ordered twice. What is more than enough goes when it has been so for a while: five start-ups, a minute at least.

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

/// From an arrival to the look that counts it, and the order.
const LOOK: Duration = Duration::from_millis(200);
/// The least time for which something must have been too much.
const SHORTEST_HOLD: Duration = Duration::from_secs(60);
/// The same in start-ups.
const HOLD_START_UPS: u32 = 5;
/// What was needed at most is exceeded by so much when something is taken away: or chance would have it ordered again.
const SLACK: f64 = 1.2;
/// Less of a group than this is not worth a change, but for the last ones.
const WORTH: f64 = 0.05;
/// So much of a group goes in one start-up's time, and one instance at least.
const RELEASED: f64 = 0.1;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// More is ordered.
    Order,
    /// What there is is enough, and not too much.
    Keep,
    /// It is too much, and has not been for long enough.
    Hold,
    /// Something is taken away.
    Release,
    /// More is needed than there may be.
    AtMaximum,
    /// Nothing tells how many requests an instance may have, so nothing is done.
    NoSlots,
}

/// What was found at one look, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// What there was.
    pub fleet: Fleet,
    /// What is to be done.
    pub verdict: Verdict,
    /// What is to be wanted from now on.
    pub desired: u32,
    /// What is needed, within no bounds.
    pub needed: u32,
    /// The greatest need of the last while; none before a while was seen. Fractions of a unit.
    pub greatest: Option<f64>,
    /// How long that while is.
    pub hold: Duration,
    /// From a change of the load to slots for it.
    pub lead: Duration,
    /// Capacity beyond what is needed.
    pub spare: u32,
    /// Each target group's part of it, the one that needs most first.
    pub flows: Vec<FlowPlan>,
}

impl Plan {
    /// What is on its way once the plan is carried out: in how long, on average, and how many units. None if nothing is.
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

/// Plans for one Auto Scaling group.
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
    /// One that has seen nothing.
    pub fn new() -> Planner {
        Planner::default()
    }

    /// Looks at what has come since the last look and says what is to be done. To be asked ten times a second or so, and when a request has
    /// to wait or is refused. O(target groups + what is pending).
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
        // Without slots there is nothing to divide by; a flow that has some speaks for itself.
        let Some(units) = plan.flows.first().map(|flow| flow.units) else {
            return plan;
        };
        if plan.flows.iter().all(|flow| flow.slots.is_none()) {
            return plan;
        }
        plan.needed = whole(units).saturating_add(settings.spare);
        // What is in flight is not driven out.
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
        let Some(greatest) = plan.greatest else { return };
        let mut rest = whole(greatest * SLACK)
            .saturating_add(settings.spare)
            .max(fleet.minimum);
        let is_idle = self
            .active
            .is_none_or(|active| now.since(active) >= settings.idle);
        if rest == 0 && !is_idle {
            rest = 1;
        }
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
