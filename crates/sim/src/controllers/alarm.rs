//! An alarm on points that come one a period, by CloudWatch's rule.

use core::time::Duration;
use forebay_signals::alarm::{Comparison, MissingData, Rule, State};
use std::collections::VecDeque;

/// An alarm and the points that it looks at.
#[derive(Clone, Debug)]
pub(crate) struct Alarm {
    rule: Rule,
    range: usize,
    state: State,
    points: VecDeque<Option<f64>>,
}

impl Alarm {
    /// All of the last so many points must be beyond the threshold; missing ones count as nothing.
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

    /// The threshold is this from now on.
    pub(crate) fn aim(&mut self, threshold: f64) {
        self.rule.threshold = threshold;
    }

    /// A period is over; whether it is in ALARM now. Actions of Auto Scaling are run at each evaluation in that state.
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
