//! A plot in Braille letters, each two dots wide and four high.

use jiff::Timestamp;

/// A text without terminal control sequences: names come from whoever put the metric.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .map(|letter| if letter.is_control() { '?' } else { letter })
        .collect()
}

/// Draws points by time from `from` to `to`, each `period` seconds wide, as lines.
pub(super) fn plot(
    points: &[(i64, f64)],
    from: i64,
    to: i64,
    period: i64,
    columns: usize,
    rows: usize,
) -> Vec<String> {
    let values = || points.iter().map(|point| point.1);
    let (low, high) = (
        values().fold(0.0_f64, f64::min),
        values().fold(f64::MIN_POSITIVE, f64::max),
    );
    let (columns, rows) = (columns.clamp(24, 400) - 12, rows.clamp(4, 60));
    let mut dots = vec![vec![0_u8; columns]; rows];
    let place = |point: (i64, f64)| {
        let x = (point.0 - from) as f64 / (to - from).max(1) as f64 * (columns * 2 - 1) as f64;
        let share = (point.1 / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0);
        (
            x.round() as usize,
            ((1.0 - share) * (rows * 4 - 1) as f64).round() as usize,
        )
    };
    let mut dot = |x: usize, y: usize| {
        const DOTS: [[u8; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];
        if let Some(cell) = dots.get_mut(y / 4).and_then(|row| row.get_mut(x / 2)) {
            *cell |= DOTS[x % 2][y % 4];
        }
    };
    for (number, point) in points.iter().enumerate() {
        let (x, y) = place(*point);
        dot(x, y);
        // No line is drawn across a gap.
        let next = points.get(number + 1).filter(|next| next.0 - point.0 <= period);
        if let Some(next) = next {
            let (far_x, far_y) = place(*next);
            let steps = far_x.abs_diff(x).max(far_y.abs_diff(y));
            for step in 1..steps {
                let between = |from: usize, to: usize| {
                    (from as f64 + (to as f64 - from as f64) * step as f64 / steps as f64).round() as usize
                };
                dot(between(x, far_x), between(y, far_y));
            }
        }
    }
    let mut lines: Vec<String> = Vec::new();
    for (number, row) in dots.iter().enumerate() {
        let tick = match number {
            0 => short(high),
            _ if number + 1 == rows => short(low),
            _ if number == rows / 2 => short(high - (high - low) * number as f64 / (rows - 1) as f64),
            _ => String::new(),
        };
        let letters = row
            .iter()
            .filter_map(|cell| char::from_u32(0x2800 + u32::from(*cell)));
        lines.push(format!("{tick:>10} ┤{}", letters.collect::<String>()));
    }
    let (begin, end) = (time(from), time(to));
    let room = columns.saturating_sub(end.len());
    lines.push(format!("{:>10} └{}", "", "─".repeat(columns)));
    lines.push(format!("{:>12}{begin:<room$}{end}", ""));
    lines
}

/// A value in a few digits.
pub(super) fn short(value: f64) -> String {
    match value.abs() {
        size if size != 0.0 && !(1e-3..1e7).contains(&size) => format!("{value:.2e}"),
        _ => {
            let digits = format!("{value:.3}");
            digits.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
    }
}

/// The time of day, in UTC.
fn time(at: i64) -> String {
    Timestamp::from_second(at).map_or_else(|_| String::new(), |at| at.strftime("%H:%M:%SZ").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_rise_and_gaps_stay_empty() {
        let points = [(0, 0.0), (10, 1.0), (20, 2.0), (70, 2.0), (80, 2.0)];
        let lines = plot(&points, 0, 100, 10, 60, 8);
        assert_eq!(lines.len(), 10);
        assert!(lines.iter().all(|line| line.chars().count() <= 60), "{lines:?}");
        assert!(
            lines[0].starts_with("         2 ┤") && lines[7].starts_with("         0 ┤"),
            "{lines:?}"
        );
        let middle: Vec<char> = lines[0].chars().skip(12 + 12).take(18).collect();
        assert!(middle.iter().all(|letter| *letter == '\u{2800}'), "{lines:?}");
    }

    #[test]
    fn names_cannot_steer_the_terminal() {
        assert_eq!(printable("a\u{1b}[31mb"), "a?[31mb");
    }
}
