//! Evaluates a tree.

use super::syntax::{Expression, Kind, Node, Sign, wrong};
use super::{Labelled, MathError, Scope, TimeSeries, Value};

impl Expression {
    /// The value of the expression. Series of different periods give one of the longest period.
    pub fn evaluate(&self, scope: &Scope<'_>) -> Result<Value, MathError> {
        Ok(match scope.evaluate(&self.root)? {
            Value::Number(number) => Value::Number(number),
            Value::Series(series) => Value::Series(series.finite()),
            Value::Many(all) => Value::Many(
                all.into_iter()
                    .map(|one| Labelled {
                        label: one.label,
                        series: one.series.finite(),
                    })
                    .collect(),
            ),
        })
    }
}

impl Scope<'_> {
    pub(super) fn evaluate(&self, node: &Node) -> Result<Value, MathError> {
        match &node.kind {
            Kind::Number(number) => Ok(Value::Number(*number)),
            Kind::Id(id) => {
                (self.value)(id).ok_or_else(|| wrong(node.at, format!("nothing has the id '{id}'")))
            }
            Kind::Text(_) => Err(wrong(node.at, "a text is not a value")),
            Kind::Word(word) => Err(wrong(node.at, format!("'{word}' is not a value"))),
            Kind::Negate(below) => Ok(each(self.evaluate(below)?, |_, value| -value)),
            Kind::Binary(sign, left, right) => {
                let (left, right) = (self.evaluate(left)?, self.evaluate(right)?);
                binary(left, right, node.at, |left, right| apply(*sign, left, right))
            }
            Kind::Array(items) => self.array(items),
            Kind::Call(name, arguments) => self.call(name, arguments, node.at),
        }
    }

    fn array(&self, items: &[Node]) -> Result<Value, MathError> {
        let mut all = Vec::new();
        for item in items {
            let label = match &item.kind {
                Kind::Id(id) => id.clone(),
                _ => format!("{}", all.len() + 1),
            };
            match self.evaluate(item)? {
                Value::Series(series) => all.push(Labelled { label, series }),
                Value::Many(more) => all.extend(more),
                Value::Number(_) => {
                    return Err(wrong(item.at, "an array holds series, and this is a number"));
                }
            }
        }
        Ok(Value::Many(all))
    }
}

fn truth(value: bool) -> f64 {
    f64::from(u8::from(value))
}

fn apply(sign: Sign, left: f64, right: f64) -> f64 {
    match sign {
        Sign::Or => truth(left != 0.0 || right != 0.0),
        Sign::And => truth(left != 0.0 && right != 0.0),
        Sign::Less => truth(left < right),
        Sign::LessOrEqual => truth(left <= right),
        Sign::Greater => truth(left > right),
        Sign::GreaterOrEqual => truth(left >= right),
        Sign::Equal => truth(left == right),
        Sign::NotEqual => truth(left != right),
        Sign::Plus => left + right,
        Sign::Minus => left - right,
        Sign::Times => left * right,
        Sign::Over => left / right,
        Sign::Power => left.powf(right),
    }
}

/// The value with each of its numbers changed.
pub(super) fn each(value: Value, change: impl Fn(i64, f64) -> f64 + Copy) -> Value {
    match value {
        Value::Number(number) => Value::Number(change(0, number)),
        Value::Series(series) => Value::Series(series.map(change)),
        Value::Many(all) => Value::Many(
            all.into_iter()
                .map(|one| Labelled {
                    label: one.label,
                    series: one.series.map(change),
                })
                .collect(),
        ),
    }
}

/// The points at which both series have one.
fn joined(left: &TimeSeries, right: &TimeSeries, of: impl Fn(f64, f64) -> f64) -> TimeSeries {
    let both = left
        .points
        .iter()
        .filter_map(|(at, left)| Some((*at, of(*left, *right.points.get(at)?))));
    TimeSeries {
        period: left.period.max(right.period),
        points: both.collect(),
    }
}

fn binary(
    left: Value,
    right: Value,
    at: usize,
    of: impl Fn(f64, f64) -> f64 + Copy,
) -> Result<Value, MathError> {
    let labelled = |label: String, series: TimeSeries| Labelled { label, series };
    Ok(match (left, right) {
        (Value::Number(left), Value::Number(right)) => Value::Number(of(left, right)),
        (left, Value::Number(right)) => each(left, |_, left| of(left, right)),
        (Value::Number(left), right) => each(right, |_, right| of(left, right)),
        (Value::Series(left), Value::Series(right)) => Value::Series(joined(&left, &right, of)),
        (Value::Many(all), Value::Series(right)) => Value::Many(
            all.into_iter()
                .map(|one| labelled(one.label, joined(&one.series, &right, of)))
                .collect(),
        ),
        (Value::Series(left), Value::Many(all)) => Value::Many(
            all.into_iter()
                .map(|one| labelled(one.label, joined(&left, &one.series, of)))
                .collect(),
        ),
        (Value::Many(_), Value::Many(_)) => {
            return Err(wrong(
                at,
                "two arrays can not be combined: one side must be a number or a series",
            ));
        }
    })
}
