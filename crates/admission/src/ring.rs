//! A set of small numbers that is walked in a circle. Finding the next one touches a few words of memory.

/// Numbers below 2^32 in two levels of bits: a bit of `rows` says whether that word of `bits` has any bit set.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    bits: Vec<u64>,
    rows: Vec<u64>,
    after: u32,
}

/// The first set bit of `words` at or after bit `from`.
fn first(words: &[u64], from: usize) -> Option<usize> {
    let mut word = from / 64;
    let mut rest = words.get(word)? & (u64::MAX << (from % 64));
    while rest == 0 {
        word += 1;
        rest = *words.get(word)?;
    }
    Some(word * 64 + rest.trailing_zeros() as usize)
}

impl Ring {
    /// Adds a number or takes it out. O(1); memory grows with the largest number.
    pub(crate) fn set(&mut self, number: u32, within: bool) {
        let (word, bit) = (number as usize / 64, 1 << (number % 64));
        if word >= self.bits.len() {
            if !within {
                return;
            }
            self.bits.resize(word + 1, 0);
            self.rows.resize(word / 64 + 1, 0);
        }
        if within {
            self.bits[word] |= bit;
        } else {
            self.bits[word] &= !bit;
        }
        let row = 1 << (word % 64);
        if self.bits[word] == 0 {
            self.rows[word / 64] &= !row;
        } else {
            self.rows[word / 64] |= row;
        }
    }

    fn at_or_after(&self, number: usize) -> Option<u32> {
        let word = number / 64;
        let rest = self.bits.get(word)? & (u64::MAX << (number % 64));
        let word = if rest != 0 {
            word
        } else {
            first(&self.rows, word + 1)?
        };
        let rest = if word == number / 64 {
            rest
        } else {
            self.bits[word]
        };
        u32::try_from(word * 64 + rest.trailing_zeros() as usize).ok()
    }

    /// The next number after the one taken last, in a circle, that is not in `besides`. Each number passed over costs
    /// at most a word of `rows` per 4,096 numbers.
    pub(crate) fn next(&self, besides: &[u32]) -> Option<u32> {
        let mut from = self.after as usize;
        for _ in 0..=besides.len() {
            let found = self.at_or_after(from).or_else(|| self.at_or_after(0))?;
            if !besides.contains(&found) {
                return Some(found);
            }
            from = found as usize + 1;
        }
        None
    }

    /// Continues the walk after this number.
    pub(crate) fn taken(&mut self, number: u32) {
        self.after = number.wrapping_add(1);
    }

    /// Whether the set is empty.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.iter().all(|&row| row == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn walks_as_a_sorted_set_does(steps in prop::collection::vec((0_u32..9000, prop::bool::ANY, 0_u32..9000), 1..200)) {
            let (mut ring, mut set) = (Ring::default(), BTreeSet::new());
            for (number, within, besides) in steps {
                ring.set(number, within);
                if within { set.insert(number); } else { set.remove(&number); }
                let after = ring.after;
                let mut walk = set.range(after..).chain(set.range(..after)).filter(|&&one| one != besides);
                let next = ring.next(&[besides]);
                prop_assert_eq!(next, walk.next().copied());
                prop_assert_eq!(ring.is_empty(), set.is_empty());
                if let Some(next) = next { ring.taken(next); }
            }
        }
    }
}
