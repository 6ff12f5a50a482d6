//! What policies see of a group, and what they propose.

/// A group's capacity. With weights, units of capacity; without, instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// The least that it may have.
    pub minimum: u32,
    /// The most that it may have.
    pub maximum: u32,
    /// What it should have.
    pub desired: u32,
    /// What is in service and has warmed up: what the metric is of.
    pub in_service: u32,
    /// What is launched, or in service, and has not warmed up.
    pub warming: u32,
}

impl Group {
    /// A wanted capacity within the group's bounds, with its reason.
    pub(crate) fn propose(&self, wanted: u32, why: Why) -> Proposal {
        let desired = wanted.min(self.maximum).max(self.minimum);
        let why = match desired {
            desired if desired == wanted => why,
            desired if desired == self.maximum => Why::AtMaximum,
            _ => Why::AtMinimum,
        };
        Proposal { desired, why }
    }
}

/// What a policy would have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The desired capacity.
    pub desired: u32,
    /// Why.
    pub why: Why,
}

/// Why a capacity is proposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The metric is above the target.
    AboveTarget,
    /// The metric is below the target.
    BelowTarget,
    /// A step of a policy, or its one adjustment, says so.
    Adjusted,
    /// There is nothing to measure, since nothing is in service: one is started.
    FromZero,
    /// The metric asks for nothing that is not ordered already.
    Enough,
    /// More was asked for than the group may have.
    AtMaximum,
    /// Less was asked for than the group may have.
    AtMinimum,
    /// Nothing is taken away while something warms up.
    Warming,
    /// The policy may not take anything away.
    ScaleInDisabled,
    /// Another policy needs what this one would take away.
    OtherPolicy,
    /// An activity goes on, which the policy waits for.
    ActivityInProgress,
    /// The policy's cooldown is not over.
    Cooldown,
    /// No step covers the metric.
    NoStep,
    /// The metric is no number that says anything.
    NoMetric,
}
