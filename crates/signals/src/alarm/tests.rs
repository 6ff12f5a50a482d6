use super::*;
use proptest::prelude::*;

fn rule(datapoints: usize, periods: usize, missing_data: MissingData) -> Rule {
    Rule {
        comparison: Comparison::GreaterThanThreshold,
        threshold: 0.5,
        evaluation_periods: periods,
        datapoints_to_alarm: datapoints,
        missing_data,
    }
}

/// Each line of AWS's tables, from each previous state.
#[test]
fn missing_data_counts_as_cloudwatch_says() {
    let mut cases = 0;
    for line in include_str!("missing-data.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
    {
        let columns: Vec<&str> = line.split('|').map(str::trim).collect();
        let numbers: Vec<usize> = columns[0]
            .split(' ')
            .map(|number| number.parse().unwrap())
            .collect();
        let points: Vec<Option<f64>> = columns[1]
            .split(' ')
            .map(|point| match point {
                "X" => Some(1.0),
                "0" => Some(0.0),
                "-" => None,
                other => panic!("{other}"),
            })
            .collect();
        for (treatment, wanted) in MissingData::ALL.into_iter().zip(&columns[2..6]) {
            let rule = rule(numbers[0], numbers[1], treatment);
            assert_eq!(rule.range(60), points.len(), "{line}");
            for before in State::ALL {
                let wanted = if *wanted == "keep" {
                    before
                } else {
                    State::named(wanted).unwrap()
                };
                assert_eq!(
                    rule.evaluate(&points, before).state,
                    wanted,
                    "{line}: {treatment:?} from {before:?}"
                );
                cases += 1;
            }
        }
    }
    assert_eq!(cases, 24 * 4 * 3);
}

#[test]
fn comparisons_are_cloudwatchs() {
    for (name, below, at, above) in [
        (
            "GreaterThanOrEqualToThreshold",
            State::Ok,
            State::Alarm,
            State::Alarm,
        ),
        ("GreaterThanThreshold", State::Ok, State::Ok, State::Alarm),
        ("LessThanThreshold", State::Alarm, State::Ok, State::Ok),
        (
            "LessThanOrEqualToThreshold",
            State::Alarm,
            State::Alarm,
            State::Ok,
        ),
    ] {
        let rule = Rule {
            comparison: Comparison::named(name).unwrap(),
            ..rule(1, 1, MissingData::Missing)
        };
        let states = [0.0, 0.5, 1.0].map(|value| rule.evaluate(&[None, None, Some(value)], State::Ok).state);
        assert_eq!(states, [below, at, above], "{name}");
    }
}

fn reason(rule: &Rule, points: &[Option<f64>], before: State) -> String {
    let evaluation = rule.evaluate(points, before);
    let range: Vec<_> = (0..)
        .zip(points)
        .map(|(at, point)| (*point, format!("29/11/26 01:0{at}:00")))
        .collect();
    Reason {
        rule,
        evaluation: &evaluation,
        range: &range,
        before,
    }
    .to_string()
}

#[test]
fn reasons_are_in_cloudwatchs_words() {
    let points = [None, None, Some(1.0), Some(2.0), Some(3.0)];
    assert_eq!(
        reason(&rule(3, 3, MissingData::Missing), &points, State::Ok),
        "Threshold Crossed: 3 datapoints [3.0 (29/11/26 01:04:00), 2.0 (29/11/26 01:03:00), 1.0 (29/11/26 01:02:00)] were \
         greater than the threshold (0.5) (minimum 3 datapoints for OK -> ALARM transition)."
    );
    let points = [None, None, Some(1.0), Some(0.0), Some(3.0)];
    assert_eq!(
        reason(&rule(2, 3, MissingData::Missing), &points, State::Alarm),
        "Threshold Crossed: 2 out of the last 3 datapoints [3.0 (29/11/26 01:04:00), 0.0 (29/11/26 01:03:00), \
         1.0 (29/11/26 01:02:00)] were greater than the threshold (0.5)."
    );
    assert_eq!(
        reason(
            &rule(1, 1, MissingData::Missing),
            &[None, None, Some(0.0)],
            State::Alarm
        ),
        "Threshold Crossed: 1 datapoint [0.0 (29/11/26 01:02:00)] was not greater than the threshold (0.5)."
    );
    assert_eq!(
        reason(&rule(1, 1, MissingData::Missing), &[None; 3], State::Ok),
        "Insufficient Data: 1 datapoint was unknown."
    );
    assert_eq!(
        reason(&rule(2, 2, MissingData::Breaching), &[None; 4], State::Ok),
        "Threshold Crossed: no datapoints were received for 2 periods and 2 missing datapoints were treated as [Breaching]."
    );
}

proptest! {
    /// Any input: no panic, and full ranges depend neither on the treatment nor on the previous state.
    #[test]
    fn full_ranges_need_no_treatment(values in prop::collection::vec(0.0_f64..1.0, 7), n in 1_usize..=5, m in 1_usize..=5) {
        let m = m.min(n);
        let points: Vec<_> = values[..n + 2].iter().copied().map(Some).collect();
        let breaching = values[2..n + 2].iter().filter(|&&value| value > 0.5).count();
        let wanted = if breaching >= m { State::Alarm } else { State::Ok };
        for treatment in MissingData::ALL {
            for before in State::ALL {
                prop_assert_eq!(rule(m, n, treatment).evaluate(&points, before).state, wanted);
            }
        }
    }
}
