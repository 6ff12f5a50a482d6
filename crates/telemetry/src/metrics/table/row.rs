//! How a row of the table is written: what is usual is left out.

use crate::metrics::metric::Dimension::{self, AvailabilityZone, LoadBalancer, TargetGroup};
use crate::metrics::metric::{CloudWatch, Kind, Metric, Part, Read, Statistic, Unit};

/// CloudWatch's sets of dimensions: by load balancer, and by that and zone.
pub(super) const L: &[&[Dimension]] = &[&[LoadBalancer], &[LoadBalancer, AvailabilityZone]];
/// By load balancer and target group, and by those and zone.
pub(super) const LT: &[&[Dimension]] = &[
    &[LoadBalancer, TargetGroup],
    &[LoadBalancer, AvailabilityZone, TargetGroup],
];
/// All of these.
pub(super) const L_LT: &[&[Dimension]] = &[
    &[LoadBalancer],
    &[LoadBalancer, AvailabilityZone],
    &[LoadBalancer, TargetGroup],
    &[LoadBalancer, AvailabilityZone, TargetGroup],
];

const fn row(name: &'static str, kind: Kind, meaning: &'static str, read: Read) -> Metric {
    let unit = match kind {
        Kind::Counter | Kind::Gauge => Unit::Count,
        Kind::Histogram(_) => Unit::Seconds,
    };
    Metric {
        name,
        kind,
        unit,
        labels: &[],
        meaning,
        cloudwatch: &[],
        read,
    }
}

pub(super) const fn counter(name: &'static str, meaning: &'static str, read: Read) -> Metric {
    row(name, Kind::Counter, meaning, read)
}

pub(super) const fn gauge(name: &'static str, meaning: &'static str, read: Read) -> Metric {
    row(name, Kind::Gauge, meaning, read)
}

pub(super) const fn histogram(
    name: &'static str,
    bounds: &'static [f64],
    meaning: &'static str,
    read: Read,
) -> Metric {
    row(name, Kind::Histogram(bounds), meaning, read)
}

/// A metric of CloudWatch whose values are added up.
pub(super) const fn sum(name: &'static str, dimensions: &'static [&'static [Dimension]]) -> CloudWatch {
    CloudWatch {
        name,
        part: Part::Whole,
        dimensions,
        statistics: &[Statistic::Sum],
    }
}

impl CloudWatch {
    pub(super) const fn with(mut self, statistics: &'static [Statistic]) -> CloudWatch {
        self.statistics = statistics;
        self
    }

    pub(super) const fn of(mut self, label: &'static str) -> CloudWatch {
        self.part = Part::Labelled(label);
        self
    }

    pub(super) const fn complement(mut self) -> CloudWatch {
        self.part = Part::Complement;
        self.statistics = &[Statistic::Minimum];
        self
    }
}

impl Metric {
    pub(super) const fn unit(mut self, unit: Unit) -> Metric {
        self.unit = unit;
        self
    }

    pub(super) const fn by(mut self, labels: &'static [Dimension]) -> Metric {
        self.labels = labels;
        self
    }

    pub(super) const fn cloudwatch(mut self, metrics: &'static [CloudWatch]) -> Metric {
        self.cloudwatch = metrics;
        self
    }
}
