//! The datapoints that CloudWatch gets for the time between two snapshots.

use super::cloudwatch::{CloudWatch, Part};
use super::dimension::Dimension;
use super::metric::{Dimensions, Kind, Metric, Sample, Value};
use super::snapshot::MetricsSnapshot;
use super::table::all;
use crate::labels::dimension;
use forebay_node::{Bucket, Distribution, TargetGroupMetrics};
use std::collections::BTreeMap;

/// One value of a CloudWatch metric. Where each node counts for itself, each has a datapoint of its own even under the same
/// dimensions, so that Minimum and Maximum are over nodes and Sum covers all of them, as in AWS.
#[derive(Clone, Debug, PartialEq)]
pub struct Datapoint {
    /// The metric's namespace.
    pub namespace: &'static str,
    /// The metric's name.
    pub name: &'static str,
    /// CloudWatch's name of its unit.
    pub unit: &'static str,
    /// Names and values of its dimensions.
    pub dimensions: Vec<(&'static str, String)>,
    /// Its value.
    pub value: DatapointValue,
}

/// The value of a datapoint.
#[derive(Clone, Debug, PartialEq)]
pub enum DatapointValue {
    /// How much was counted between the snapshots.
    Count(f64),
    /// The level at the second snapshot.
    Level(f64),
    /// Values with their counts between the snapshots, in ascending order; a value is the middle of its bucket.
    Distribution(Vec<(f64, f64)>),
}

/// What changed from one snapshot to the next, and what is always reported. A counter that went back has started anew.
pub fn datapoints(before: &MetricsSnapshot, now: &MetricsSnapshot) -> Vec<Datapoint> {
    let mut datapoints = Vec::new();
    for metric in all().filter(|metric| !metric.cloudwatch.is_empty()) {
        let samples = differences(metric, before, now);
        for of_aws in metric.cloudwatch {
            for set in of_aws.dimensions {
                let told = told(metric, of_aws, set, &samples, now);
                datapoints.extend(told.into_iter().filter_map(|(key, sum)| {
                    Some(Datapoint {
                        namespace: of_aws.namespace,
                        name: of_aws.name,
                        unit: metric.unit_of(of_aws),
                        dimensions: key.names(set),
                        value: sum.value(metric.kind, of_aws.always)?,
                    })
                }));
            }
        }
    }
    datapoints
}

/// A metric's samples, each with its change since `before`.
fn differences<'a>(
    metric: &Metric,
    before: &'a MetricsSnapshot,
    now: &'a MetricsSnapshot,
) -> Vec<Sample<'a>> {
    let mut samples = metric.samples(now);
    if matches!(metric.kind, Kind::Gauge) {
        return samples;
    }
    let known: BTreeMap<_, Value> = metric
        .samples(before)
        .into_iter()
        .map(|sample| (identity(&sample.dimensions), sample.value))
        .collect();
    for sample in &mut samples {
        if let Some(known) = known.get(&identity(&sample.dimensions)) {
            sample.value = difference(&sample.value, known);
        }
    }
    samples
}

/// What a sample is about. The load balancer of a target group is not part of it: it changes with rules.
fn identity(dimensions: &Dimensions<'_>) -> Vec<(Dimension, String)> {
    let of_group = dimensions.iter().any(|(one, _)| *one == Dimension::TargetGroup);
    let named = dimensions
        .iter()
        .filter(|(one, _)| !(of_group && *one == Dimension::LoadBalancer));
    named
        .map(|(one, value)| (*one, value.clone().into_owned()))
        .collect()
}

fn since(now: u64, before: u64) -> u64 {
    now.checked_sub(before).unwrap_or(now)
}

fn difference(now: &Value, before: &Value) -> Value {
    match (now, before) {
        (Value::Integer(now), Value::Integer(before)) => Value::Integer(since(*now, *before)),
        (Value::Distribution(now), Value::Distribution(before)) => {
            let buckets = now.buckets.iter().map(|bucket| {
                let known = before.buckets.iter().find(|known| known.from == bucket.from);
                let count = since(bucket.count, known.map_or(0, |known| known.count));
                Bucket { count, ..*bucket }
            });
            Value::Distribution(Distribution {
                buckets: buckets.filter(|bucket| bucket.count > 0).collect(),
                sum: now.sum.checked_sub(before.sum).unwrap_or(now.sum),
            })
        }
        (Value::Real(now), Value::Real(before)) if now >= before => Value::Real(now - before),
        (now, _) => now.clone(),
    }
}

/// Values of a set of dimensions, and the value that separates datapoints beyond them: the node, if each node counts for
/// itself.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    values: Vec<String>,
    apart: Option<String>,
}

impl Key {
    /// None for a sample that lacks one of the dimensions.
    fn of(sample: &Sample<'_>, set: &[Dimension], apart: Option<Dimension>) -> Option<Key> {
        let value = |wanted: Dimension| {
            let mut dimensions = sample.dimensions.iter();
            let found = dimensions.find(|(known, _)| *known == wanted)?;
            // A group that spans all zones belongs to none of them.
            (wanted != Dimension::AvailabilityZone || found.1 != "all").then(|| found.1.clone().into_owned())
        };
        Some(Key {
            values: set.iter().map(|&wanted| value(wanted)).collect::<Option<_>>()?,
            apart: apart.and_then(value),
        })
    }

    fn names(self, set: &[Dimension]) -> Vec<(&'static str, String)> {
        let names = set.iter().filter_map(|dimension| dimension.cloudwatch());
        names.zip(self.values).collect()
    }
}

/// The sum of samples with the same key.
#[derive(Debug, Default)]
struct Sum {
    number: f64,
    times: Distribution,
}

impl Sum {
    fn add(&mut self, value: &Value, part: impl Fn(f64) -> f64) {
        match value {
            Value::Integer(number) => self.number += part(*number as f64),
            Value::Real(number) => self.number += part(*number),
            Value::Distribution(times) => self.times.add(times),
        }
    }

    /// None if there is nothing to report.
    fn value(self, kind: Kind, always: bool) -> Option<DatapointValue> {
        let number = Some(self.number).filter(|&number| number != 0.0 || always);
        match kind {
            Kind::Counter => number.map(DatapointValue::Count),
            Kind::Gauge => number.map(DatapointValue::Level),
            Kind::Histogram(_) => {
                let buckets = self.times.buckets.iter();
                let values: Vec<(f64, f64)> = buckets
                    .map(|bucket| (middle(bucket).as_secs_f64(), bucket.count as f64))
                    .collect();
                (!values.is_empty()).then_some(DatapointValue::Distribution(values))
            }
        }
    }
}

fn middle(bucket: &Bucket) -> core::time::Duration {
    bucket.from + bucket.to.saturating_sub(bucket.from) / 2
}

fn told(
    metric: &Metric,
    of_aws: &CloudWatch,
    set: &[Dimension],
    samples: &[Sample<'_>],
    now: &MetricsSnapshot,
) -> BTreeMap<Key, Sum> {
    let mut told: BTreeMap<Key, Sum> = BTreeMap::new();
    for sample in samples {
        let label = sample.dimensions.last().map(|(_, label)| &**label);
        if matches!(of_aws.part, Part::Labelled(wanted) if label != Some(wanted)) {
            continue;
        }
        let Some(key) = Key::of(sample, set, metric.read.apart()) else {
            continue;
        };
        match of_aws.part {
            Part::Whole | Part::Labelled(_) => told.entry(key).or_default().add(&sample.value, |all| all),
            Part::Complement => told.entry(key).or_default().add(&sample.value, |all| 1.0 - all),
            Part::Days => {
                let days = |seconds: f64| (seconds / 86_400.0).floor();
                told.entry(key).or_default().add(&sample.value, days);
            }
            Part::PerTarget => {
                if let Some(targets) = targets(now, sample) {
                    let sum = told.entry(key).or_default();
                    sum.add(&sample.value, |all| all / targets as f64);
                }
            }
        }
    }
    told
}

/// The number by which a group's requests at a node are divided: its healthy targets, or all if none is healthy. Only
/// targets of the node's zone count if the node sends to no others. None if there are none.
fn targets(now: &MetricsSnapshot, sample: &Sample<'_>) -> Option<usize> {
    let MetricsSnapshot::Server(server) = now else {
        return None;
    };
    let value = |wanted: Dimension| {
        let mut dimensions = sample.dimensions.iter();
        dimensions
            .find(|(known, _)| *known == wanted)
            .map(|(_, value)| &**value)
    };
    let (name, zone) = (value(Dimension::TargetGroup)?, value(Dimension::AvailabilityZone));
    let mut groups = server.node.target_groups.iter();
    let group: &TargetGroupMetrics = groups.find(|group| dimension(&group.arn) == name)?;
    let crosses_zones = group.zones.iter().any(|zone| zone.zone == "all");
    let reached = group.targets.iter().filter(|target| {
        let own = target.zone.as_deref();
        crosses_zones || own.is_none() || own == zone
    });
    let (all, healthy) = reached.fold((0, 0), |(all, healthy), target| {
        (all + 1, healthy + usize::from(target.is_healthy))
    });
    let targets = if healthy > 0 { healthy } else { all };
    (targets > 0).then_some(targets)
}

#[cfg(test)]
mod tests;
