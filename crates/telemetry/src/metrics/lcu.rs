//! Load balancer capacity units, as AWS charges for them: a load balancer's use in the dimension that it used most.

use super::cloudwatch::{CloudWatch, NAMESPACE, Part, Statistic};
use super::datapoints::{Datapoint, DatapointValue};
use super::dimension::Dimension;
use super::snapshot::MetricsSnapshot;
use crate::labels::dimension;
use core::time::Duration;
use forebay_node::{LoadBalancerCounts, LoadBalancerMetrics};

/// One unit in each dimension (Elastic Load Balancing pricing, "LCU details").
const CONNECTIONS_PER_SECOND: f64 = 25.0;
const ACTIVE_CONNECTIONS: f64 = 3000.0;
const BYTES_PER_HOUR: f64 = 1e9;
const LAMBDA_BYTES_PER_HOUR: f64 = 4e8;
const EVALUATIONS_PER_SECOND: f64 = 1000.0;
const SECONDS_PER_HOUR: f64 = 3600.0;

const fn metric(name: &'static str, statistics: &'static [Statistic]) -> CloudWatch {
    CloudWatch {
        namespace: NAMESPACE,
        name,
        part: Part::Whole,
        dimensions: &[&[Dimension::LoadBalancer]],
        statistics,
        always: true,
    }
}

/// Units used, times the part of an hour for which they were used: the sum over an hour is what AWS charges for.
pub const CONSUMED: CloudWatch = metric(
    "ConsumedLCUs",
    &[
        Statistic::Sum,
        Statistic::Average,
        Statistic::Minimum,
        Statistic::Maximum,
    ],
);
/// Units in use at the time.
pub const PEAK: CloudWatch = metric("PeakLCUs", &[Statistic::Maximum]);

/// What a load balancer did within some time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Connections accepted.
    pub new_connections: u64,
    /// Connections open at the end of the time.
    pub active_connections: u64,
    /// Bytes from clients and to them.
    pub bytes: u64,
    /// The part of those bytes that went to functions or came from them.
    pub lambda_bytes: u64,
    /// Rules evaluated, beyond the first ten of each request.
    pub evaluations: u64,
}

impl Usage {
    /// The units in use within this time; 0 if the time is zero.
    pub fn units(&self, time: Duration) -> f64 {
        let seconds = time.as_secs_f64();
        if seconds <= 0.0 {
            return 0.0;
        }
        let each = [
            self.new_connections as f64 / seconds / CONNECTIONS_PER_SECOND,
            self.active_connections as f64 / ACTIVE_CONNECTIONS,
            (self.bytes.saturating_sub(self.lambda_bytes) as f64 / BYTES_PER_HOUR
                + self.lambda_bytes as f64 / LAMBDA_BYTES_PER_HOUR)
                / seconds
                * SECONDS_PER_HOUR,
            self.evaluations as f64 / seconds / EVALUATIONS_PER_SECOND,
        ];
        each.into_iter().fold(0.0, f64::max)
    }

    fn between(before: Option<&LoadBalancerMetrics>, now: &LoadBalancerMetrics) -> Usage {
        let since = |read: fn(&LoadBalancerCounts) -> u64| {
            let sum = |of: &LoadBalancerMetrics| of.nodes.iter().map(|node| read(&node.counts)).sum::<u64>();
            sum(now).saturating_sub(before.map_or(0, sum))
        };
        Usage {
            new_connections: since(|counts| counts.connections),
            active_connections: now.nodes.iter().map(|node| node.counts.open).sum(),
            bytes: since(|counts| counts.received_bytes + counts.sent_bytes),
            lambda_bytes: since(|counts| counts.lambda_bytes),
            evaluations: since(|counts| counts.charged_evaluations),
        }
    }
}

/// Datapoints of [`CONSUMED`] and [`PEAK`] of each load balancer; `time` is the time between the snapshots.
pub fn capacity_datapoints(
    before: &MetricsSnapshot,
    now: &MetricsSnapshot,
    time: Duration,
) -> Vec<Datapoint> {
    let (MetricsSnapshot::Server(before), MetricsSnapshot::Server(now)) = (before, now) else {
        return Vec::new();
    };
    let mut datapoints = Vec::new();
    for balancer in &now.node.load_balancers {
        let mut known = before.node.load_balancers.iter();
        let known = known.find(|known| known.arn == balancer.arn);
        let units = Usage::between(known, balancer).units(time);
        let hours = time.as_secs_f64() / SECONDS_PER_HOUR;
        for (metric, value) in [
            (&CONSUMED, DatapointValue::Count(units * hours)),
            (&PEAK, DatapointValue::Level(units)),
        ] {
            datapoints.push(Datapoint {
                namespace: metric.namespace,
                name: metric.name,
                unit: "Count",
                dimensions: vec![("LoadBalancer", dimension(&balancer.arn).to_owned())],
                value,
            });
        }
    }
    datapoints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(usage: Usage, seconds: u64) -> f64 {
        usage.units(Duration::from_secs(seconds))
    }

    #[test]
    fn one_unit_is_what_aws_says() {
        let none = Usage::default();
        let one = |usage, seconds| assert!((units(usage, seconds) - 1.0).abs() < 1e-12, "{usage:?}");
        let connections = Usage {
            new_connections: 25 * 60,
            ..none
        };
        one(connections, 60);
        let active = Usage {
            active_connections: 3000,
            ..none
        };
        one(active, 1);
        let bytes = Usage {
            bytes: 1_000_000_000,
            ..none
        };
        one(bytes, 3600);
        let of_functions = Usage {
            bytes: 400_000_000,
            lambda_bytes: 400_000_000,
            ..none
        };
        one(of_functions, 3600);
        let evaluations = Usage {
            evaluations: 1000,
            ..none
        };
        one(evaluations, 1);
        assert_eq!(units(evaluations, 0), 0.0);
        assert_eq!(units(none, 60), 0.0);
    }

    #[test]
    fn the_dimension_used_most_counts() {
        let usage = Usage {
            new_connections: 100,
            active_connections: 18_000,
            bytes: 300_000,
            lambda_bytes: 0,
            evaluations: 250,
        };
        assert_eq!(units(usage, 1), 6.0);
        let busy = Usage {
            active_connections: 0,
            ..usage
        };
        assert_eq!(units(busy, 1), 4.0);
    }
}
