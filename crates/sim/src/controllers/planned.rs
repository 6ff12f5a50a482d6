//! Forebay's own planner as a controller.

use crate::fleet::{Controller, FleetSeen};
use core::time::Duration;
use forebay_scaling::planner::{Demand, Fleet, Planner, Settings};
use forebay_units::Mono;

/// Time from one look to the next, as in the server.
const INTERVAL: Duration = Duration::from_millis(100);

/// `forebay_scaling::planner`, by default with its default settings.
#[derive(Clone, Debug, Default)]
pub struct Planned {
    planner: Planner,
    settings: Settings,
}

impl Planned {
    /// A controller with these settings.
    pub fn new(settings: Settings) -> Planned {
        Planned {
            planner: Planner::new(),
            settings,
        }
    }
}

impl Controller for Planned {
    fn name(&self) -> &'static str {
        "planner"
    }

    fn interval(&self) -> Duration {
        INTERVAL
    }

    fn wakes_on_pressure(&self) -> bool {
        true
    }

    fn decide(&mut self, now: Mono, seen: &FleetSeen) -> u32 {
        let demand = Demand {
            name: "group".to_owned(),
            arrivals: seen.arrivals,
            completed: seen.completed,
            held: seen.held,
            refused: seen.refused,
            in_flight: u64::from(seen.in_flight),
            waiting: u64::from(seen.waiting),
            slots: Some(f64::from(seen.slots)),
            wait: seen.wait,
            length: u64::from(seen.length),
        };
        let fleet = Fleet {
            desired: seen.desired,
            ready: seen.ready,
            pending: seen.pending.clone(),
            minimum: seen.minimum,
            maximum: seen.maximum,
            start_up: seen.start_up,
        };
        self.planner.plan(now, &[demand], &fleet, &self.settings).desired
    }
}
