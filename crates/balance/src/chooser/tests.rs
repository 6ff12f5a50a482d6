//! Properties of every algorithm.

use super::*;
use crate::testing::TestTargets;
use crate::weight::Weight;
use forebay_units::Rng;
use proptest::prelude::*;

/// Picks of each target. All requests end at once, so that only weights count.
fn shares(algorithm: Algorithm, room: &TestTargets, picks: u32, seed: u64) -> Vec<u32> {
    let (mut chooser, mut rng) = (Chooser::new(algorithm), Rng::named(seed, "shares"));
    let mut counts = vec![0; room.count()];
    for _ in 0..picks {
        let index = chooser.choose(Mono::ZERO, room, &mut rng).unwrap();
        counts[index] += 1;
        room.put(index, 0);
    }
    counts
}

/// Pearson's chi-square statistic for counts against shares in proportion to weights.
fn chi_square(counts: &[u32], weights: &[Weight]) -> f64 {
    let total: f64 = counts.iter().map(|&count| f64::from(count)).sum();
    let whole: f64 = weights.iter().map(|weight| weight.share()).sum();
    counts
        .iter()
        .zip(weights)
        .map(|(&count, weight)| {
            let wanted = total * weight.share() / whole;
            (f64::from(count) - wanted).powi(2) / wanted
        })
        .sum()
}

#[test]
fn shares_converge_to_weights() {
    let weights: Vec<Weight> = [1.0, 1.0, 0.5, 0.25, 0.125, 1.0, 0.75, 0.5]
        .map(Weight::of)
        .to_vec();
    for algorithm in Algorithm::ALL {
        for seed in 0..5 {
            let counts = shares(algorithm, &TestTargets::weighing(weights.clone()), 40_000, seed);
            let chi = chi_square(&counts, &weights);
            // 7 degrees of freedom: 29.9 is exceeded once in 10,000.
            assert!(
                chi < 29.9,
                "{algorithm:?} seed {seed}: chi-square {chi}: {counts:?}"
            );
        }
    }
}

/// The targets read per pick do not grow with their number and are few, even if nearly all are light.
#[test]
fn a_pick_reads_few_targets() {
    for algorithm in Algorithm::ALL {
        for light in [false, true] {
            let mut weights = vec![if light { Weight::LEAST } else { Weight::FULL }; 10_000];
            weights[0] = Weight::FULL;
            let room = TestTargets::weighing(weights);
            let (mut chooser, mut rng) = (Chooser::new(algorithm), Rng::named(6, "reads"));
            // Round robin draws its credits at the first visit.
            let warm = 2_000;
            for number in 0..3 * warm {
                if number == warm {
                    room.reads.set(0);
                }
                let _ = chooser.choose(Mono::ZERO, &room, &mut rng);
                room.settle_one(number);
            }
            let reads = room.reads.get() / (2 * warm);
            let most = if light { 4 * 40 } else { 8 };
            assert!(
                reads <= most,
                "{algorithm:?}, light {light}: {reads} reads a pick"
            );
        }
    }
}

proptest! {
    #[test]
    fn none_picks_what_is_passed_over_and_each_finds_what_is_left(
        targets in 0_usize..12,
        out in proptest::collection::btree_set(0_usize..12, 0..12),
        loads in proptest::collection::vec(0_u32..200, 12),
        weights in proptest::collection::vec(0_u32..70_000, 12),
        seed in any::<u64>(),
    ) {
        for algorithm in Algorithm::ALL {
            let mut room = TestTargets::weighing(weights[..targets].iter().map(|&parts| Weight::from_parts(parts)).collect());
            for (index, &load) in loads.iter().enumerate().take(targets) {
                room.put(index, load);
            }
            room.passed_over = out.iter().copied().filter(|&index| index < targets).collect();
            let left = targets - room.passed_over.len();
            let (mut chooser, mut rng) = (Chooser::new(algorithm), Rng::named(seed, "any"));
            for _ in 0..20 {
                match chooser.choose(Mono::ZERO, &room, &mut rng) {
                    Some(index) => prop_assert!(index < targets && !out.contains(&index)),
                    None => prop_assert_eq!(left, 0, "{:?}", algorithm),
                }
            }
        }
    }

    #[test]
    fn same_seed_same_picks(seed in any::<u64>(), targets in 1_usize..40) {
        for algorithm in Algorithm::ALL {
            let run = || {
                let room = TestTargets::of(targets);
                let (mut chooser, mut rng) = (Chooser::new(algorithm), Rng::named(seed, "same"));
                (0..100).map(|_| chooser.choose(Mono::ZERO, &room, &mut rng)).collect::<Vec<_>>()
            };
            prop_assert_eq!(run(), run());
        }
    }

    /// Without departures, least outstanding requests fills all targets evenly: no two differ by more than one.
    #[test]
    fn least_outstanding_requests_levels_loads(seed in any::<u64>(), targets in 1_usize..40, picks in 0_usize..300) {
        let room = TestTargets::of(targets);
        let mut chooser = Chooser::new(Algorithm::LeastOutstandingRequests);
        let mut rng = Rng::named(seed, "level");
        for _ in 0..picks {
            chooser.choose(Mono::ZERO, &room, &mut rng);
        }
        let loads: Vec<u32> = (0..targets).map(|index| room.at(index)).collect();
        prop_assert!(loads.iter().max().unwrap() - loads.iter().min().unwrap() <= 1);
    }
}
