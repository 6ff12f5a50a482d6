//! When an alarm is in ALARM: M of the last N points breach a threshold, with CloudWatch's rules for missing data.

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
    /// All four comparisons.
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

    /// The comparison with this name.
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

/// How missing points are treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissingData {
    /// As missing: without any points the state is INSUFFICIENT_DATA.
    #[default]
    Missing,
    /// The state is kept.
    Ignore,
    /// As breaching the threshold.
    Breaching,
    /// As not breaching the threshold.
    NotBreaching,
}

impl MissingData {
    /// All four treatments.
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

    /// The treatment with this name.
    pub fn named(name: &str) -> Option<MissingData> {
        MissingData::ALL
            .into_iter()
            .find(|treatment| treatment.name() == name)
    }
}

/// An alarm's state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// The threshold is not breached.
    Ok,
    /// The threshold is breached.
    Alarm,
    /// Too little is known. Every alarm starts like this.
    #[default]
    InsufficientData,
}

impl State {
    /// All three states.
    pub const ALL: [State; 3] = [State::Ok, State::Alarm, State::InsufficientData];

    /// CloudWatch's name.
    pub const fn name(self) -> &'static str {
        match self {
            State::Ok => "OK",
            State::Alarm => "ALARM",
            State::InsufficientData => "INSUFFICIENT_DATA",
        }
    }

    /// The state with this name.
    pub fn named(name: &str) -> Option<State> {
        State::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// When an alarm is in ALARM.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// How points are compared.
    pub comparison: Comparison,
    /// The threshold.
    pub threshold: f64,
    /// N: the number of points evaluated.
    pub evaluation_periods: usize,
    /// M: the number of them that must breach the threshold.
    pub datapoints_to_alarm: usize,
    /// How missing points are treated.
    pub missing_data: MissingData,
}

/// The result of an evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// The state from now on.
    pub state: State,
    /// The points that were evaluated, as indices into the range.
    pub evaluated: Vec<usize>,
    /// Number of evaluated points that breach the threshold.
    pub breaching: usize,
    /// Number of missing points that were filled in.
    pub filled: usize,
}

/// Periods that are looked at beyond N, where periods are at least a minute.
const LATE: usize = 2;

impl Rule {
    /// Number of periods to look at. It is more than N, for points that come late. Periods of less than a minute are
    /// for those who want to know at once, so only N of them are looked at. AWS describes this without numbers.
    pub const fn range(&self, period_seconds: u32) -> usize {
        let late = if period_seconds < 60 { 0 } else { LATE };
        self.evaluation_periods + late
    }

    /// The state after the periods of `range`, the oldest first; `state` is the state before.
    pub fn evaluate(&self, range: &[Option<f64>], state: State) -> Evaluation {
        let there = range.iter().enumerate().rev();
        let there = there.filter_map(|(place, point)| Some((place, (*point)?)));
        // The newest N. Missing points matter only if there are fewer.
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
        // Enough is known if the points suffice for ALARM, or if one of them does not breach the threshold.
        if breaching >= self.datapoints_to_alarm || breaching < newest.len() {
            return to(enough(breaching), 0);
        }
        // All points there breach the threshold, but they are too few. That counts once M periods have passed since the
        // oldest of them; before that, points still on their way may change the result.
        let age = newest.last().map_or(0, |oldest| range.len() - oldest.0);
        if age >= self.datapoints_to_alarm && !keeps {
            return to(State::Alarm, 0);
        }
        to(state, 0)
    }
}

/// The reason for a state, in CloudWatch's words.
pub struct Reason<'a> {
    /// The alarm's rule.
    pub rule: &'a Rule,
    /// The result of its evaluation.
    pub evaluation: &'a Evaluation,
    /// The evaluated range, with the start of each period as text.
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
