//! Histograms that are filled at the scrape, from counts that are kept elsewhere in finer buckets.

use core::time::Duration;
use forebay_node::Distribution;

/// A histogram in Prometheus' form.
#[derive(Debug)]
pub(crate) struct Filled {
    pub(crate) sum: Duration,
    pub(crate) count: u64,
    /// Upper bounds in seconds, the last of them infinite, each with the count above the bound before it.
    pub(crate) buckets: Vec<(f64, u64)>,
}

impl Filled {
    /// Adds each finer bucket to the first of the ascending `bounds` (in seconds) that its end exceeds by no more than an
    /// eighth,
    /// which is within the error of the finer buckets.
    pub(crate) fn of(bounds: &[f64], fine: &Distribution) -> Filled {
        let bounds = bounds.iter().copied().chain([f64::INFINITY]);
        let mut buckets: Vec<(f64, u64)> = bounds.map(|bound| (bound, 0)).collect();
        let mut all = 0;
        for fine in &fine.buckets {
            let end = fine.to.as_secs_f64();
            // Nothing exceeds infinity, so every bucket finds a place.
            if let Some(bucket) = buckets.iter_mut().find(|bucket| end <= bucket.0 * 9.0 / 8.0) {
                bucket.1 += fine.count;
                all += fine.count;
            }
        }
        Filled {
            sum: fine.sum,
            count: all,
            buckets,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use forebay_node::Bucket;

    #[test]
    fn finer_buckets_find_theirs() {
        let millis = Duration::from_millis;
        let bucket = |from, to, count| Bucket { from, to, count };
        let fine = Distribution {
            buckets: vec![
                bucket(Duration::ZERO, millis(1), 1),
                bucket(millis(10), millis(11), 2),
                bucket(millis(11), millis(12), 4),
                bucket(millis(12), Duration::MAX, 8),
            ],
            sum: millis(70),
        };
        let filled = Filled::of(&[0.001, 0.01], &fine);
        assert_eq!(filled.buckets, [(0.001, 1), (0.01, 2), (f64::INFINITY, 12)]);
        assert_eq!((filled.count, filled.sum), (15, millis(70)));
    }
}
