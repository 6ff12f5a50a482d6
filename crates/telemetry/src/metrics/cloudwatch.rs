//! CloudWatch's metrics: what of ours they are made of, and how they are asked for.

use super::dimension::Dimension;

/// Where CloudWatch has what AWS's load balancers report too.
pub const NAMESPACE: &str = "AWS/ApplicationELB";
/// Where it has what they do not.
pub const OWN_NAMESPACE: &str = "Forebay";

/// A metric of CloudWatch's. Its unit is that of the metric it is made of, or days.
#[derive(Debug)]
pub struct CloudWatch {
    /// Where it is.
    pub namespace: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What of the metric it is.
    pub part: Part,
    /// The sets of dimensions that it is there by.
    pub dimensions: &'static [&'static [Dimension]],
    /// The statistics that mean something.
    pub statistics: &'static [Statistic],
    /// It is reported even while it is zero.
    pub always: bool,
}

/// What of a metric one of CloudWatch's is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// Samples whose last label has this value.
    Labelled(&'static str),
    /// One less each sample, which is 1 or 0.
    Complement,
    /// Whole days of what is in seconds.
    Days,
    /// Each sample of a target group over its healthy targets, or over its registered ones if none is healthy.
    PerTarget,
}

/// CloudWatch's statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistic {
    /// All values together.
    Sum,
    /// Their mean.
    Average,
    /// The least of them.
    Minimum,
    /// The greatest of them.
    Maximum,
    /// What a share of them does not exceed: `p99`.
    Percentile,
}

impl Statistic {
    /// As CloudWatch calls it.
    pub const fn word(self) -> &'static str {
        match self {
            Statistic::Sum => "Sum",
            Statistic::Average => "Average",
            Statistic::Minimum => "Minimum",
            Statistic::Maximum => "Maximum",
            Statistic::Percentile => "pNN",
        }
    }
}
