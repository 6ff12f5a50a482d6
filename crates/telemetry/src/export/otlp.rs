//! Metrics in OpenTelemetry's data model: counters are monotonic sums since the start of the process, histograms have
//! Prometheus' bounds.

use super::message::{Encode, Message};
use crate::histogram::Filled;
use crate::metrics::{Kind, Labels, Metric, MetricsSnapshot, Unit, Value, all, lines};
use crate::otlp::{resource, scope, text};
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric as Told, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, Sum,
};
use prost::Message as _;

/// Most points in one message.
const POINTS: usize = 2000;

/// What the encoding keeps from one snapshot to the next.
#[derive(Default)]
pub(super) struct Otlp {
    /// When counting began, in nanoseconds since the epoch: at the start of the process, or at the first snapshot if the
    /// kernel does not report it.
    start: Option<u64>,
}

impl Encode for Otlp {
    fn messages(&mut self, snapshot: &MetricsSnapshot, at_ms: u64) -> Vec<Message> {
        let now = at_ms.saturating_mul(1_000_000);
        let process = match snapshot {
            MetricsSnapshot::Server(server) => server.own.process,
            MetricsSnapshot::Agent(agent) => agent.process,
        };
        let began = || {
            process
                .start_seconds
                .map_or(now, |seconds| (seconds * 1e9) as u64)
        };
        let start = (*self.start.get_or_insert_with(began)).min(now);
        let mut page = Page {
            times: Times { start, now },
            told: Vec::new(),
            points: 0,
            messages: Vec::new(),
        };
        for metric in all() {
            let samples = metric.samples(snapshot);
            let lines = lines(metric, &samples);
            for lines in lines.chunks(POINTS) {
                page.add(metric, lines);
            }
        }
        page.flush();
        page.messages
    }

    fn rejected(&self, answer: Bytes) -> usize {
        // An answer that cannot be decoded counts by its status alone.
        let answer = ExportMetricsServiceResponse::decode(answer).unwrap_or_default();
        let rejected = answer
            .partial_success
            .map_or(0, |partial| partial.rejected_data_points);
        usize::try_from(rejected).unwrap_or(0)
    }
}

/// The interval that counts cover, in nanoseconds since the epoch.
#[derive(Clone, Copy)]
struct Times {
    start: u64,
    now: u64,
}

/// The messages of one snapshot as they are filled.
struct Page {
    times: Times,
    told: Vec<Told>,
    points: usize,
    messages: Vec<Message>,
}

impl Page {
    fn add(&mut self, metric: &Metric, lines: &[(Labels<'_>, Value)]) {
        if self.points + lines.len() > POINTS {
            self.flush();
        }
        self.points += lines.len();
        self.told.push(told(metric, lines, self.times));
    }

    fn flush(&mut self) {
        let metrics = core::mem::take(&mut self.told);
        let samples = core::mem::take(&mut self.points);
        if samples == 0 {
            return;
        }
        let request = ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics {
                resource: Some(resource()),
                scope_metrics: vec![ScopeMetrics {
                    scope: Some(scope()),
                    metrics,
                    ..ScopeMetrics::default()
                }],
                ..ResourceMetrics::default()
            }],
        };
        self.messages.push(Message {
            body: Bytes::from(request.encode_to_vec()),
            samples,
        });
    }
}

/// A metric under the table's name: receivers that convert to Prometheus add `_total` to sums themselves.
fn told(metric: &Metric, lines: &[(Labels<'_>, Value)], times: Times) -> Told {
    let numbers = || {
        lines
            .iter()
            .map(|(labels, value)| number(labels, value, times))
            .collect()
    };
    let temporality = AggregationTemporality::Cumulative.into();
    let data = match metric.kind {
        Kind::Counter => Data::Sum(Sum {
            data_points: numbers(),
            aggregation_temporality: temporality,
            is_monotonic: true,
        }),
        Kind::Gauge => Data::Gauge(Gauge {
            data_points: numbers(),
        }),
        Kind::Histogram(bounds) => Data::Histogram(Histogram {
            data_points: lines
                .iter()
                .filter_map(|(labels, value)| histogram(bounds, labels, value, times))
                .collect(),
            aggregation_temporality: temporality,
        }),
    };
    Told {
        name: metric.name.to_owned(),
        description: format!("{}.", metric.meaning),
        // UCUM codes, as OpenTelemetry requires. Counts and ratios get none, because receivers would append it to the name.
        unit: match metric.unit {
            Unit::Seconds => "s",
            Unit::Bytes => "By",
            Unit::Count | Unit::Ratio => "",
        }
        .to_owned(),
        data: Some(data),
        ..Told::default()
    }
}

fn attributes(labels: &Labels<'_>) -> Vec<opentelemetry_proto::tonic::common::v1::KeyValue> {
    labels.iter().map(|(name, value)| text(name, *value)).collect()
}

fn number(labels: &Labels<'_>, value: &Value, times: Times) -> NumberDataPoint {
    NumberDataPoint {
        attributes: attributes(labels),
        start_time_unix_nano: times.start,
        time_unix_nano: times.now,
        value: match value {
            Value::Integer(number) => Some(Number::AsInt(i64::try_from(*number).unwrap_or(i64::MAX))),
            Value::Real(number) => Some(Number::AsDouble(*number)),
            Value::Distribution(_) => None,
        },
        ..NumberDataPoint::default()
    }
}

fn histogram(bounds: &[f64], labels: &Labels<'_>, value: &Value, times: Times) -> Option<HistogramDataPoint> {
    let Value::Distribution(fine) = value else {
        return None;
    };
    let filled = Filled::of(bounds, fine);
    Some(HistogramDataPoint {
        attributes: attributes(labels),
        start_time_unix_nano: times.start,
        time_unix_nano: times.now,
        count: filled.count,
        sum: Some(filled.sum.as_secs_f64()),
        bucket_counts: filled.buckets.iter().map(|(_, count)| *count).collect(),
        explicit_bounds: bounds.to_vec(),
        ..HistogramDataPoint::default()
    })
}
