//! Least outstanding requests: the target with the least load over weight, exactly, ties by lot. The order is kept by
//! whoever counts (see [`crate::LeastLoadedIndex`]), so that finding the least and counting the pick are one act and two workers
//! never both take the last idle target.

use crate::eligible::{Choose, EligibleTargets};
use crate::power_of_two::PowerOfTwo;
use forebay_units::{Mono, Rng};

/// Remembers nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct LeastOutstandingRequests;

impl Choose for LeastOutstandingRequests {
    /// While nobody keeps the order (for the moment in which a group's algorithm or zones change), the lesser of two.
    fn choose<S: EligibleTargets>(&mut self, now: Mono, targets: &S, rng: &mut Rng) -> Option<S::Taken> {
        targets
            .take_least(rng)
            .or_else(|| PowerOfTwo.choose(now, targets, rng))
    }
}
