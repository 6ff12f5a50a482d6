//! Seats for tests: loads that grow with each pick unless told otherwise.

use crate::board::Board;
use crate::seats::Seats;
use crate::weight::Weight;
use forebay_units::{Mono, Stream};
use std::cell::{Cell, RefCell};

/// Loads behind a cell.
#[derive(Default)]
pub(crate) struct Loads(RefCell<Vec<u32>>);

impl Loads {
    pub(crate) fn set(&self, loads: Vec<u32>) {
        *self.0.borrow_mut() = loads;
    }
}

/// Seats in a test.
#[derive(Default)]
pub(crate) struct Room {
    pub(crate) loads: Loads,
    pub(crate) weights: Vec<Weight>,
    pub(crate) latencies: Vec<Option<f32>>,
    pub(crate) passed_over: Vec<usize>,
    /// Loads stay as they are.
    pub(crate) keep: bool,
    /// Keeps the order for `take_least`.
    pub(crate) board: RefCell<Board>,
    /// Weights asked for and loads read: what a pick costs.
    pub(crate) reads: Cell<u64>,
}

impl Room {
    pub(crate) fn of(count: usize) -> Room {
        Room::weighing(vec![Weight::FULL; count])
    }

    pub(crate) fn weighing(weights: Vec<Weight>) -> Room {
        let room = Room {
            latencies: vec![None; weights.len()],
            ..Room::default()
        };
        room.loads.set(vec![0; weights.len()]);
        for (seat, &weight) in (0..).zip(&weights) {
            room.board.borrow_mut().set(seat, 0, weight);
        }
        Room { weights, ..room }
    }

    /// All requests are over.
    pub(crate) fn settle_all(&self) {
        if !self.keep {
            for seat in 0..self.count() {
                self.put(seat, 0);
            }
        }
    }

    /// The request of some seat is over: loads stay small.
    pub(crate) fn settle_one(&self, number: u64) {
        let seat = number as usize % self.count();
        self.put(seat, 0);
    }

    pub(crate) fn put(&self, seat: usize, load: u32) {
        self.loads.0.borrow_mut()[seat] = load;
        self.board.borrow_mut().set(seat as u32, load, self.weights[seat]);
    }

    pub(crate) fn at(&self, seat: usize) -> u32 {
        self.loads.0.borrow()[seat]
    }
}

impl Seats for Room {
    type Taken = usize;

    fn count(&self) -> usize {
        self.weights.len()
    }

    fn is_weighted(&self) -> bool {
        self.weights.iter().any(|&weight| weight < Weight::FULL)
    }

    fn is_passed_over(&self, seat: usize) -> bool {
        self.passed_over.contains(&seat)
    }

    fn weight(&self, seat: usize) -> Weight {
        self.reads.set(self.reads.get() + 1);
        self.weights[seat]
    }

    fn load(&self, seat: usize) -> u32 {
        self.reads.set(self.reads.get() + 1);
        self.at(seat)
    }

    fn peak_latency(&self, seat: usize, _: Mono) -> Option<f32> {
        self.latencies[seat]
    }

    fn median_latency(&self, seat: usize, _: u32, _: Mono) -> Option<f32> {
        self.latencies[seat]
    }

    fn take(&self, seat: usize) -> usize {
        if !self.keep {
            self.put(seat, self.at(seat) + 1);
        }
        seat
    }

    fn take_least(&self, draws: &mut Stream) -> Option<usize> {
        let besides: Vec<u32> = self.passed_over.iter().map(|&seat| seat as u32).collect();
        let seat = self.board.borrow_mut().least_besides(&besides, draws)?;
        Some(self.take(seat as usize))
    }
}
