//! When an alarm is in ALARM: M of the last N points beyond a threshold, with CloudWatch's rules for points that are missing.

use core::fmt;

/// How points are compared with the threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `>=`
    GreaterThanOrEqualToThreshold,
    /// `>`
    GreaterThanThreshold,
    /// `<`
    LessThanThreshold,
    /// `<=`
    LessThanOrEqualToThreshold,
}

impl Comparison {
    /// All four.
    pub const ALL: [Comparison; 4] = [
        Comparison::GreaterThanOrEqualToThreshold,
        Comparison::GreaterThanThreshold,
        Comparison::LessThanThreshold,
        Comparison::LessThanOrEqualToThreshold,
    ];

    /// CloudWatch's name.
    pub const fn name(self) -> &'static str {
        match self {
            Comparison::GreaterThanOrEqualToThreshold => "GreaterThanOrEqualToThreshold",
            Comparison::GreaterThanThreshold => "GreaterThanThreshold",
            Comparison::LessThanThreshold => "LessThanThreshold",
            Comparison::LessThanOrEqualToThreshold => "LessThanOrEqualToThreshold",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Comparison> {
        Comparison::ALL
            .into_iter()
            .find(|comparison| comparison.name() == name)
    }

    const fn words(self) -> &'static str {
        match self {
            Comparison::GreaterThanOrEqualToThreshold => "greater than or equal to",
            Comparison::GreaterThanThreshold => "greater than",
            Comparison::LessThanThreshold => "less than",
            Comparison::LessThanOrEqualToThreshold => "less than or equal to",
        }
    }

    fn is_breaching(self, value: f64, threshold: f64) -> bool {
        match self {
            Comparison::GreaterThanOrEqualToThreshold => value >= threshold,
            Comparison::GreaterThanThreshold => value > threshold,
            Comparison::LessThanThreshold => value < threshold,
            Comparison::LessThanOrEqualToThreshold => value <= threshold,
        }
    }
}

/// What points count as that are not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissingData {
    /// If nothing is there, nobody knows.
    #[default]
    Missing,
    /// The state stays.
    Ignore,
    /// Beyond the threshold.
    Breaching,
    /// Not beyond the threshold.
    NotBreaching,
}

impl MissingData {
    /// All four.
    pub const ALL: [MissingData; 4] = [
        MissingData::Missing,
        MissingData::Ignore,
        MissingData::Breaching,
        MissingData::NotBreaching,
    ];

    /// CloudWatch's name.
    pub const fn name(self) -> &'static str {
        match self {
            MissingData::Missing => "missing",
            MissingData::Ignore => "ignore",
            MissingData::Breaching => "breaching",
            MissingData::NotBreaching => "notBreaching",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<MissingData> {
        MissingData::ALL
            .into_iter()
            .find(|treatment| treatment.name() == name)
    }
}

/// An alarm's state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Not beyond its threshold.
    Ok,
    /// Beyond its threshold.
    Alarm,
    /// Too little is known; each alarm begins so.
    #[default]
    InsufficientData,
}

impl State {
    /// All three.
    pub const ALL: [State; 3] = [State::Ok, State::Alarm, State::InsufficientData];

    /// CloudWatch's name.
    pub const fn name(self) -> &'static str {
        match self {
            State::Ok => "OK",
            State::Alarm => "ALARM",
            State::InsufficientData => "INSUFFICIENT_DATA",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<State> {
        State::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// When to be in ALARM.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// How points are compared.
    pub comparison: Comparison,
    /// With what.
    pub threshold: f64,
    /// N: so many points are looked at.
    pub evaluation_periods: usize,
    /// M: so many of them must be beyond the threshold.
    pub datapoints_to_alarm: usize,
    /// What missing points count as.
    pub missing_data: MissingData,
}

/// What an evaluation came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// The state from now on.
    pub state: State,
    /// Points that were looked at, by their places in the range.
    pub evaluated: Vec<usize>,
    /// Those of them that are beyond the threshold.
    pub breaching: usize,
    /// Missing points that were counted as something.
    pub filled: usize,
}

/// Periods that are looked at beyond N, where periods are long.
const LATE: usize = 2;

impl Rule {
    /// How many periods are looked at: more than must be there, for points that come late; a period of less than a minute is for those
    /// who want to know at once, and is looked at alone. AWS says as much, and no numbers.
    pub const fn range(&self, period_seconds: u32) -> usize {
        let late = if period_seconds < 60 { 0 } else { LATE };
        self.evaluation_periods + late
    }

    /// The state after the periods of `range`, the oldest first; `state` is that before.
    pub fn evaluate(&self, range: &[Option<f64>], state: State) -> Evaluation {
        let there = range.iter().enumerate().rev();
        let there = there.filter_map(|(place, point)| Some((place, (*point)?)));
        // The newest N; what is missing among them matters only if there are fewer.
        let newest: Vec<(usize, f64)> = there.take(self.evaluation_periods).collect();
        let is_breaching = |value| self.comparison.is_breaching(value, self.threshold);
        let breaching = newest.iter().filter(|point| is_breaching(point.1)).count();
        let filled = self.evaluation_periods - newest.len();
        let to = |state, filled| Evaluation {
            state,
            evaluated: newest.iter().rev().map(|point| point.0).collect(),
            breaching,
            filled,
        };
        let enough = |breaching| {
            if breaching >= self.datapoints_to_alarm {
                State::Alarm
            } else {
                State::Ok
            }
        };
        match self.missing_data {
            MissingData::Breaching => return to(enough(breaching + filled), filled),
            MissingData::NotBreaching => return to(enough(breaching), filled),
            MissingData::Missing | MissingData::Ignore => {}
        }
        let keeps = self.missing_data == MissingData::Ignore;
        if newest.is_empty() {
            return to(if keeps { state } else { State::InsufficientData }, 0);
        }
        // Enough is known where points suffice for ALARM, and where one of them is not beyond the threshold.
        if breaching >= self.datapoints_to_alarm || breaching < newest.len() {
            return to(enough(breaching), 0);
        }
        // All that is there is beyond the threshold, and it is too few. It counts once M periods have passed since the oldest of
        // them: before that, points on their way may come to say otherwise.
        let age = newest.last().map_or(0, |oldest| range.len() - oldest.0);
        if age >= self.datapoints_to_alarm && !keeps {
            return to(State::Alarm, 0);
        }
        to(state, 0)
    }
}

/// A state's reason, in CloudWatch's words.
pub struct Reason<'a> {
    /// The alarm's rule.
    pub rule: &'a Rule,
    /// What its evaluation came to.
    pub evaluation: &'a Evaluation,
    /// The range that was evaluated, with each period's beginning as text.
    pub range: &'a [(Option<f64>, String)],
    /// The state before.
    pub before: State,
}

impl fmt::Display for Reason<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rule, evaluation) = (self.rule, self.evaluation);
        if evaluation.state == State::InsufficientData {
            let periods = rule.evaluation_periods;
            let were = if periods == 1 { "was" } else { "were" };
            return write!(
                out,
                "Insufficient Data: {} {were} unknown.",
                plural(periods, "datapoint")
            );
        }
        let points: Vec<String> = evaluation
            .evaluated
            .iter()
            .rev()
            .filter_map(|&place| self.range.get(place))
            .filter_map(|(value, time)| Some(format!("{:?} ({time})", (*value)?)))
            .collect();
        if points.is_empty() {
            return write!(
                out,
                "Threshold Crossed: no datapoints were received for {} and {} treated as [{}].",
                plural(rule.evaluation_periods, "period"),
                match evaluation.filled {
                    1 => "1 missing datapoint was".to_owned(),
                    filled => format!("{filled} missing datapoints were"),
                },
                if rule.missing_data == MissingData::Breaching {
                    "Breaching"
                } else {
                    "NonBreaching"
                },
            );
        }
        let in_alarm = evaluation.state == State::Alarm;
        let shown = if in_alarm {
            evaluation.breaching
        } else {
            points.len() - evaluation.breaching
        };
        let of_all = if shown == points.len() && rule.datapoints_to_alarm == rule.evaluation_periods {
            String::new()
        } else {
            format!("{shown} out of the last ")
        };
        write!(
            out,
            "Threshold Crossed: {of_all}{} [{}] {} {}{} the threshold ({:?})",
            plural(points.len(), "datapoint"),
            points.join(", "),
            if shown == 1 { "was" } else { "were" },
            if in_alarm { "" } else { "not " },
            rule.comparison.words(),
            rule.threshold,
        )?;
        if self.before != evaluation.state && evaluation.state == State::Alarm {
            write!(
                out,
                " (minimum {} for {} -> ALARM transition)",
                plural(rule.datapoints_to_alarm, "datapoint"),
                self.before.name(),
            )?;
        }
        out.write_str(".")
    }
}

fn plural(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests;
