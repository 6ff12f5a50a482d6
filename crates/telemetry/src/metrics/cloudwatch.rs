//! CloudWatch's metrics: which metric of the table each is made from, and how it is queried.

use super::dimension::Dimension;

/// The namespace of metrics that AWS's load balancers report too.
pub const NAMESPACE: &str = "AWS/ApplicationELB";
/// The namespace of metrics that only Forebay reports.
pub const OWN_NAMESPACE: &str = "Forebay";

/// A metric in CloudWatch. Its unit is that of the metric it is made from, or days.
#[derive(Debug)]
pub struct CloudWatch {
    /// Its namespace.
    pub namespace: &'static str,
    /// Its name.
    pub name: &'static str,
    /// The part of the metric that it shows.
    pub part: Part,
    /// The sets of dimensions under which it is reported.
    pub dimensions: &'static [&'static [Dimension]],
    /// The statistics that are meaningful for it.
    pub statistics: &'static [Statistic],
    /// Whether it is reported even while it is zero.
    pub always: bool,
}

/// The part of a metric that a CloudWatch metric shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All samples.
    Whole,
    /// Samples whose last label has this value.
    Labelled(&'static str),
    /// One minus each sample, which is 1 or 0.
    Complement,
    /// Whole days of samples in seconds.
    Days,
    /// Each sample of a target group divided by its healthy targets, or by its registered ones if none is healthy.
    PerTarget,
}

/// CloudWatch's statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistic {
    /// The sum of all values.
    Sum,
    /// Their mean.
    Average,
    /// The smallest value.
    Minimum,
    /// The largest value.
    Maximum,
    /// A percentile, such as `p99`.
    Percentile,
}

impl Statistic {
    /// CloudWatch's name for it.
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
