//! How a target of a group is chosen.

/// A load balancing algorithm: ALB's three, and Forebay's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// Each target in turn.
    #[default]
    RoundRobin,
    /// The target with the fewest requests in flight over its weight.
    LeastOutstandingRequests,
    /// At random, in proportion to weights.
    WeightedRandom,
    /// Of two drawn targets, the one with fewer requests in flight (not in ALB).
    PowerOfTwo,
    /// Of two drawn targets, the one with less latency times requests in flight (not in ALB).
    PeakEwma,
    /// Of a few drawn targets, the fastest whose load is not high (not in ALB).
    Prequal,
}

/// What an algorithm has to be given beside the targets' counts of requests in flight. Each costs something, so nothing is kept that nobody
/// reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// The time of each response is measured for its target.
    pub latencies: bool,
    /// The targets stand in an index by load, so that the least loaded one is found without looking at all.
    pub load_order: bool,
    /// Of targets with free slots, the less loaded ones get a waiting request; without it they take turns.
    pub balanced_slots: bool,
    /// Targets that behave unlike their peers have a smaller weight, if the group mitigates anomalies.
    pub weights_of_peers: bool,
}

impl Algorithm {
    /// All algorithms.
    pub const ALL: [Algorithm; 6] = [
        Algorithm::RoundRobin,
        Algorithm::LeastOutstandingRequests,
        Algorithm::WeightedRandom,
        Algorithm::PowerOfTwo,
        Algorithm::PeakEwma,
        Algorithm::Prequal,
    ];

    /// The value of the attribute or the tag that selects it.
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

    /// Whether ALB offers it. The other algorithms are selected by a tag.
    pub const fn is_albs(self) -> bool {
        matches!(
            self,
            Algorithm::RoundRobin | Algorithm::LeastOutstandingRequests | Algorithm::WeightedRandom
        )
    }

    /// What it has to be given.
    pub const fn needs(self) -> Needs {
        let least = Needs {
            latencies: false,
            load_order: false,
            balanced_slots: true,
            weights_of_peers: false,
        };
        match self {
            Algorithm::RoundRobin => Needs {
                balanced_slots: false,
                ..least
            },
            Algorithm::LeastOutstandingRequests => Needs {
                load_order: true,
                ..least
            },
            Algorithm::WeightedRandom => Needs {
                weights_of_peers: true,
                ..least
            },
            Algorithm::PowerOfTwo => least,
            Algorithm::PeakEwma | Algorithm::Prequal => Needs {
                latencies: true,
                ..least
            },
        }
    }

    /// The algorithm of this name.
    pub fn parse(word: &str) -> Option<Algorithm> {
        Algorithm::ALL
            .into_iter()
            .find(|algorithm| algorithm.word() == word)
    }
}
