//! The lines of a graph: the values of a widget's queries.

use super::parse::{Widget, colour};
use crate::api::context::View;
use crate::api::errors::validation;
use crate::cloudwatch::metric::rounded;
use crate::cloudwatch::queries::Evaluation;
use crate::ports::Datapoints;
use forebay_awswire::ApiError;
use forebay_signals::math::{TimeSeries, Value};
use forebay_units::Wall;
use plotters::style::RGBColor;

/// The most lines of a graph: as many as one SEARCH finds.
const LINE_LIMIT: usize = 500;

/// A line.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) label: String,
    pub(super) colour: RGBColor,
    pub(super) right: bool,
    /// The period in seconds. A longer distance between points is a gap.
    pub(super) period: i64,
    /// Finite values by time, ascending.
    pub(super) points: Vec<(i64, f64)>,
}

pub(super) fn lines(
    widget: &Widget,
    view: &View<'_>,
    datapoints: &dyn Datapoints,
) -> Result<Vec<Line>, ApiError> {
    let shortest = widget
        .queries
        .iter()
        .filter_map(|query| query.metric_stat.as_ref());
    let shortest = shortest.map(|stat| stat.period).min().unwrap_or(60);
    let from = rounded(Wall::from_seconds(widget.from), shortest, view.request.now);
    let to = Wall::from_seconds(widget.to);
    let evaluation =
        Evaluation::new(&widget.queries, view.request.region, datapoints, from, to).like(view.dialect());
    let mut lines = Vec::new();
    for (query, style) in widget.queries.iter().zip(&widget.styles) {
        if !query.returns() {
            continue;
        }
        let mut line = |label: String, series: TimeSeries, own: Option<RGBColor>| {
            if lines.len() >= LINE_LIMIT {
                return;
            }
            let points = series.points.into_iter();
            let shown =
                |point: &(i64, f64)| point.1.is_finite() && (widget.from..=widget.to).contains(&point.0);
            lines.push(Line {
                label,
                colour: own.unwrap_or_else(|| colour(lines.len())),
                right: style.right,
                period: i64::from(series.period.max(1)),
                points: points.filter(shown).collect(),
            });
        };
        match evaluation.value(&style.id).map_err(validation)? {
            Value::Series(series) => line(evaluation.label(query), series, style.colour),
            Value::Many(all) => {
                for one in all {
                    line(one.label, one.series, None);
                }
            }
            Value::Number(_) => {
                return Err(validation(format!(
                    "Error in expression '{}': it comes to a number, and must come to series.",
                    style.id
                )));
            }
        }
    }
    Ok(lines)
}
