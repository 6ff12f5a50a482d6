//! Times as widgets define them, and as graphs show them.

use jiff::Timestamp;
use jiff::tz::Offset;

/// A time in seconds: absolute in ISO 8601, or relative to now, such as `-PT3H`.
pub(super) fn moment(text: &str, now: i64) -> Option<i64> {
    if let Some(back) = text.strip_prefix("-P") {
        return now.checked_sub(duration(back)?);
    }
    if let Some(ahead) = text.strip_prefix('P') {
        return now.checked_add(duration(ahead)?);
    }
    let zoned = text.parse::<Timestamp>().map(Timestamp::as_second);
    // Without an offset it is UTC.
    let plain = || text.parse::<jiff::civil::DateTime>().ok();
    zoned.ok().or_else(|| {
        let utc = plain()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        Some(utc.timestamp().as_second())
    })
}

/// The seconds of an ISO 8601 duration after its P. A month has 30 days, a year 365.
fn duration(text: &str) -> Option<i64> {
    let (mut total, mut number, mut timed, mut parts) = (0_i64, None::<i64>, false, 0);
    for letter in text.chars() {
        if let Some(digit) = letter.to_digit(10) {
            let so_far = number.unwrap_or(0).checked_mul(10)?;
            number = Some(so_far.checked_add(i64::from(digit))?);
            continue;
        }
        if letter == 'T' && !timed && number.is_none() {
            timed = true;
            continue;
        }
        let unit = match (letter, timed) {
            ('Y', false) => 365 * 86_400,
            ('M', false) => 30 * 86_400,
            ('W', false) => 7 * 86_400,
            ('D', false) => 86_400,
            ('H', true) => 3600,
            ('M', true) => 60,
            ('S', true) => 1,
            _ => return None,
        };
        total = total.checked_add(number.take()?.checked_mul(unit)?)?;
        parts += 1;
    }
    (number.is_none() && parts > 0).then_some(total)
}

/// The seconds of an offset from UTC such as `+0130`.
pub(super) fn offset(text: &str) -> Option<i32> {
    let bytes = text.as_bytes();
    let sign = match bytes.first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    if bytes.len() != 5 || !bytes[1..].iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digit = |place: usize| i32::from(bytes[place] - b'0');
    let (hours, minutes) = (digit(1) * 10 + digit(2), digit(3) * 10 + digit(4));
    (hours <= 14 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// A time for an axis that covers `length` seconds.
pub(super) fn shown(at: i64, offset: i32, length: i64) -> String {
    let Ok(at) = Timestamp::from_second(at) else {
        return String::new();
    };
    let offset = Offset::from_seconds(offset).unwrap_or(Offset::UTC);
    let at = offset.to_datetime(at);
    let (hour, minute) = (at.hour(), at.minute());
    match length {
        ..=600 => format!("{hour:02}:{minute:02}:{:02}", at.second()),
        601..=86_400 => format!("{hour:02}:{minute:02}"),
        86_401..=604_800 => format!("{:02}-{:02} {hour:02}:{minute:02}", at.month(), at.day()),
        _ => format!("{:04}-{:02}-{:02}", at.year(), at.month(), at.day()),
    }
}

/// Up to `most` round times in a range.
pub(super) fn ticks(from: i64, to: i64, offset: i32, most: usize) -> Vec<i64> {
    const STEPS: [i64; 18] = [
        1, 5, 10, 30, 60, 300, 600, 900, 1800, 3600, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800,
        2_592_000, 7_776_000,
    ];
    let most = i64::try_from(most.clamp(1, 50)).unwrap_or(1);
    let length = to - from;
    let step = STEPS.into_iter().find(|step| length / step <= most);
    let step = step.unwrap_or(length / most + 1).max(1);
    let local = from + i64::from(offset);
    let first = (local + step - 1).div_euclid(step) * step - i64::from(offset);
    (0..)
        .map(|number| first + number * step)
        .take_while(|at| *at <= to)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_absolute_or_relative() {
        for (text, wanted) in [
            ("-PT3H", Some(1_000_000 - 10_800)),
            ("-P1DT30M", Some(1_000_000 - 88_200)),
            ("PT0H", Some(1_000_000)),
            ("1970-01-01T00:00:10Z", Some(10)),
            ("1970-01-01T01:00:10+01:00", Some(10)),
            ("1970-01-01T00:00:10.000", Some(10)),
            ("-P", None),
            ("-PT99999999999999999999H", None),
            ("-PT3", None),
            ("-P3H", None),
            ("yesterday", None),
        ] {
            assert_eq!(moment(text, 1_000_000), wanted, "{text}");
        }
    }

    #[test]
    fn offsets_have_a_sign_and_four_digits() {
        assert_eq!(offset("+0130"), Some(5400));
        assert_eq!(offset("-0800"), Some(-28_800));
        for wrong in ["0130", "+01:30", "+9900", "+01é", ""] {
            assert_eq!(offset(wrong), None, "{wrong}");
        }
        assert_eq!(shown(0, 5400, 7200), "01:30");
    }

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(ticks(59, 301, 0, 5), [60, 120, 180, 240, 300]);
        assert_eq!(ticks(0, 7200, 1800, 2), [1800, 5400]);
        assert!(ticks(0, 455 * 86_400, 0, 6).len() <= 7);
    }
}
