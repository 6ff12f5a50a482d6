//! Power of two choices: of two targets drawn by weight, the one with less load. Keeps the longest queue at log log n /
//! log 2 + O(1) instead of log n / log log n. M. Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing",
//! IEEE Transactions on Parallel and Distributed Systems 12(10), 2001; Y. Azar et al., "Balanced Allocations", SIAM
//! Journal on Computing 29(1), 1999.

use crate::eligible::{Choose, EligibleTargets};
use crate::sample::sample;
use forebay_units::{Mono, Rng};

/// Has no state.
#[derive(Clone, Copy, Debug, Default)]
pub struct PowerOfTwo;

/// The cheaper of two targets drawn by weight; the first one drawn if they cost the same.
pub(crate) fn cheaper<S: EligibleTargets>(
    targets: &S,
    rng: &mut Rng,
    cost: impl Fn(usize) -> f64,
) -> Option<usize> {
    let one = sample(targets, rng, None)?;
    match sample(targets, rng, Some(one)) {
        Some(other) if cost(other) < cost(one) => Some(other),
        _ => Some(one),
    }
}

impl Choose for PowerOfTwo {
    fn choose<S: EligibleTargets>(&mut self, _: Mono, targets: &S, rng: &mut Rng) -> Option<S::Taken> {
        let cost = |index| targets.weight(index).cost(targets.load(index));
        cheaper(targets, rng, cost).map(|index| targets.take(index))
    }
}
