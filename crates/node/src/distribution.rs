//! A distribution of times, as readers get it.

use core::time::Duration;

/// A bucket of a distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// The lower end.
    pub from: Duration,
    /// The upper end.
    pub to: Duration,
    /// Number of times in this bucket alone.
    pub count: u64,
}

/// A distribution of times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    /// The buckets that are not empty, ascending.
    pub buckets: Vec<Bucket>,
    /// Sum of all times.
    pub sum: Duration,
}

impl Distribution {
    /// Adds another distribution with the same bucket bounds.
    pub fn add(&mut self, other: &Distribution) {
        for more in &other.buckets {
            match self
                .buckets
                .binary_search_by_key(&more.from, |bucket| bucket.from)
            {
                Ok(at) => self.buckets[at].count += more.count,
                Err(at) => self.buckets.insert(at, *more),
            }
        }
        self.sum += other.sum;
    }
}
