//! A group as policies see it, and their proposals.

/// A group's capacity, in units of capacity if instances have weights, otherwise in instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// The group's minimum.
    pub minimum: u32,
    /// The group's maximum.
    pub maximum: u32,
    /// The desired capacity.
    pub desired: u32,
    /// Capacity in service and warmed up, which the metric is measured over.
    pub in_service: u32,
    /// Capacity launched or in service that has not warmed up.
    pub warming: u32,
}

impl Group {
    /// Limits a wanted capacity to the group's bounds and adjusts the reason.
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

/// A policy's proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The desired capacity.
    pub desired: u32,
    /// The reason.
    pub why: Why,
}

/// The reason for a proposed capacity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The metric is above the target.
    AboveTarget,
    /// The metric is below the target.
    BelowTarget,
    /// A step or the single adjustment of a policy applies.
    Adjusted,
    /// Nothing is in service, so there is nothing to measure: one instance is started.
    FromZero,
    /// The metric asks for no more than is ordered already.
    Enough,
    /// More was asked for than the maximum.
    AtMaximum,
    /// Less was asked for than the minimum.
    AtMinimum,
    /// Nothing is removed while something warms up.
    Warming,
    /// The policy must not scale in.
    ScaleInDisabled,
    /// Another policy needs the capacity that this one would remove.
    OtherPolicy,
    /// The policy waits for an activity in progress.
    ActivityInProgress,
    /// The policy's cooldown is not over.
    Cooldown,
    /// No step covers the metric.
    NoStep,
    /// The metric has no usable value.
    NoMetric,
}
