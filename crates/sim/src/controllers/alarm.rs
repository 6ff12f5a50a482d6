//! An alarm on points of fixed periods, by CloudWatch's rule.

use core::time::Duration;
use forebay_signals::alarm::{Comparison, MissingData, Rule, State};
use std::collections::VecDeque;

/// An alarm and the points that it evaluates.
#[derive(Clone, Debug)]
pub(crate) struct Alarm {
    rule: Rule,
    range: usize,
    state: State,
    points: VecDeque<Option<f64>>,
}

impl Alarm {
    /// All of the last `points` points must be beyond the threshold; missing ones are ignored.
    pub(crate) fn new(comparison: Comparison, threshold: f64, points: usize, period: Duration) -> Alarm {
        let rule = Rule {
            comparison,
            threshold,
            evaluation_periods: points,
            datapoints_to_alarm: points,
            missing_data: MissingData::Missing,
        };
        Alarm {
            rule,
            range: rule.range(period.as_secs() as u32),
            state: State::InsufficientData,
            points: VecDeque::new(),
        }
    }

    /// Changes the threshold.
    pub(crate) fn aim(&mut self, threshold: f64) {
        self.rule.threshold = threshold;
    }

    /// Ends a period; returns whether the alarm is in ALARM. Auto Scaling runs its action at each evaluation in that state.
    pub(crate) fn put(&mut self, point: Option<f64>) -> bool {
        self.points.push_back(point);
        if self.points.len() > self.range {
            self.points.pop_front();
        }
        self.state = self
            .rule
            .evaluate(self.points.make_contiguous(), self.state)
            .state;
        self.state == State::Alarm
    }
}
