//! Lines over time as a picture, with one axis on the left and one on the right.

use super::plot::colour;
use plotters::prelude::*;
use std::path::Path;

/// A line: its name, and its points.
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
    /// Whether it belongs to the axis on the right.
    pub(crate) is_right: bool,
}

/// The title and labels of a picture.
pub(crate) struct Words<'a> {
    pub(crate) title: &'a str,
    pub(crate) below: &'a str,
    pub(crate) left: &'a str,
    pub(crate) right: &'a str,
}

/// A line as steps: each value holds until the next.
pub(crate) fn steps(values: impl IntoIterator<Item = (f64, f64)>, end: f64) -> Vec<(f64, f64)> {
    let mut points: Vec<(f64, f64)> = Vec::new();
    for (at, value) in values {
        if let Some(&(_, before)) = points.last() {
            points.push((at, before));
        }
        points.push((at, value));
    }
    if let Some(&(_, last)) = points.last() {
        points.push((end, last));
    }
    points
}

/// Draws the lines into an SVG file.
pub(crate) fn draw(file: &Path, words: &Words<'_>, lines: &[Line]) -> anyhow::Result<()> {
    draw_lines(file, words, lines).map_err(|error| anyhow::anyhow!("cannot draw the plot: {error}"))
}

/// The highest value of an axis's lines, with some room above.
fn top(lines: &[Line], is_right: bool) -> f64 {
    let of_axis = lines.iter().filter(|line| line.is_right == is_right);
    let values = of_axis.flat_map(|line| line.points.iter().map(|point| point.1));
    values.fold(1.0_f64, f64::max) * 1.15
}

fn draw_lines(
    file: &Path,
    words: &Words<'_>,
    lines: &[Line],
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let all = || lines.iter().flat_map(|line| line.points.iter());
    let end = all().map(|point| point.0).fold(1.0_f64, f64::max);
    forebay_control::cloudwatch::widget::use_font();
    let file = file.to_owned();
    let area = SVGBackend::new(&file, (860, 480)).into_drawing_area();
    let failed = |error: &dyn std::fmt::Display| error.to_string();
    area.fill(&WHITE).map_err(|error| failed(&error))?;
    let mut chart = ChartBuilder::on(&area)
        .caption(words.title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(56)
        .right_y_label_area_size(56)
        .build_cartesian_2d(0.0..end, 0.0..top(lines, false))
        .map_err(|error| failed(&error))?
        .set_secondary_coord(0.0..end, 0.0..top(lines, true));
    chart
        .configure_mesh()
        .x_desc(words.below)
        .y_desc(words.left)
        .x_label_formatter(&|at| format!("{at:.0}"))
        .y_label_formatter(&|value| format!("{value:.0}"))
        .draw()
        .map_err(|error| failed(&error))?;
    chart
        .configure_secondary_axes()
        .y_desc(words.right)
        .y_label_formatter(&|value| format!("{value:.0}"))
        .draw()
        .map_err(|error| failed(&error))?;
    for (index, line) in lines.iter().enumerate() {
        let style = colour(index).stroke_width(2);
        let series = LineSeries::new(line.points.iter().copied(), style);
        let drawn = if line.is_right {
            chart.draw_secondary_series(series)
        } else {
            chart.draw_series(series)
        };
        drawn
            .map_err(|error| failed(&error))?
            .label(line.name.as_str())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()
        .map_err(|error| failed(&error))?;
    area.present().map_err(|error| failed(&error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_names_its_lines() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("plot.svg");
        let line = |name: &str, is_right| Line {
            name: name.into(),
            points: steps([(0.0, 3.0), (10.0, 6.0)], 20.0),
            is_right,
        };
        let words = Words {
            title: "a title",
            below: "seconds",
            left: "requests a second",
            right: "instances",
        };
        draw(&file, &words, &[line("amber", false), line("birch", true)]).unwrap();
        let text = std::fs::read_to_string(file).unwrap();
        for wanted in ["a title", "amber", "birch", "seconds", "instances", "polyline"] {
            assert!(text.contains(wanted), "{wanted}");
        }
    }

    #[test]
    fn steps_hold_until_the_next() {
        let points = steps([(0.0, 3.0), (10.0, 6.0)], 20.0);
        assert_eq!(points, [(0.0, 3.0), (10.0, 3.0), (10.0, 6.0), (20.0, 6.0)]);
        assert!(steps([], 1.0).is_empty());
    }
}
