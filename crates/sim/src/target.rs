//! A target: threads, and a first-come, first-served queue before them.

use crate::crowd::{Kind, uniform};
use core::time::Duration;
use forebay_node::Exchange;
use forebay_units::Rng;
use std::collections::VecDeque;

/// How long a request holds a thread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Span {
    /// Always the same time.
    Fixed(Duration),
    /// Uniform between the two.
    Uniform(Duration, Duration),
    /// Exponential with this mean.
    Exponential(Duration),
}

impl Span {
    pub(crate) fn draw(self, rng: &mut Rng) -> f64 {
        match self {
            Span::Fixed(span) => span.as_nanos() as f64,
            Span::Uniform(low, high) => {
                let (low, high) = (low.as_nanos() as f64, high.as_nanos() as f64);
                low + (high - low) * uniform(rng)
            }
            Span::Exponential(mean) => -(mean.as_nanos() as f64) * (1.0 - uniform(rng)).ln(),
        }
    }
}

/// The behaviour of a target.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Behaviour {
    /// Requests worked on at the same time; others wait.
    pub threads: u32,
    /// How long a GET takes.
    pub get: Span,
    /// How long a POST takes.
    pub post: Span,
    /// The factor by which times are multiplied.
    pub slower: f64,
    /// Answers 500 after this time, without a thread; none if it works.
    pub failing: Option<Duration>,
    /// A number of requests after its start for which times are multiplied by this factor as well (a cold target).
    pub cold: (u32, f64),
}

impl Behaviour {
    /// The published experiment's: one thread; GETs are answered at once, POSTs hold it for 0 to 200 ms.
    pub fn single_threaded() -> Behaviour {
        Behaviour {
            threads: 1,
            get: Span::Fixed(Duration::ZERO),
            post: Span::Uniform(Duration::ZERO, Duration::from_millis(200)),
            slower: 1.0,
            failing: None,
            cold: (0, 1.0),
        }
    }

    /// Every request takes an exponential time of this mean, with this many threads.
    pub fn serving(mean: Duration, threads: u32) -> Behaviour {
        Behaviour {
            threads,
            get: Span::Exponential(mean),
            post: Span::Exponential(mean),
            ..Behaviour::single_threaded()
        }
    }

    /// Answers 500 after this time, whatever else is going on.
    pub fn failing(after: Duration) -> Behaviour {
        Behaviour {
            failing: Some(after),
            ..Behaviour::single_threaded()
        }
    }

    /// The same behaviour, slower by this factor.
    #[must_use]
    pub fn slower(self, times: f64) -> Behaviour {
        Behaviour {
            slower: times,
            ..self
        }
    }
}

/// A request on its way.
#[derive(Debug)]
pub(crate) struct Trip {
    pub(crate) exchange: Exchange,
    pub(crate) worker: usize,
    pub(crate) user: usize,
    pub(crate) kind: Kind,
    /// How long it takes, in nanoseconds, if its target does not decide that.
    pub(crate) takes: Option<u64>,
    pub(crate) began: u64,
    /// When it was sent, or began to wait.
    pub(crate) since: u64,
    pub(crate) waited: u64,
    pub(crate) target: u16,
    pub(crate) status: u16,
}

/// A target in the simulation.
#[derive(Debug)]
pub(crate) struct Actor {
    pub(crate) behaviour: Behaviour,
    busy: u32,
    waiting: VecDeque<usize>,
    served: u32,
}

impl Actor {
    pub(crate) fn new(behaviour: Behaviour) -> Actor {
        Actor {
            behaviour,
            busy: 0,
            waiting: VecDeque::new(),
            served: 0,
        }
    }

    /// Takes a request; returns how long it takes if its work begins now.
    pub(crate) fn take(&mut self, place: usize, trip: &Trip, rng: &mut Rng) -> Option<u64> {
        if self.busy >= self.behaviour.threads {
            self.waiting.push_back(place);
            return None;
        }
        self.busy += 1;
        Some(self.work(trip, rng))
    }

    fn work(&mut self, trip: &Trip, rng: &mut Rng) -> u64 {
        if let Some(takes) = trip.takes {
            return takes;
        }
        let behaviour = &self.behaviour;
        let span = match trip.kind {
            Kind::Get => behaviour.get,
            Kind::Post => behaviour.post,
        };
        let cold = if self.served < behaviour.cold.0 {
            behaviour.cold.1
        } else {
            1.0
        };
        self.served += 1;
        (span.draw(rng) * behaviour.slower * cold) as u64
    }

    /// Requests that wait for a thread.
    pub(crate) fn into_waiting(self) -> VecDeque<usize> {
        self.waiting
    }

    /// Ends a request; returns the place of the next one, if one waits. Its work begins now.
    pub(crate) fn done(&mut self) -> Option<usize> {
        let next = self.waiting.pop_front();
        self.busy -= 1;
        next
    }
}
