//! A group over minutes, five seconds at a time.

use super::record::*;
use super::*;
use crate::weight::Weight;
use forebay_units::Rng;
use proptest::prelude::*;

const MITIGATE: Policy = Policy {
    mitigate: true,
    latency: false,
};

/// Targets that each fail with some chance, and get traffic by weight.
struct Fleet {
    records: Vec<PeerRecord>,
    /// Chance of failure of each, in thousandths.
    failing: Vec<u64>,
    /// Latency of each, in milliseconds.
    millis: Vec<u64>,
    rng: Rng,
    changes: Vec<(usize, Change)>,
}

impl Fleet {
    fn of(count: usize, seed: u64) -> Fleet {
        Fleet {
            records: vec![PeerRecord::default(); count],
            failing: vec![3; count],
            millis: vec![20; count],
            rng: Rng::named(seed, "fleet"),
            changes: Vec::new(),
        }
    }

    /// One window with `requests` requests per target on average.
    fn window(&mut self, requests: u64, policy: Policy) {
        let whole: f64 = self.records.iter().map(|record| record.weight().share()).sum();
        let count = self.records.len() as f64;
        let mut subjects = Vec::new();
        for (index, record) in self.records.iter_mut().enumerate() {
            let mean = requests as f64 * count * record.weight().share() / whole;
            // Roughly Poisson: twice as many tries, each with half the chance.
            let tries = (mean * 2.0).ceil() as u64;
            let got = (0..tries).filter(|_| self.rng.below(1000) < 500).count() as u64;
            let errors = (0..got)
                .filter(|_| self.rng.below(1000) < self.failing[index])
                .count() as u64;
            let mut latencies = Latencies::default();
            for _ in 0..got {
                let heavy = self.rng.below(10) == 0;
                let millis =
                    self.millis[index] * if heavy { 100 } else { 1 } / 2 + self.rng.below(self.millis[index]);
                latencies.0[latency_class(millis * 1000)] += 1;
            }
            let counts = Counts {
                requests: got,
                errors,
                connections: 0,
            };
            subjects.push(Subject {
                record,
                counts,
                latencies: Some(latencies),
                side: 0,
            });
        }
        self.changes = look(&mut subjects, policy);
    }

    fn mitigated(&self) -> usize {
        self.records.iter().filter(|record| record.is_mitigated()).count()
    }
}

#[test]
fn a_failing_target_is_cut_in_two_looks_and_back_within_a_minute() {
    for (targets, requests) in [(5, 200), (20, 50), (5, 20), (3, 40)] {
        let mut fleet = Fleet::of(targets, 1);
        for _ in 0..24 {
            fleet.window(requests, MITIGATE);
            assert_eq!(fleet.changes, [], "{targets} targets, {requests} requests");
        }
        fleet.failing[2] = 1000;
        fleet.window(requests / 2, MITIGATE);
        fleet.window(requests, MITIGATE);
        assert_eq!(fleet.records[2].weight(), Weight::of(0.1));
        assert!(fleet.records[2].is_anomalous());
        for _ in 0..12 {
            fleet.window(requests, MITIGATE);
        }
        assert_eq!(
            fleet.records[2].weight(),
            Weight::of(0.1),
            "{targets}, {requests}"
        );
        fleet.failing[2] = 3;
        let mut weights = Vec::new();
        for _ in 0..11 {
            fleet.window(requests, MITIGATE);
            weights.push(fleet.records[2].weight().share());
        }
        assert_eq!(fleet.mitigated(), 0, "{targets}, {requests}: {weights:?}");
        assert!(weights.is_sorted(), "{weights:?}");
        assert!(fleet.records.iter().all(|record| !record.is_anomalous()));
    }
}

#[test]
fn evidence_gathers_at_one_request_in_five_seconds() {
    let mut fleet = Fleet::of(5, 3);
    fleet.failing[4] = 1000;
    for _ in 0..24 {
        fleet.window(1, MITIGATE);
    }
    assert!(fleet.records[4].is_mitigated());
    assert_eq!(fleet.mitigated(), 1);
}

#[test]
fn at_most_half_are_cut_the_worst_first() {
    let mut fleet = Fleet::of(6, 4);
    fleet.failing = vec![3, 3, 3, 300, 800, 500];
    fleet.window(400, MITIGATE);
    fleet.window(400, MITIGATE);
    assert_eq!(fleet.mitigated(), 3);
    // Five of six are bad, so the base is bad as well and there is nothing to compare with.
    fleet.failing = vec![3, 900, 900, 900, 900, 900];
    for _ in 0..12 {
        fleet.window(400, MITIGATE);
        assert!(fleet.mitigated() <= 3);
    }
}

#[test]
fn without_mitigation_weights_stay() {
    let mut fleet = Fleet::of(4, 5);
    let policy = Policy {
        mitigate: false,
        ..MITIGATE
    };
    fleet.failing[0] = 500;
    for _ in 0..3 {
        fleet.window(100, policy);
    }
    assert!(fleet.records[0].is_anomalous());
    assert_eq!(fleet.mitigated(), 0);
    fleet.window(100, MITIGATE);
    fleet.window(100, MITIGATE);
    assert_eq!(fleet.mitigated(), 1);
    fleet.window(100, policy);
    assert_eq!(fleet.changes[0].1.why, Why::NotMitigated);
    assert_eq!(fleet.mitigated(), 0);
}

#[test]
fn slow_targets_are_found_and_heavy_requests_are_not_mistaken() {
    let policy = Policy {
        mitigate: true,
        latency: true,
    };
    let mut fleet = Fleet::of(5, 6);
    for _ in 0..24 {
        fleet.window(60, policy);
        assert_eq!(fleet.changes, []);
    }
    fleet.millis[1] = 100;
    for _ in 0..4 {
        fleet.window(60, policy);
    }
    assert!(fleet.records[1].is_mitigated());
    let text = fleet.records[1].change().unwrap().to_string();
    assert!(
        text.starts_with("median latency ") && text.ends_with("weight 1.00 -> 0.10"),
        "{text}"
    );
    for _ in 0..6 {
        fleet.window(60, policy);
    }
    assert_eq!(fleet.records[1].weight(), Weight::of(0.1));
    fleet.millis[1] = 20;
    for _ in 0..12 {
        fleet.window(60, policy);
    }
    assert_eq!(fleet.mitigated(), 0);
}

#[test]
fn reasons_read_like_sentences() {
    let evidence = Evidence {
        signal: Signal::Errors,
        own: 0.124,
        peers: 0.003,
        requests: 2310,
    };
    let change = Change {
        anomalous: true,
        why: Why::Unlike(evidence),
        from: Weight::FULL,
        to: Weight::of(0.1),
    };
    assert_eq!(
        change.to_string(),
        "5xx 12.4 % against 0.3 % of peers, 2,310 requests, weight 1.00 -> 0.10"
    );
    assert_eq!(Grouped(1_002_003).to_string(), "1,002,003");
}

proptest! {
    #[test]
    fn no_sequence_panics_or_cuts_more_than_half(
        windows in proptest::collection::vec(
            (proptest::collection::vec((0_u64..60, 0_u64..60, 0_u64..20), 0..9), any::<bool>(), any::<bool>()),
            1..40,
        ),
    ) {
        let mut records = vec![PeerRecord::default(); 9];
        for (counts, mitigate, latency) in windows {
            let mut subjects: Vec<Subject<'_>> = records
                .iter_mut()
                .zip(&counts)
                .enumerate()
                .map(|(index, (record, &(good, errors, connections)))| {
                    let mut latencies = Latencies::default();
                    latencies.0[(good as usize * 7) % CLASSES] = good as u32;
                    let counts = Counts { requests: good + errors + connections, errors, connections };
                    Subject { record, counts, latencies: Some(latencies), side: index as u64 % 2 }
                })
                .collect();
            look(&mut subjects, Policy { mitigate, latency });
            let compared = counts.len();
            for side in 0..2 {
                let there = (0..compared).filter(|index| index % 2 == side);
                let cut = there.clone().filter(|&index| records[index].is_mitigated()).count();
                // Targets that were mitigated while more were compared stay so until they are judged.
                if compared == 9 {
                    prop_assert!(cut <= there.count() / 2 + 1);
                }
                if !mitigate || compared < FEWEST_HEALTHY {
                    prop_assert_eq!(cut, 0);
                }
            }
        }
    }
}
