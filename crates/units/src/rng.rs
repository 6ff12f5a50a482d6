//! Named streams of pseudo-random numbers, one per purpose. So a new draw in one place does not change the draws in all
//! others, and a run can be replayed from its seed.

use rand_core::{Rng as _, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// A seeded stream of random numbers. Not for secrets.
#[derive(Clone, Debug)]
pub struct Rng(Xoshiro256PlusPlus);

impl Rng {
    /// The stream `name` of the run with this seed.
    pub fn named(seed: u64, name: &str) -> Rng {
        // FNV-1a: stable across builds and platforms, which a replay needs.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Rng(Xoshiro256PlusPlus::seed_from_u64(seed ^ hash))
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `bound`, uniform up to 2^-64 of bias; zero if `bound` is zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// `digits` lower-case hexadecimal digits.
    pub fn hex(&mut self, digits: usize) -> String {
        let mut text = String::with_capacity(digits + 16);
        while text.len() < digits {
            use core::fmt::Write as _;
            let _ = write!(text, "{:016x}", self.next_u64());
        }
        text.truncate(digits);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_and_name_give_the_same_numbers() {
        let (mut a, mut b) = (Rng::named(7, "ids"), Rng::named(7, "ids"));
        let mut other = Rng::named(7, "weights");
        let drawn = a.next_u64();
        assert_eq!(drawn, b.next_u64());
        assert_ne!(drawn, other.next_u64());
        assert_eq!(a.hex(17).len(), 17);
    }

    #[test]
    fn below_stays_below() {
        let mut stream = Rng::named(1, "below");
        assert!((0..1000).all(|_| stream.below(3) < 3));
        assert_eq!(stream.below(0), 0);
    }
}
