//! One target group's part of a plan: what its requests need.

use super::arrivals::{Arrivals, Rate};
use super::inputs::{Demand, Fleet, Settings};
use super::service_time::ServiceTime;
use core::time::Duration;
use forebay_units::Mono;
use std::collections::VecDeque;

/// The headroom factor, where requests may wait and where they may not.
const WAITS: f64 = 1.0;
const WAITS_NOT: f64 = 2.0;
/// A queue is drained within the time that its requests may wait, or within this many seconds if that is longer.
const DRAINED_IN: f64 = 10.0;
/// The fraction of the longest wait that may be used up before more is ordered than the load needs.
const LATE: f64 = 0.75;
/// A lower number of slots per unit is adopted gradually, because permits may be on their way.
const SLOTS_FALL: f64 = 0.02;
/// Number of points in time at which waits are predicted.
const POINTS: usize = 16;
/// Weight of the newest error in the mean error of forecasts.
const ERROR_SHARE: f64 = 0.02;
/// Time between forecasts that are later compared with the actual load.
const FORECASTS: Duration = Duration::from_secs(1);

/// The capacity that one target group needs, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowPlan {
    /// The target group.
    pub name: String,
    /// Requests in flight.
    pub in_flight: u64,
    /// Requests that wait.
    pub waiting: u64,
    /// Requests refused since counting began.
    pub refused: u64,
    /// The rate of arrivals.
    pub rate: Rate,
    /// Seconds that a request holds a slot; `None` before one has ended.
    pub service_time: Option<f64>,
    /// Slots that the load needs now.
    pub load: f64,
    /// Slots that the load will need when capacity ordered now can serve.
    pub load_ahead: f64,
    /// Slots for random variation.
    pub headroom: f64,
    /// Slots to drain the queue.
    pub backlog: f64,
    /// Slots without which a request would wait too long.
    pub deadline: f64,
    /// Slots in all.
    pub needed_slots: f64,
    /// Slots of a unit of capacity; `None` if that is not known.
    pub slots: Option<f64>,
    /// Units of capacity needed.
    pub units: f64,
    /// The longest predicted wait in seconds, with the capacity in service, on its way and ordered now.
    pub longest_wait: f64,
    /// How much more could arrive before a request is refused.
    pub margins: Margins,
    /// Mean error of load forecasts, relative to the load; `None` before the first one has come due.
    pub forecast_error: Option<f64>,
}

/// The distance to a refusal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Margins {
    /// Seconds by which the longest wait may grow; `None` if requests cannot wait.
    pub wait: Option<f64>,
    /// Free places in the queue when it is longest; `None` if requests cannot wait.
    pub queue: Option<f64>,
    /// Slots beyond the load that the group may still get.
    pub slots: f64,
}

impl FlowPlan {
    /// Whether there are requests, or were a moment ago.
    pub(super) fn is_active(&self) -> bool {
        self.in_flight > 0 || self.waiting > 0 || self.rate.per_second > 0.0
    }

    /// Units in use by requests in flight.
    pub(super) fn busy_units(&self) -> f64 {
        self.slots
            .map_or(0.0, |slots| self.in_flight as f64 / slots.max(1e-6))
    }
}

/// The state of one target group.
#[derive(Clone, Debug, Default)]
pub(super) struct Flow {
    arrivals: Arrivals,
    service_time: ServiceTime,
    slots: Option<f64>,
    /// Forecasts of the load, and the times they are for.
    foretold: VecDeque<(Mono, f64)>,
    error: Option<f64>,
}

impl Flow {
    pub(super) fn look(
        &mut self,
        now: Mono,
        demand: &Demand,
        fleet: &Fleet,
        lead: Duration,
        settings: &Settings,
    ) -> FlowPlan {
        self.arrivals.counted(now, demand.arrivals);
        self.service_time.counted(now, demand.completed, demand.held);
        self.learn_slots(demand.slots);
        let rate = self.arrivals.rate().unwrap_or_default();
        let ahead = lead.as_secs_f64();
        let service_time = self.service_time.seconds();
        // Without a service time, each request that is there counts as one slot.
        let there = (demand.in_flight + demand.waiting) as f64;
        let load = service_time.map_or(there, |time| rate.per_second * time);
        // A trend is extended for no longer than it was observed: at the edge of a step it is steeper than any ramp.
        let growth = service_time.map_or(0.0, |time| rate.slope * time * ahead.min(rate.window));
        let load_ahead = load + growth + settings.growth * ahead;
        let wait = demand.wait.as_secs_f64();
        let factor = settings
            .headroom
            .unwrap_or(if wait > 0.0 { WAITS } else { WAITS_NOT });
        let headroom = factor * load_ahead.sqrt();
        let time = service_time.unwrap_or(1.0);
        let work = demand.waiting as f64 * time;
        // Draining it faster than requests may wait would order slots that are idle right afterwards.
        let backlog = work / time.max(wait).max(if wait > 0.0 { DRAINED_IN } else { 0.0 });
        let each = self.slots.unwrap_or(1.0);
        let mut course = Course::new(fleet, each, lead);
        let later = course.backlog(work, load, course.lead);
        // The work that still waits when ordered slots arrive must be done within the requests' waiting time.
        let deadline = if wait > 0.0 { later / (wait * LATE) } else { 0.0 };
        let needed_slots = match service_time {
            // Requests that wait are in the load already.
            None => load_ahead,
            // Idle headroom drains the queue too, so only the larger of both is needed.
            Some(_) => (load_ahead + headroom.max(backlog)).max(deadline),
        };
        // Capacity ordered now is there at the end of the lead.
        let most = f64::from(fleet.maximum) * each;
        course.at_the_end(((needed_slots / each.max(1e-6)).ceil() * each).min(most));
        let longest_wait = course.longest_wait(work, load);
        FlowPlan {
            name: demand.name.clone(),
            in_flight: demand.in_flight,
            waiting: demand.waiting,
            refused: demand.refused,
            rate,
            service_time,
            load,
            load_ahead,
            headroom,
            backlog,
            deadline,
            needed_slots,
            slots: self.slots,
            units: self.slots.map_or(0.0, |slots| needed_slots / slots.max(1e-6)),
            longest_wait,
            margins: Margins {
                wait: (wait > 0.0).then_some(wait - longest_wait),
                queue: (demand.length > 0).then(|| demand.length as f64 - later.max(work) / time),
                slots: most - load_ahead,
            },
            forecast_error: self.judge(now, load, load + growth, lead),
        }
    }

    fn learn_slots(&mut self, slots: Option<f64>) {
        if let Some(found) = slots {
            let known = self.slots.get_or_insert(found);
            let share = if found > *known { 1.0 } else { SLOTS_FALL };
            *known += (found - *known) * share;
        }
    }

    /// Compares earlier forecasts with the present load.
    fn judge(&mut self, now: Mono, load: f64, foretold: f64, lead: Duration) -> Option<f64> {
        while let Some((_, told)) = self.foretold.pop_front_if(|(due, _)| *due <= now) {
            let error = (told - load).abs() / load.max(1.0);
            let known = self.error.get_or_insert(error);
            *known += (error - *known) * ERROR_SHARE;
        }
        let due = now + lead;
        if self
            .foretold
            .back()
            .is_none_or(|(last, _)| due.since(*last) >= FORECASTS)
        {
            self.foretold.push_back((due, foretold));
        }
        self.error
    }
}

/// Slots over time: those in service now, and those on their way.
struct Course {
    lead: f64,
    /// Slots at each point in time; the last ones stay.
    slots: [f64; POINTS + 1],
}

impl Course {
    fn new(fleet: &Fleet, slots: f64, lead: Duration) -> Course {
        let lead = lead.as_secs_f64();
        let mut found = [f64::from(fleet.ready) * slots; POINTS + 1];
        for age in &fleet.pending {
            // A launch that is overdue is expected at any moment.
            let left = (lead - age.as_secs_f64()).max(0.0) / lead;
            let from = (left * POINTS as f64).ceil() as usize;
            found[from.min(POINTS)..].iter_mut().for_each(|sum| *sum += slots);
        }
        Course { lead, slots: found }
    }

    /// Ensures that there are at least this many slots at the end of the lead.
    fn at_the_end(&mut self, slots: f64) {
        self.slots[POINTS] = self.slots[POINTS].max(slots);
    }

    fn step(&self) -> f64 {
        self.lead / POINTS as f64
    }

    /// The work waiting after `after` seconds, in slot-seconds, if `work` waits now and the load stays.
    fn backlog(&self, work: f64, load: f64, after: f64) -> f64 {
        let steps = (after / self.step()) as usize;
        self.slots[..steps.min(POINTS)]
            .iter()
            .fold(work, |work, slots| (work + (load - slots) * self.step()).max(0.0))
    }

    /// The longest wait of requests that arrive until everything on its way is there.
    fn longest_wait(&self, work: f64, load: f64) -> f64 {
        if work <= 0.0 && load <= self.slots[0] {
            return 0.0;
        }
        let mut longest = 0.0_f64;
        let mut waits = work;
        for point in 0..=POINTS {
            let mut left = waits;
            let mut time = 0.0;
            let mut place = point;
            while place < POINTS && left > self.slots[place] * self.step() {
                left -= self.slots[place] * self.step();
                time += self.step();
                place += 1;
            }
            longest = longest.max(time + left / self.slots[place].max(1e-3));
            waits = (waits + (load - self.slots[point]) * self.step()).max(0.0);
        }
        longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_wait_is_that_of_the_theorem() {
        // T1: 32 slots; 200 are needed and on their way, and come in three seconds.
        let fleet = Fleet {
            ready: 4,
            pending: vec![Duration::ZERO; 21],
            ..Fleet::default()
        };
        let course = Course::new(&fleet, 8.0, Duration::from_secs(3));
        let longest = course.longest_wait(0.0, 200.0);
        assert!((longest - (1.0 - 32.0 / 200.0) * 3.0).abs() < 0.15, "{longest}");
        assert_eq!(course.longest_wait(0.0, 30.0), 0.0);
    }
}
