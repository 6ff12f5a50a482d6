//! What whoever starts an instance refresh may say of it.

use core::time::Duration;

/// What is done about instances that are protected from scale-in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProtectedInstances {
    /// It is waited until they are not.
    #[default]
    Wait,
    /// They are replaced.
    Refresh,
    /// They stay.
    Ignore,
}

/// What is done about instances that stand by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StandbyInstances {
    /// It is waited until they do not.
    #[default]
    Wait,
    /// They are terminated.
    Terminate,
    /// They stay.
    Ignore,
}

/// A refresh's preferences. The default is that of AWS's API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preferences {
    /// So many per cent of the desired capacity stay healthy.
    pub min_healthy_percentage: u32,
    /// There are at most so many per cent of it. None is 100, but for one thing: where both bounds leave no way, one that was given is
    /// exceeded by one, and otherwise an instance is terminated first.
    pub max_healthy_percentage: Option<u32>,
    /// How long a new instance is in service before it counts.
    pub instance_warmup: Duration,
    /// Where it is paused, in per cent, ascending. The last one is where it ends.
    pub checkpoint_percentages: Vec<u32>,
    /// For how long.
    pub checkpoint_delay: Duration,
    /// Instances that match the desired configuration stay.
    pub skip_matching: bool,
    /// If it fails, the group goes back to what it was.
    pub auto_rollback: bool,
    /// What is done about instances that are protected from scale-in.
    pub protected_instances: ProtectedInstances,
    /// What is done about instances that stand by.
    pub standby_instances: StandbyInstances,
    /// How long it is waited at the end, for alarms.
    pub bake_time: Duration,
}

impl Default for Preferences {
    fn default() -> Preferences {
        Preferences {
            min_healthy_percentage: 90,
            max_healthy_percentage: None,
            instance_warmup: Duration::ZERO,
            checkpoint_percentages: Vec::new(),
            checkpoint_delay: Duration::from_secs(3_600),
            skip_matching: false,
            auto_rollback: false,
            protected_instances: ProtectedInstances::default(),
            standby_instances: StandbyInstances::default(),
            bake_time: Duration::ZERO,
        }
    }
}

impl Preferences {
    /// How many instances are replaced when a checkpoint is reached.
    pub(super) fn checkpoint_count(&self, place: usize, to_update: u32) -> u32 {
        let percent = self.checkpoint_percentages.get(place).copied().unwrap_or(100);
        (u64::from(to_update) * u64::from(percent.min(100))).div_ceil(100) as u32
    }
}
