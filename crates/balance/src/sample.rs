//! Drawing a target by weight.

use crate::eligible::EligibleTargets;
use forebay_units::Rng;

/// Draws before falling back to a walk. Weights are at least 1/32, so if all are that low, 64 draws in a row fail with
/// a chance of 13 %, and then a walk is just as good.
const TRIES: usize = 64;

/// Draws a target by weight that is neither `besides` nor passed over; `None` if there is none. By rejection, at 1 /
/// mean weight draws on average. If most are passed over, walks from a drawn position: O(targets).
pub(crate) fn sample<S: EligibleTargets>(
    targets: &S,
    rng: &mut Rng,
    besides: Option<usize>,
) -> Option<usize> {
    let count = targets.count();
    let weighted = targets.is_weighted();
    if count == 0 || (count == 1 && besides.is_some()) {
        return None;
    }
    let mut start = 0;
    for _ in 0..TRIES {
        // The high bits choose the target; the low 16 decide whether it takes part.
        let draw = rng.next_u64();
        let index = ((u128::from(draw) * count as u128) >> 64) as usize;
        let fits = besides != Some(index) && (!weighted || targets.weight(index).takes_part(draw));
        if fits && !targets.is_passed_over(index) {
            return Some(index);
        }
        start = index;
    }
    (0..count)
        .map(|step| (start + step) % count)
        .find(|&index| besides != Some(index) && !targets.is_passed_over(index))
}
