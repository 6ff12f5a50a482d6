//! The test: is a target's share of failures above that of its peers by more than chance, and by enough to matter?
//!
//! The peers are found by forward search (A. Atkinson, M. Riani, "Robust Diagnostic Regression Analysis", 2000). The
//! half with the lowest shares is the base. In ascending order each further target joins it, until one is unlike the
//! base; those left are tested. So the base holds nearly all targets when all are alike, which keeps false alarms rare,
//! and none of the bad ones while they are at most half.
//!
//! The test itself is conditional: given all failures of target and base, how many would fall on the target by chance?
//! Its one-sided tail is bounded as in W. Hoeffding, "Probability Inequalities for Sums of Bounded Random Variables",
//! 1963, theorems 1 and 4 (sampling without replacement). The bound is an upper one, so the stated alarm rate holds at
//! any count, from a handful to millions. The price is that it needs a failure or two more than an exact test.

/// The chance of one false alarm among all targets at one look.
const FALSE_ALARM: f64 = 1e-4;
/// With fewer failures than this, a target is never unlike.
const FEWEST: u64 = 3;
/// The least difference from the base's share that matters, however significant it is.
const EFFECT: f64 = 0.02;

/// Trials, and failures among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trials {
    pub(crate) all: u64,
    pub(crate) failed: u64,
}

impl Trials {
    pub(crate) fn share(self) -> f64 {
        if self.all == 0 {
            0.0
        } else {
            self.failed as f64 / self.all as f64
        }
    }

    pub(crate) fn plus(self, other: Trials) -> Trials {
        Trials {
            all: self.all + other.all,
            failed: self.failed + other.failed,
        }
    }
}

/// The Kullback-Leibler divergence of two Bernoulli distributions, in nats.
fn divergence(p: f64, q: f64) -> f64 {
    let part = |p: f64, q: f64| if p <= 0.0 { 0.0 } else { p * (p / q).ln() };
    part(p, q) + part(1.0 - p, 1.0 - q)
}

/// Bounds the chance that as many of `trials` fail if each fails with chance `share`; natural logarithm.
pub(crate) fn ln_chance(trials: Trials, share: f64) -> f64 {
    if trials.all == 0 || trials.share() <= share {
        return 0.0;
    }
    -(trials.all as f64) * divergence(trials.share(), share)
}

/// The least difference from the base's share that matters.
pub(crate) fn effect(base: f64) -> f64 {
    base.clamp(EFFECT, 0.2)
}

/// Whether `one` is unlike the base at this level (natural logarithm).
fn is_unlike(one: Trials, base: Trials, ln_level: f64) -> bool {
    if one.failed < FEWEST || one.share() < base.share() + effect(base.share()) {
        return false;
    }
    let together = one.plus(base).share();
    // Both bound the same chance: that the target got so many of the failures, and that the base got so few.
    let bound = (one.all as f64 * divergence(one.share(), together))
        .max(base.all as f64 * divergence(base.share(), together));
    -bound < ln_level
}

/// The trials that are unlike the others, worst first, and the base that they were compared with. `looks` is the number
/// of tests of the same targets at once.
pub(crate) fn unlike(all: &[Trials], looks: usize) -> (Vec<usize>, Trials) {
    let mut order: Vec<usize> = (0..all.len()).filter(|&index| all[index].all > 0).collect();
    order.sort_by(|&a, &b| all[a].share().total_cmp(&all[b].share()));
    // Divided by the number of tests (Bonferroni), so that the chance of a false alarm holds for all of them together.
    let ln_level = (FALSE_ALARM / (order.len().max(1) * looks) as f64).ln();
    let half = order.len().div_ceil(2);
    let sum = |some: &[usize]| {
        some.iter()
            .fold(Trials::default(), |sum, &index| sum.plus(all[index]))
    };
    let mut base = sum(&order[..half]);
    for place in half..order.len() {
        let one = all[order[place]];
        if is_unlike(one, base, ln_level) {
            let rest = order[place..].iter().rev().copied();
            // Those further up have higher shares, but may have too few trials to be unlike.
            let found = rest.filter(|&index| is_unlike(all[index], base, ln_level));
            return (found.collect(), base);
        }
        base = base.plus(one);
    }
    (Vec::new(), base)
}

#[cfg(test)]
mod tests {
    use super::*;
    use forebay_units::Rng;

    fn trials(failed: u64, all: u64) -> Trials {
        Trials { all, failed }
    }

    #[test]
    fn few_requests_need_much_and_many_need_little() {
        let found = |one: Trials, other: Trials, peers: usize| {
            let mut all = vec![other; peers];
            all.push(one);
            !unlike(&all, 3).0.is_empty()
        };
        // A black hole among five targets, at one request a second in all: found after a minute.
        assert!(found(trials(12, 12), trials(0, 12), 4));
        assert!(!found(trials(2, 2), trials(0, 2), 4));
        assert!(!found(trials(3, 12), trials(0, 12), 4));
        // Many requests: 12 % of failures against 0.3 %.
        assert!(found(trials(286, 2_310), trials(7, 2_310), 4));
        // Significant, but too small to matter.
        assert!(!found(trials(12_000, 1_000_000), trials(1_000, 1_000_000), 4));
        // All fail, so none is unlike.
        assert!(!found(trials(100, 100), trials(100, 100), 4));
        assert!(found(trials(100, 100), trials(60, 100), 19));
    }

    #[test]
    fn half_may_be_bad() {
        let mut all = vec![trials(1, 300); 10];
        all.extend([trials(60, 300); 10]);
        let (found, base) = unlike(&all, 3);
        assert_eq!(found.len(), 10);
        assert!(found.iter().all(|&index| index >= 10));
        assert_eq!(base, trials(10, 3_000));
        let three = [trials(0, 50), trials(50, 50), trials(0, 50)];
        assert_eq!(unlike(&three, 3).0, [1]);
    }

    /// Equal targets at low, middle and high rates and shares: no alarm in 2,000 looks each (at most one in 10,000 is
    /// allowed).
    #[test]
    fn false_alarms_are_rare() {
        let mut rng = Rng::named(1, "alarms");
        for targets in [3, 20, 300] {
            for (requests, percent) in [(3, 30), (5, 1), (30, 5), (100, 1), (100, 50)] {
                let mut alarms = 0;
                for _ in 0..2_000 / targets.max(10) * 10 {
                    let mut target = || {
                        let failed = (0..requests).filter(|_| rng.below(100) < percent).count();
                        trials(failed as u64, requests)
                    };
                    let all: Vec<Trials> = (0..targets).map(|_| target()).collect();
                    alarms += usize::from(!unlike(&all, 1).0.is_empty());
                }
                assert_eq!(alarms, 0, "{targets} targets, {requests} requests, {percent} %");
            }
        }
    }
}
