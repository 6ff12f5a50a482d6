//! How what workers count is added up.

use crate::sync::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

/// What a worker counts, and readers add up.
pub trait Summed {
    /// All workers' counts together.
    type Sum;
    /// Before any is added.
    const NONE: Self::Sum;
    /// Adds what this one has counted.
    fn add_to(&self, sum: &mut Self::Sum);
}

impl Summed for AtomicU64 {
    type Sum = u64;
    const NONE: u64 = 0;

    fn add_to(&self, sum: &mut u64) {
        *sum += self.load(Relaxed);
    }
}

impl<const N: usize> Summed for [AtomicU64; N] {
    type Sum = [u64; N];
    const NONE: [u64; N] = [0; N];

    fn add_to(&self, sum: &mut [u64; N]) {
        for (sum, count) in sum.iter_mut().zip(self) {
            count.add_to(sum);
        }
    }
}
