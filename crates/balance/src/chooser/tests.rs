//! What holds of every algorithm.

use super::*;
use crate::testing::Room;
use crate::weight::Weight;
use proptest::prelude::*;

/// Picks of each seat; all requests are over at once, so that only weights count.
fn shares(algorithm: Algorithm, room: &Room, picks: u32, seed: u64) -> Vec<u32> {
    let (mut chooser, mut draws) = (Chooser::new(algorithm), Stream::named(seed, "shares"));
    let mut counts = vec![0; room.count()];
    for _ in 0..picks {
        let seat = chooser.choose(Mono::ZERO, room, &mut draws).unwrap();
        counts[seat] += 1;
        room.put(seat, 0);
    }
    counts
}

/// Pearson's statistic for counts against shares in proportion to weights.
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
            let counts = shares(algorithm, &Room::weighing(weights.clone()), 40_000, seed);
            let chi = chi_square(&counts, &weights);
            // 7 degrees of freedom: 29.9 is exceeded once in 10,000.
            assert!(
                chi < 29.9,
                "{algorithm:?} seed {seed}: chi-square {chi}: {counts:?}"
            );
        }
    }
}

/// Seats read for a pick do not grow with their number, and there are few, even if nearly all are light.
#[test]
fn a_pick_reads_few_seats() {
    for algorithm in Algorithm::ALL {
        for light in [false, true] {
            let mut weights = vec![if light { Weight::LEAST } else { Weight::FULL }; 10_000];
            weights[0] = Weight::FULL;
            let room = Room::weighing(weights);
            let (mut chooser, mut draws) = (Chooser::new(algorithm), Stream::named(6, "reads"));
            // Round robin's credits are drawn at the first visit.
            let warm = 2_000;
            for number in 0..3 * warm {
                if number == warm {
                    room.reads.set(0);
                }
                let _ = chooser.choose(Mono::ZERO, &room, &mut draws);
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
        seats in 0_usize..12,
        out in proptest::collection::btree_set(0_usize..12, 0..12),
        loads in proptest::collection::vec(0_u32..200, 12),
        weights in proptest::collection::vec(0_u32..70_000, 12),
        seed in any::<u64>(),
    ) {
        for algorithm in Algorithm::ALL {
            let mut room = Room::weighing(weights[..seats].iter().map(|&parts| Weight::from_parts(parts)).collect());
            for (seat, &load) in loads.iter().enumerate().take(seats) {
                room.put(seat, load);
            }
            room.passed_over = out.iter().copied().filter(|&seat| seat < seats).collect();
            let left = seats - room.passed_over.len();
            let (mut chooser, mut draws) = (Chooser::new(algorithm), Stream::named(seed, "any"));
            for _ in 0..20 {
                match chooser.choose(Mono::ZERO, &room, &mut draws) {
                    Some(seat) => prop_assert!(seat < seats && !out.contains(&seat)),
                    None => prop_assert_eq!(left, 0, "{:?}", algorithm),
                }
            }
        }
    }

    #[test]
    fn same_seed_same_picks(seed in any::<u64>(), seats in 1_usize..40) {
        for algorithm in Algorithm::ALL {
            let run = || {
                let room = Room::of(seats);
                let (mut chooser, mut draws) = (Chooser::new(algorithm), Stream::named(seed, "same"));
                (0..100).map(|_| chooser.choose(Mono::ZERO, &room, &mut draws)).collect::<Vec<_>>()
            };
            prop_assert_eq!(run(), run());
        }
    }

    /// Without departures least outstanding requests fills all seats evenly: no two differ by more than one.
    #[test]
    fn least_outstanding_requests_levels_loads(seed in any::<u64>(), seats in 1_usize..40, picks in 0_usize..300) {
        let room = Room::of(seats);
        let mut chooser = Chooser::new(Algorithm::LeastOutstandingRequests);
        let mut draws = Stream::named(seed, "level");
        for _ in 0..picks {
            chooser.choose(Mono::ZERO, &room, &mut draws);
        }
        let loads: Vec<u32> = (0..seats).map(|seat| room.at(seat)).collect();
        prop_assert!(loads.iter().max().unwrap() - loads.iter().min().unwrap() <= 1);
    }
}
