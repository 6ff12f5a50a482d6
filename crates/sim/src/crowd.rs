//! Users: when they come, and what each asks for.

use core::time::Duration;
use forebay_units::Rng;

/// What a request asks of its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Quick.
    Get,
    /// Holds a thread.
    Post,
}

/// There and back on a local network.
pub const PAUSE: (Duration, Duration) = (Duration::from_micros(200), Duration::from_micros(1_000));

/// What a user of the published experiment asks for, one after the other.
pub const VISIT: &[Kind] = &[Kind::Get, Kind::Get, Kind::Get, Kind::Post];

/// How users come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrivals {
    /// One every so often.
    Even,
    /// Independently of each other.
    Poisson,
}

/// A crowd: comes whatever becomes of those before.
#[derive(Clone, Copy, Debug)]
pub struct Crowd {
    /// Users a second.
    pub rate: f64,
    /// How they come.
    pub arrivals: Arrivals,
    /// What each asks for; the next when the one before has its answer.
    pub visit: &'static [Kind],
    /// From an answer to the next request, least and most: the network there and back. Without it a user's quick requests all
    /// fall into one moment, and round robin deals them out as if no one else were there.
    pub pause: (Duration, Duration),
    /// When the first may come.
    pub from: Duration,
    /// When the last may come.
    pub until: Duration,
}

/// A client that asks again and again, the next time when it has its answer: it never has two requests at a time.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    /// What it asks for.
    pub kind: Kind,
    /// From an answer to the next request, least and most.
    pub pause: (Duration, Duration),
    /// When it begins.
    pub from: Duration,
    /// From when on it asks no more.
    pub until: Duration,
}

impl Crowd {
    /// From an answer to the next request, in nanoseconds.
    pub(crate) fn turn(&self, rng: &mut Rng) -> u64 {
        between(self.pause, rng)
    }

    /// From one user to the next, in nanoseconds.
    pub(crate) fn gap(&self, rng: &mut Rng) -> u64 {
        let mean = 1e9 / self.rate;
        (match self.arrivals {
            Arrivals::Even => mean,
            Arrivals::Poisson => -mean * (1.0 - uniform(rng)).ln(),
        }) as u64
    }
}

impl Client {
    /// From an answer to the next request, in nanoseconds.
    pub(crate) fn turn(&self, rng: &mut Rng) -> u64 {
        between(self.pause, rng)
    }
}

fn between((least, most): (Duration, Duration), rng: &mut Rng) -> u64 {
    let (least, most) = (least.as_nanos() as f64, most.as_nanos() as f64);
    (least + (most - least) * uniform(rng)) as u64
}

/// From 0 to 1, 1 left out.
pub(crate) fn uniform(rng: &mut Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}
