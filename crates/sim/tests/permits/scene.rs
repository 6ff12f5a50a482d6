//! The parameters of a run, its bounds, and its results.

use std::time::Duration;

pub(crate) const MS: Duration = Duration::from_millis(1);
/// No slot stays free for longer while a request waits that could use it.
pub(crate) const BOUND: Duration = Duration::from_millis(50);
/// The same bound around a node's death, and how long "around" is.
pub(crate) const DEATH_BOUND: Duration = Duration::from_millis(100);
/// Least time between two reports of a node's demand.
pub(crate) const COALESCE: Duration = MS;
/// Interval between checks of free slots.
pub(crate) const LOOK: Duration = Duration::from_millis(5);

/// The parameters of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scene {
    pub(crate) nodes: usize,
    pub(crate) targets: usize,
    /// Limits of targets, drawn from these.
    pub(crate) limits: [u32; 3],
    /// Virtual time with traffic and trouble.
    pub(crate) time: Duration,
    /// Mean time between two troubles.
    pub(crate) trouble: Duration,
    /// Offered load over capacity: least and most, in per cent.
    pub(crate) load: (u64, u64),
    /// Mean service time.
    pub(crate) service: Duration,
    /// A crowd comes for this time, then nobody for the same time.
    pub(crate) wave: Duration,
}

impl Scene {
    pub(crate) fn small() -> Scene {
        Scene {
            nodes: 4,
            targets: 20,
            limits: [1, 2, 8],
            time: 2000 * MS,
            trouble: 25 * MS,
            load: (50, 200),
            service: 20 * MS,
            wave: 300 * MS,
        }
    }

    pub(crate) fn large() -> Scene {
        Scene {
            nodes: 32,
            targets: 2000,
            limits: [1, 2, 8],
            time: 500 * MS,
            trouble: Duration::from_micros(500),
            load: (150, 200),
            service: 100 * MS,
            wave: 150 * MS,
        }
    }

    /// Limits so large that nodes get many permits at a time. Where requests come so fast, a queue that is served all the
    /// time is hardly ever empty though nobody stays in it; at full load that is impossible, so the load is lower.
    pub(crate) fn wide() -> Scene {
        Scene {
            targets: 6,
            limits: [20, 60, 200],
            time: 1000 * MS,
            load: (20, 70),
            ..Scene::small()
        }
    }

    pub(crate) fn tenth(self) -> Scene {
        Scene {
            nodes: self.nodes / 4,
            targets: self.targets / 10,
            trouble: self.trouble * 10,
            ..self
        }
    }
}

/// What was seen in a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) served: u64,
    pub(crate) waited: u64,
    pub(crate) refused: u64,
    pub(crate) revoked: u64,
    pub(crate) node_deaths: u64,
    pub(crate) agent_deaths: u64,
    pub(crate) breaks: u64,
    pub(crate) stalls: u64,
    pub(crate) limits: u64,
    pub(crate) left: u64,
    pub(crate) events: u64,
    /// Longest time that a slot was free while a request waited that could use it: usually, and around a node's death.
    pub(crate) idle: Duration,
    pub(crate) idle_around_death: Duration,
    /// Longest time from an agent's return to the last channel of a live node.
    pub(crate) restored: Duration,
}

impl Seen {
    pub(crate) fn add(&mut self, other: &Seen) {
        self.served += other.served;
        self.waited += other.waited;
        self.refused += other.refused;
        self.revoked += other.revoked;
        self.node_deaths += other.node_deaths;
        self.agent_deaths += other.agent_deaths;
        self.breaks += other.breaks;
        self.stalls += other.stalls;
        self.limits += other.limits;
        self.left += other.left;
        self.events += other.events;
        self.idle = self.idle.max(other.idle);
        self.idle_around_death = self.idle_around_death.max(other.idle_around_death);
        self.restored = self.restored.max(other.restored);
    }
}
