//! The functions of metric math.

use super::evaluate::each;
use super::syntax::{Kind, Node, wrong};
use super::{Labelled, MADE_LIMIT, MathError, Scope, TimeSeries, Value};
use std::collections::{BTreeMap, BTreeSet};

const DAY_SECONDS: i64 = 24 * 3600;

/// Computes one number from several.
type Statistic = fn(&[f64]) -> f64;

fn statistic(name: &str) -> Option<Statistic> {
    Some(match name {
        "SUM" => |values| values.iter().sum(),
        "AVG" => mean,
        "MIN" => |values| values.iter().copied().fold(f64::INFINITY, f64::min),
        "MAX" => |values| values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        "STDDEV" => |values| {
            let mean = mean(values);
            let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
            (squares / values.len() as f64).sqrt()
        },
        "DATAPOINT_COUNT" => |values| values.len() as f64,
        _ => return None,
    })
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// A function that changes each value by itself, given its time and the value.
fn elementwise(name: &str) -> Option<fn(i64, f64) -> f64> {
    Some(match name {
        "ABS" => |_, value| value.abs(),
        "CEIL" => |_, value| value.ceil(),
        "FLOOR" => |_, value| value.floor(),
        "LOG" => |_, value| value.ln(),
        "LOG10" => |_, value| value.log10(),
        "MINUTE" => |at, _| (at.rem_euclid(3600) / 60) as f64,
        "HOUR" => |at, _| (at.rem_euclid(DAY_SECONDS) / 3600) as f64,
        // Monday is 1; 1970 began on a Thursday.
        "DAY" => |at, _| ((at.div_euclid(DAY_SECONDS) + 3).rem_euclid(7) + 1) as f64,
        "EPOCH" => |at, _| at as f64,
        _ => return None,
    })
}

/// A function from a series to a series.
fn serial(name: &str) -> Option<fn(&TimeSeries) -> TimeSeries> {
    Some(match name {
        "DIFF" => |series| differences(series, |span, by| if span == 0 { 0.0 } else { by }),
        "RATE" => |series| differences(series, |span, by| by / span as f64),
        "DIFF_TIME" => |series| differences(series, |span, _| span as f64),
        "RUNNING_SUM" => |series| {
            let mut sum = 0.0;
            let points = series.points.iter().map(|(&at, value)| {
                sum += value;
                (at, sum)
            });
            TimeSeries {
                period: series.period,
                points: points.collect(),
            }
        },
        _ => return None,
    })
}

/// The difference of each point but the first from the one before, computed from seconds and value.
fn differences(series: &TimeSeries, of: impl Fn(i64, f64) -> f64) -> TimeSeries {
    let before = series.points.iter();
    let pairs = before.zip(series.points.iter().skip(1));
    TimeSeries {
        period: series.period,
        points: pairs
            .map(|((then, old), (&now, new))| (now, of(now - then, new - old)))
            .collect(),
    }
}

impl Scope<'_> {
    pub(super) fn call(&self, name: &str, arguments: &[Node], at: usize) -> Result<Value, MathError> {
        let alone = || match arguments {
            [one] => self.evaluate(one),
            _ => Err(wrong(at, format!("{name} takes one argument"))),
        };
        if let Some(statistic) = statistic(name) {
            return Ok(summarised(alone()?, statistic));
        }
        if let Some(change) = elementwise(name) {
            return Ok(each(alone()?, change));
        }
        if let Some(of) = serial(name) {
            return through(alone()?, arguments[0].at, |series| Ok(of(series)));
        }
        match name {
            "PERIOD" => match alone()? {
                Value::Series(series) => Ok(Value::Number(f64::from(series.period))),
                _ => Err(wrong(at, "PERIOD takes a series")),
            },
            "TIME_SERIES" => match alone()? {
                Value::Number(number) => Ok(Value::Series(self.constant(number, at)?)),
                _ => Err(wrong(at, "TIME_SERIES takes a number")),
            },
            "FIRST" | "LAST" => end(alone()?, name == "LAST").ok_or_else(|| wrong(at, "there is no series")),
            "METRICS" => self.all_metrics(arguments, at),
            "SEARCH" => self.found(arguments, at),
            "FILL" => self.fill(arguments, at),
            "IF" => self.either(arguments, at),
            "SORT" => self.sorted(arguments, at),
            "SLICE" => self.sliced(arguments, at),
            _ => Err(wrong(at, format!("there is no function {name}"))),
        }
    }

    fn number(&self, node: &Node) -> Result<f64, MathError> {
        match self.evaluate(node)? {
            Value::Number(number) => Ok(number),
            _ => Err(wrong(node.at, "this must be a number")),
        }
    }

    fn many(&self, node: &Node) -> Result<Vec<Labelled>, MathError> {
        match self.evaluate(node)? {
            Value::Many(all) => Ok(all),
            _ => Err(wrong(node.at, "this must be an array of series")),
        }
    }

    /// The seconds at which the range's periods begin; the first is the earliest in the range that is aligned with
    /// `anchor`.
    fn beginnings(
        &self,
        period: u32,
        anchor: i64,
        at: usize,
    ) -> Result<impl Iterator<Item = i64> + use<>, MathError> {
        let step = i64::from(period.max(1));
        let first = self
            .from
            .saturating_add((anchor.saturating_sub(self.from)).rem_euclid(step));
        let (to, span) = (self.to, self.to.saturating_sub(first));
        if span / step > MADE_LIMIT {
            return Err(wrong(
                at,
                format!("this would have more than {MADE_LIMIT} points"),
            ));
        }
        let mut next = Some(first);
        Ok(core::iter::from_fn(move || {
            let now = next.filter(|now| *now < to)?;
            next = now.checked_add(step);
            Some(now)
        }))
    }

    fn constant(&self, number: f64, at: usize) -> Result<TimeSeries, MathError> {
        Ok(TimeSeries {
            period: self.period,
            points: self
                .beginnings(self.period, self.from, at)?
                .map(|at| (at, number))
                .collect(),
        })
    }

    fn all_metrics(&self, arguments: &[Node], at: usize) -> Result<Value, MathError> {
        let part = match arguments {
            [] => "",
            [
                Node {
                    kind: Kind::Text(part),
                    ..
                },
            ] => part.as_str(),
            _ => return Err(wrong(at, "METRICS takes nothing, or a text that ids hold")),
        };
        let all = (self.metrics)().into_iter();
        Ok(Value::Many(
            all.filter(|(id, _)| id.contains(part))
                .map(|(_, one)| one)
                .collect(),
        ))
    }

    fn found(&self, arguments: &[Node], at: usize) -> Result<Value, MathError> {
        let (query, stat, period) = match arguments {
            [query, stat] => (query, stat, None),
            [query, stat, period] => (query, stat, Some(self.number(period)?)),
            _ => {
                return Err(wrong(
                    at,
                    "SEARCH takes a search expression, a statistic and a period",
                ));
            }
        };
        let (Kind::Text(query), Kind::Text(stat)) = (&query.kind, &stat.kind) else {
            return Err(wrong(
                at,
                "SEARCH takes a search expression and a statistic as strings",
            ));
        };
        let period = match period {
            None => None,
            Some(seconds) if (1.0..=86_400.0).contains(&seconds) => Some(seconds as u32),
            Some(_) => return Err(wrong(at, "a period is 1 to 86400 seconds")),
        };
        let found = (self.search)(query, stat, period).map_err(|problem| wrong(at, problem))?;
        Ok(Value::Many(found))
    }

    fn fill(&self, arguments: &[Node], at: usize) -> Result<Value, MathError> {
        let [what, with] = arguments else {
            return Err(wrong(at, "FILL takes a series and what to fill it with"));
        };
        let filling = match &with.kind {
            Kind::Word(word) if word == "REPEAT" => Filling::Repeat,
            Kind::Word(word) if word == "LINEAR" => Filling::Linear,
            _ => match self.evaluate(with)? {
                Value::Number(number) => Filling::Number(number),
                Value::Series(series) => Filling::Series(series),
                Value::Many(_) => return Err(wrong(with.at, "an array can not fill")),
            },
        };
        through(self.evaluate(what)?, what.at, |series| {
            let anchor = series.points.keys().next().copied().unwrap_or(self.from);
            let places = self.beginnings(series.period, anchor, at)?;
            Ok(filling.fill(series, places))
        })
    }

    fn either(&self, arguments: &[Node], at: usize) -> Result<Value, MathError> {
        let (condition, then, other) = match arguments {
            [condition, then] => (condition, then, None),
            [condition, then, other] => (condition, then, Some(other)),
            _ => return Err(wrong(at, "IF takes a condition and one or two values")),
        };
        let (condition, then) = (self.evaluate(condition)?, self.evaluate(then)?);
        let other = other.map(|other| self.evaluate(other)).transpose()?;
        match condition {
            Value::Number(number) if number != 0.0 => Ok(then),
            Value::Number(_) => Ok(other.unwrap_or_else(|| {
                Value::Series(TimeSeries {
                    period: self.period,
                    points: BTreeMap::new(),
                })
            })),
            Value::Many(_) => Err(wrong(at, "the condition is a number or a series")),
            Value::Series(condition) => {
                let points = condition.points.iter().filter_map(|(&place, &value)| {
                    let chosen = if value != 0.0 { Some(&then) } else { other.as_ref() };
                    match chosen? {
                        Value::Number(number) => Some((place, *number)),
                        Value::Series(series) => series.points.get(&place).map(|value| (place, *value)),
                        Value::Many(_) => None,
                    }
                });
                let points = points.collect();
                if matches!(then, Value::Many(_)) || matches!(other, Some(Value::Many(_))) {
                    return Err(wrong(
                        at,
                        "IF over a series chooses numbers or series, not arrays",
                    ));
                }
                Ok(Value::Series(TimeSeries {
                    period: condition.period,
                    points,
                }))
            }
        }
    }

    fn sorted(&self, arguments: &[Node], at: usize) -> Result<Value, MathError> {
        let (what, by, order, most) = match arguments {
            [what, by, order] => (what, by, order, None),
            [what, by, order, most] => (what, by, order, Some(self.number(most)?)),
            _ => {
                return Err(wrong(
                    at,
                    "SORT takes an array, a function, ASC or DESC, and optionally a number of series",
                ));
            }
        };
        let by = match &by.kind {
            Kind::Word(word) => statistic(word),
            _ => None,
        };
        let by =
            by.ok_or_else(|| wrong(at, "SORT sorts by AVG, MAX, MIN, SUM, STDDEV or DATAPOINT_COUNT"))?;
        let descends = match &order.kind {
            Kind::Word(word) if word == "ASC" => false,
            Kind::Word(word) if word == "DESC" => true,
            _ => return Err(wrong(order.at, "this must be ASC or DESC")),
        };
        let key = |one: &Labelled| {
            let values: Vec<f64> = one.series.points.values().copied().collect();
            by(&values)
        };
        // Series without points cannot be ranked among the others, so they come last.
        let (mut all, empty): (Vec<Labelled>, Vec<Labelled>) = self
            .many(what)?
            .into_iter()
            .partition(|one| !one.series.points.is_empty());
        all.sort_by(|left, right| {
            let order = key(left).total_cmp(&key(right));
            if descends { order.reverse() } else { order }
        });
        all.extend(empty);
        if let Some(most) = most {
            all.truncate(most.max(0.0) as usize);
        }
        Ok(Value::Many(all))
    }

    fn sliced(&self, arguments: &[Node], at: usize) -> Result<Value, MathError> {
        let (what, from, to) = match arguments {
            [what, from] => (what, self.number(from)?, None),
            [what, from, to] => (what, self.number(from)?, Some(self.number(to)?)),
            _ => {
                return Err(wrong(
                    at,
                    "SLICE takes an array, a start index, and optionally an end index",
                ));
            }
        };
        let all = self.many(what)?.into_iter();
        let (from, to) = (
            from.max(0.0) as usize,
            to.map_or(usize::MAX, |to| to.max(0.0) as usize),
        );
        Ok(Value::Many(
            all.enumerate()
                .filter(|(place, _)| (from..to).contains(place))
                .map(|(_, one)| one)
                .collect(),
        ))
    }
}

/// For a series one number over its time; for an array a series over its members.
fn summarised(value: Value, statistic: Statistic) -> Value {
    match value {
        Value::Number(number) => Value::Number(statistic(&[number])),
        Value::Series(series) => {
            let values: Vec<f64> = series.points.into_values().collect();
            Value::Number(statistic(&values))
        }
        Value::Many(all) => {
            let places: BTreeSet<i64> = all
                .iter()
                .flat_map(|one| one.series.points.keys().copied())
                .collect();
            let points = places.into_iter().map(|place| {
                let values = all
                    .iter()
                    .filter_map(|one| one.series.points.get(&place).copied());
                (place, statistic(&values.collect::<Vec<f64>>()))
            });
            Value::Series(TimeSeries {
                points: points.collect(),
                period: all.iter().map(|one| one.series.period).max().unwrap_or(60),
            })
        }
    }
}

/// A value with each of its series changed.
fn through(
    value: Value,
    at: usize,
    of: impl Fn(&TimeSeries) -> Result<TimeSeries, MathError>,
) -> Result<Value, MathError> {
    match value {
        Value::Number(_) => Err(wrong(at, "this must be a series, and it is a number")),
        Value::Series(series) => Ok(Value::Series(of(&series)?)),
        Value::Many(all) => {
            let all = all.into_iter().map(|one| {
                Ok(Labelled {
                    series: of(&one.series)?,
                    label: one.label,
                })
            });
            Ok(Value::Many(all.collect::<Result<_, MathError>>()?))
        }
    }
}

/// The first or last series of an array, or point of a series.
fn end(value: Value, last: bool) -> Option<Value> {
    match value {
        Value::Number(number) => Some(Value::Number(number)),
        Value::Series(series) => {
            let mut points = series.points.into_values();
            let point = if last { points.next_back() } else { points.next() };
            point.map(Value::Number)
        }
        Value::Many(all) => {
            let mut all = all.into_iter();
            let one = if last { all.next_back() } else { all.next() };
            one.map(|one| Value::Series(one.series))
        }
    }
}

/// The values that missing points are filled with.
enum Filling {
    Number(f64),
    Series(TimeSeries),
    Repeat,
    Linear,
}

impl Filling {
    fn fill(&self, series: &TimeSeries, places: impl Iterator<Item = i64>) -> TimeSeries {
        let mut points = series.points.clone();
        for place in places {
            if points.contains_key(&place) {
                continue;
            }
            let before = series.points.range(..place).next_back();
            let made = match self {
                Filling::Number(number) => Some(*number),
                Filling::Series(other) => other.points.get(&place).copied(),
                Filling::Repeat => before.map(|(_, value)| *value),
                Filling::Linear => {
                    let behind = series.points.range(place..).next();
                    before.zip(behind).map(|((from, low), (to, high))| {
                        let share = (place - from) as f64 / (to - from) as f64;
                        low + (high - low) * share
                    })
                }
            };
            if let Some(made) = made {
                points.insert(place, made);
            }
        }
        TimeSeries {
            period: series.period,
            points,
        }
    }
}
