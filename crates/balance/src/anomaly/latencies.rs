//! Counts of answers by latency, in classes 19 % wide, for medians.

use core::time::Duration;

/// Number of classes: four per doubling, from 16 microseconds to a minute and more.
pub const CLASSES: usize = 92;

/// The class of a latency in microseconds.
pub fn latency_class(micros: u64) -> usize {
    let micros = micros.max(16);
    let octave = (63 - micros.leading_zeros()) as usize;
    let quarter = (micros >> (octave - 2)) & 3;
    ((octave - 4) * 4 + quarter as usize).min(CLASSES - 1)
}

/// The start of a class, in nanoseconds.
fn begins(class: usize) -> f64 {
    (1_u64 << (class / 4)) as f64 * (1.0 + (class % 4) as f64 / 4.0) * 16_000.0
}

/// The end of a class; the last one has none.
pub fn class_end(class: usize) -> Duration {
    if class + 1 >= CLASSES {
        return Duration::MAX;
    }
    Duration::from_nanos(begins(class + 1) as u64)
}

/// Answers by class of latency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latencies(pub [u32; CLASSES]);

impl Default for Latencies {
    fn default() -> Self {
        Latencies([0; CLASSES])
    }
}

impl Latencies {
    /// Number of answers.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|&count| u64::from(count)).sum()
    }

    /// The median in nanoseconds, to within its class; `None` without answers.
    pub fn median(&self) -> Option<f64> {
        let half = self.count().div_ceil(2);
        let mut below = 0;
        let class = self.0.iter().position(|&count| {
            below += u64::from(count);
            below >= half && half > 0
        })?;
        Some((begins(class) + begins(class + 1)) / 2.0)
    }

    /// Number of answers in classes that begin at `nanos` or later.
    pub fn slower(&self, nanos: f64) -> u64 {
        let classes = self.0.iter().enumerate();
        classes
            .filter(|(class, _)| begins(*class) >= nanos)
            .map(|(_, &count)| u64::from(count))
            .sum()
    }

    /// Halves the counts, then adds these: about the last two windows count.
    pub fn fade_in(&mut self, window: &Latencies) {
        for (count, new) in self.0.iter_mut().zip(&window.0) {
            *count = (*count / 2).saturating_add(*new);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_a_fifth_wide() {
        let mut last = 0;
        for micros in 16..1_000_000_u64 {
            let class = latency_class(micros);
            assert!(
                class == last || class == last + 1,
                "{micros}: {class} after {last}"
            );
            last = class;
            let nanos = micros as f64 * 1000.0;
            assert!(begins(class) <= nanos && nanos < begins(class + 1), "{micros}");
        }
        assert_eq!(latency_class(7_200_000_000), CLASSES - 1);
        assert_eq!(class_end(CLASSES - 1), Duration::MAX);
        assert_eq!(class_end(0), Duration::from_micros(20));
        assert_eq!(latency_class(0), 0);
    }

    #[test]
    fn heavy_requests_do_not_move_medians() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.median(), None);
        for number in 0..1000_u64 {
            let millis = if number % 5 == 0 { 5_000 } else { 10 };
            latencies.0[latency_class(millis * 1000)] += 1;
        }
        let median = latencies.median().unwrap();
        assert!((8e6..12e6).contains(&median), "{median}");
        assert_eq!(latencies.slower(1e9), 200);
        latencies.fade_in(&Latencies::default());
        assert_eq!(latencies.count(), 500);
    }
}
