//! The published dashboard as a picture of four parts: messages, instances, the duration of a message, and the backlog per
//! instance with the acceptable one.

use super::plot::{colour, over_time};
use super::queue_backlog_table::Played;
use forebay_process::out;
use forebay_sim::{BacklogRun, BacklogSecond};
use plotters::coord::Shift;
use plotters::prelude::*;
use std::path::Path;

type Drawn = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// Shortest time axis, in seconds.
const SHORTEST: f64 = 10.0;

/// A controller's value at a second.
type Value = fn(&BacklogSecond) -> f64;

/// A part: its label, and its lines; the second line of each controller is dashed.
struct Part {
    words: &'static str,
    value: Value,
    dashed: Option<Value>,
}

const PARTS: [Part; 4] = [
    Part {
        words: "visible messages",
        value: |second| second.visible as f64,
        dashed: None,
    },
    Part {
        words: "instances",
        value: |second| f64::from(second.ready),
        dashed: Some(|second| f64::from(second.instances)),
    },
    Part {
        words: "s a message (MPD)",
        value: |second| second.processing,
        dashed: None,
    },
    Part {
        words: "backlog an instance",
        value: |second| second.backlog,
        dashed: Some(|second| second.acceptable),
    },
];

/// Draws the first run of each controller into an SVG file.
pub(crate) fn draw(file: &Path, title: &str, all: &[Played]) -> anyhow::Result<()> {
    draw_parts(file, title, all).map_err(|error| anyhow::anyhow!("cannot draw the plot: {error}"))?;
    out::line(format_args!("Drawn: {}", file.display()))?;
    Ok(())
}

fn draw_parts(file: &Path, title: &str, all: &[Played]) -> Drawn {
    forebay_control::cloudwatch::widget::use_font();
    let firsts: Vec<(&str, &BacklogRun)> = all
        .iter()
        .filter_map(|played| Some((played.name, played.runs.first()?)))
        .collect();
    let finished = firsts.iter().map(|(_, run)| run.finished().as_secs_f64());
    // The time axis covers everything that was observed.
    let observed = all.iter().filter(|played| played.is_live);
    let observed = observed.filter_map(|played| Some(played.runs.first()?.timeline.last()?.at.as_secs_f64()));
    let end = observed.fold(finished.fold(SHORTEST, f64::max) * 1.05, f64::max);
    let area = SVGBackend::new(file, (960, 1000)).into_drawing_area();
    let failed = |error: &dyn std::fmt::Display| error.to_string();
    area.fill(&WHITE).map_err(|error| failed(&error))?;
    let area = area
        .titled(title, ("sans-serif", 12))
        .map_err(|error| failed(&error))?;
    let areas = area.split_evenly((PARTS.len(), 1));
    for (place, (part, area)) in PARTS.iter().zip(&areas).enumerate() {
        draw_part(area, part, end, &firsts, place == 0).map_err(|error| failed(&error))?;
    }
    area.present().map_err(|error| failed(&error))?;
    Ok(())
}

/// A line in steps, with one point wherever its value changes.
fn line(run: &BacklogRun, end: f64, value: Value) -> Vec<(f64, f64)> {
    let seconds = run
        .timeline
        .iter()
        .filter(|second| second.at.as_secs_f64() <= end);
    let values = seconds.map(|second| (second.at.as_secs_f64(), value(second)));
    let mut points: Vec<(f64, f64)> = Vec::new();
    let mut last = None;
    for (at, value) in values {
        if let Some((_, before)) = last
            && value != before
        {
            points.push((at, before));
        }
        if last.is_none_or(|(_, before)| value != before) {
            points.push((at, value));
        }
        last = Some((at, value));
    }
    points.extend(last);
    points
}

fn draw_part(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    part: &Part,
    end: f64,
    firsts: &[(&str, &BacklogRun)],
    has_names: bool,
) -> Drawn {
    let failed = |error: &dyn std::fmt::Display| error.to_string();
    let lines: Vec<_> = firsts.iter().map(|(_, run)| line(run, end, part.value)).collect();
    let dashed = |value: Value| firsts.iter().map(move |(_, run)| line(run, end, value));
    let dashed: Vec<_> = part.dashed.map_or_else(Vec::new, |value| dashed(value).collect());
    let values = lines.iter().chain(&dashed).flatten();
    let top = values.map(|point| point.1).fold(1.0, f64::max) * 1.1;
    let mut chart = over_time(area, part.words, end, top)?;
    for (index, points) in dashed.into_iter().enumerate() {
        let style = colour(index).stroke_width(1);
        chart
            .draw_series(DashedLineSeries::new(points, 5, 4, style))
            .map_err(|error| failed(&error))?;
    }
    for (index, (points, (name, _))) in lines.into_iter().zip(firsts).enumerate() {
        let style = colour(index).stroke_width(2);
        chart
            .draw_series(LineSeries::new(points, style))
            .map_err(|error| failed(&error))?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
    }
    if has_names {
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK.mix(0.3))
            .draw()
            .map_err(|error| failed(&error))?;
    }
    Ok(())
}
