//! The datapoints of functions for one second, in CloudWatch's namespace AWS/Lambda.

use forebay_control::{Datapoint, Series};
use forebay_launch::functions::{FunctionStats, RuntimeStats};
use forebay_signals::Summary;
use forebay_units::Wall;

/// The namespace of functions.
const NAMESPACE: &str = "AWS/Lambda";

/// Datapoints of the changes from `before` to `now`.
pub(crate) fn datapoints(before: &RuntimeStats, now: &RuntimeStats, at: Wall) -> Vec<Datapoint> {
    let mut points = Vec::new();
    for (arn, stats) in &now.functions {
        let of = before.functions.get(arn).cloned().unwrap_or_default();
        // A function that was created anew has counters that begin at zero.
        let of = if of.invocations > stats.invocations {
            FunctionStats::default()
        } else {
            of
        };
        let mut parts = arn.split(':').skip(3);
        let (region, name) = (parts.next().unwrap_or_default(), parts.nth(2).unwrap_or_default());
        let mut put = |metric: &str, unit: &str, summary: Summary| {
            points.push(Datapoint {
                series: Series {
                    region: region.to_owned(),
                    namespace: NAMESPACE.to_owned(),
                    name: metric.to_owned(),
                    dimensions: vec![("FunctionName".to_owned(), name.to_owned())],
                },
                at,
                unit: Some(unit.to_owned()),
                summary,
                high_resolution: true,
            });
        };
        let since = |now: u64, before: u64| now.saturating_sub(before);
        let invocations = since(stats.invocations, of.invocations);
        if invocations > 0 {
            let took = stats.duration.saturating_sub(of.duration).as_secs_f64() * 1000.0;
            put("Invocations", "Count", Summary::of(invocations as f64, 1.0));
            put(
                "Errors",
                "Count",
                Summary::of(since(stats.errors, of.errors) as f64, 1.0),
            );
            // Only the mean of a second is known.
            put(
                "Duration",
                "Milliseconds",
                Summary::of(took / invocations as f64, invocations as f64),
            );
        }
        let throttles = since(stats.throttles, of.throttles);
        if throttles > 0 || invocations > 0 {
            put("Throttles", "Count", Summary::of(throttles as f64, 1.0));
        }
        if stats.running > 0 || invocations > 0 {
            put(
                "ConcurrentExecutions",
                "Count",
                Summary::of(stats.running as f64, 1.0),
            );
        }
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_second_is_the_difference_of_two_looks() {
        let arn = "arn:aws:lambda:local-1:123456789012:function:f";
        let stats = |invocations, errors, seconds| {
            let one = FunctionStats {
                invocations,
                errors,
                duration: Duration::from_secs(seconds),
                ..FunctionStats::default()
            };
            RuntimeStats {
                functions: [(arn.to_owned(), one)].into(),
                ..RuntimeStats::default()
            }
        };
        let (before, now) = (stats(10, 1, 5), stats(14, 2, 7));
        let at = Wall::from_seconds(60);
        assert!(datapoints(&now, &now, at).is_empty());
        let points = datapoints(&before, &now, at);
        let value = |name: &str| {
            let point = points.iter().find(|point| point.series.name == name).unwrap();
            assert_eq!(
                (&*point.series.region, &*point.series.dimensions[0].1),
                ("local-1", "f")
            );
            point.summary.sum
        };
        assert_eq!(
            (value("Invocations"), value("Errors"), value("Throttles")),
            (4.0, 1.0, 0.0)
        );
        assert_eq!(value("Duration"), 2000.0);
        // A function that was created anew.
        let anew = datapoints(&now, &stats(1, 0, 0), at);
        assert_eq!(anew[0].summary.sum, 1.0);
    }
}
