//! GetMetricWidgetImage: a graph of metrics as PNG, for reports and chats.
//!
//! Read `parse` (the widget's definition), `times`, `data` (its lines), `draw` and `font`.

mod data;
mod draw;
mod font;
mod parse;
mod times;

use crate::api::context::View;
use crate::api::errors::validation;
use crate::ports::Datapoints;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use forebay_awswire::ApiError;
use serde::Deserialize;
use serde_json::{Value, json};

pub use font::use_font;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    metric_widget: String,
    output_format: Option<String>,
}

pub(crate) fn image(view: &View<'_>, datapoints: &dyn Datapoints) -> Result<Value, ApiError> {
    let input: Input = view.input()?;
    match input.output_format.as_deref() {
        None | Some("png" | "image/png") => {}
        Some(other) => {
            return Err(validation(format!(
                "The value {other} for parameter OutputFormat is not supported: it must be png or image/png."
            )));
        }
    }
    let widget = parse::widget(&input.metric_widget, view.request.now, view.request.region)?;
    let lines = data::lines(&widget, view, datapoints)?;
    let drawn = draw::png(&widget, &lines)
        .map_err(|error| validation(format!("The widget cannot be drawn: {error}")))?;
    Ok(json!({ "MetricWidgetImage": STANDARD.encode(drawn) }))
}
