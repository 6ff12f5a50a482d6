//! The processing time of a message.

use core::time::Duration;
use std::collections::VecDeque;

/// Messages that the mean goes over.
const WINDOW: usize = 64;
/// A change shows in the last three to eight messages.
const FEWEST: usize = 3;
const MOST: usize = 8;
/// It is a change if their mean is off by this many standard errors, and a twentieth more.
const DEVIATIONS: f64 = 4.0;
const SLACK: f64 = 0.05;
/// The longest time is an outlier if it is this many times the second longest.
const OUTLIER: f64 = 3.0;

/// The mean time from receive to delete, over the latest messages that are alike.
///
/// It goes over 64 messages. When the last three to eight differ from those before, the earlier ones are forgotten: a
/// change from one second to two is followed after three messages. A single message that took very long counts as the
/// second longest, and is not a change.
#[derive(Clone, Debug, Default)]
pub struct ProcessingTime {
    seconds: VecDeque<f64>,
    counted: u64,
}

impl ProcessingTime {
    /// Records a message that was deleted `took` after its receive. O(64).
    pub fn learn(&mut self, took: Duration) {
        self.counted += 1;
        self.seconds.push_back(took.as_secs_f64());
        if self.seconds.len() > WINDOW {
            self.seconds.pop_front();
        }
        if let Some(fresh) = self.changed() {
            self.seconds.drain(..self.seconds.len() - fresh);
        }
    }

    /// The mean in seconds; `None` before the first message was deleted.
    pub fn seconds(&self) -> Option<f64> {
        let most = self.longest();
        let (mean, _) = moments(self.seconds.iter().map(|one| one.min(most)));
        (!self.seconds.is_empty()).then(|| mean.max(1e-3))
    }

    /// The standard deviation in seconds.
    pub fn deviation(&self) -> f64 {
        let most = self.longest();
        moments(self.seconds.iter().map(|one| one.min(most))).1
    }

    /// The time that the longest message counts as.
    fn longest(&self) -> f64 {
        let (mut longest, mut second) = (0.0_f64, 0.0_f64);
        for &one in &self.seconds {
            second = second.max(one.min(longest));
            longest = longest.max(one);
        }
        let is_outlier = self.seconds.len() > 1 && longest > second * OUTLIER;
        if is_outlier { second } else { longest }
    }

    /// Messages deleted since counting began.
    pub fn counted(&self) -> u64 {
        self.counted
    }

    /// How many of the last messages differ from those before; `None` if they are alike.
    fn changed(&self) -> Option<usize> {
        (FEWEST..=MOST).find(|&fresh| {
            let known = self.seconds.len().saturating_sub(fresh);
            if known < FEWEST {
                return false;
            }
            let before = moments(self.seconds.iter().take(known).copied());
            let mut last: Vec<f64> = self.seconds.iter().skip(known).copied().collect();
            let mean = moments(last.iter().copied()).0;
            last.sort_by(f64::total_cmp);
            let bound = DEVIATIONS * before.1 / (fresh as f64).sqrt() + SLACK * before.0;
            // Most of them must be off, and all if there are three. Otherwise it is an outlier, or a change that has
            // only begun to show.
            let (low, high) = (last[fresh / 4], last[fresh - 1 - fresh / 4]);
            let off = mean - before.0;
            let most = if off > 0.0 {
                low - before.0
            } else {
                before.0 - high
            };
            off.abs() > bound && most > bound.max(off.abs()) / 2.0
        })
    }
}

/// Mean and standard deviation.
fn moments(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let count = values.clone().count().max(1) as f64;
    let mean = values.clone().sum::<f64>() / count;
    let variance = values.map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    (mean, variance.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn learnt(seconds: &[f64]) -> ProcessingTime {
        let mut time = ProcessingTime::default();
        for &one in seconds {
            time.learn(Duration::from_secs_f64(one));
        }
        time
    }

    /// Times of about `seconds`, give or take a tenth.
    fn about(seconds: f64, count: usize) -> Vec<f64> {
        let wobble = [0.97, 1.08, 1.0, 0.92, 1.05, 0.95, 1.1, 0.93];
        (0..count).map(|place| seconds * wobble[place % 8]).collect()
    }

    #[test]
    fn a_change_is_followed_within_three_messages() {
        for (before, after) in [(1.0, 2.0), (25.0, 50.0), (50.0, 25.0), (1.0, 1.5)] {
            let mut seconds = about(before, 40);
            seconds.extend(about(after, 3));
            let found = learnt(&seconds).seconds().unwrap();
            assert!((found / after - 1.0).abs() < 0.1, "{before} {after}: {found}");
        }
    }

    #[test]
    fn one_outlier_is_none() {
        for place in [0, 1, 5, 39] {
            let mut seconds = about(1.0, 40);
            seconds[place] = 300.0;
            let found = learnt(&seconds).seconds().unwrap();
            assert!((found - 1.0).abs() < 0.1, "{place}: {found}");
        }
        assert!((learnt(&[1.0, 90.0]).seconds().unwrap() - 1.0).abs() < 1e-9);
        assert_eq!(learnt(&[]).seconds(), None);
        assert_eq!(learnt(&[90.0]).seconds(), Some(90.0));
    }

    #[test]
    fn messages_of_two_kinds_have_their_mean() {
        let seconds: Vec<f64> = (0..200)
            .map(|place| if place % 8 == 3 { 20.0 } else { 1.0 })
            .collect();
        let found = learnt(&seconds).seconds().unwrap();
        assert!((found - 27.0 / 8.0).abs() < 0.5, "{found}");
    }

    proptest! {
        /// Whatever is learned, the mean lies among the times seen last.
        #[test]
        fn the_mean_is_among_the_last(seconds in prop::collection::vec(0.01_f64..100.0, 1..200)) {
            let time = learnt(&seconds);
            let last = &seconds[seconds.len().saturating_sub(WINDOW)..];
            let (least, most) = last.iter().fold((f64::MAX, 0.0_f64), |(least, most), &one| (least.min(one), most.max(one)));
            let found = time.seconds().unwrap();
            prop_assert!(found >= least - 1e-6 && found <= most + 1e-6, "{}", found);
            prop_assert_eq!(time.counted(), seconds.len() as u64);
        }

        /// Times that vary by half are followed, from any length to any other twice as long, within twelve messages.
        #[test]
        fn a_change_shows_soon(before in 0.1_f64..60.0, wobble in prop::collection::vec(0.75_f64..1.25, 76)) {
            let seconds: Vec<f64> = (0..).zip(&wobble)
                .map(|(place, wobble)| before * wobble * if place < 64 { 1.0 } else { 2.0 })
                .collect();
            let found = learnt(&seconds).seconds().unwrap();
            prop_assert!(found > before * 1.45 && found < before * 2.55, "{}", found);
        }
    }
}
