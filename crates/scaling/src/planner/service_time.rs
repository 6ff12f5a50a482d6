//! How long a request holds its slot.

use core::time::Duration;
use forebay_units::Mono;

/// Requests that the quick and the slow mean go over.
const QUICK: f64 = 50.0;
const SLOW: f64 = 500.0;
/// Time constant, in seconds, of the long mean that limits the other two.
const MEMORY: f64 = 600.0;
/// More than this many times the long mean does not count: more instances do not help if all requests wait for
/// something else.
const MOST: f64 = 2.0;

/// Means of the times that successes held their slots.
#[derive(Clone, Debug, Default)]
pub(super) struct ServiceTime {
    completed: u64,
    held: Duration,
    means: Option<Means>,
}

#[derive(Clone, Copy, Debug)]
struct Means {
    quick: f64,
    slow: f64,
    long: f64,
    at: Mono,
}

impl ServiceTime {
    /// Records the number of requests that ended since counting began, and the total time that they held slots.
    pub(super) fn counted(&mut self, now: Mono, completed: u64, held: Duration) {
        let more = completed.checked_sub(self.completed).unwrap_or(completed);
        let time = held.checked_sub(self.held).unwrap_or(held);
        (self.completed, self.held) = (completed, held);
        if more == 0 {
            return;
        }
        let (count, mean) = (more as f64, time.as_secs_f64() / more as f64);
        let Some(means) = &mut self.means else {
            self.means = Some(Means {
                quick: mean,
                slow: mean,
                long: mean,
                at: now,
            });
            return;
        };
        let past = now.since(means.at).as_secs_f64();
        means.at = now;
        // Few requests must not move the long mean far, however much time has passed.
        let by_time = (1.0 - (-past / MEMORY).exp()).min(count / QUICK);
        for (known, share) in [
            (&mut means.quick, share(QUICK, count)),
            (&mut means.slow, share(SLOW, count)),
            (&mut means.long, by_time.max(share(SLOW * 10.0, count))),
        ] {
            *known += (mean - *known) * share;
        }
    }

    /// The service time in seconds; `None` before a request has ended.
    pub(super) fn seconds(&self) -> Option<f64> {
        let means = self.means?;
        // The higher mean counts, since too few slots are worse than too many.
        Some(means.quick.max(means.slow).min(means.long * MOST).max(1e-6))
    }
}

/// The weight of `count` new requests in a mean over `over`.
fn share(over: f64, count: f64) -> f64 {
    1.0 - (1.0 - 1.0 / over).powf(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(time: &mut ServiceTime, from: u64, looks: u64, each: Duration) {
        let (mut completed, mut held) = (time.completed, time.held);
        for look in 0..looks {
            completed += 10;
            held += each * 10;
            time.counted(Mono::from_millis((from + look) * 100), completed, held);
        }
    }

    #[test]
    fn a_longer_time_is_believed_soon_and_a_shorter_one_later() {
        let mut time = ServiceTime::default();
        assert_eq!(time.seconds(), None);
        feed(&mut time, 0, 600, Duration::from_secs(1));
        assert!((time.seconds().unwrap() - 1.0).abs() < 1e-6);
        feed(&mut time, 600, 10, Duration::from_millis(1500));
        assert!(time.seconds().unwrap() > 1.4);
        feed(&mut time, 610, 10, Duration::from_millis(500));
        assert!(time.seconds().unwrap() > 0.9);
        feed(&mut time, 620, 200, Duration::from_millis(500));
        assert!(time.seconds().unwrap() < 0.6);
    }

    #[test]
    fn what_they_wait_for_is_not_mended_by_instances() {
        let mut time = ServiceTime::default();
        feed(&mut time, 0, 6000, Duration::from_secs(1));
        feed(&mut time, 6000, 20, Duration::from_secs(30));
        let seconds = time.seconds().unwrap();
        assert!(seconds > 1.9 && seconds < 4.5, "{seconds}");
    }
}
