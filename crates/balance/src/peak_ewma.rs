//! Peak EWMA: of two targets drawn by weight, the one with less latency times load. The latency is an average that
//! jumps to every peak at once and decays exponentially, so that a target that slows down is left at once. As in
//! Finagle's and Linkerd's balancers: M. Luca and O. Gould, "Beyond Round Robin: Load Balancing for Latency", 2016; the
//! average is R. Jain's, "The Art of Computer Systems Performance Analysis", 1991, weighted by elapsed time.
//!
//! A known flaw of the method is that fast errors lower the cost. They do not here: a failure's latency is recorded as
//! at least that of a success (`service_time`).

use crate::eligible::{Choose, EligibleTargets};
use crate::power_of_two::cheaper;
use core::time::Duration;
use forebay_units::{Mono, Rng};

/// Time in which a peak decays to 1/e (Finagle's default).
const DECAY_NANOS: f32 = 10e9;
/// Cost of a target that has a request but was never measured: its first answer decides whether it gets more (Finagle's
/// penalty).
const UNKNOWN: f64 = 1e18;

/// Has no state: latencies are kept per target, for all workers.
#[derive(Clone, Copy, Debug, Default)]
pub struct PeakEwma;

impl Choose for PeakEwma {
    fn choose<S: EligibleTargets>(&mut self, now: Mono, targets: &S, rng: &mut Rng) -> Option<S::Taken> {
        let cost = |index| {
            let load = targets.load(index);
            let cost = targets.weight(index).cost(load);
            match targets.peak_latency(index, now) {
                Some(latency) => f64::from(latency) * cost,
                None if load == 0 => 0.0,
                None => UNKNOWN * cost,
            }
        };
        cheaper(targets, rng, cost).map(|index| targets.take(index))
    }
}

/// A target's latency in one word that fits an atomic: the average in nanoseconds as an f32 in the high half, and the
/// time of the last change in the low half. Zero if nothing was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeakLatency(pub u64);

/// Nanoseconds per tick of the stamp: 2^20, about a millisecond. Stamps wrap after 52 days.
pub(crate) const STAMP_SHIFT: u32 = 20;

pub(crate) fn stamp(now: Mono) -> u32 {
    (now.0 >> STAMP_SHIFT) as u32
}

/// Nanoseconds since a stamp. A stamp that is a tick ahead, written by another worker, counts as now.
pub(crate) fn nanos_since(now: Mono, then: u32) -> f32 {
    let ticks = stamp(now).wrapping_sub(then) as i32;
    ticks.max(0) as f32 * (1_u32 << STAMP_SHIFT) as f32
}

impl PeakLatency {
    /// The average with one more measured latency.
    #[must_use]
    pub fn with(self, now: Mono, latency: Duration) -> PeakLatency {
        let measured = (latency.as_nanos() as f32).max(1.0);
        let average = match self.parts() {
            Some((average, then)) if measured < average => {
                let kept = (-nanos_since(now, then) / DECAY_NANOS).exp();
                average * kept + measured * (1.0 - kept)
            }
            _ => measured,
        };
        PeakLatency(u64::from(average.to_bits()) << 32 | u64::from(stamp(now)))
    }

    fn parts(self) -> Option<(f32, u32)> {
        (self.0 != 0).then(|| (f32::from_bits((self.0 >> 32) as u32), self.0 as u32))
    }

    /// The average now, in nanoseconds; it decays while nothing is measured. `None` if nothing ever was.
    pub fn nanos(self, now: Mono) -> Option<f32> {
        let (average, then) = self.parts()?;
        let idle = nanos_since(now, then);
        // Within a hundredth of the decay time the difference is below 1 %, and `exp` is expensive.
        Some(if idle < DECAY_NANOS / 100.0 {
            average
        } else {
            average * (-idle / DECAY_NANOS).exp()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_jumps_up_and_falls_off() {
        let at = Mono::from_millis;
        let ms = Duration::from_millis;
        let latency = PeakLatency::default();
        assert_eq!(latency.nanos(at(5)), None);
        let latency = latency.with(at(0), ms(10)).with(at(1000), ms(100));
        assert_eq!(latency.nanos(at(1000)), Some(100e6));
        let after = latency.with(at(11_000), ms(10)).nanos(at(11_000)).unwrap();
        let wanted = 100e6 * (-1.0_f32).exp() + 10e6 * (1.0 - (-1.0_f32).exp());
        assert!((after / wanted - 1.0).abs() < 0.01, "{after} is not {wanted}");
        let idle = latency.nanos(at(21_000)).unwrap();
        assert!((idle / (100e6 * (-2.0_f32).exp()) - 1.0).abs() < 0.01, "{idle}");
    }
}
