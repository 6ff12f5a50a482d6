//! Means over a window, of a figure that is counted as a sum over time.

use core::time::Duration;
use forebay_units::Mono;
use std::collections::VecDeque;

/// The recent course of a sum.
#[derive(Clone, Debug)]
pub(super) struct Window {
    keeps: Duration,
    points: VecDeque<(Mono, f64)>,
}

impl Window {
    /// A window that keeps the course over this time.
    pub(super) fn new(keeps: Duration) -> Window {
        Window {
            keeps,
            points: VecDeque::new(),
        }
    }

    /// Records the sum at this time.
    pub(super) fn put(&mut self, now: Mono, sum: f64) {
        self.points.push_back((now, sum));
        // One older point stays, because the window's mean begins there.
        while self
            .points
            .get(1)
            .is_some_and(|second| now.since(second.0) >= self.keeps)
        {
            self.points.pop_front();
        }
    }

    /// The mean growth a second over this time, or over what is known of it; none before two points are known.
    pub(super) fn mean(&self, over: Duration) -> Option<f64> {
        let &(now, sum) = self.points.back()?;
        let older = self.points.iter().rev().skip(1);
        let mut first = None;
        for &(at, before) in older {
            first = Some((at, before));
            if now.since(at) >= over {
                break;
            }
        }
        let (at, before) = first?;
        Some((sum - before) / now.since(at).as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_of_what_is_known_within_the_window() {
        let mut window = Window::new(Duration::from_secs(60));
        assert_eq!(window.mean(Duration::from_secs(6)), None);
        // 10 a second for 50 seconds, then 100 a second.
        for second in 0..=56_u64 {
            let sum = 10.0 * second.min(50) as f64 + 100.0 * second.saturating_sub(50) as f64;
            window.put(Mono::from_millis(second * 1000), sum);
        }
        assert_eq!(window.mean(Duration::from_secs(6)), Some(100.0));
        assert_eq!(window.mean(Duration::from_secs(60)), Some(1_100.0 / 56.0));
        window.put(Mono::from_millis(600_000), 1_100.0);
        assert_eq!(window.points.len(), 2);
    }
}
