//! Round robin: each target in turn. O(1) per pick, O(tried) when some must be passed over.
//!
//! With weights, each visit adds the target's weight to its credit, and the target is taken when its credit reaches
//! one. So shares are proportional to weights, at 1 / mean weight visits per pick. Credits start at random, so that
//! targets that start together are not all taken in the same round.

use crate::eligible::{Choose, EligibleTargets};
use crate::weight::Weight;
use forebay_units::{Mono, Rng};

/// The next turn, and the credits of targets.
#[derive(Clone, Debug, Default)]
pub struct RoundRobin {
    turn: usize,
    /// Credits by target, each below one; empty while all weights are full.
    credits: Vec<u32>,
}

impl RoundRobin {
    /// Whether the target's credit reaches one at this visit.
    fn is_due(&mut self, index: usize, weight: Weight, rng: &mut Rng) -> bool {
        while self.credits.len() <= index {
            self.credits
                .push(rng.below(u64::from(Weight::FULL.parts())) as u32);
        }
        let credit = &mut self.credits[index];
        *credit += weight.parts();
        let due = *credit >= Weight::FULL.parts();
        if due {
            *credit -= Weight::FULL.parts();
        }
        due
    }
}

impl Choose for RoundRobin {
    /// Over n targets of full weight, any k picks in a row differ by at most one per target.
    fn choose<S: EligibleTargets>(&mut self, _: Mono, targets: &S, rng: &mut Rng) -> Option<S::Taken> {
        let count = targets.count();
        let weighted = targets.is_weighted();
        // Credits are not kept up to date without weights, and old ones would distort the next slow start.
        if !weighted && !self.credits.is_empty() {
            self.credits = Vec::new();
        }
        // Even the lowest weight adds up to one within this many rounds.
        let rounds = if weighted { Weight::LEVELS as usize + 1 } else { 1 };
        for _ in 0..count * rounds {
            if self.turn >= count {
                self.turn = 0;
            }
            let index = self.turn;
            self.turn += 1;
            if !targets.is_passed_over(index) && (!weighted || self.is_due(index, targets.weight(index), rng))
            {
                return Some(targets.take(index));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestTargets;
    use forebay_units::Rng;
    use proptest::prelude::*;

    #[test]
    fn passes_over_and_gives_up() {
        let mut rng = Rng::named(1, "turns");
        let mut turns = RoundRobin::default();
        let mut choose = |room: &TestTargets| turns.choose(Mono::ZERO, room, &mut rng);
        let mut three = TestTargets::of(3);
        three.passed_over = vec![0];
        assert_eq!(choose(&three), Some(1));
        three.passed_over.clear();
        assert_eq!(choose(&three), Some(2));
        three.passed_over = vec![0, 1, 2];
        assert_eq!(choose(&three), None);
        assert_eq!(choose(&TestTargets::of(0)), None);
        assert_eq!(choose(&TestTargets::of(1)), Some(0));
    }

    proptest! {
        #[test]
        fn spread_is_within_one(targets in 1_usize..50, choices in 0_usize..500) {
            let room = TestTargets::of(targets);
            let (mut turns, mut rng) = (RoundRobin::default(), Rng::named(1, "turns"));
            let mut counts = vec![0_u32; targets];
            for _ in 0..choices {
                counts[turns.choose(Mono::ZERO, &room, &mut rng).unwrap()] += 1;
            }
            let (low, high) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
            prop_assert!(high - low <= 1);
        }
    }
}
