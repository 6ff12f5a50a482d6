//! How often something took how long, as readers find it.

use core::time::Duration;

/// A bucket of a distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Where it begins.
    pub from: Duration,
    /// Where it ends.
    pub to: Duration,
    /// How many are in it and no other.
    pub count: u64,
}

/// How often something took how long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    /// Ascending; those that are empty are left out.
    pub buckets: Vec<Bucket>,
    /// All of them together.
    pub sum: Duration,
}

impl Distribution {
    /// Takes what another of the same buckets has, too.
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
