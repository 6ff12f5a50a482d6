//! Histograms that are filled at the scrape, from counts kept elsewhere in finer buckets.

use core::time::Duration;
use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};
use std::sync::OnceLock;

/// A histogram as Prometheus has them.
#[derive(Debug, Default)]
pub(crate) struct Histogram(OnceLock<Filled>);

#[derive(Debug)]
struct Filled {
    sum: Duration,
    count: u64,
    /// Upper bounds in seconds, the last of them infinite, and what is between each and the one before.
    buckets: Vec<(f64, u64)>,
}

impl Histogram {
    /// Sets it, once. `fine` gives each finer bucket's upper end and count; it goes to the first of the ascending `bounds` (in
    /// seconds) that its end exceeds by no more than an eighth, which is within what finer buckets know.
    pub(crate) fn fill(&self, bounds: &[f64], fine: impl Iterator<Item = (Duration, u64)>, sum: Duration) {
        let bounds = bounds.iter().copied().chain([f64::INFINITY]);
        let mut buckets: Vec<(f64, u64)> = bounds.map(|bound| (bound, 0)).collect();
        let mut all = 0;
        for (end, count) in fine {
            let end = end.as_secs_f64();
            // None is above infinity.
            if let Some(bucket) = buckets.iter_mut().find(|bucket| end <= bucket.0 * 9.0 / 8.0) {
                bucket.1 += count;
                all += count;
            }
        }
        let _ = self.0.set(Filled {
            sum,
            count: all,
            buckets,
        });
    }
}

impl TypedMetric for Histogram {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), core::fmt::Error> {
        let Some(filled) = self.0.get() else {
            return Ok(());
        };
        encoder.encode_histogram::<NoLabelSet>(filled.sum.as_secs_f64(), filled.count, &filled.buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finer_buckets_find_theirs() {
        let histogram = Histogram::default();
        let millis = Duration::from_millis;
        let fine = [
            (millis(1), 1),
            (millis(11), 2),
            (millis(12), 4),
            (Duration::MAX, 8),
        ];
        histogram.fill(&[0.001, 0.01], fine.into_iter(), millis(70));
        let filled = histogram.0.get().unwrap();
        assert_eq!(filled.buckets, [(0.001, 1), (0.01, 2), (f64::INFINITY, 12)]);
        assert_eq!((filled.count, filled.sum), (15, millis(70)));
    }
}
