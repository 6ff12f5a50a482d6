//! Forebay's own planner for workers as a controller.

use super::controller::{BacklogController, BacklogSeen, Shown};
use core::time::Duration;
use forebay_scaling::backlog::{Plan, Planner, Settings, Work, Workers};
use forebay_scaling::planner::Fleet;
use forebay_units::Mono;

/// `forebay_scaling::backlog`, asked as by the server: whenever the queue has changed, and when it wants to be asked.
#[derive(Clone, Debug)]
pub struct PlannedBacklog {
    name: &'static str,
    planner: Planner,
    settings: Settings,
    shown: Shown,
    next: Duration,
    /// The first shortfall that it reported.
    shortfall: Option<String>,
}

impl PlannedBacklog {
    /// A controller with these settings.
    pub fn new(name: &'static str, settings: Settings) -> PlannedBacklog {
        PlannedBacklog {
            name,
            planner: Planner::new(),
            settings,
            shown: Shown::default(),
            next: Duration::ZERO,
            shortfall: None,
        }
    }

    /// Why the latency could not be promised, if it could not.
    pub fn shortfall(&self) -> Option<&str> {
        self.shortfall.as_deref()
    }

    fn plan(&mut self, now: Mono, seen: &BacklogSeen) -> Plan {
        let work = Work {
            visible: seen.visible,
            in_flight: seen.in_flight,
            delayed: 0,
            oldest: seen.oldest,
        };
        let workers = Workers {
            fleet: Fleet {
                desired: seen.desired,
                ready: seen.ready,
                pending: seen.pending.clone(),
                minimum: seen.minimum,
                maximum: seen.maximum,
                start_up: seen.start_up,
            },
            ..Workers::default()
        };
        self.planner
            .plan(now, &work, &seen.deleted, &workers, &self.settings)
    }
}

impl BacklogController for PlannedBacklog {
    fn name(&self) -> &'static str {
        self.name
    }

    fn decide(&mut self, now: Mono, seen: &BacklogSeen) -> u32 {
        let plan = self.plan(now, seen);
        self.next = plan.next;
        self.shown = Shown {
            processing: plan.processing,
            target: f64::from(plan.rounds * self.settings.concurrency),
        };
        if self.shortfall.is_none() {
            self.shortfall = plan.shortfall();
        }
        plan.desired
    }

    fn interval(&self) -> Duration {
        self.next
    }

    fn wakes_on_change(&self) -> bool {
        true
    }

    fn shown(&self) -> Shown {
        self.shown
    }
}
