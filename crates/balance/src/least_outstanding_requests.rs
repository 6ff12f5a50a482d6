//! Least outstanding requests: the target with the least load over weight, exactly, ties by lot. The order is kept by
//! whoever counts (see [`crate::Board`]), so that finding the least and counting the pick are one act and two workers
//! never both take the last idle target.

use crate::power_of_two::PowerOfTwo;
use crate::seats::{Choose, Seats};
use forebay_units::{Mono, Stream};

/// Remembers nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct LeastOutstandingRequests;

impl Choose for LeastOutstandingRequests {
    /// While nobody keeps the order (for the moment in which a group's algorithm or zones change), the lesser of two.
    fn choose<S: Seats>(&mut self, now: Mono, seats: &S, draws: &mut Stream) -> Option<S::Taken> {
        seats
            .take_least(draws)
            .or_else(|| PowerOfTwo.choose(now, seats, draws))
    }
}
