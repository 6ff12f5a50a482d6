//! Adding up the counters of all workers.

use crate::sync::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

/// A counter of one worker, which readers add up.
pub trait Summed {
    /// The sum over all workers.
    type Sum;
    /// The sum before anything is added.
    const NONE: Self::Sum;
    /// Adds this worker's count.
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
