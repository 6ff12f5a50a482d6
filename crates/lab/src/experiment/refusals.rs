//! Results of an alarm on refused requests: each second, and the important moments.

use super::timeline::{self, Line, Words};
use anyhow::Context as _;
use forebay_process::out;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// Most rows of the table; with more seconds, five make a row.
const ROWS: usize = 60;

/// The outcomes of requests that were sent in a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Second {
    pub(crate) served: u32,
    /// Answered with 503.
    pub(crate) refused: u32,
    /// Any other outcome.
    pub(crate) failed: u32,
    /// Instances in service at the end of the second.
    pub(crate) instances: u16,
}

impl Second {
    fn offered(&self) -> u32 {
        self.served + self.refused + self.failed
    }

    fn and(&self, next: &Second) -> Second {
        Second {
            served: self.served + next.served,
            refused: self.refused + next.refused,
            failed: self.failed + next.failed,
            instances: next.instances,
        }
    }
}

/// A run.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Refusals {
    pub(crate) seconds: Vec<Second>,
    /// When refused requests were sent, in order.
    pub(crate) refused: Vec<Duration>,
    /// When the alarm was first seen in ALARM.
    pub(crate) alarm: Option<Duration>,
    /// When the group's desired number first grew.
    pub(crate) scaled: Option<Duration>,
    /// When all instances that it then wanted were first in service.
    pub(crate) serving: Option<Duration>,
}

impl Refusals {
    /// For a load of this duration.
    pub(crate) fn new(time: Duration) -> Refusals {
        let mut seconds = time.as_secs() as usize;
        seconds += usize::from(time.subsec_nanos() > 0);
        Refusals {
            seconds: vec![Second::default(); seconds],
            ..Refusals::default()
        }
    }

    /// Counts a request in the second in which it was sent.
    pub(crate) fn count(&mut self, at: Duration, status: Option<u16>) {
        let Some(second) = self.seconds.get_mut(at.as_secs() as usize) else {
            return;
        };
        match status {
            Some(200) => second.served += 1,
            Some(503) => {
                second.refused += 1;
                let place = self.refused.partition_point(|&other| other <= at);
                self.refused.insert(place, at);
            }
            _ => second.failed += 1,
        }
    }

    /// Records the instances in service from a time on.
    pub(crate) fn in_service(&mut self, from: Duration, instances: u16) {
        let seconds = self.seconds.iter_mut().skip(from.as_secs() as usize);
        seconds.for_each(|second| second.instances = instances);
    }

    /// The first second from which on no request was refused; none if one was refused until the end.
    fn quiet(&self) -> Option<usize> {
        let last = self.seconds.iter().rposition(|second| second.refused > 0);
        let quiet = last.map_or(0, |last| last + 1);
        (quiet < self.seconds.len()).then_some(quiet)
    }

    fn sum(&self) -> Second {
        let all = self.seconds.iter();
        all.fold(Second::default(), |sum, second| sum.and(second))
    }

    /// Prints the table and a summary.
    pub(crate) fn print(&self) -> anyhow::Result<()> {
        let step = if self.seconds.len() > ROWS { 5 } else { 1 };
        out::line(format_args!(
            "  {:>7} {:>8} {:>7} {:>8} {:>7} {:>10}",
            "second", "offered", "served", "refused", "failed", "instances"
        ))?;
        for (number, rows) in self.seconds.chunks(step).enumerate() {
            let sum = rows.iter().fold(Second::default(), |sum, row| sum.and(row));
            out::line(format_args!(
                "  {:>7} {:>8} {:>7} {:>8} {:>7} {:>10}",
                number * step,
                sum.offered(),
                sum.served,
                sum.refused,
                sum.failed,
                sum.instances
            ))?;
        }
        let at = |moment: Option<Duration>| {
            moment.map_or("never".to_owned(), |at| format!("{:.1} s", at.as_secs_f64()))
        };
        let quiet = self.quiet().map_or("never".to_owned(), |at| format!("{at} s"));
        let sum = self.sum();
        for (what, value) in [
            ("first refusal", at(self.refused.first().copied())),
            ("alarm", at(self.alarm)),
            ("group scaled", at(self.scaled)),
            ("new instances serve", at(self.serving)),
            ("none refused from", quiet),
            ("refused", format!("{} of {}", sum.refused, sum.offered())),
        ] {
            out::line(format_args!("  {what:<20} {value}"))?;
        }
        Ok(())
    }

    /// Draws requests a second, and instances.
    pub(crate) fn draw(&self, file: &Path, title: &str) -> anyhow::Result<()> {
        let line = |name: &str, is_right: bool, value: fn(&Second) -> f64| {
            let values = self.seconds.iter().enumerate();
            let values = values.map(|(at, second)| (at as f64, value(second)));
            Line {
                name: name.to_owned(),
                points: timeline::steps(values, self.seconds.len() as f64),
                is_right,
            }
        };
        let lines = [
            line("refused", false, |second| f64::from(second.refused)),
            line("served", false, |second| f64::from(second.served)),
            line("instances in service", true, |second| f64::from(second.instances)),
        ];
        let words = Words {
            title,
            below: "seconds",
            left: "requests a second",
            right: "instances",
        };
        timeline::draw(file, &words, &lines)?;
        out::line(format_args!("Drawn: {}", file.display()))?;
        Ok(())
    }

    fn figures(&self) -> Value {
        let seconds = self.seconds.iter().map(|second| {
            json!({
                "offered": second.offered(), "served": second.served, "refused": second.refused,
                "failed": second.failed, "instances": second.instances,
            })
        });
        let at = |moment: Option<Duration>| moment.map(|at| at.as_secs_f64());
        let sum = self.sum();
        json!({
            "offered": sum.offered(), "served": sum.served, "refused": sum.refused, "failed": sum.failed,
            "first_refusal": at(self.refused.first().copied()), "last_refusal": at(self.refused.last().copied()),
            "alarm": at(self.alarm), "scaled": at(self.scaled), "serving": at(self.serving),
            "none_refused_from": self.quiet(), "seconds": seconds.collect::<Vec<_>>(),
        })
    }

    /// Writes all figures.
    pub(crate) fn write(&self, file: &Path, title: &str) -> anyhow::Result<()> {
        let mut figures = self.figures();
        figures["title"] = title.into();
        std::fs::write(file, serde_json::to_vec_pretty(&figures)?)
            .with_context(|| format!("cannot write {}", file.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_count_in_the_second_in_which_they_were_sent() {
        let mut run = Refusals::new(Duration::from_millis(3500));
        let at = Duration::from_millis;
        run.in_service(Duration::ZERO, 3);
        run.in_service(at(2100), 6);
        for (sent, status) in [
            (1900, Some(503)),
            (100, Some(503)),
            (200, Some(200)),
            (2500, None),
            (3400, Some(200)),
        ] {
            run.count(at(sent), status);
        }
        assert_eq!(run.refused, [at(100), at(1900)]);
        assert_eq!(run.quiet(), Some(2));
        let instances: Vec<u16> = run.seconds.iter().map(|second| second.instances).collect();
        assert_eq!(instances, [3, 3, 6, 6]);
        let sum = run.sum();
        assert_eq!((sum.offered(), sum.served, sum.refused, sum.failed), (5, 2, 2, 1));
        run.count(at(3450), Some(503));
        assert_eq!(run.quiet(), None);
    }
}
