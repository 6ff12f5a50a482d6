//! The zone for the next launch, and whether zones must be rebalanced.

/// How zones in which launches fail are handled (AWS's `CapacityDistributionStrategy`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ZoneDistribution {
    /// Other zones are used instead.
    #[default]
    BalancedBestEffort,
    /// Launches there are retried, and zones stay balanced.
    BalancedOnly,
}

/// A zone of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// Its name.
    pub name: String,
    /// The group's instances there, including those on their way.
    pub instances: u32,
    /// Whether the last launch there failed and the retry is not due yet, or nothing has room there.
    pub is_failing: bool,
}

/// Index of the zone for the next launch: the one with the fewest instances. `draw` decides between equal ones: given
/// their number it returns a smaller index; `|_| 0` takes the first. `None` if there are no zones, or if launches fail
/// in all that may be used.
pub fn next_zone(
    zones: &[Zone],
    distribution: ZoneDistribution,
    mut draw: impl FnMut(usize) -> usize,
) -> Option<usize> {
    // With balanced-only a failing zone counts too, so that the others wait for it.
    let counts = |zone: &Zone| distribution == ZoneDistribution::BalancedOnly || !zone.is_failing;
    let counted = zones.iter().filter(|zone| counts(zone));
    let fewest = counted.map(|zone| zone.instances).min()?;
    let alike: Vec<usize> = (0..zones.len())
        .filter(|&place| zones[place].instances == fewest && !zones[place].is_failing)
        .collect();
    let last = alike.len().checked_sub(1)?;
    Some(alike[draw(alike.len()).min(last)])
}

/// A move that balances zones: an instance is launched in one zone, and once it is in service, one of another zone is
/// terminated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rebalance {
    /// Index of the zone to launch in.
    pub to: usize,
    /// Index of the zone to terminate in afterwards.
    pub from: usize,
}

/// The move to make if zones differ by more than one instance. Zones in which launches fail get nothing, and a group
/// that is unbalanced because of them is left alone.
pub fn rebalance(zones: &[Zone]) -> Option<Rebalance> {
    let healthy = (0..zones.len()).filter(|&place| !zones[place].is_failing);
    let to = healthy.min_by_key(|&place| zones[place].instances)?;
    // The first of the fullest, as with the emptiest.
    let from = (0..zones.len())
        .rev()
        .max_by_key(|&place| zones[place].instances)?;
    let gap = zones[from].instances.saturating_sub(zones[to].instances);
    (gap > 1).then_some(Rebalance { to, from })
}

/// How far a group may exceed its maximum during rebalancing: a tenth of it, but at least one instance (AWS's rule).
pub fn rebalance_margin(maximum: u32) -> u32 {
    (maximum / 10).max(1)
}

#[cfg(test)]
mod tests {
    use super::ZoneDistribution::*;
    use super::*;
    use proptest::prelude::*;

    /// Counts of instances. A failing zone is written as minus one, minus its count: -1 has none, -3 has two.
    fn zones(counts: &[i32]) -> Vec<Zone> {
        let of = |(&count, name): (&i32, char)| Zone {
            name: name.to_string(),
            instances: if count < 0 { -count - 1 } else { count } as u32,
            is_failing: count < 0,
        };
        counts.iter().zip('a'..).map(of).collect()
    }

    #[test]
    fn the_emptiest_zone_is_next() {
        for (counts, best_effort, only) in [
            (&[][..], None, None),
            (&[0, 0, 0], Some(0), Some(0)),
            (&[1, 0, 0], Some(1), Some(1)),
            (&[2, 2, 1], Some(2), Some(2)),
            // Launches fail in the emptiest one: others are used, or nothing is.
            (&[2, 2, -1], Some(0), None),
            (&[1, -4, 2], Some(0), Some(0)),
            // A failing zone is as empty as another.
            (&[-3, 2, 3], Some(1), Some(1)),
            (&[-1, -1], None, None),
        ] {
            let zones = zones(counts);
            assert_eq!(
                next_zone(&zones, BalancedBestEffort, |_| 0),
                best_effort,
                "{counts:?}"
            );
            assert_eq!(next_zone(&zones, BalancedOnly, |_| 0), only, "{counts:?}");
        }
        let drawn = next_zone(&zones(&[0, 1, 0, 0]), BalancedBestEffort, |alike| alike - 1);
        assert_eq!(drawn, Some(3));
    }

    #[test]
    fn zones_are_made_even_if_they_differ_by_more_than_one() {
        for (counts, wanted) in [
            (&[][..], None),
            (&[5], None),
            (&[2, 1], None),
            (&[2, 0], Some((1, 0))),
            (&[3, 1, 1], Some((1, 0))),
            (&[1, 3, 3], Some((0, 1))),
            // Nothing can be launched in the zone that lacks instances.
            (&[3, 3, -1], None),
            (&[4, 2, -1], Some((1, 0))),
            // The excess in a failing zone may go from there.
            (&[0, -4], Some((0, 1))),
        ] {
            let came = rebalance(&zones(counts)).map(|found| (found.to, found.from));
            assert_eq!(came, wanted, "{counts:?}");
        }
    }

    #[test]
    fn the_maximum_may_be_exceeded_by_a_tenth() {
        for (maximum, margin) in [(0, 1), (1, 1), (19, 1), (20, 2), (105, 10)] {
            assert_eq!(rebalance_margin(maximum), margin, "{maximum}");
        }
    }

    proptest! {
        /// Launches keep balanced zones balanced, with nothing to do afterwards; moves balance any zones, and come to
        /// an end.
        #[test]
        fn zones_become_even(counts in prop::collection::vec(0_i32..12, 1..5), launches in 0_usize..40, seed in any::<usize>()) {
            let spread = |zones: &[Zone]| {
                let counts = zones.iter().map(|zone| zone.instances);
                counts.clone().max().unwrap() - counts.min().unwrap()
            };
            let mut fresh = zones(&vec![0; counts.len()]);
            for _ in 0..launches {
                let place = next_zone(&fresh, BalancedBestEffort, |alike| seed % alike).unwrap();
                fresh[place].instances += 1;
                prop_assert!(spread(&fresh) <= 1 && rebalance(&fresh).is_none());
            }
            let mut uneven = zones(&counts);
            let mut moves = 0;
            while let Some(step) = rebalance(&uneven) {
                uneven[step.to].instances += 1;
                uneven[step.from].instances -= 1;
                moves += 1;
                prop_assert!(moves <= 60);
            }
            prop_assert!(spread(&uneven) <= 1);
        }
    }
}
