//! How a row of the table is written: constructors with the usual values.

use crate::metrics::cloudwatch::{CloudWatch, NAMESPACE, OWN_NAMESPACE, Part, Statistic};
use crate::metrics::dimension::Dimension::{self, AvailabilityZone, LoadBalancer, TargetGroup};
use crate::metrics::metric::{Kind, Metric, Read, Unit, Values};

/// CloudWatch's dimensions: by load balancer, and by that and zone.
pub(super) const L: &[&[Dimension]] = &[&[LoadBalancer], &[LoadBalancer, AvailabilityZone]];
/// By load balancer and target group, and by those and zone.
pub(super) const LT: &[&[Dimension]] = &[
    &[LoadBalancer, TargetGroup],
    &[LoadBalancer, AvailabilityZone, TargetGroup],
];
/// By target group, and by that and zone; and each of these with the load balancer.
pub(super) const T_LT: &[&[Dimension]] = &[
    &[TargetGroup],
    &[AvailabilityZone, TargetGroup],
    &[LoadBalancer, TargetGroup],
    &[LoadBalancer, AvailabilityZone, TargetGroup],
];
/// By target group, and by that and load balancer, over all nodes.
pub(super) const T_ALONE: &[&[Dimension]] = &[&[TargetGroup], &[LoadBalancer, TargetGroup]];
/// By load balancer, by that and target group, and each of these with the zone.
pub(super) const L_LT: &[&[Dimension]] = &[
    &[LoadBalancer],
    &[LoadBalancer, AvailabilityZone],
    &[LoadBalancer, TargetGroup],
    &[LoadBalancer, AvailabilityZone, TargetGroup],
];

/// The statistics of levels.
pub(super) const LEVELS: &[Statistic] = &[Statistic::Average, Statistic::Minimum, Statistic::Maximum];

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

/// A CloudWatch metric whose values are added up.
pub(super) const fn sum(name: &'static str, dimensions: &'static [&'static [Dimension]]) -> CloudWatch {
    CloudWatch {
        namespace: NAMESPACE,
        name,
        part: Part::Whole,
        dimensions,
        statistics: &[Statistic::Sum],
        always: false,
    }
}

impl CloudWatch {
    /// Moves the metric to Forebay's namespace, because AWS has no such metric.
    pub(super) const fn own(mut self) -> CloudWatch {
        self.namespace = OWN_NAMESPACE;
        self
    }

    pub(super) const fn always(mut self) -> CloudWatch {
        self.always = true;
        self
    }

    pub(super) const fn per_target(mut self) -> CloudWatch {
        self.part = Part::PerTarget;
        self
    }

    pub(super) const fn with(mut self, statistics: &'static [Statistic]) -> CloudWatch {
        self.statistics = statistics;
        self
    }

    pub(super) const fn of(mut self, label: &'static str) -> CloudWatch {
        self.part = Part::Labelled(label);
        self
    }

    pub(super) const fn days(mut self) -> CloudWatch {
        self.part = Part::Days;
        self.statistics = &[Statistic::Minimum];
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

/// Answers by class of status. 1xx is left out: it is not a final answer.
pub(super) fn by_code(counts: &[u64; 6], to: &mut Values) {
    for (code, &count) in ["2xx", "3xx", "4xx", "5xx"].into_iter().zip(&counts[2..]) {
        to.add_of([code], count);
    }
}
