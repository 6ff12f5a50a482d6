//! Least outstanding requests: the target with the least load over weight, exactly, with ties broken at random. The
//! order is kept where requests are counted (see [`crate::LeastLoadedIndex`]). So finding the least loaded target and
//! counting the pick are one step, and two workers never both take the last idle target.

use crate::eligible::{Choose, EligibleTargets};
use crate::power_of_two::PowerOfTwo;
use forebay_units::{Mono, Rng};

/// Has no state.
#[derive(Clone, Copy, Debug, Default)]
pub struct LeastOutstandingRequests;

impl Choose for LeastOutstandingRequests {
    /// Falls back to the less loaded of two drawn targets while no order is kept, that is, just when a group's
    /// algorithm or zones change.
    fn choose<S: EligibleTargets>(&mut self, now: Mono, targets: &S, rng: &mut Rng) -> Option<S::Taken> {
        targets
            .take_least(rng)
            .or_else(|| PowerOfTwo.choose(now, targets, rng))
    }
}
