//! Latencies as a picture: the latency that each share of requests did not exceed. The axis has one unit for each nine.

use anyhow::Context as _;
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use std::path::Path;
use std::time::Duration;

/// Labels of the whole units.
const TICKS: [&str; 5] = ["0 %", "90 %", "99 %", "99.9 %", "99.99 %"];

pub(crate) fn colour(index: usize) -> RGBColor {
    // Distinguishable with colour blindness (Okabe and Ito's set).
    const SET: [(u8, u8, u8); 8] = [
        (213, 94, 0),
        (0, 114, 178),
        (0, 158, 115),
        (204, 121, 167),
        (230, 159, 0),
        (86, 180, 233),
        (0, 0, 0),
        (240, 228, 66),
    ];
    let (red, green, blue) = SET[index % SET.len()];
    RGBColor(red, green, blue)
}

/// A chart whose axis is time.
pub(crate) type TimeChart<'a, 'b> =
    ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// An empty chart of this many seconds, with the label of its other axis, which ends at `top`.
pub(crate) fn over_time<'a, 'b>(
    area: &DrawingArea<SVGBackend<'b>, Shift>,
    words: &str,
    end: f64,
    top: f64,
) -> Result<TimeChart<'a, 'b>, String> {
    let failed = |error: &dyn std::fmt::Display| error.to_string();
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .x_label_area_size(32)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..end, 0.0..top)
        .map_err(|error| failed(&error))?;
    chart
        .configure_mesh()
        .x_desc("seconds")
        .y_desc(words)
        .max_light_lines(1)
        .x_label_formatter(&|at| format!("{at:.0}"))
        .y_label_formatter(&|value| format!("{value:.0}"))
        .draw()
        .map_err(|error| failed(&error))?;
    Ok(chart)
}

/// A curve: its name, and latencies in any order.
pub(crate) struct Curve {
    pub(crate) name: String,
    pub(crate) latencies: Vec<Duration>,
}

/// Checks that a file can be written, before minutes are spent on its content. An existing file keeps its content.
pub(crate) fn try_file(file: &Path) -> anyhow::Result<()> {
    let is_new = !file.exists();
    let tried = std::fs::File::options().create(true).append(true).open(file);
    tried.with_context(|| format!("cannot write {}", file.display()))?;
    if is_new {
        std::fs::remove_file(file)?;
    }
    Ok(())
}

/// Draws the curves into an SVG file.
pub(crate) fn draw(file: &Path, title: &str, curves: &[Curve]) -> anyhow::Result<()> {
    let points: Vec<Vec<(f64, f64)>> = curves.iter().map(points).collect();
    let all = || points.iter().flatten();
    let slowest = all().map(|point| point.1).fold(1.0_f64, f64::max);
    let fastest = all().map(|point| point.1).fold(slowest, f64::min).max(0.1);
    let right = all().map(|point| point.0).fold(2.0_f64, f64::max).min(4.0);
    forebay_control::cloudwatch::widget::use_font();
    let area = SVGBackend::new(file, (860, 480)).into_drawing_area();
    let failed = |error: &dyn std::fmt::Display| anyhow::anyhow!("cannot draw the plot: {error}");
    area.fill(&WHITE).map_err(|error| failed(&error))?;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..right, (fastest..slowest * 1.2).log_scale())
        .map_err(|error| failed(&error))?;
    let share = |at: &f64| {
        let whole = (at - at.round()).abs() < 1e-6;
        let tick = whole.then(|| TICKS.get(at.round() as usize)).flatten();
        tick.copied().unwrap_or_default().to_owned()
    };
    chart
        .configure_mesh()
        .x_desc("share of requests that took no longer")
        .y_desc("milliseconds")
        .x_labels(5)
        .x_label_formatter(&share)
        .y_label_formatter(&|millis| format!("{millis:.0}"))
        .draw()
        .map_err(|error| failed(&error))?;
    for (index, (curve, points)) in curves.iter().zip(&points).enumerate() {
        let style = colour(index).stroke_width(2);
        chart
            .draw_series(LineSeries::new(points.iter().copied(), style))
            .map_err(|error| failed(&error))?
            .label(curve.name.as_str())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()
        .map_err(|error| failed(&error))?;
    area.present().map_err(|error| failed(&error))?;
    Ok(())
}

fn points(curve: &Curve) -> Vec<(f64, f64)> {
    let mut sorted = curve.latencies.clone();
    sorted.sort_unstable();
    let count = sorted.len();
    (0..240)
        .map(|step| f64::from(step) / 60.0)
        .filter_map(|at| {
            let share = 1.0 - 10_f64.powf(-at);
            let rank = (share * count as f64) as usize;
            // The last few requests say nothing about a share.
            (rank + 5 <= count).then(|| (at, sorted[rank].as_secs_f64() * 1000.0))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_names_its_curves() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("plot.svg");
        let curve = |name: &str, factor: u64| Curve {
            name: name.into(),
            latencies: (1..2000).map(|n| Duration::from_micros(n * factor)).collect(),
        };
        draw(&file, "two curves", &[curve("amber", 100), curve("birch", 300)]).unwrap();
        let text = std::fs::read_to_string(file).unwrap();
        for wanted in ["two curves", "amber", "birch", "milliseconds", "polyline"] {
            assert!(text.contains(wanted), "{wanted}");
        }
        assert!(
            points(&curve("few", 1))
                .windows(2)
                .all(|pair| pair[0].1 <= pair[1].1)
        );
        assert!(
            points(&Curve {
                name: "none".into(),
                latencies: vec![]
            })
            .is_empty()
        );
    }

    /// A regression: a run of minutes ended with an error because the plot's directory did not exist.
    #[test]
    fn places_for_plots_are_tried() {
        let dir = tempfile::tempdir().unwrap();
        assert!(try_file(&dir.path().join("absent/plot.svg")).is_err());
        let file = dir.path().join("plot.svg");
        try_file(&file).unwrap();
        assert!(!file.exists());
        std::fs::write(&file, "old").unwrap();
        try_file(&file).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "old");
    }
}
