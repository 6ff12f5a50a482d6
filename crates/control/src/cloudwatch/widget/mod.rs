//! GetMetricWidgetImage: a graph of metrics as a PNG, for reports and chats.

mod data;
mod draw;
mod parse;
mod times;

use crate::api::context::View;
use crate::api::errors::validation;
use crate::ports::Datapoints;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use forebay_awswire::ApiError;
use plotters::style::{FontStyle, register_font};
use serde::Deserialize;
use serde_json::{Value, json};

/// The font of all text in graphs; its licence is beside it.
const FONT: &[u8] = include_bytes!("DejaVuSans-subset.ttf");

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    metric_widget: String,
    output_format: Option<String>,
}

/// Has `plotters` know the font. Whoever draws text calls it first, in a program that this crate is part of: without it, `plotters`
/// refuses to measure text, for SVG too.
pub fn use_font() {
    // It fails for a file that is no font, and this one is drawn with in tests.
    let _ = register_font("sans-serif", FontStyle::Normal, FONT);
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
