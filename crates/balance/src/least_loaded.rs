//! Finds the target with the least load over weight: exactly, and in O(1) for any number of targets.
//!
//! Targets are in buckets by load, with one row of buckets for each of 32 levels of weight. A row finds its lowest
//! bucket that is not empty with a bitmap. Setting a target's load moves it between two buckets. Finding the least
//! compares the lowest buckets of the rows in use, which is a single row unless some weight is below full.

use crate::weight::Weight;
use forebay_units::Rng;

const LEVELS: usize = Weight::LEVELS as usize;
/// An empty bucket with room for more targets than this gives its memory back.
const KEPT: usize = 64;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Place {
    /// 1 to 32; 0 if the target is not in the index.
    level: u8,
    load: u32,
    /// Position in its bucket.
    at: u32,
}

#[derive(Clone, Debug, Default)]
struct Row {
    /// Targets by load.
    buckets: Vec<Vec<u32>>,
    /// One bit per bucket: whether it holds a target.
    occupied: Vec<u64>,
    /// No word of `occupied` before this one has a bit set.
    low: usize,
    targets: usize,
}

impl Row {
    fn put(&mut self, target: u32, load: u32) -> u32 {
        let index = load as usize;
        if self.buckets.len() <= index {
            self.buckets.resize_with(index + 1, Vec::new);
            self.occupied.resize(index / 64 + 1, 0);
        }
        let bucket = &mut self.buckets[index];
        bucket.push(target);
        self.occupied[index / 64] |= 1 << (index % 64);
        self.low = self.low.min(index / 64);
        self.targets += 1;
        (bucket.len() - 1) as u32
    }

    /// Takes out the target at position `at`; returns the target that was moved there, if any.
    fn take(&mut self, load: u32, at: u32) -> Option<u32> {
        let index = load as usize;
        let bucket = &mut self.buckets[index];
        bucket.swap_remove(at as usize);
        self.targets -= 1;
        if bucket.is_empty() {
            if bucket.capacity() > KEPT {
                *bucket = Vec::new();
            }
            self.occupied[index / 64] &= !(1 << (index % 64));
            if self.targets == 0 {
                // A row has as many buckets as its highest load ever; that memory is not kept for a row that is no
                // longer in use.
                *self = Row::default();
            }
            return None;
        }
        self.buckets[index].get(at as usize).copied()
    }

    /// The lowest load that a target of this row has.
    fn least(&mut self) -> Option<u32> {
        let words = &self.occupied[self.low.min(self.occupied.len())..];
        let ahead = words.iter().position(|&word| word != 0)?;
        self.low += ahead;
        let bit = self.occupied[self.low].trailing_zeros();
        Some(self.low as u32 * 64 + bit)
    }
}

/// A set of eligible targets, ordered by load and weight. Memory: O(targets + highest load).
#[derive(Clone, Debug)]
pub struct LeastLoadedIndex {
    places: Vec<Place>,
    rows: Vec<Row>,
    /// Bit l - 1 is set if row l holds a target.
    used: u32,
}

impl Default for LeastLoadedIndex {
    fn default() -> Self {
        LeastLoadedIndex {
            places: Vec::new(),
            rows: vec![Row::default(); LEVELS],
            used: 0,
        }
    }
}

impl LeastLoadedIndex {
    /// Inserts a target, or changes its load or weight. O(1), except for growth. Setting the same values again changes
    /// nothing, so any thread that saw a count change may set the present count, whatever others did meanwhile.
    pub fn set(&mut self, target: u32, load: u32, weight: Weight) {
        let level = weight.level() as u8;
        if let Some(place) = self.places.get(target as usize)
            && place.level == level
            && place.load == load
        {
            return;
        }
        self.remove(target);
        let index = target as usize;
        if self.places.len() <= index {
            self.places.resize(index + 1, Place::default());
        }
        let at = self.rows[usize::from(level) - 1].put(target, load);
        self.used |= 1 << (level - 1);
        self.places[index] = Place { level, load, at };
    }

    /// Removes a target. O(1).
    pub fn remove(&mut self, target: u32) {
        let Some(place) = self.places.get_mut(target as usize) else {
            return;
        };
        let Place { level, load, at } = core::mem::take(place);
        if level == 0 {
            return;
        }
        let row = &mut self.rows[usize::from(level) - 1];
        if let Some(moved) = row.take(load, at) {
            self.places[moved as usize].at = at;
        }
        if row.targets == 0 {
            self.used &= !(1 << (level - 1));
        }
    }

    /// Whether the target is in the index.
    pub fn contains(&self, target: u32) -> bool {
        self.places
            .get(target as usize)
            .is_some_and(|place| place.level != 0)
    }

    /// A hint that a target is about to get a higher load: fetches the memory that this will touch while the caller
    /// fetches its own. Changes nothing.
    pub fn foresee(&self, target: u32) {
        let Some(place) = self.places.get(target as usize).filter(|place| place.level != 0) else {
            return;
        };
        let row = &self.rows[usize::from(place.level) - 1];
        let last = row
            .buckets
            .get(place.load as usize)
            .and_then(|bucket| bucket.last());
        core::hint::black_box(
            last.and_then(|&last| self.places.get(last as usize))
                .map(|place| place.at),
        );
    }

    /// Number of targets in the index.
    pub fn len(&self) -> usize {
        self.rows.iter().map(|row| row.targets).sum()
    }

    /// Whether it holds no target.
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// A target of least cost ([`Weight::cost`]). While targets of the highest weight are idle, an idle one, drawn by
    /// weight. Otherwise ties are broken at random, and a lower level takes part with a chance in proportion to its
    /// weight. O(levels in use).
    pub fn least(&mut self, rng: &mut Rng) -> Option<u32> {
        let top = 32 - self.used.leading_zeros();
        if top == 0 {
            return None;
        }
        let load = self.rows[top as usize - 1].least()?;
        if self.used.count_ones() == 1 {
            return Some(pick(&self.rows[top as usize - 1].buckets[load as usize], rng));
        }
        if load == 0 {
            return self.idle(rng);
        }
        let lowest = rng.below(u64::from(top)) as u32;
        // The rows that tie for the least cost, and that cost as a fraction.
        let (mut tied, mut best, mut targets) = (0_u32, (u64::MAX, 1_u64), 0);
        for level in levels(self.used >> lowest << lowest) {
            let row = &mut self.rows[level as usize];
            let Some(load) = row.least() else { continue };
            let cost = fraction(load, level + 1);
            let (this, least) = (
                u128::from(cost.0) * u128::from(best.1),
                u128::from(best.0) * u128::from(cost.1),
            );
            if this < least {
                (tied, best, targets) = (0, cost, 0);
            }
            if this <= least {
                tied |= 1 << level;
                targets += row.buckets[load as usize].len() as u64;
            }
        }
        let mut at = rng.below(targets);
        for level in levels(tied) {
            let row = &mut self.rows[level as usize];
            let load = row.least()?;
            let bucket = &row.buckets[load as usize];
            match bucket.get(at as usize) {
                Some(&target) => return Some(target),
                None => at -= bucket.len() as u64,
            }
        }
        None
    }

    /// An idle target, drawn by weight.
    fn idle(&self, rng: &mut Rng) -> Option<u32> {
        let idle = |level: u32| {
            self.rows[level as usize]
                .buckets
                .first()
                .map_or(&[][..], |bucket| bucket)
        };
        let share = |level: u32| idle(level).len() as u64 * u64::from(level + 1);
        let mut at = rng.below(levels(self.used).map(share).sum());
        for level in levels(self.used) {
            if at < share(level) {
                return idle(level).get((at / u64::from(level + 1)) as usize).copied();
            }
            at -= share(level);
        }
        None
    }

    /// Like [`Self::least`], but never one of `besides`. O(besides).
    pub fn least_besides(&mut self, besides: &[u32], rng: &mut Rng) -> Option<u32> {
        let mut away = Vec::new();
        for &target in besides {
            if let Some(&place) = self.places.get(target as usize)
                && place.level != 0
            {
                away.push((target, place));
                self.remove(target);
            }
        }
        let least = self.least(rng);
        for (target, place) in away {
            // The weight of the level is enough: it puts the target back into the same row.
            self.set(
                target,
                place.load,
                Weight::from_parts(u32::from(place.level) << 11),
            );
        }
        least
    }
}

fn pick(bucket: &[u32], rng: &mut Rng) -> u32 {
    match bucket {
        [only] => *only,
        _ => bucket[rng.below(bucket.len() as u64) as usize],
    }
}

/// The numbers of the bits that are set, ascending.
fn levels(mut bits: u32) -> impl Iterator<Item = u32> {
    core::iter::from_fn(move || {
        let level = (bits != 0).then(|| bits.trailing_zeros())?;
        bits &= bits - 1;
        Some(level)
    })
}

/// [`Weight::cost`] of a level as an exact fraction: numerator and denominator.
fn fraction(load: u32, level: u32) -> (u64, u64) {
    if load == 0 {
        (1, 1)
    } else {
        ((u64::from(load) + 1) * LEVELS as u64, u64::from(level))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use forebay_units::Rng;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    impl LeastLoadedIndex {
        fn check_invariants(&self) {
            let mut seen = 0;
            for (level, row) in (1_u32..).zip(&self.rows) {
                assert_eq!(self.used & (1 << (level - 1)) != 0, row.targets > 0);
                for (load, bucket) in row.buckets.iter().enumerate() {
                    let bit = row.occupied[load / 64] >> (load % 64) & 1;
                    assert_eq!(bit == 1, !bucket.is_empty());
                    assert!(bucket.is_empty() || load / 64 >= row.low);
                    for (at, &target) in bucket.iter().enumerate() {
                        seen += 1;
                        let place = self.places[target as usize];
                        assert_eq!(
                            place,
                            Place {
                                level: level as u8,
                                load: load as u32,
                                at: at as u32
                            }
                        );
                    }
                }
            }
            assert_eq!(seen, self.len());
            assert_eq!(seen, self.places.iter().filter(|place| place.level != 0).count());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn it_equals_a_search_of_all_targets(
            steps in proptest::collection::vec((0_u32..24, 0_u32..5, 0_u32..40), 1..200),
            light in any::<bool>(),
            seed in any::<u64>(),
        ) {
            let mut least_loaded = LeastLoadedIndex::default();
            let mut model: BTreeMap<u32, (u32, u32)> = BTreeMap::new();
            let mut rng = Rng::named(seed, "board");
            for (target, act, number) in steps {
                match act {
                    0 => {
                        least_loaded.remove(target);
                        model.remove(&target);
                    }
                    _ => {
                        let level = if light { 1 + number % 32 } else { 32 };
                        // Some loads are far apart, as with WebSockets.
                        let load = if act == 1 { number * 100 } else { number / 8 };
                        least_loaded.set(target, load, Weight::from_parts(level << 11));
                        model.insert(target, (load, level));
                    }
                }
                least_loaded.check_invariants();
                let besides = [target, (target + 1) % 24];
                let found = least_loaded.least_besides(&besides, &mut rng);
                least_loaded.check_invariants();
                check(&model, &besides, found)?;
                let found = least_loaded.least(&mut rng);
                check(&model, &[], found)?;
            }
        }
    }

    /// The result costs the least of some of the highest levels; lower ones may not have taken part.
    fn check(
        model: &BTreeMap<u32, (u32, u32)>,
        besides: &[u32],
        found: Option<u32>,
    ) -> Result<(), TestCaseError> {
        let there = || model.iter().filter(|(target, _)| !besides.contains(target));
        let Some(found) = found else {
            prop_assert_eq!(there().count(), 0);
            return Ok(());
        };
        prop_assert!(!besides.contains(&found));
        let cost = |(load, level): (u32, u32)| Weight::from_parts(level << 11).cost(load);
        let (load, level) = model[&found];
        for (_, &other) in there().filter(|(_, other)| other.1 >= level) {
            prop_assert!(cost((load, level)) <= cost(other) + 1e-9);
        }
        Ok(())
    }

    #[test]
    fn ties_are_broken_by_lot() {
        let (mut least_loaded, mut rng) = (LeastLoadedIndex::default(), Rng::named(1, "ties"));
        for target in 0..10 {
            least_loaded.set(target, 3, Weight::FULL);
        }
        least_loaded.set(10, 4, Weight::FULL);
        let mut counts = [0_u32; 11];
        for _ in 0..10_000 {
            counts[least_loaded.least(&mut rng).unwrap() as usize] += 1;
        }
        assert_eq!(counts[10], 0);
        assert!(
            counts[..10].iter().all(|count| (850..1_150).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn a_light_idle_target_gets_its_share_and_no_more_than_its_weight_under_load() {
        let (mut least_loaded, mut rng) = (LeastLoadedIndex::default(), Rng::named(2, "light"));
        for target in 0..4 {
            least_loaded.set(target, 0, Weight::FULL);
        }
        least_loaded.set(4, 0, Weight::of(0.25));
        let picked = (0..20_000)
            .filter(|_| least_loaded.least(&mut rng) == Some(4))
            .count();
        // A quarter of one in four and a quarter.
        assert!((1_050..1_300).contains(&picked), "{picked}");
        let mut loads = [20, 20, 20, 20, 0];
        for (target, &load) in (0..).zip(&loads) {
            least_loaded.set(target, load, Weight::of(if target == 4 { 0.25 } else { 1.0 }));
        }
        for _ in 0..2_000 {
            let target = least_loaded.least(&mut rng).unwrap();
            loads[target as usize] += 1;
            least_loaded.set(
                target,
                loads[target as usize],
                Weight::of(if target == 4 { 0.25 } else { 1.0 }),
            );
            let least = *loads[..4].iter().min().unwrap();
            assert!(loads[4] <= (least + 1) / 4, "{loads:?}");
        }
        assert!(loads[4] > 100, "{loads:?}");
    }
}
