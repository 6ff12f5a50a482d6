//! Slots, waiting and refused requests over time under each controller, as a picture of three parts.

use super::capacity_args::CapacityArgs;
use super::capacity_load::Load;
use super::capacity_table::Played;
use super::plot::{colour, over_time};
use forebay_process::out;
use forebay_sim::{FleetRun, Second};
use plotters::coord::Shift;
use plotters::prelude::*;
use std::path::Path;

/// Most points of a line.
const POINTS: usize = 240;

type Drawn = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// A part of the picture: its label, and each controller's value at a second.
struct Part {
    words: &'static str,
    lines: Vec<Vec<(f64, f64)>>,
}

/// Draws the first run of each controller into an SVG file.
pub(crate) fn draw(
    file: &Path,
    title: &str,
    args: &CapacityArgs,
    load: &Load,
    all: &[Played],
) -> anyhow::Result<()> {
    let demand = load.demand(args, args.seed);
    let demand = (0..)
        .zip(demand)
        .map(|(second, slots)| (f64::from(second), slots));
    let demand: Vec<(f64, f64)> = demand.collect();
    let slots = f64::from(args.slots);
    let parts = [
        part(all, "slots ready", |second, _| f64::from(second.ready) * slots),
        part(all, "requests waiting", |second, _| f64::from(second.waiting)),
        part(all, "refused so far", |_, refused| refused),
    ];
    draw_parts(file, title, &demand, &parts, all)
        .map_err(|error| anyhow::anyhow!("cannot draw the plot: {error}"))?;
    out::line(format_args!("Drawn: {}", file.display()))?;
    Ok(())
}

fn part(all: &[Played], words: &'static str, value: impl Fn(&Second, f64) -> f64) -> Part {
    let line = |run: &FleetRun| {
        let mut refused = 0.0;
        let values = run.timeline.iter().map(|second| {
            refused += second.refused as f64;
            (second.at.as_secs_f64(), value(second, refused))
        });
        thin(values.collect())
    };
    let firsts = all.iter().filter_map(|played| played.runs.first());
    Part {
        words,
        lines: firsts.map(line).collect(),
    }
}

/// The highest value of every few points, so that no peak is lost.
fn thin(points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    let few = points.len().div_ceil(POINTS).max(1);
    let highest = |few: &[(f64, f64)]| few.iter().copied().max_by(|one, other| one.1.total_cmp(&other.1));
    points.chunks(few).filter_map(highest).collect()
}

fn draw_parts(file: &Path, title: &str, demand: &[(f64, f64)], parts: &[Part], all: &[Played]) -> Drawn {
    forebay_control::cloudwatch::widget::use_font();
    let area = SVGBackend::new(file, (960, 860)).into_drawing_area();
    let failed = |error: &dyn std::fmt::Display| error.to_string();
    area.fill(&WHITE).map_err(|error| failed(&error))?;
    let area = area
        .titled(title, ("sans-serif", 12))
        .map_err(|error| failed(&error))?;
    let end = demand.last().map_or(1.0, |point| point.0).max(1.0);
    let areas = area.split_evenly((parts.len(), 1));
    for (place, (part, area)) in parts.iter().zip(&areas).enumerate() {
        let demand = if place == 0 { demand } else { &[] };
        draw_part(area, part, demand, end, all).map_err(|error| failed(&error))?;
    }
    area.present().map_err(|error| failed(&error))?;
    Ok(())
}

fn draw_part(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    part: &Part,
    demand: &[(f64, f64)],
    end: f64,
    all: &[Played],
) -> Drawn {
    let failed = |error: &dyn std::fmt::Display| error.to_string();
    let values = part.lines.iter().flatten().chain(demand);
    let top = values.map(|point| point.1).fold(1.0, f64::max) * 1.1;
    let mut chart = over_time(area, part.words, end, top)?;
    if !demand.is_empty() {
        let grey = BLACK.mix(0.2);
        chart
            .draw_series(AreaSeries::new(thin(demand.to_vec()), 0.0, grey))
            .map_err(|error| failed(&error))?
            .label("slots needed")
            .legend(move |(x, y)| Rectangle::new([(x, y - 4), (x + 18, y + 4)], grey.filled()));
    }
    for (index, (points, played)) in part.lines.iter().zip(all).enumerate() {
        let style = colour(index).stroke_width(2);
        let drawn = chart
            .draw_series(LineSeries::new(points.iter().copied(), style))
            .map_err(|error| failed(&error))?;
        drawn
            .label(played.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
    }
    if !demand.is_empty() {
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK.mix(0.3))
            .draw()
            .map_err(|error| failed(&error))?;
    }
    Ok(())
}
