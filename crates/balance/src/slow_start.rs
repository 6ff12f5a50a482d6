//! Slow start: a new target's weight grows linearly (user guide for Application Load Balancers, "Slow start mode").

use crate::weight::Weight;
use core::time::Duration;
use forebay_units::Mono;

/// A target's slow start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ramp {
    /// When it began.
    pub began: Mono,
}

impl Ramp {
    /// The weight now; `None` once `duration` is over.
    pub fn weight(self, now: Mono, duration: Duration) -> Option<Weight> {
        let age = now.since(self.began);
        (age < duration).then(|| Weight::of(age.as_secs_f64() / duration.as_secs_f64()))
    }

    /// How often the weight should be updated: no step exceeds a level of the index, and none is shorter than a quarter
    /// of a second.
    pub fn step(duration: Duration) -> Duration {
        (duration / Weight::LEVELS).clamp(Duration::from_millis(250), Duration::from_secs(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rises_in_a_straight_line_and_ends() {
        let ramp = Ramp {
            began: Mono::from_millis(1_000),
        };
        let weight = |seconds: u64| {
            ramp.weight(
                Mono::from_millis(1_000 + seconds * 1_000),
                Duration::from_secs(40),
            )
        };
        assert_eq!(weight(0), Some(Weight::LEAST));
        assert_eq!(weight(10), Some(Weight::of(0.25)));
        assert_eq!(weight(20), Some(Weight::of(0.5)));
        assert_eq!(weight(40), None);
        assert_eq!(ramp.weight(Mono::ZERO, Duration::ZERO), None);
        assert_eq!(Ramp::step(Duration::from_secs(16)), Duration::from_millis(500));
    }
}
