//! How long a request holds its slot.

use core::time::Duration;
use forebay_units::Mono;

/// Requests that the quick mean and the slow one go over.
const QUICK: f64 = 50.0;
const SLOW: f64 = 500.0;
/// What was seen this many seconds ago counts about a third in the mean that the others are held against.
const MEMORY: f64 = 600.0;
/// More than so many times that mean is not counted: more instances do not mend what they wait for.
const MOST: f64 = 2.0;

/// Means of the times for which successes held their slots.
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
    /// So many have ended since counting began, which held slots for so long together.
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
        // A mean of few requests is not led far by time alone.
        let by_time = (1.0 - (-past / MEMORY).exp()).min(count / QUICK);
        for (known, share) in [
            (&mut means.quick, share(QUICK, count)),
            (&mut means.slow, share(SLOW, count)),
            (&mut means.long, by_time.max(share(SLOW * 10.0, count))),
        ] {
            *known += (mean - *known) * share;
        }
    }

    /// In seconds; none before a request has ended.
    pub(super) fn seconds(&self) -> Option<f64> {
        let means = self.means?;
        Some(means.quick.max(means.slow).min(means.long * MOST).max(1e-6))
    }
}

/// How much so many new requests count in a mean over this many.
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
