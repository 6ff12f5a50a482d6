//! The targets as algorithms see them, and what an algorithm is.

use crate::weight::Weight;
use forebay_units::{Mono, Rng};

/// The targets that may get a request: indexes 0 to `count() - 1`, in a fixed order. Reading one must be O(1).
pub trait EligibleTargets {
    /// The result of a pick. It counts as load while it is held.
    type Taken;

    /// The number of targets.
    fn count(&self) -> usize;
    /// Whether any weight may be less than full; if not, no weight is read.
    fn is_weighted(&self) -> bool;
    /// Whether this pick must pass over the target, because it refused the request already.
    fn is_passed_over(&self, index: usize) -> bool;
    /// The target's present weight.
    fn weight(&self, index: usize) -> Weight;
    /// The target's load: requests in flight, and failed slots that are kept busy.
    fn load(&self, index: usize) -> u32;
    /// The target's peak EWMA latency now, in nanoseconds; `None` if nothing was measured.
    fn peak_latency(&self, index: usize, now: Mono) -> Option<f32>;
    /// The target's median latency at about this load, in nanoseconds; `None` if nothing was measured lately.
    fn median_latency(&self, index: usize, load: u32, now: Mono) -> Option<f32>;
    /// Takes the target. The pick is counted before this returns.
    fn take(&self, index: usize) -> Self::Taken;
    /// Finds and takes a target of least load over weight in one step, with ties broken at random. `None` if all are
    /// passed over or no order by load is kept.
    fn take_least(&self, rng: &mut Rng) -> Option<Self::Taken>;
}

/// A load balancing algorithm. Its state belongs to one worker and one target group.
pub trait Choose {
    /// Picks and takes a target; `None` if there is none or all are passed over. O(1) on average.
    fn choose<S: EligibleTargets>(&mut self, now: Mono, targets: &S, rng: &mut Rng) -> Option<S::Taken>;
}
