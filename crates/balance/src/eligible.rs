//! What algorithms ask, and what they are.

use crate::weight::Weight;
use forebay_units::{Mono, Rng};

/// The targets that may get a request: indexes 0 to `count() - 1`, in a fixed order. Reading one must be O(1).
pub trait EligibleTargets {
    /// What a pick yields: whoever holds it is counted as load.
    type Taken;

    /// How many there are.
    fn count(&self) -> usize;
    /// Whether some weight may be less than full; if not, none is asked for.
    fn is_weighted(&self) -> bool;
    /// Whether this pick must pass over it (it refused the request already).
    fn is_passed_over(&self, index: usize) -> bool;
    /// Its weight now.
    fn weight(&self, index: usize) -> Weight;
    /// Requests picked for it and not yet over, and slots that failed and are kept busy.
    fn load(&self, index: usize) -> u32;
    /// Its peak EWMA latency now, in nanoseconds; none if nothing was measured.
    fn peak_latency(&self, index: usize, now: Mono) -> Option<f32>;
    /// Its median latency at about this load, in nanoseconds; none if nothing was measured lately.
    fn median_latency(&self, index: usize, load: u32, now: Mono) -> Option<f32>;
    /// Takes it: the pick is counted before this returns.
    fn take(&self, index: usize) -> Self::Taken;
    /// Takes a target of least load over weight, in one act with finding it, ties by lot; none if all are passed over or
    /// nobody keeps the order.
    fn take_least(&self, rng: &mut Rng) -> Option<Self::Taken>;
}

/// An algorithm: from targets to the one that gets the request. What it remembers is of one worker, one target group.
pub trait Choose {
    /// Picks and takes a target; none if there is none or all are passed over. O(1) on average.
    fn choose<S: EligibleTargets>(&mut self, now: Mono, targets: &S, rng: &mut Rng) -> Option<S::Taken>;
}
