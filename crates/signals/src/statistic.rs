//! Statistics under CloudWatch's names.

use crate::summary::Summary;
use core::fmt;
use core::str::FromStr;

/// A statistic of a period's values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Statistic {
    /// The number of values.
    SampleCount,
    /// The mean.
    Average,
    /// The sum.
    Sum,
    /// The smallest value.
    Minimum,
    /// The largest value.
    Maximum,
    /// `p99.9`: the value that this percentage of the values does not exceed.
    Percentile(f64),
}

/// There is no statistic with this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no statistic has this name")]
pub struct StatisticError;

impl FromStr for Statistic {
    type Err = StatisticError;

    fn from_str(text: &str) -> Result<Statistic, StatisticError> {
        Ok(match text {
            "SampleCount" => Statistic::SampleCount,
            "Average" => Statistic::Average,
            "Sum" => Statistic::Sum,
            "Minimum" => Statistic::Minimum,
            "Maximum" => Statistic::Maximum,
            _ => {
                let percent = text.strip_prefix('p').filter(|digits| is_percent(digits));
                let percent = percent.and_then(|digits| digits.parse::<f64>().ok());
                Statistic::Percentile(
                    percent
                        .filter(|percent| (0.0..=100.0).contains(percent))
                        .ok_or(StatisticError)?,
                )
            }
        })
    }
}

/// Whether the text is a percentage such as `99` or `99.9`, with up to ten decimal places, as CloudWatch accepts.
fn is_percent(text: &str) -> bool {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str, most: usize| {
        (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    digits(whole, 3) && digits(part, 10)
}

impl fmt::Display for Statistic {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Statistic::SampleCount => out.write_str("SampleCount"),
            Statistic::Average => out.write_str("Average"),
            Statistic::Sum => out.write_str("Sum"),
            Statistic::Minimum => out.write_str("Minimum"),
            Statistic::Maximum => out.write_str("Maximum"),
            Statistic::Percentile(percent) => write!(out, "p{percent}"),
        }
    }
}

impl Statistic {
    /// The statistic of these values; `None` for a percentile if only a statistic set is known.
    pub fn of(self, summary: &Summary) -> Option<f64> {
        match self {
            Statistic::SampleCount => Some(summary.count),
            Statistic::Average => Some(summary.sum / summary.count),
            Statistic::Sum => Some(summary.sum),
            Statistic::Minimum => Some(summary.minimum),
            Statistic::Maximum => Some(summary.maximum),
            Statistic::Percentile(percent) => summary.quantile(percent / 100.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_cloudwatchs() {
        for name in [
            "SampleCount",
            "Average",
            "Sum",
            "Minimum",
            "Maximum",
            "p50",
            "p99.9",
            "p0",
            "p100",
        ] {
            assert_eq!(name.parse::<Statistic>().unwrap().to_string(), name);
        }
        for name in [
            "", "p", "p101", "p-1", "p1e1", "average", "p99.", "p.9", "pNaN", "p0000",
        ] {
            assert!(name.parse::<Statistic>().is_err(), "{name}");
        }
    }

    #[test]
    fn percentiles_of_a_statistic_set_are_unknown() {
        let set = Summary::of_set(3.0, 6.0, 1.0, 3.0);
        assert_eq!(Statistic::Average.of(&set), Some(2.0));
        assert_eq!(Statistic::Percentile(50.0).of(&set), None);
        let same = Summary::of_set(3.0, 6.0, 2.0, 2.0);
        assert_eq!(Statistic::Percentile(50.0).of(&same), Some(2.0));
    }

    proptest! {
        #[test]
        fn merged_is_as_if_added_together(values in prop::collection::vec(0.001_f64..1e6, 1..200), at in 0_usize..200, percent in 1_u32..100) {
            let at = at.min(values.len());
            let all = |values: &[f64]| {
                let mut values = values.iter();
                let mut summary = Summary::of(*values.next()?, 1.0);
                values.for_each(|&value| summary.add(value, 1.0));
                Some(summary)
            };
            let whole = all(&values).unwrap();
            let merged = match (all(&values[..at]), all(&values[at..])) {
                (Some(mut left), Some(right)) => { left.merge(&right); left }
                (Some(one), None) | (None, Some(one)) => one,
                (None, None) => unreachable!(),
            };
            prop_assert_eq!(merged.count, whole.count);
            prop_assert!((merged.sum - whole.sum).abs() <= whole.sum * 1e-9);
            let quantile = |summary: &Summary| summary.quantile(f64::from(percent) / 100.0).unwrap();
            prop_assert_eq!(quantile(&merged), quantile(&whole));
            // Between the two values nearest to that rank, widened by the stated error.
            let mut sorted = values.clone();
            sorted.sort_by(f64::total_cmp);
            let rank = f64::from(percent) / 100.0 * (sorted.len() - 1) as f64;
            let (low, high) = (sorted[rank.floor() as usize], sorted[rank.ceil() as usize]);
            let found = quantile(&whole);
            prop_assert!(found >= low * 0.99 && found <= high * 1.01, "{} not in {}..{}", found, low, high);
        }
    }
}
