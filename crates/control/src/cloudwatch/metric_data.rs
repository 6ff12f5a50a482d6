//! GetMetricData.

use crate::api::context::View;
use crate::api::errors::{error, validation};
use crate::api::paging::{after, sealed};
use crate::cloudwatch::metric::{rounded, whole};
use crate::cloudwatch::queries::{Evaluation, check};
use crate::cloudwatch::records::MetricQuery;
use crate::ports::Datapoints;
use forebay_awswire::ApiError;
use forebay_signals::math::{TimeSeries, Value as Came};
use serde::Deserialize;
use serde_json::{Value, json};

/// The most datapoints of one answer, unless the call asks for fewer.
const DATAPOINT_LIMIT: usize = 100_800;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    metric_data_queries: Vec<MetricQuery>,
    start_time: f64,
    end_time: f64,
    next_token: Option<String>,
    scan_by: Option<String>,
    max_datapoints: Option<usize>,
}

/// One series of the answer, or its query's error.
struct Answered {
    id: String,
    label: String,
    points: Vec<(i64, f64)>,
    problem: Option<String>,
}

pub(crate) fn metric_data(view: &View<'_>, datapoints: &dyn Datapoints) -> Result<Value, ApiError> {
    let input: Input = view.input()?;
    let (from, to) = (whole(input.start_time), whole(input.end_time));
    if from == to {
        return Err(validation(
            "The parameter StartTime must not equal parameter EndTime.",
        ));
    }
    if from > to {
        return Err(validation(
            "The parameter EndTime must be greater than StartTime.",
        ));
    }
    check(&input.metric_data_queries)?;
    let most = match input.max_datapoints {
        None => DATAPOINT_LIMIT,
        Some(most @ 1..=DATAPOINT_LIMIT) => most,
        Some(_) => {
            return Err(validation(format!(
                "The parameter MaxDatapoints must be between 1 and {DATAPOINT_LIMIT}."
            )));
        }
    };
    let no_token = || error("InvalidNextToken", "Request parameter NextToken is invalid");
    let after = after(view, input.next_token.as_deref(), |_| no_token())?;
    let skipped: usize = match after.as_str() {
        "" => 0,
        given => given.parse().map_err(|_| no_token())?,
    };
    let queries = &input.metric_data_queries;
    let shortest = queries.iter().filter_map(|query| query.metric_stat.as_ref());
    let shortest = shortest.map(|stat| stat.period).min().unwrap_or(60);
    let from = rounded(from, shortest, view.request.now);
    let evaluation = Evaluation::new(queries, view.request.region, datapoints, from, to).like(view.dialect());
    let mut all: Vec<Answered> = queries
        .iter()
        .filter(|query| query.returns())
        .flat_map(|query| answered(&evaluation, query))
        .collect();
    if input.scan_by.as_deref() != Some("TimestampAscending") {
        all.iter_mut().for_each(|one| one.points.reverse());
    }
    let (shown, more) = page(all, skipped, most);
    let mut answer = json!({"MetricDataResults": shown, "Messages": []});
    if more {
        answer["NextToken"] = json!(sealed(view, &(skipped + most).to_string()));
    }
    Ok(answer)
}

fn answered(evaluation: &Evaluation<'_>, query: &MetricQuery) -> Vec<Answered> {
    let one = |label: String, series: TimeSeries| Answered {
        id: query.id.clone(),
        label,
        points: series.points.into_iter().collect(),
        problem: None,
    };
    match evaluation.value(&query.id) {
        Ok(Came::Series(series)) => vec![one(evaluation.label(query), series)],
        Ok(Came::Many(all)) => all
            .into_iter()
            .map(|labelled| one(labelled.label, labelled.series))
            .collect(),
        // A number is not a series; like AWS, answer with nothing else.
        Ok(Came::Number(_)) => vec![Answered {
            problem: Some("The expression comes to a number, and must come to series.".to_owned()),
            ..one(evaluation.label(query), TimeSeries::default())
        }],
        Err(problem) => vec![Answered {
            problem: Some(problem),
            ..one(evaluation.label(query), TimeSeries::default())
        }],
    }
}

/// The results of a page with `most` datapoints after the first `skipped`, and whether there are more.
fn page(all: Vec<Answered>, skipped: usize, most: usize) -> (Vec<Value>, bool) {
    let total: usize = all.iter().map(|one| one.points.len()).sum();
    let end = skipped.saturating_add(most);
    let (mut shown, mut before) = (Vec::new(), 0);
    for one in all {
        let (first, last) = (before, before + one.points.len());
        before = last;
        // A series without points belongs to the page on which it would begin.
        let here = if first == last {
            first >= skipped && (first < end || total <= end)
        } else {
            first < end && last > skipped
        };
        if !here {
            continue;
        }
        let points = &one.points[skipped.saturating_sub(first)..one.points.len().min(end - first)];
        let times: Vec<i64> = points.iter().map(|point| point.0).collect();
        let values: Vec<f64> = points.iter().map(|point| point.1).collect();
        let status = match &one.problem {
            Some(_) => "InternalError",
            None if last > end => "PartialData",
            None => "Complete",
        };
        let mut result = json!({
            "Id": one.id, "Label": one.label, "Timestamps": times, "Values": values, "StatusCode": status,
        });
        if let Some(problem) = one.problem {
            result["Messages"] = json!([{"Code": "ValidationError", "Value": problem}]);
        }
        shown.push(result);
    }
    (shown, total > end)
}
