//! Weighted random: each target with a chance in proportion to its weight. By rejection: no table to rebuild when weights
//! change, and 1 / mean weight draws a choice.

use crate::sample::sample;
use crate::seats::{Choose, Seats};
use forebay_units::{Mono, Stream};

/// Remembers nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct WeightedRandom;

impl Choose for WeightedRandom {
    fn choose<S: Seats>(&mut self, _: Mono, seats: &S, draws: &mut Stream) -> Option<S::Taken> {
        sample(seats, draws, None).map(|seat| seats.take(seat))
    }
}
