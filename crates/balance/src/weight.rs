//! A target's fraction of an equal share of requests: slow start times anomaly mitigation times its own weight.

/// A weight from [`Weight::LEAST`] to [`Weight::FULL`], in parts of 65,536.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Weight(u32);

impl Weight {
    /// An equal share.
    pub const FULL: Weight = Weight(1 << 16);
    /// 1/32: the least that a target in service gets. So it is still measured and warmed up, and drawing by weight
    /// takes at worst 32 draws on average.
    pub const LEAST: Weight = Weight(1 << 11);
    /// Number of levels that a [`crate::LeastLoadedIndex`] distinguishes.
    pub const LEVELS: u32 = 32;

    /// The weight nearest to this fraction of 1.
    pub fn of(share: f64) -> Weight {
        Weight::from_parts((share * f64::from(Weight::FULL.0)) as u32)
    }

    /// The inverse of [`Weight::parts`].
    pub fn from_parts(parts: u32) -> Weight {
        Weight(parts.clamp(Weight::LEAST.0, Weight::FULL.0))
    }

    /// The weight in parts of 65,536.
    pub const fn parts(self) -> u32 {
        self.0
    }

    /// The weight as a fraction of 1.
    pub fn share(self) -> f64 {
        f64::from(self.0) / f64::from(Weight::FULL.0)
    }

    /// The product of both.
    #[must_use]
    pub fn times(self, other: Weight) -> Weight {
        Weight::from_parts(((u64::from(self.0) * u64::from(other.0)) >> 16) as u32)
    }

    /// Level 1 to 32, rounded down, so that no target gets more from an index than its weight allows.
    pub const fn level(self) -> u32 {
        self.0 >> 11
    }

    /// Whether a target of this weight takes part in a pick with this draw: true for that fraction of all draws. Uses
    /// only the low 16 bits.
    pub const fn takes_part(self, draw: u64) -> bool {
        ((draw & 0xffff) as u32) < self.0
    }

    /// The cost of a pick at a target with `load` requests: the load that it would then have, over the weight. An idle
    /// target costs 1 whatever its weight. Whether a light target takes part at all was drawn before; if its weight
    /// counted again, it would get nothing while others are idle too.
    pub fn cost(self, load: u32) -> f64 {
        let after = f64::from(load) + 1.0;
        // True of nearly all targets nearly always, and it saves a division.
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
