//! ListMetrics.

use crate::api::context::View;
use crate::api::paging::{after, cut, sealed};
use crate::cloudwatch::metric::{shown, wrong};
use crate::ports::{Datapoints, Series, SeriesFilter};
use forebay_awswire::ApiError;
use forebay_units::Wall;
use serde::Deserialize;
use serde_json::{Value, json};

/// The page size of ListMetrics.
const PAGE_SIZE: usize = 500;
/// What `RecentlyActive` means: three hours.
const RECENT_SECONDS: i64 = 3 * 3600;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    namespace: Option<String>,
    metric_name: Option<String>,
    #[serde(default)]
    dimensions: Vec<DimensionFilter>,
    next_token: Option<String>,
    recently_active: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DimensionFilter {
    name: String,
    value: Option<String>,
}

pub(crate) fn list(view: &View<'_>, datapoints: &dyn Datapoints) -> Result<Value, ApiError> {
    let input: Input = view.input()?;
    let after = after(view, input.next_token.as_deref(), |_| {
        wrong("Request parameter NextToken is invalid")
    })?;
    let now = view.request.now;
    let filter = SeriesFilter {
        namespace: input.namespace,
        name: input.metric_name,
        dimensions: input
            .dimensions
            .into_iter()
            .map(|dimension| (dimension.name, dimension.value))
            .collect(),
        active_since: input
            .recently_active
            .map(|_| Wall::from_seconds(now.seconds() - RECENT_SECONDS)),
    };
    let all = datapoints.list(view.request.region, &filter);
    let (page, last) = cut(&all, |series| key(series), &after, PAGE_SIZE);
    let metrics: Vec<Value> = page.into_iter().map(shown).collect();
    let mut answer = json!({ "Metrics": metrics });
    if let Some(last) = last {
        answer["NextToken"] = json!(sealed(view, &last));
    }
    Ok(answer)
}

/// A key that sorts like the series: no byte of a part is less than the separator.
fn key(series: &Series) -> String {
    let mut parts = vec![series.namespace.as_str(), series.name.as_str()];
    for (name, value) in &series.dimensions {
        parts.extend([name.as_str(), value.as_str()]);
    }
    parts.join("\0")
}
