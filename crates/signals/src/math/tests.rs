use super::*;
use proptest::prelude::*;

fn series(points: &[(i64, f64)]) -> TimeSeries {
    TimeSeries {
        period: 60,
        points: points.iter().copied().collect(),
    }
}

/// m1 has a gap in the middle; m2 has none, and a zero.
fn value(id: &str) -> Option<Value> {
    Some(Value::Series(match id {
        "m1" => series(&[(0, 1.0), (60, 2.0), (180, 6.0)]),
        "m2" => series(&[(0, 10.0), (60, 0.0), (120, 4.0), (180, 2.0)]),
        "empty" => series(&[]),
        _ => return None,
    }))
}

fn evaluate(text: &str) -> Result<Value, MathError> {
    let metrics = || {
        ["m1", "m2"]
            .map(|id| {
                let Some(Value::Series(series)) = value(id) else {
                    unreachable!("both are series")
                };
                let label = id.to_uppercase();
                (id.to_owned(), Labelled { label, series })
            })
            .into()
    };
    let search = |query: &str, stat: &str, period: Option<u32>| {
        Err(format!("searched for {query}, {stat}, {period:?}"))
    };
    let scope = Scope {
        from: 0,
        to: 240,
        period: 60,
        value: &value,
        metrics: &metrics,
        search: &search,
    };
    Expression::parse(text)?.evaluate(&scope)
}

fn number(text: &str) -> f64 {
    match evaluate(text) {
        Ok(Value::Number(number)) => number,
        other => panic!("{text}: {other:?}"),
    }
}

fn points(text: &str) -> Vec<(i64, f64)> {
    match evaluate(text) {
        Ok(Value::Series(series)) => series.points.into_iter().collect(),
        other => panic!("{text}: {other:?}"),
    }
}

fn labels(text: &str) -> Vec<String> {
    match evaluate(text) {
        Ok(Value::Many(all)) => all.into_iter().map(|one| one.label).collect(),
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn signs_bind_as_in_school() {
    for (text, wanted) in [
        ("1 + 2 * 3", 7.0),
        ("(1 + 2) * 3", 9.0),
        ("8 / 4 / 2", 1.0),
        ("10 - 4 - 3", 3.0),
        ("-2 ^ 2", -4.0),
        ("2 * -3", -6.0),
        ("2 ^ 3 * 2", 16.0),
        ("1 + 1 == 2", 1.0),
        ("1 > 2 || 2 > 1 && 0 == 1", 0.0),
        ("1 < 2 AND 3 != 4", 1.0),
        ("0 OR 0", 0.0),
        ("1.5e2", 150.0),
        (".5", 0.5),
        ("ABS(-3) + CEIL(1.2) + FLOOR(1.8) + LOG10(100)", 8.0),
    ] {
        assert_eq!(number(text), wanted, "{text}");
    }
}

#[test]
fn series_are_combined_where_both_have_points() {
    assert_eq!(points("m1 + m2"), [(0, 11.0), (60, 2.0), (180, 8.0)]);
    // A division by zero gives no point.
    assert_eq!(points("m1 / m2"), [(0, 0.1), (180, 3.0)]);
    assert_eq!(points("100 * m1"), [(0, 100.0), (60, 200.0), (180, 600.0)]);
    assert_eq!(points("m1 > 1"), [(0, 0.0), (60, 1.0), (180, 1.0)]);
    assert_eq!(labels("METRICS() * 2"), ["M1", "M2"]);
    assert_eq!(labels("METRICS('2') + m1"), ["M2"]);
}

#[test]
fn statistics_are_of_a_series_or_over_an_array() {
    for (text, wanted) in [
        ("SUM(m1)", 9.0),
        ("AVG(m1)", 3.0),
        ("MIN(m2)", 0.0),
        ("MAX(m2)", 10.0),
        ("DATAPOINT_COUNT(m1)", 3.0),
        ("PERIOD(m1)", 60.0),
        ("FIRST(m1)", 1.0),
        ("LAST(m1)", 6.0),
    ] {
        assert_eq!(number(text), wanted, "{text}");
    }
    assert!((number("STDDEV(m1)") - (14.0_f64 / 3.0).sqrt()).abs() < 1e-12);
    let sums = [(0, 11.0), (60, 2.0), (120, 4.0), (180, 8.0)];
    assert_eq!(points("SUM(METRICS())"), sums);
    assert_eq!(points("SUM([m1, m2])"), sums);
    assert_eq!(points("AVG([m1, m2])")[2], (120, 4.0));
    assert_eq!(points("FIRST(SORT(METRICS(), MAX, DESC))"), points("m2"));
    assert_eq!(labels("SORT(METRICS(), AVG, ASC)"), ["M1", "M2"]);
    assert_eq!(labels("SORT(METRICS(), AVG, DESC, 1)"), ["M2"]);
    assert_eq!(labels("SLICE(METRICS(), 1)"), ["M2"]);
    assert_eq!(labels("SLICE(METRICS(), 0, 1)"), ["M1"]);
}

#[test]
fn gaps_are_filled() {
    assert_eq!(
        points("FILL(m1, 0)"),
        [(0, 1.0), (60, 2.0), (120, 0.0), (180, 6.0)]
    );
    assert_eq!(points("FILL(m1, REPEAT)")[2], (120, 2.0));
    assert_eq!(points("FILL(m1, LINEAR)")[2], (120, 4.0));
    assert_eq!(points("FILL(m1, m2)")[2], (120, 4.0));
    assert_eq!(points("FILL(empty, 7)"), points("TIME_SERIES(7)"));
    assert_eq!(points("FILL(empty, LINEAR)"), []);
    assert_eq!(points("TIME_SERIES(7)").len(), 4);
}

#[test]
fn series_follow_time() {
    assert_eq!(points("DIFF(m1)"), [(60, 1.0), (180, 4.0)]);
    assert_eq!(points("RATE(m1)"), [(60, 1.0 / 60.0), (180, 4.0 / 120.0)]);
    assert_eq!(points("RUNNING_SUM(m1)"), [(0, 1.0), (60, 3.0), (180, 9.0)]);
    assert_eq!(points("MINUTE(m1)"), [(0, 0.0), (60, 1.0), (180, 3.0)]);
    assert_eq!(points("HOUR(m1)")[0], (0, 0.0));
    // The first of January 1970 was a Thursday.
    assert_eq!(points("DAY(m1)")[0], (0, 4.0));
    assert_eq!(points("IF(m2 > 3, m1, 0)"), [(0, 1.0), (60, 0.0), (180, 0.0)]);
    assert_eq!(points("IF(m2 > 3, 1)"), [(0, 1.0), (120, 1.0)]);
    assert_eq!(number("IF(1 > 2, 3, 4)"), 4.0);
}

#[test]
fn errors_say_where_and_what() {
    for (text, at, problem) in [
        ("", 1, "something is missing at the end"),
        ("m1 +", 5, "something is missing at the end"),
        ("m1 & m2", 4, "'&' is not expected"),
        ("(m1", 4, "')' is missing"),
        ("m1 + m9", 6, "nothing has the id 'm9'"),
        ("1 + SUMM(m1)", 5, "there is no function SUMM"),
        (
            "METRICS() + METRICS()",
            11,
            "two arrays can not be combined: one side must be a number or a series",
        ),
        ("[1]", 2, "an array holds series, and this is a number"),
        ("RATE(1)", 6, "this must be a series, and it is a number"),
        ("REPEAT", 1, "'REPEAT' is not a value"),
        ("'x", 1, "the text has no end"),
        ("SEARCH('{A}', 'Sum', 60)", 1, "searched for {A}, Sum, Some(60)"),
    ] {
        let error = evaluate(text).unwrap_err();
        assert_eq!((error.at, &*error.problem), (at, problem), "{text}");
    }
    let error = evaluate("m1 +").unwrap_err();
    assert_eq!(
        error.to_string(),
        "at character 5: something is missing at the end"
    );
}

#[test]
fn expressions_tell_what_they_refer_to() {
    let expression = Expression::parse("SUM([m1, m2]) / ABS(m1)").unwrap();
    assert_eq!(expression.ids().collect::<Vec<_>>(), ["m1", "m2", "m1"]);
    assert!(expression.calls("ABS") && !expression.calls("SEARCH"));
}

#[test]
fn size_is_bounded() {
    for text in [
        "(".repeat(3000),
        "-".repeat(3000),
        "1+".repeat(1500),
        "x".repeat(5000),
        "[".repeat(3000),
    ] {
        assert!(Expression::parse(&text).is_err());
    }
    let scope = Scope {
        from: i64::MIN,
        to: i64::MAX,
        period: 1,
        value: &value,
        metrics: &Vec::new,
        search: &|_, _, _| Ok(Vec::new()),
    };
    let error = Expression::parse("TIME_SERIES(1)")
        .unwrap()
        .evaluate(&scope)
        .unwrap_err();
    assert!(error.problem.contains("points"), "{error}");
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        let _ = evaluate(&text);
    }

    /// Texts that resemble expressions nest deeper than random ones.
    #[test]
    fn anything_like_an_expression_is_read_or_refused(parts in prop::collection::vec(prop::sample::select(vec![
        "m1", "m2", "empty", "1", "0", "-", "+", "*", "/", "^", "(", ")", "[", "]", ",", "FILL(", "IF(", "SUM(", "METRICS()",
        "SORT(", "SLICE(", "REPEAT", "LINEAR", "ASC", "MAX", "AND", "OR", "<", "==", "1e308", "TIME_SERIES(", "RATE(", "'", "é",
    ]), 0..40)) {
        if let Ok(Value::Series(series)) = evaluate(&parts.join(" ")) {
            prop_assert!(series.points.values().all(|value| value.is_finite()));
        }
    }
}
