//! Power of two choices: of two targets drawn by weight, the one with less load. Keeps the longest queue at
//! log log n / log 2 + O(1) instead of log n / log log n. M. Mitzenmacher, "The Power of Two Choices in Randomized Load
//! Balancing", IEEE Transactions on Parallel and Distributed Systems 12(10), 2001; Y. Azar et al., "Balanced
//! Allocations", SIAM Journal on Computing 29(1), 1999.

use crate::sample::sample;
use crate::seats::{Choose, Seats};
use forebay_units::{Mono, Stream};

/// Remembers nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct PowerOfTwo;

/// The cheaper of two seats drawn by weight; the first drawn if they cost the same.
pub(crate) fn cheaper<S: Seats>(seats: &S, draws: &mut Stream, cost: impl Fn(usize) -> f64) -> Option<usize> {
    let one = sample(seats, draws, None)?;
    match sample(seats, draws, Some(one)) {
        Some(other) if cost(other) < cost(one) => Some(other),
        _ => Some(one),
    }
}

impl Choose for PowerOfTwo {
    fn choose<S: Seats>(&mut self, _: Mono, seats: &S, draws: &mut Stream) -> Option<S::Taken> {
        let cost = |seat| seats.weight(seat).cost(seats.load(seat));
        cheaper(seats, draws, cost).map(|seat| seats.take(seat))
    }
}
