//! How much of an equal share a target gets: the product of its slow start and of what a mitigation has left it.

/// From [`Weight::LEAST`] to [`Weight::FULL`], in parts of 65,536.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Weight(u32);

impl Weight {
    /// An equal share.
    pub const FULL: Weight = Weight(1 << 16);
    /// 1/32: the least that a target in service gets, so that it is still measured and warmed, and so that drawing by
    /// weight takes 32 draws on average at worst.
    pub const LEAST: Weight = Weight(1 << 11);
    /// Levels that a [`crate::LeastLoadedIndex`] tells apart.
    pub const LEVELS: u32 = 32;

    /// The weight nearest to this share of 1.
    pub fn of(share: f64) -> Weight {
        Weight::from_parts((share * f64::from(Weight::FULL.0)) as u32)
    }

    /// From what [`Weight::parts`] gave.
    pub fn from_parts(parts: u32) -> Weight {
        Weight(parts.clamp(Weight::LEAST.0, Weight::FULL.0))
    }

    /// In parts of 65,536.
    pub const fn parts(self) -> u32 {
        self.0
    }

    /// As a share of 1.
    pub fn share(self) -> f64 {
        f64::from(self.0) / f64::from(Weight::FULL.0)
    }

    /// Both together.
    #[must_use]
    pub fn times(self, other: Weight) -> Weight {
        Weight::from_parts(((u64::from(self.0) * u64::from(other.0)) >> 16) as u32)
    }

    /// 1 to 32, rounded down: in an index no target gets more than its weight says.
    pub const fn level(self) -> u32 {
        self.0 >> 11
    }

    /// Whether a target of this weight takes part in a pick whose draw is this: true for as large a share of all draws.
    /// Looks at the low 16 bits only.
    pub const fn takes_part(self, draw: u64) -> bool {
        ((draw & 0xffff) as u32) < self.0
    }

    /// What a pick costs at a target with `load` requests: the load it would have, over the weight. An idle target costs 1
    /// whatever its weight: whether a light one takes part at all was drawn before, and if its weight counted again
    /// it would get nothing while others are idle too.
    pub fn cost(self, load: u32) -> f64 {
        let after = f64::from(load) + 1.0;
        // Nearly all targets nearly always: not worth a division.
        if load == 0 || self == Weight::FULL {
            after
        } else {
            after / self.share()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_stay_within_their_bounds() {
        assert_eq!(Weight::of(0.0), Weight::LEAST);
        assert_eq!(Weight::of(7.0), Weight::FULL);
        assert_eq!(Weight::of(0.5).times(Weight::of(0.5)), Weight::of(0.25));
        assert_eq!(Weight::LEAST.times(Weight::LEAST), Weight::LEAST);
        assert_eq!((Weight::LEAST.level(), Weight::FULL.level()), (1, Weight::LEVELS));
        assert!(Weight::FULL.takes_part(u64::MAX));
        let taken = (0..65_536_u64)
            .filter(|&draw| Weight::of(0.25).takes_part(draw))
            .count();
        assert_eq!(taken, 16_384);
    }
}
