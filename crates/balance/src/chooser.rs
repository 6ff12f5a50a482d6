//! All algorithms behind one type.

use crate::eligible::{Choose, EligibleTargets};
use crate::least_outstanding_requests::LeastOutstandingRequests;
use crate::peak_ewma::PeakEwma;
use crate::power_of_two::PowerOfTwo;
use crate::prequal::Prequal;
use crate::round_robin::RoundRobin;
use crate::weighted_random::WeightedRandom;
use forebay_model::Algorithm;
use forebay_units::{Mono, Rng};

/// A group's algorithm with its state.
#[derive(Clone, Debug)]
pub enum Chooser {
    /// Each target in turn.
    RoundRobin(RoundRobin),
    /// The least load over weight.
    LeastOutstandingRequests(LeastOutstandingRequests),
    /// At random, in proportion to weights.
    WeightedRandom(WeightedRandom),
    /// The less loaded of two drawn targets.
    PowerOfTwo(PowerOfTwo),
    /// Of two drawn targets, the one with less latency times load.
    PeakEwma(PeakEwma),
    /// The fastest of a few drawn targets whose load is not high.
    Prequal(Prequal),
}

impl Chooser {
    /// The algorithm with empty state.
    pub fn new(algorithm: Algorithm) -> Chooser {
        match algorithm {
            Algorithm::RoundRobin => Chooser::RoundRobin(RoundRobin::default()),
            Algorithm::LeastOutstandingRequests => {
                Chooser::LeastOutstandingRequests(LeastOutstandingRequests)
            }
            Algorithm::WeightedRandom => Chooser::WeightedRandom(WeightedRandom),
            Algorithm::PowerOfTwo => Chooser::PowerOfTwo(PowerOfTwo),
            Algorithm::PeakEwma => Chooser::PeakEwma(PeakEwma),
            Algorithm::Prequal => Chooser::Prequal(Prequal::default()),
        }
    }

    /// The algorithm's name.
    pub fn algorithm(&self) -> Algorithm {
        match self {
            Chooser::RoundRobin(_) => Algorithm::RoundRobin,
            Chooser::LeastOutstandingRequests(_) => Algorithm::LeastOutstandingRequests,
            Chooser::WeightedRandom(_) => Algorithm::WeightedRandom,
            Chooser::PowerOfTwo(_) => Algorithm::PowerOfTwo,
            Chooser::PeakEwma(_) => Algorithm::PeakEwma,
            Chooser::Prequal(_) => Algorithm::Prequal,
        }
    }
}

impl Choose for Chooser {
    fn choose<S: EligibleTargets>(&mut self, now: Mono, targets: &S, rng: &mut Rng) -> Option<S::Taken> {
        match self {
            Chooser::RoundRobin(it) => it.choose(now, targets, rng),
            Chooser::LeastOutstandingRequests(it) => it.choose(now, targets, rng),
            Chooser::WeightedRandom(it) => it.choose(now, targets, rng),
            Chooser::PowerOfTwo(it) => it.choose(now, targets, rng),
            Chooser::PeakEwma(it) => it.choose(now, targets, rng),
            Chooser::Prequal(it) => it.choose(now, targets, rng),
        }
    }
}

#[cfg(test)]
mod tests;
