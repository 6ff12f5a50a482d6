//! Weighted random: each target with a chance in proportion to its weight. By rejection, so there is no table to
//! rebuild when weights change, at 1 / mean weight draws per pick.

use crate::eligible::{Choose, EligibleTargets};
use crate::sample::sample;
use forebay_units::{Mono, Rng};

/// Has no state.
#[derive(Clone, Copy, Debug, Default)]
pub struct WeightedRandom;

impl Choose for WeightedRandom {
    fn choose<S: EligibleTargets>(&mut self, _: Mono, targets: &S, rng: &mut Rng) -> Option<S::Taken> {
        sample(targets, rng, None).map(|index| targets.take(index))
    }
}
