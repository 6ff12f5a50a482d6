//! The preferences of StartInstanceRefresh.

use core::time::Duration;

/// The treatment of instances protected from scale-in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProtectedInstances {
    /// Wait until they are not.
    #[default]
    Wait,
    /// Replace them.
    Refresh,
    /// Leave them.
    Ignore,
}

/// The treatment of instances in standby.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StandbyInstances {
    /// Wait until they are not.
    #[default]
    Wait,
    /// Terminate them.
    Terminate,
    /// Leave them.
    Ignore,
}

/// A refresh's preferences, with the defaults of AWS's API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preferences {
    /// Percentage of the desired capacity that must stay healthy.
    pub min_healthy_percentage: u32,
    /// Percentage of the desired capacity that must not be exceeded. `None` means 100, with one difference: if both
    /// bounds leave no room, a given one is exceeded by one instance, and otherwise an instance is terminated first.
    pub max_healthy_percentage: Option<u32>,
    /// How long a new instance must be in service before it counts.
    pub instance_warmup: Duration,
    /// Checkpoints in per cent, ascending. The last one is where the refresh ends.
    pub checkpoint_percentages: Vec<u32>,
    /// The pause at each checkpoint.
    pub checkpoint_delay: Duration,
    /// Leave instances that match the desired configuration.
    pub skip_matching: bool,
    /// Roll the group back if the refresh fails.
    pub auto_rollback: bool,
    /// The treatment of instances protected from scale-in.
    pub protected_instances: ProtectedInstances,
    /// The treatment of instances in standby.
    pub standby_instances: StandbyInstances,
    /// How long to wait for alarms at the end.
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
    /// Number of instances that are replaced when a checkpoint is reached.
    pub(super) fn checkpoint_count(&self, place: usize, to_update: u32) -> u32 {
        let percent = self.checkpoint_percentages.get(place).copied().unwrap_or(100);
        (u64::from(to_update) * u64::from(percent.min(100))).div_ceil(100) as u32
    }
}
