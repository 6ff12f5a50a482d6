//! A snapshot as OpenMetrics text.

use super::lines::{Labels, lines};
use super::metric::{Kind, Value};
use super::snapshot::MetricsSnapshot;
use super::table::all;
use crate::histogram::Filled;
use core::fmt::Error;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

/// All metrics of a snapshot as OpenMetrics text, in the table's order. A metric without samples has no lines.
pub fn render(snapshot: MetricsSnapshot) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Page(snapshot)));
    let mut text = String::new();
    // Writing to a String cannot fail. An empty page is noticed at the first scrape; one that lacks some metrics would not
    // be.
    if encode(&mut text, &registry).is_err() {
        text.clear();
    }
    text
}

#[derive(Debug)]
struct Page(MetricsSnapshot);

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        for metric in all() {
            let samples = metric.samples(&self.0);
            if samples.is_empty() {
                continue;
            }
            let kind = match metric.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
                Kind::Histogram(_) => MetricType::Histogram,
            };
            // No unit is given here: the encoder would append it to names that carry it already.
            let help = format!("{}.", metric.meaning);
            let mut encoder = encoder.encode_descriptor(metric.name, &help, None, kind)?;
            for (labels, value) in lines(metric, &samples) {
                line(metric.kind, &labels, &value, &mut encoder)?;
            }
        }
        Ok(())
    }
}

fn line(
    kind: Kind,
    labels: &Labels<'_>,
    shown: &Value,
    encoder: &mut MetricEncoder<'_>,
) -> Result<(), Error> {
    if labels.is_empty() {
        value(kind, shown, encoder)
    } else {
        value(kind, shown, &mut encoder.encode_family(labels)?)
    }
}

fn value(kind: Kind, value: &Value, encoder: &mut MetricEncoder<'_>) -> Result<(), Error> {
    match (kind, value) {
        (Kind::Counter, Value::Integer(count)) => encoder.encode_counter::<NoLabelSet, u64, f64>(count, None),
        (Kind::Counter, Value::Real(sum)) => encoder.encode_counter::<NoLabelSet, f64, f64>(sum, None),
        (Kind::Gauge, Value::Integer(count)) => {
            encoder.encode_gauge(&i64::try_from(*count).unwrap_or(i64::MAX))
        }
        (Kind::Gauge, Value::Real(level)) => encoder.encode_gauge(level),
        (Kind::Histogram(bounds), Value::Distribution(fine)) => {
            let filled = Filled::of(bounds, fine);
            let sum = filled.sum.as_secs_f64();
            encoder.encode_histogram::<NoLabelSet>(sum, filled.count, &filled.buckets, None)
        }
        // A row that reads a value of the wrong kind. The page becomes empty, which its test notices.
        _ => Err(Error),
    }
}
