//! Draws a graph into memory. The cost is bounded by the graph's size: if there are more points than columns, the
//! extremes of each column are kept.

use super::data::Line;
use super::font::use_font;
use super::parse::{Axis, Legend, Widget};
use super::times::{shown, ticks};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::collections::BTreeMap;
use std::fmt::Display;

/// The most segments of all lines together.
const SEGMENT_LIMIT: usize = 40_000;
const GRID: RGBColor = RGBColor(0xe0, 0xe0, 0xe0);
const INK: RGBColor = RGBColor(0x33, 0x33, 0x33);
const TEXT: i32 = 12;
const ROW: i32 = 18;

type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;

/// The range of an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Scale {
    low: f64,
    high: f64,
}

/// The inner edges of the plot, in pixels.
#[derive(Clone, Copy)]
struct Frame {
    left: i32,
    right: i32,
    top: i32,
    bottom: i32,
}

/// Lines, and for each point the value that it is stacked on: 0 unless lines are stacked.
struct Shape<'a> {
    line: &'a Line,
    points: Vec<(i64, f64, f64)>,
    /// The seconds of a column. Points that were thinned are further apart than their period, but no further than two
    /// columns.
    column: i64,
}

/// Draws a graph as PNG.
pub(super) fn png(widget: &Widget, lines: &[Line]) -> Result<Vec<u8>, String> {
    use_font();
    let size = (widget.width, widget.height);
    let mut pixels = vec![255; widget.width as usize * widget.height as usize * 3];
    {
        let area = BitMapBackend::with_buffer(&mut pixels, size).into_drawing_area();
        graph(&area, widget, lines)?;
        area.present().map_err(told)?;
    }
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, widget.width, widget.height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(told)?;
    writer.write_image_data(&pixels).map_err(told)?;
    writer.finish().map_err(told)?;
    Ok(file)
}

fn told(error: impl Display) -> String {
    error.to_string()
}

fn graph(area: &Area<'_>, widget: &Widget, lines: &[Line]) -> Result<(), String> {
    let frame = frame(area, widget, lines)?;
    if frame.right - frame.left < 2 || frame.bottom - frame.top < 2 {
        return Ok(());
    }
    let shapes = shapes(widget, lines, frame);
    let scales = [false, true].map(|right| scale(widget, &shapes, right));
    grid(area, widget, frame, scales)?;
    for shape in &shapes {
        let scale = scales[usize::from(shape.line.right)];
        if widget.stacked {
            band(area, widget, frame, scale, shape)?;
        }
        stroke(area, widget, frame, scale, shape)?;
    }
    annotations(area, widget, frame, scales)
}

/// Draws the title and the legend. Returns what is left for the plot.
fn frame(area: &Area<'_>, widget: &Widget, lines: &[Line]) -> Result<Frame, String> {
    let (width, height) = (widget.width.cast_signed(), widget.height.cast_signed());
    // A graph that is hardly larger than its texts has room only for the lines.
    if width < 160 || height < 100 {
        return Ok(Frame {
            left: 1,
            right: width - 2,
            top: 1,
            bottom: height - 2,
        });
    }
    let mut frame = Frame {
        left: 60,
        right: width - 16,
        top: 14,
        bottom: height - 26,
    };
    if is_right(widget, lines) {
        frame.right = width - 60;
    }
    if !widget.title.is_empty() {
        write(
            area,
            &widget.title,
            (width / 2, 8),
            width - 20,
            HPos::Center,
            VPos::Top,
        )?;
        frame.top += 20;
    }
    for (axis, place) in [(&widget.left, HPos::Left), (&widget.right, HPos::Right)] {
        if let Some(label) = &axis.label {
            let x = if matches!(place, HPos::Left) { 4 } else { width - 4 };
            write(area, label, (x, frame.top - 6), width / 2 - 10, place, VPos::Top)?;
        }
    }
    if widget.left.label.is_some() || widget.right.label.is_some() {
        frame.top += 16;
    }
    match widget.legend {
        Legend::Hidden => {}
        Legend::Bottom => {
            let columns = (width / 180).max(1);
            let most = (height / 3 / ROW).max(1) * columns;
            let count = i32::try_from(lines.len()).unwrap_or(i32::MAX).min(most);
            let rows = (count + columns - 1) / columns;
            frame.bottom -= rows * ROW;
            let cell = (width - 20) / columns;
            for (number, line) in (0..count).zip(lines) {
                let at = (
                    10 + number % columns * cell,
                    height - 4 - (rows - number / columns) * ROW,
                );
                entry(area, line, at, cell)?;
            }
        }
        Legend::Right => {
            let cell = width / 4;
            frame.right -= cell;
            let most = usize::try_from((frame.bottom - frame.top) / ROW).unwrap_or(0);
            for (number, line) in (0..).zip(lines.iter().take(most)) {
                entry(area, line, (width - cell, frame.top + number * ROW), cell)?;
            }
        }
    }
    Ok(frame)
}

fn is_right(widget: &Widget, lines: &[Line]) -> bool {
    lines.iter().any(|line| line.right) || widget.annotations.iter().any(|one| one.right)
}

fn entry(area: &Area<'_>, line: &Line, at: (i32, i32), room: i32) -> Result<(), String> {
    let square = [(at.0, at.1 + 4), (at.0 + 10, at.1 + 12)];
    area.draw(&Rectangle::new(square, line.colour.filled()))
        .map_err(told)?;
    write(
        area,
        &line.label,
        (at.0 + 14, at.1 + 8),
        room - 18,
        HPos::Left,
        VPos::Center,
    )
}

/// Draws as much of a text as fits.
fn write(area: &Area<'_>, text: &str, at: (i32, i32), room: i32, h: HPos, v: VPos) -> Result<(), String> {
    let style = ("sans-serif", TEXT).into_font().color(&INK).pos(Pos::new(h, v));
    // No letter of this size is narrower than two pixels, which bounds the measuring, too.
    let most = usize::try_from(room / 2).unwrap_or(0).min(200);
    let mut letters: Vec<char> = text
        .chars()
        .filter(|letter| !letter.is_control())
        .take(most)
        .collect();
    let mut written: String = letters.iter().collect();
    loop {
        let (width, _) = area.estimate_text_size(&written, &style).map_err(told)?;
        if width.cast_signed() <= room {
            break;
        }
        letters.truncate(letters.len() * 9 / 10);
        if letters.len() < 2 {
            return Ok(());
        }
        written = letters.iter().collect::<String>() + "…";
    }
    area.draw(&Text::new(written, at, style)).map_err(told)
}

/// What is drawn of each line: a bounded number of points, and the values that they are stacked on.
fn shapes<'a>(widget: &Widget, lines: &'a [Line], frame: Frame) -> Vec<Shape<'a>> {
    let columns = usize::try_from(frame.right - frame.left).unwrap_or(1);
    let columns = columns.min(SEGMENT_LIMIT / 2 / lines.len().max(1)).max(1);
    let column = (widget.to - widget.from) / i64::try_from(columns).unwrap_or(1) + 1;
    let mut below: [BTreeMap<i64, f64>; 2] = Default::default();
    let mut shapes = Vec::new();
    for line in lines {
        let mut points = Vec::new();
        for (at, value) in thinned(&line.points, widget, columns, widget.stacked) {
            if !widget.stacked {
                points.push((at, 0.0, value));
                continue;
            }
            let under = below[usize::from(line.right)].entry(at).or_insert(0.0);
            let over = (*under + value).clamp(f64::MIN, f64::MAX);
            points.push((at, *under, over));
            *under = over;
        }
        shapes.push(Shape { line, points, column });
    }
    shapes
}

/// All points, or if there are more than two for each column, the least and the greatest of each; only the greatest
/// where lines are stacked, so that they are stacked at the same times.
fn thinned(points: &[(i64, f64)], widget: &Widget, columns: usize, stacked: bool) -> Vec<(i64, f64)> {
    if points.len() <= columns * 2 {
        return points.to_vec();
    }
    let width = (widget.to - widget.from) as f64 / columns as f64;
    let column = |at: i64| ((at - widget.from) as f64 / width) as usize;
    let together = |one: &(i64, f64), other: &(i64, f64)| column(one.0) == column(other.0);
    let extremes = points.chunk_by(together).flat_map(|chunk| {
        let least = chunk
            .iter()
            .copied()
            .min_by(|one, other| one.1.total_cmp(&other.1));
        let greatest = chunk
            .iter()
            .copied()
            .max_by(|one, other| one.1.total_cmp(&other.1));
        let mut both: Vec<(i64, f64)> = if stacked {
            greatest.map(|point| (chunk[0].0, point.1)).into_iter().collect()
        } else {
            least.into_iter().chain(greatest).collect()
        };
        both.sort_by_key(|point| point.0);
        both.dedup_by_key(|point| point.0);
        both
    });
    extremes.collect()
}

/// The range of an axis: as given, or as its lines and annotations require.
fn scale(widget: &Widget, shapes: &[Shape<'_>], right: bool) -> Scale {
    let axis: &Axis = if right { &widget.right } else { &widget.left };
    let shapes = shapes.iter().filter(|shape| shape.line.right == right);
    let lines = shapes.flat_map(|shape| shape.points.iter().map(|point| point.2));
    let levels = widget.annotations.iter().filter(|one| one.right == right);
    let values = || levels.clone().map(|one| one.value);
    let (low, high) = lines
        .chain(values())
        .fold((f64::MAX, f64::MIN), |(low, high), value| {
            (low.min(value), high.max(value))
        });
    // Nothing is drawn on it, or everything has the same value.
    let (mut low, mut high) = if low > high { (0.0, 1.0) } else { (low, high) };
    if low > 0.0 && low < high / 2.0 {
        low = 0.0;
    }
    if high - low <= high.abs().max(low.abs()) * 1e-9 {
        let half = (high.abs() / 2.0).max(0.5);
        (low, high) = (low - half, high + half);
    } else {
        high += (high / 20.0 - low / 20.0).max(0.0);
    }
    let (mut low, mut high) = (axis.min.unwrap_or(low), axis.max.unwrap_or(high));
    if low >= high {
        // A bound that was given stays.
        let far = low.abs().max(1.0);
        if axis.min.is_some() {
            high = low + far;
        } else {
            low = high - far;
        }
    }
    Scale {
        low: low.clamp(f64::MIN, f64::MAX),
        high: high.clamp(f64::MIN, f64::MAX),
    }
}

impl Scale {
    /// The share of the axis below a value. Values beyond the axis are at its end.
    fn share(self, value: f64) -> f64 {
        // Halved, because the difference of two finite numbers may overflow.
        let share = (value / 2.0 - self.low / 2.0) / (self.high / 2.0 - self.low / 2.0);
        if share.is_finite() {
            share.clamp(0.0, 1.0)
        } else {
            0.0
        }
    }

    /// Up to `most` round values.
    fn ticks(self, most: i32) -> Vec<f64> {
        let length = self.high - self.low;
        let rough = length / f64::from(most.max(1));
        if !rough.is_finite() || rough <= 0.0 {
            return vec![self.low, self.high];
        }
        let power = 10_f64.powf(rough.log10().floor());
        let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
        let step = steps.into_iter().find(|step| *step >= rough).unwrap_or(rough);
        let first = (self.low / step).ceil();
        (0..=most)
            .map(|number| (first + f64::from(number)) * step)
            .take_while(|value| *value <= self.high)
            .collect()
    }
}

fn x(widget: &Widget, frame: Frame, at: i64) -> i32 {
    let share = (at - widget.from) as f64 / (widget.to - widget.from) as f64;
    frame.left + (share.clamp(0.0, 1.0) * f64::from(frame.right - frame.left)).round() as i32
}

fn y(frame: Frame, scale: Scale, value: f64) -> i32 {
    frame.bottom - (scale.share(value) * f64::from(frame.bottom - frame.top)).round() as i32
}

fn segment(area: &Area<'_>, from: (i32, i32), to: (i32, i32), style: ShapeStyle) -> Result<(), String> {
    area.draw(&PathElement::new(vec![from, to], style)).map_err(told)
}

fn grid(area: &Area<'_>, widget: &Widget, frame: Frame, scales: [Scale; 2]) -> Result<(), String> {
    // Without a margin there is no room for labels.
    let is_labelled = frame.left > 1;
    let most = (frame.bottom - frame.top) / 40;
    for tick in scales[0].ticks(most.clamp(1, 12)) {
        let at = y(frame, scales[0], tick);
        segment(area, (frame.left, at), (frame.right, at), GRID.stroke_width(1))?;
        if is_labelled {
            write(
                area,
                &number(tick),
                (frame.left - 6, at),
                frame.left - 8,
                HPos::Right,
                VPos::Center,
            )?;
        }
    }
    let right = widget.width.cast_signed() - frame.right;
    if is_labelled && right >= 60 && widget.legend != Legend::Right {
        for tick in scales[1].ticks(most.clamp(1, 12)) {
            let at = (frame.right + 6, y(frame, scales[1], tick));
            write(area, &number(tick), at, right - 8, HPos::Left, VPos::Center)?;
        }
    }
    let most = usize::try_from((frame.right - frame.left) / 90).unwrap_or(1);
    for tick in ticks(widget.from, widget.to, widget.offset, most) {
        let at = x(widget, frame, tick);
        segment(
            area,
            (at, frame.bottom),
            (at, frame.bottom + 3),
            GRID.stroke_width(1),
        )?;
        if is_labelled {
            let text = shown(tick, widget.offset, widget.to - widget.from);
            write(area, &text, (at, frame.bottom + 6), 110, HPos::Center, VPos::Top)?;
        }
    }
    segment(
        area,
        (frame.left, frame.bottom),
        (frame.right, frame.bottom),
        INK.stroke_width(1),
    )
}

/// A value for an axis: a few digits, with a suffix for thousands.
fn number(value: f64) -> String {
    let size = value.abs();
    let (shown, letter) = match size {
        _ if size >= 1e15 => return format!("{value:.2e}"),
        _ if size >= 1e12 => (value / 1e12, "T"),
        _ if size >= 1e9 => (value / 1e9, "G"),
        _ if size >= 1e6 => (value / 1e6, "M"),
        _ if size >= 1e4 => (value / 1e3, "K"),
        _ if size > 0.0 && size < 1e-4 => return format!("{value:.2e}"),
        _ => (value, ""),
    };
    let digits = format!("{shown:.5}");
    format!("{}{letter}", digits.trim_end_matches('0').trim_end_matches('.'))
}

/// Whether there is a gap between two points.
fn is_gap(shape: &Shape<'_>, from: i64, to: i64) -> bool {
    let thin = if shape.points.len() < shape.line.points.len() {
        shape.column * 2
    } else {
        0
    };
    to - from > shape.line.period.saturating_mul(3) / 2 + thin
}

/// The area of a stacked line.
fn band(
    area: &Area<'_>,
    widget: &Widget,
    frame: Frame,
    scale: Scale,
    shape: &Shape<'_>,
) -> Result<(), String> {
    let fill = shape.line.colour.mix(0.4).filled();
    for pair in shape.points.windows(2) {
        let (from, to) = (pair[0], pair[1]);
        if is_gap(shape, from.0, to.0) {
            continue;
        }
        let corner = |at: i64, value: f64| (x(widget, frame, at), y(frame, scale, value));
        let corners = vec![
            corner(from.0, from.1),
            corner(from.0, from.2),
            corner(to.0, to.2),
            corner(to.0, to.1),
        ];
        area.draw(&Polygon::new(corners, fill)).map_err(told)?;
    }
    Ok(())
}

/// The line itself, with dots for points without neighbours.
fn stroke(
    area: &Area<'_>,
    widget: &Widget,
    frame: Frame,
    scale: Scale,
    shape: &Shape<'_>,
) -> Result<(), String> {
    let style = shape.line.colour.stroke_width(2);
    let place = |point: &(i64, f64, f64)| (x(widget, frame, point.0), y(frame, scale, point.2));
    let runs = shape.points.chunk_by(|from, to| !is_gap(shape, from.0, to.0));
    for run in runs {
        match run {
            [one] => {
                let (x, y) = place(one);
                let square = [(x - 1, y - 1), (x + 1, y + 1)];
                area.draw(&Rectangle::new(square, shape.line.colour.filled()))
                    .map_err(told)?;
            }
            _ => {
                let path: Vec<(i32, i32)> = run.iter().map(place).collect();
                area.draw(&PathElement::new(path, style)).map_err(told)?;
            }
        }
    }
    Ok(())
}

fn annotations(area: &Area<'_>, widget: &Widget, frame: Frame, scales: [Scale; 2]) -> Result<(), String> {
    for one in &widget.annotations {
        let at = y(frame, scales[usize::from(one.right)], one.value);
        segment(
            area,
            (frame.left, at),
            (frame.right, at),
            one.colour.stroke_width(1),
        )?;
        if let Some(label) = one.label.as_ref().filter(|_| frame.left > 1) {
            let room = frame.right - frame.left;
            write(
                area,
                label,
                (frame.left + 4, at - 2),
                room,
                HPos::Left,
                VPos::Bottom,
            )?;
        }
    }
    Ok(())
}
