//! Round robin: each target in turn. O(1) a choice, O(tried) when some must be passed over.

/// Where the next turn is. One per target group and worker.
#[derive(Clone, Debug, Default)]
pub struct RoundRobin {
    turn: usize,
}

impl RoundRobin {
    /// The next of `eligible` (indices of targets, in a fixed order) for which `passed_over` does not hold; none if
    /// it holds for all. Over n eligible targets, any k choices in a row differ by at most one per target.
    pub fn choose(&mut self, eligible: &[u32], passed_over: impl Fn(u32) -> bool) -> Option<u32> {
        if self.turn >= eligible.len() {
            self.turn = 0;
        }
        for _ in 0..eligible.len() {
            let chosen = eligible[self.turn];
            self.turn += 1;
            if self.turn == eligible.len() {
                self.turn = 0;
            }
            if !passed_over(chosen) {
                return Some(chosen);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn passes_over_and_gives_up() {
        let mut turns = RoundRobin::default();
        assert_eq!(turns.choose(&[4, 5, 6], |target| target == 4), Some(5));
        assert_eq!(turns.choose(&[4, 5, 6], |_| false), Some(6));
        assert_eq!(turns.choose(&[4, 5, 6], |_| true), None);
        assert_eq!(turns.choose(&[], |_| false), None);
        assert_eq!(turns.choose(&[9], |_| false), Some(9));
    }

    proptest! {
        #[test]
        fn spread_is_within_one(targets in 1_u32..50, choices in 0_usize..500) {
            let eligible: Vec<u32> = (0..targets).collect();
            let mut turns = RoundRobin::default();
            let mut counts = vec![0_u32; eligible.len()];
            for _ in 0..choices {
                counts[turns.choose(&eligible, |_| false).unwrap() as usize] += 1;
            }
            let (low, high) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
            prop_assert!(high - low <= 1);
        }
    }
}
