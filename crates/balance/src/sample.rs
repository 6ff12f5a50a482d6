//! Drawing a seat by weight.

use crate::seats::Seats;
use forebay_units::Stream;

/// Draws before the rest is settled by a walk. Weights are at least 1/32: a draw fails 64 times in a row with a chance
/// of 13 % if all of them are least, and then a walk is as good.
const TRIES: usize = 64;

/// A seat that is not `besides` nor passed over, by weight; none if there is none. By rejection: 1 / mean weight draws on
/// average. Where most are passed over: a walk from a drawn place, O(seats).
pub(crate) fn sample<S: Seats>(seats: &S, draws: &mut Stream, besides: Option<usize>) -> Option<usize> {
    let count = seats.count();
    let weighted = seats.is_weighted();
    if count == 0 || (count == 1 && besides.is_some()) {
        return None;
    }
    let mut start = 0;
    for _ in 0..TRIES {
        // The high bits choose the seat; the low 16 say whether it takes part.
        let draw = draws.next_u64();
        let seat = ((u128::from(draw) * count as u128) >> 64) as usize;
        let fits = besides != Some(seat) && (!weighted || seats.weight(seat).takes_part(draw));
        if fits && !seats.is_passed_over(seat) {
            return Some(seat);
        }
        start = seat;
    }
    (0..count)
        .map(|step| (start + step) % count)
        .find(|&seat| besides != Some(seat) && !seats.is_passed_over(seat))
}
