//! Targets for tests. Loads grow with each pick unless `keep` is set.

use crate::eligible::EligibleTargets;
use crate::least_loaded::LeastLoadedIndex;
use crate::weight::Weight;
use forebay_units::{Mono, Rng};
use std::cell::{Cell, RefCell};

/// Loads behind a cell.
#[derive(Default)]
pub(crate) struct Loads(RefCell<Vec<u32>>);

impl Loads {
    pub(crate) fn set(&self, loads: Vec<u32>) {
        *self.0.borrow_mut() = loads;
    }
}

/// Targets in a test.
#[derive(Default)]
pub(crate) struct TestTargets {
    pub(crate) loads: Loads,
    pub(crate) weights: Vec<Weight>,
    pub(crate) latencies: Vec<Option<f32>>,
    pub(crate) passed_over: Vec<usize>,
    /// Loads stay as they are.
    pub(crate) keep: bool,
    /// The order for `take_least`.
    pub(crate) least_loaded: RefCell<LeastLoadedIndex>,
    /// Weights and loads read: the cost of picks.
    pub(crate) reads: Cell<u64>,
}

impl TestTargets {
    pub(crate) fn of(count: usize) -> TestTargets {
        TestTargets::weighing(vec![Weight::FULL; count])
    }

    pub(crate) fn weighing(weights: Vec<Weight>) -> TestTargets {
        let room = TestTargets {
            latencies: vec![None; weights.len()],
            ..TestTargets::default()
        };
        room.loads.set(vec![0; weights.len()]);
        for (index, &weight) in (0..).zip(&weights) {
            room.least_loaded.borrow_mut().set(index, 0, weight);
        }
        TestTargets { weights, ..room }
    }

    /// Ends all requests.
    pub(crate) fn settle_all(&self) {
        if !self.keep {
            for index in 0..self.count() {
                self.put(index, 0);
            }
        }
    }

    /// Ends the request of some target, so that loads stay small.
    pub(crate) fn settle_one(&self, number: u64) {
        let index = number as usize % self.count();
        self.put(index, 0);
    }

    pub(crate) fn put(&self, index: usize, load: u32) {
        self.loads.0.borrow_mut()[index] = load;
        self.least_loaded
            .borrow_mut()
            .set(index as u32, load, self.weights[index]);
    }

    pub(crate) fn at(&self, index: usize) -> u32 {
        self.loads.0.borrow()[index]
    }
}

impl EligibleTargets for TestTargets {
    type Taken = usize;

    fn count(&self) -> usize {
        self.weights.len()
    }

    fn is_weighted(&self) -> bool {
        self.weights.iter().any(|&weight| weight < Weight::FULL)
    }

    fn is_passed_over(&self, index: usize) -> bool {
        self.passed_over.contains(&index)
    }

    fn weight(&self, index: usize) -> Weight {
        self.reads.set(self.reads.get() + 1);
        self.weights[index]
    }

    fn load(&self, index: usize) -> u32 {
        self.reads.set(self.reads.get() + 1);
        self.at(index)
    }

    fn peak_latency(&self, index: usize, _: Mono) -> Option<f32> {
        self.latencies[index]
    }

    fn median_latency(&self, index: usize, _: u32, _: Mono) -> Option<f32> {
        self.latencies[index]
    }

    fn take(&self, index: usize) -> usize {
        if !self.keep {
            self.put(index, self.at(index) + 1);
        }
        index
    }

    fn take_least(&self, rng: &mut Rng) -> Option<usize> {
        let besides: Vec<u32> = self.passed_over.iter().map(|&index| index as u32).collect();
        let index = self.least_loaded.borrow_mut().least_besides(&besides, rng)?;
        Some(self.take(index as usize))
    }
}
