//! Users: when they come, and what each requests.

use core::time::Duration;
use forebay_units::Rng;

/// The kind of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Answered quickly.
    Get,
    /// Holds a thread.
    Post,
}

/// A round trip on a local network.
pub const PAUSE: (Duration, Duration) = (Duration::from_micros(200), Duration::from_micros(1_000));

/// The requests of a user in the published experiment, one after the other.
pub const VISIT: &[Kind] = &[Kind::Get, Kind::Get, Kind::Get, Kind::Post];

/// How users arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrivals {
    /// At equal intervals.
    Even,
    /// Independently of each other.
    Poisson,
}

/// A crowd of users who arrive whatever happens to earlier ones.
#[derive(Clone, Copy, Debug)]
pub struct Crowd {
    /// Users a second.
    pub rate: f64,
    /// How they arrive.
    pub arrivals: Arrivals,
    /// The requests of each user; each is sent when the one before is answered.
    pub visit: &'static [Kind],
    /// Least and most time from an answer to the next request: the network's round trip. Without it, a user's quick
    /// requests would all come at one moment, and round robin would deal them out as if nobody else were there.
    pub pause: (Duration, Duration),
    /// When the first user may arrive.
    pub from: Duration,
    /// When the last user may arrive.
    pub until: Duration,
}

/// A client that sends one request at a time, again and again.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    /// The kind of its requests.
    pub kind: Kind,
    /// Least and most time from an answer to the next request.
    pub pause: (Duration, Duration),
    /// When it begins.
    pub from: Duration,
    /// When it stops.
    pub until: Duration,
}

impl Crowd {
    /// The time from an answer to the next request, in nanoseconds.
    pub(crate) fn turn(&self, rng: &mut Rng) -> u64 {
        between(self.pause, rng)
    }

    /// The time from one user to the next, in nanoseconds.
    pub(crate) fn gap(&self, rng: &mut Rng) -> u64 {
        let mean = 1e9 / self.rate;
        (match self.arrivals {
            Arrivals::Even => mean,
            Arrivals::Poisson => -mean * (1.0 - uniform(rng)).ln(),
        }) as u64
    }
}

impl Client {
    /// The time from an answer to the next request, in nanoseconds.
    pub(crate) fn turn(&self, rng: &mut Rng) -> u64 {
        between(self.pause, rng)
    }
}

fn between((least, most): (Duration, Duration), rng: &mut Rng) -> u64 {
    let (least, most) = (least.as_nanos() as f64, most.as_nanos() as f64);
    (least + (most - least) * uniform(rng)) as u64
}

/// A uniform number from 0 up to but not including 1.
pub(crate) fn uniform(rng: &mut Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}
