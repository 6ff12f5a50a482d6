//! How long successes take, for the black-hole guard: a failed slot stays counted as busy for as long as a success
//! would have kept it. So a target that fails fast never looks idle and never draws more than its share.

use core::time::Duration;
use forebay_units::Mono;

/// The longest time a failed slot is kept, however long successes take.
const LONGEST: Duration = Duration::from_secs(60);
/// Number of successes that the mean goes over.
const MEMORY: f64 = 64.0;

/// One worker's knowledge of one group's successes.
#[derive(Clone, Copy, Debug, Default)]
pub struct ServiceTime {
    mean_nanos: f64,
    seen: f64,
    latency: Duration,
}

impl ServiceTime {
    /// Records a success: the time that it kept its slot, and the time to its answer's head.
    pub fn succeeded(&mut self, whole: Duration, latency: Duration) {
        self.seen = (self.seen + 1.0).min(MEMORY);
        let whole = whole.min(LONGEST).as_nanos() as f64;
        self.mean_nanos += (whole - self.mean_nanos) / self.seen;
        self.latency = latency;
    }

    /// Until when a slot that was taken at `start` and failed stays counted; `None` if nothing is known.
    pub fn busy_until(&self, start: Mono) -> Option<Mono> {
        (self.seen > 0.0).then(|| start + Duration::from_nanos(self.mean_nanos as u64))
    }

    /// The latency to record for a failure where peaks count: at least that of the last success. The last and not the
    /// mean, so that failures have the same peaks as successes and the algorithm sees no difference.
    pub fn failure_peak(&self, measured: Duration) -> Duration {
        measured.max(self.latency)
    }

    /// The latency to record for a failure where medians count: at least the mean time of successes. If most successes
    /// are quick and some are not, failures as quick as a quick success would make the fastest target of all.
    pub fn failure_time(&self, measured: Duration) -> Duration {
        measured.max(Duration::from_nanos(self.mean_nanos as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_kept_for_the_mean_and_no_longer_than_a_minute() {
        let ms = Duration::from_millis;
        let mut service_time = ServiceTime::default();
        assert_eq!(service_time.busy_until(Mono::ZERO), None);
        service_time.succeeded(ms(10), ms(5));
        service_time.succeeded(ms(30), ms(7));
        assert_eq!(
            service_time.busy_until(Mono::from_millis(100)),
            Some(Mono::from_millis(120))
        );
        assert_eq!(service_time.failure_peak(ms(1)), ms(7));
        assert_eq!(service_time.failure_peak(ms(9)), ms(9));
        assert_eq!(service_time.failure_time(ms(1)), ms(20));
        assert_eq!(service_time.failure_time(ms(30)), ms(30));
        for _ in 0..2_000 {
            service_time.succeeded(Duration::from_secs(3600), ms(1));
        }
        let until = service_time.busy_until(Mono::ZERO).unwrap();
        assert!(until <= Mono::from_millis(60_000) && until > Mono::from_millis(59_000));
    }
}
