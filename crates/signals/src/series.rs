//! Series of points by time. New points are a second or a minute wide and older ones wider, as in CloudWatch. Each
//! value is in exactly one point, so that a read over any period returns everything that was put, once.

use crate::summary::Summary;
use core::ops::{Range, RangeBounds};
use std::collections::BTreeMap;

/// The widths of points and how long each is kept, in seconds. The first is for high-resolution metrics.
pub const TIERS: [Tier; 4] = [
    Tier {
        width: 1,
        kept: 15 * 60,
    },
    Tier {
        width: 60,
        kept: 15 * 24 * 3600,
    },
    Tier {
        width: 300,
        kept: 63 * 24 * 3600,
    },
    Tier {
        width: 3600,
        kept: 455 * 24 * 3600,
    },
];

/// A width of points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tier {
    /// Width of a point in seconds.
    pub width: i64,
    /// How long a point is kept, in seconds; after that it is merged into a wider one, or dropped.
    pub kept: i64,
}

/// The resolution of a new point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// One second.
    High,
    /// Sixty seconds.
    Standard,
}

/// Identifies a series.
pub trait Key: Ord + Clone {
    /// Approximate size in bytes.
    fn bytes(&self) -> usize;
}

/// The limits of a store.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Maximum number of series. Their keys may take half of all bytes. Further series are refused.
    pub series: usize,
    /// Approximate maximum of bytes. Beyond it the oldest points of the finest width are dropped first.
    pub bytes: usize,
}

/// The maximum number of series exists, or their keys take as much memory as they may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{series} metrics are stored already, and there is no room for another")]
pub struct TooManySeries {
    /// Number of existing series.
    pub series: usize,
}

/// Cost of a point besides its summary: its key in a tree, and its part of the tree's nodes.
const POINT: usize = 24;
/// Cost of a series besides its key and its points.
const SERIES: usize = 160;

/// Cost of a tree's first node for points that do not exist yet: it has room for eleven.
const NODE: usize = 10 * (size_of::<i64>() + size_of::<Summary>());

/// Cost of a tier's tree besides its points.
fn room(tier: &BTreeMap<i64, Summary>) -> usize {
    if tier.is_empty() { 0 } else { NODE }
}

#[derive(Debug, Default)]
struct Points {
    /// Points by tier, and by the second at which they begin.
    tiers: [BTreeMap<i64, Summary>; TIERS.len()],
}

impl Points {
    fn newest(&self) -> Option<i64> {
        let newest = self.tiers.iter().filter_map(|tier| tier.keys().next_back());
        newest.max().copied()
    }
}

/// A point, or what is added to one.
#[derive(Clone, Debug)]
pub struct Point<K> {
    /// The series.
    pub key: K,
    /// The width, as an index into [`TIERS`].
    pub tier: usize,
    /// The second at which it begins.
    pub second: i64,
    /// The values.
    pub summary: Summary,
}

/// All series, identified by `K`.
#[derive(Debug)]
pub struct Store<K> {
    limits: Limits,
    series: BTreeMap<K, Points>,
    /// Cost of the series apart from their points.
    key_bytes: usize,
    /// For each tier, the second before which points were merged into wider ones.
    widened: [i64; TIERS.len()],
    bytes: usize,
    dropped: u64,
}

impl<K: Key> Store<K> {
    /// An empty store.
    pub fn new(limits: Limits) -> Store<K> {
        Store {
            limits,
            series: BTreeMap::new(),
            key_bytes: 0,
            widened: [i64::MIN; TIERS.len()],
            bytes: 0,
            dropped: 0,
        }
    }

    /// Adds a measurement at this second; returns the point that it went into. O(log series).
    ///
    /// # Errors
    /// If it is the first point of a series for which there is no room.
    pub fn put(
        &mut self,
        key: &K,
        second: i64,
        resolution: Resolution,
        summary: Summary,
    ) -> Result<Point<K>, TooManySeries> {
        let narrowest = match resolution {
            Resolution::High => 0,
            Resolution::Standard => 1,
        };
        // A late measurement goes where the others of its time already are.
        let tier = (narrowest..TIERS.len()).find(|&tier| second >= self.widened[tier]);
        // The stored key, because keys that share their contents cost nothing extra.
        let kept = self.series.get_key_value(key);
        let point = Point {
            key: kept.map_or(key, |(kept, _)| kept).clone(),
            tier: tier.unwrap_or(TIERS.len() - 1),
            second,
            summary,
        };
        self.restore(&point)?;
        Ok(point)
    }

    /// Adds a point that [`Store::put`] or [`Store::compact`] reported, for instance after a restart.
    ///
    /// # Errors
    /// If it is the first point of a series for which there is no room.
    pub fn restore(&mut self, point: &Point<K>) -> Result<(), TooManySeries> {
        let (key, tier) = (&point.key, point.tier.min(TIERS.len() - 1));
        if point.second < self.widened[tier] {
            // It was reported again as part of a wider point.
            return Ok(());
        }
        if !self.series.contains_key(key) {
            let cost = SERIES + key.bytes();
            let series = self.series.len();
            if series >= self.limits.series || self.key_bytes + cost > self.limits.bytes / 2 {
                return Err(TooManySeries { series });
            }
            self.key_bytes += cost;
            self.bytes += cost;
            self.series.insert(key.clone(), Points::default());
        }
        if let Some(points) = self.series.get_mut(key) {
            self.bytes += add(
                &mut points.tiers[tier],
                point.second,
                TIERS[tier].width,
                &point.summary,
            );
        }
        if self.bytes > self.limits.bytes {
            self.drop_oldest();
        }
        Ok(())
    }

    /// The points of `period` seconds that begin within `range`, the first at its start, ascending, without empty ones.
    /// A period narrower than the stored points finds none of them. O(points).
    pub fn read(&self, key: &K, range: Range<i64>, period: i64) -> Vec<(i64, Summary)> {
        let Some(points) = self.series.get(key) else {
            return Vec::new();
        };
        let mut found: BTreeMap<i64, Summary> = BTreeMap::new();
        for (tier, points) in TIERS.iter().zip(&points.tiers) {
            // A point wider than the period, or across its bounds, belongs to none of the periods asked for.
            if tier.width > period || period % tier.width != 0 || range.is_empty() {
                continue;
            }
            for (second, summary) in points.range(range.clone()) {
                let begin = second - (second - range.start).rem_euclid(period);
                found
                    .entry(begin)
                    .and_modify(|all| all.merge(summary))
                    .or_insert_with(|| summary.clone());
            }
        }
        found.into_iter().collect()
    }

    /// The series within a range of keys.
    pub fn keys(&self, range: impl RangeBounds<K>) -> impl Iterator<Item = &K> {
        self.series.range(range).map(|(key, _)| key)
    }

    /// All series, each with the second at which its newest point begins.
    pub fn series(&self) -> impl Iterator<Item = (&K, i64)> {
        self.series
            .iter()
            .filter_map(|(key, points)| Some((key, points.newest()?)))
    }

    /// The second before which points of this tier were merged into wider ones.
    pub fn widened(&self, tier: usize) -> i64 {
        self.widened[tier]
    }

    /// Records that points of a tier before `second` were merged into wider ones, for instance after a restart.
    pub fn set_widened(&mut self, tier: usize, second: i64) {
        self.widened[tier] = self.widened[tier].max(second);
    }

    /// Merges points that have reached their age into wider ones and reports what was added to those; drops the oldest
    /// points, and series without points. Call it now and then, for instance every minute. O(points that change +
    /// series).
    pub fn compact(&mut self, now: i64, mut widened: impl FnMut(Point<K>)) {
        let (bytes, key_bytes) = (&mut self.bytes, &mut self.key_bytes);
        // First, so that `put` and `restore` agree from now on which tier a second belongs to.
        for (index, tier) in TIERS.iter().enumerate() {
            self.widened[index] = self.widened[index].max(begins_widening(index, now - tier.kept));
        }
        let until = self.widened;
        self.series.retain(|key, points| {
            for (index, until) in until.iter().enumerate() {
                let before = room(&points.tiers[index]);
                let young = points.tiers[index].split_off(until);
                *bytes -= before - room(&young);
                let old = core::mem::replace(&mut points.tiers[index], young);
                for (second, summary) in old {
                    *bytes -= POINT + summary.bytes();
                    let Some(wider) = TIERS.get(index + 1) else {
                        continue;
                    };
                    *bytes += add(&mut points.tiers[index + 1], second, wider.width, &summary);
                    widened(Point {
                        key: key.clone(),
                        tier: index + 1,
                        second,
                        summary,
                    });
                }
            }
            let stays = points.newest().is_some();
            if !stays {
                let cost = SERIES + key.bytes();
                *bytes -= cost;
                *key_bytes -= cost;
            }
            stays
        });
    }

    /// Number of series.
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether there are no series.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Approximate memory use of all series, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Number of points dropped early for lack of memory.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Frees a sixteenth of all memory: the finest width first, and then by age. O(points log points), and not needed
    /// again soon.
    fn drop_oldest(&mut self) {
        let target = self.limits.bytes - self.limits.bytes / 16;
        for tier in 0..TIERS.len() {
            let mut seconds: Vec<i64> = self
                .series
                .values()
                .flat_map(|points| points.tiers[tier].keys().copied())
                .collect();
            seconds.sort_unstable();
            // In steps, because points differ in size.
            for step in seconds.chunks(seconds.len().div_ceil(16).max(1)) {
                if self.bytes <= target {
                    return;
                }
                let until = step.last().map_or(0, |last| last + 1);
                for points in self.series.values_mut() {
                    let before = room(&points.tiers[tier]);
                    let young = points.tiers[tier].split_off(&until);
                    self.bytes -= before - room(&young);
                    for (_, summary) in core::mem::replace(&mut points.tiers[tier], young) {
                        self.bytes -= POINT + summary.bytes();
                        self.dropped += 1;
                    }
                }
            }
        }
    }
}

/// The second from which points of a tier are kept, if all before `second` have reached their age: a multiple of the
/// next width. Otherwise a read would find part of a wide point twice, or not at all.
fn begins_widening(tier: usize, second: i64) -> i64 {
    let wider = TIERS.get(tier + 1).map_or(1, |tier| tier.width);
    second - second.rem_euclid(wider)
}

/// Adds to the point that contains this second; returns how many bytes the tier has grown.
fn add(tier: &mut BTreeMap<i64, Summary>, second: i64, width: i64, summary: &Summary) -> usize {
    let begin = second - second.rem_euclid(width);
    if let Some(point) = tier.get_mut(&begin) {
        let before = point.bytes();
        point.merge(summary);
        return point.bytes().saturating_sub(before);
    }
    let size = POINT + summary.bytes() + NODE - room(tier);
    tier.insert(begin, summary.clone());
    size
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    impl Key for u8 {
        fn bytes(&self) -> usize {
            1
        }
    }

    impl Key for &'static str {
        fn bytes(&self) -> usize {
            self.len()
        }
    }

    const LIMITS: Limits = Limits {
        series: 3,
        bytes: 1 << 20,
    };

    fn sums(store: &Store<u8>, key: u8, range: Range<i64>, period: i64) -> Vec<(i64, f64)> {
        let read = store.read(&key, range, period);
        read.into_iter()
            .map(|(second, summary)| (second, summary.sum))
            .collect()
    }

    #[test]
    fn points_get_wider_with_age_and_go() {
        let mut store = Store::new(LIMITS);
        for second in [0, 1, 59, 60] {
            store
                .put(&1, second, Resolution::High, Summary::of(1.0, 1.0))
                .unwrap();
        }
        assert_eq!(
            sums(&store, 1, 0..100, 1),
            [(0, 1.0), (1, 1.0), (59, 1.0), (60, 1.0)]
        );
        assert_eq!(sums(&store, 1, 0..100, 60), [(0, 3.0), (60, 1.0)]);
        // The first minute is old enough as a whole.
        store.compact(960, drop);
        assert_eq!(sums(&store, 1, 0..100, 1), [(60, 1.0)]);
        assert_eq!(sums(&store, 1, 0..100, 60), [(0, 3.0), (60, 1.0)]);
        store.compact(16 * 24 * 3600, drop);
        assert_eq!(sums(&store, 1, 0..100, 60), []);
        assert_eq!(sums(&store, 1, 0..100, 300), [(0, 4.0)]);
        store.compact(64 * 24 * 3600, drop);
        assert_eq!(sums(&store, 1, 0..100, 300), []);
        assert_eq!(sums(&store, 1, 0..100, 3600), [(0, 4.0)]);
        store.compact(457 * 24 * 3600, drop);
        assert_eq!((store.series().count(), store.bytes()), (0, 0));
    }

    #[test]
    fn one_series_too_many_is_refused_and_the_others_go_on() {
        let mut store = Store::new(LIMITS);
        let one = || Summary::of(1.0, 1.0);
        for key in 0..3 {
            store.put(&key, 0, Resolution::Standard, one()).unwrap();
        }
        let refused = store.put(&9, 0, Resolution::Standard, one());
        assert_eq!(refused.err(), Some(TooManySeries { series: 3 }));
        store.put(&0, 60, Resolution::Standard, one()).unwrap();
        assert_eq!(store.series().collect::<Vec<_>>(), [(&0, 60), (&1, 0), (&2, 0)]);
    }

    #[test]
    fn long_keys_are_refused_before_they_take_the_memory_of_points() {
        let bytes = 4 * (SERIES + 100);
        let mut store = Store::new(Limits { series: 1000, bytes });
        let keys: Vec<&'static str> = (0..3).map(|number| &*format!("{number:0100}").leak()).collect();
        let put = |store: &mut Store<_>, key| {
            store
                .put(key, 0, Resolution::Standard, Summary::of(1.0, 1.0))
                .map(drop)
        };
        assert_eq!(
            (put(&mut store, &keys[0]), put(&mut store, &keys[1])),
            (Ok(()), Ok(()))
        );
        assert_eq!(put(&mut store, &keys[2]), Err(TooManySeries { series: 2 }));
        // Series that were dropped have made room.
        store.compact(500 * 24 * 3600, drop);
        assert_eq!(store.bytes(), 0);
        store.widened = [i64::MIN; TIERS.len()];
        assert_eq!(put(&mut store, &keys[2]), Ok(()));
    }

    #[test]
    fn past_its_memory_the_oldest_of_the_finest_points_go_first() {
        let mut store = Store::new(LIMITS);
        store
            .put(&1, 0, Resolution::Standard, Summary::of(1.0, 1.0))
            .unwrap();
        for second in 0..20_000 {
            store
                .put(&2, second, Resolution::High, Summary::of(1.0, 1.0))
                .unwrap();
            assert!(store.bytes() <= LIMITS.bytes);
        }
        assert!(store.dropped() > 0);
        // The minute stays, and so do the newest seconds.
        assert_eq!(sums(&store, 1, 0..1, 60), [(0, 1.0)]);
        let kept = sums(&store, 2, 0..20_000, 1);
        assert_eq!(kept.len() as u64, 20_000 - store.dropped());
        assert_eq!(kept.last(), Some(&(19_999, 1.0)));
    }

    #[test]
    fn what_comes_late_goes_to_where_the_others_of_its_time_are() {
        let mut store = Store::new(LIMITS);
        store
            .put(&1, 100, Resolution::High, Summary::of(1.0, 1.0))
            .unwrap();
        store.compact(2_000, drop);
        let late = store
            .put(&1, 110, Resolution::High, Summary::of(1.0, 1.0))
            .unwrap();
        assert_eq!(late.tier, 1);
        assert_eq!(sums(&store, 1, 0..200, 60), [(60, 2.0)]);
    }

    proptest! {
        /// Adding everything that was reported gives the same points, even if some of it was reported twice.
        #[test]
        fn what_is_told_restores_all(
            puts in prop::collection::vec((0_i64..5_000, any::<bool>()), 1..60),
            compactions in prop::collection::vec(0_i64..6_000, 1..4),
        ) {
            let (mut store, mut again) = (Store::new(LIMITS), Store::new(LIMITS));
            let mut told: Vec<Point<u8>> = Vec::new();
            let each = puts.len().div_ceil(compactions.len());
            for (number, (second, high)) in puts.iter().enumerate() {
                let resolution = if *high { Resolution::High } else { Resolution::Standard };
                told.push(store.put(&1, *second, resolution, Summary::of(1.0, 1.0)).unwrap());
                if number % each == each - 1 && let Some(now) = compactions.get(number / each) {
                    store.compact(*now, |point| told.push(point));
                }
            }
            for tier in 0..TIERS.len() {
                again.set_widened(tier, store.widened(tier));
            }
            for point in &told {
                again.restore(point).unwrap();
            }
            for period in [1, 60, 300, 3600] {
                prop_assert_eq!(sums(&store, 1, 0..5_000, period), sums(&again, 1, 0..5_000, period));
            }
        }

        /// Whatever is put and whenever it is compacted: over hours everything is there once, and the bytes match what
        /// is there.
        #[test]
        fn nothing_is_lost_and_nothing_counts_twice(
            puts in prop::collection::vec((0_i64..20_000, any::<bool>(), 1_u8..4), 1..60),
            compactions in prop::collection::vec(0_i64..60_000, 0..6),
        ) {
            let mut store = Store::new(LIMITS);
            let mut wanted: BTreeMap<i64, f64> = BTreeMap::new();
            let each = puts.len().div_ceil(compactions.len() + 1);
            for (number, (second, high, value)) in puts.iter().enumerate() {
                let resolution = if *high { Resolution::High } else { Resolution::Standard };
                store.put(&1, *second, resolution, Summary::of(f64::from(*value), 1.0)).unwrap();
                *wanted.entry(second - second % 3600).or_default() += f64::from(*value);
                if number % each == each - 1 && let Some(now) = compactions.get(number / each) {
                    store.compact(*now, drop);
                }
            }
            prop_assert_eq!(sums(&store, 1, 0..20_000, 3600), wanted.into_iter().collect::<Vec<_>>());
            let bytes: usize = store.series.values().flat_map(|points| &points.tiers).map(|tier| room(tier) + tier.values().map(|summary| POINT + summary.bytes()).sum::<usize>()).sum();
            prop_assert_eq!(store.bytes(), bytes + SERIES + 1);
        }
    }
}
