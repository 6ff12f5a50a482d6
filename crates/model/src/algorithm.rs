//! How targets of a group are chosen.

/// An algorithm: ALB's three, and ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// Each target in turn.
    #[default]
    RoundRobin,
    /// The target with the fewest requests in flight over its weight.
    LeastOutstandingRequests,
    /// By lot, in proportion to weights.
    WeightedRandom,
    /// Of two drawn targets, the one with fewer requests in flight (not ALB's).
    PowerOfTwo,
    /// Of two drawn targets, the one whose latency times its requests in flight is less (not ALB's).
    PeakEwma,
    /// Of a few drawn targets, the fastest that is not hot (not ALB's).
    Prequal,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Algorithm; 6] = [
        Algorithm::RoundRobin,
        Algorithm::LeastOutstandingRequests,
        Algorithm::WeightedRandom,
        Algorithm::PowerOfTwo,
        Algorithm::PeakEwma,
        Algorithm::Prequal,
    ];

    /// Its name: as the attribute has it, or the tag.
    pub const fn word(self) -> &'static str {
        match self {
            Algorithm::RoundRobin => "round_robin",
            Algorithm::LeastOutstandingRequests => "least_outstanding_requests",
            Algorithm::WeightedRandom => "weighted_random",
            Algorithm::PowerOfTwo => "power_of_two",
            Algorithm::PeakEwma => "peak_ewma",
            Algorithm::Prequal => "prequal",
        }
    }

    /// Whether ALB has it; the others are chosen by a tag.
    pub const fn is_albs(self) -> bool {
        matches!(
            self,
            Algorithm::RoundRobin | Algorithm::LeastOutstandingRequests | Algorithm::WeightedRandom
        )
    }

    /// The algorithm of this name.
    pub fn parse(word: &str) -> Option<Algorithm> {
        Algorithm::ALL
            .into_iter()
            .find(|algorithm| algorithm.word() == word)
    }
}
