//! Numbers, times and untrusted bytes as log text. Written by hand, because the formatting machinery costs several times as
//! much and this runs for each request.

use forebay_units::Wall;
use forebay_units::digits::decimal;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Appends a number in decimal with leading zeros; digits beyond `WIDTH` are lost.
pub(crate) fn padded<const WIDTH: usize>(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [b'0'; WIDTH];
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
    out.extend_from_slice(&digits);
}

/// Appends seconds with three decimals, rounded.
pub(crate) fn seconds(out: &mut Vec<u8>, span: Duration) {
    let ms = u64::try_from((span.as_nanos() + 500_000) / 1_000_000).unwrap_or(u64::MAX);
    decimal(out, ms / 1000);
    out.push(b'.');
    padded::<3>(out, ms % 1000);
}

/// Appends an address.
pub(crate) fn ip(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            for (index, &octet) in address.octets().iter().enumerate() {
                if index > 0 {
                    out.push(b'.');
                }
                decimal(out, u64::from(octet));
            }
        }
        IpAddr::V6(address) => {
            use std::io::Write as _;
            let _ = write!(out, "{address}");
        }
    }
}

/// Appends `address:port`, with brackets around an IPv6 address.
pub(crate) fn socket(out: &mut Vec<u8>, address: SocketAddr) {
    let v6 = address.is_ipv6();
    if v6 {
        out.push(b'[');
    }
    ip(out, address.ip());
    if v6 {
        out.push(b']');
    }
    out.push(b':');
    decimal(out, u64::from(address.port()));
}

/// Whether a byte would break a line or its quotes, or should not reach a terminal. Without branches, so that the compiler
/// can check many bytes per instruction.
const fn is_escaped(byte: u8) -> bool {
    (byte < 0x20) | (byte >= 0x7f) | (byte == b'"') | (byte == b'\\')
}

/// Appends a client's bytes; those that would break the line become `\xHH`, as in ALB's logs.
pub(crate) fn escaped(out: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.iter().fold(false, |any, &byte| any | is_escaped(byte)) {
        escape(out, bytes);
    } else {
        out.extend_from_slice(bytes);
    }
}

#[cold]
fn escape(out: &mut Vec<u8>, bytes: &[u8]) {
    let digit = |value: u8| b"0123456789ABCDEF"[usize::from(value & 0xf)];
    for &byte in bytes {
        if is_escaped(byte) {
            out.extend_from_slice(&[b'\\', b'x', digit(byte >> 4), digit(byte)]);
        } else {
            out.push(byte);
        }
    }
}

/// Date and time in UTC of a second since 1970-01-01. Seconds outside the calendar give that day.
pub(crate) fn utc(second: i64) -> DateTime {
    Offset::UTC.to_datetime(Timestamp::from_second(second).unwrap_or_default())
}

/// A part of a date or time, which is never negative here.
fn part(number: impl Into<i64>) -> u64 {
    number.into().unsigned_abs()
}

/// Writes times, and computes the date only once a second.
#[derive(Debug)]
pub(crate) struct Stamp {
    second: i64,
    text: Vec<u8>,
}

impl Default for Stamp {
    fn default() -> Self {
        Stamp {
            second: i64::MIN,
            text: Vec::with_capacity(20),
        }
    }
}

impl Stamp {
    fn second(&mut self, out: &mut Vec<u8>, wall: Wall) {
        let second = wall.seconds();
        if self.second != second {
            self.second = second;
            self.text.clear();
            let at = utc(second);
            padded::<4>(&mut self.text, part(at.year()));
            self.text.push(b'-');
            padded::<2>(&mut self.text, part(at.month()));
            self.text.push(b'-');
            padded::<2>(&mut self.text, part(at.day()));
            self.text.push(b'T');
            padded::<2>(&mut self.text, part(at.hour()));
            self.text.push(b':');
            padded::<2>(&mut self.text, part(at.minute()));
            self.text.push(b':');
            padded::<2>(&mut self.text, part(at.second()));
            self.text.push(b'.');
        }
        out.extend_from_slice(&self.text);
    }

    /// Appends `2018-07-02T22:23:00.186641Z`.
    pub(crate) fn micros(&mut self, out: &mut Vec<u8>, wall: Wall) {
        self.second(out, wall);
        padded::<6>(out, wall.0.rem_euclid(1_000_000).unsigned_abs());
        out.push(b'Z');
    }

    /// Appends `2018-07-02T22:22:48.364000Z`: in milliseconds, ALB's precision for a request's creation time.
    pub(crate) fn millis(&mut self, out: &mut Vec<u8>, wall: Wall) {
        self.second(out, wall);
        padded::<3>(out, wall.0.rem_euclid(1_000_000).unsigned_abs() / 1000);
        out.extend_from_slice(b"000Z");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn times_as_in_albs_examples() {
        let mut stamp = Stamp::default();
        let wall = Wall(1_530_570_180_186_641);
        assert_eq!(text(|out| stamp.micros(out, wall)), "2018-07-02T22:23:00.186641Z");
        assert_eq!(text(|out| stamp.millis(out, wall)), "2018-07-02T22:23:00.186000Z");
        let later = Wall::from_seconds(951_782_400);
        assert_eq!(
            text(|out| stamp.micros(out, later)),
            "2000-02-29T00:00:00.000000Z"
        );
    }

    #[test]
    fn spans_and_addresses() {
        let ms = Duration::from_micros;
        assert_eq!(text(|out| seconds(out, ms(499))), "0.000");
        assert_eq!(text(|out| seconds(out, ms(500))), "0.001");
        assert_eq!(text(|out| seconds(out, ms(61_234_567))), "61.235");
        assert_eq!(
            text(|out| socket(out, "10.0.0.1:80".parse().unwrap())),
            "10.0.0.1:80"
        );
        assert_eq!(text(|out| socket(out, "[::1]:80".parse().unwrap())), "[::1]:80");
        assert_eq!(
            text(|out| forebay_units::digits::hexadecimal(out, 0xabc, 16)),
            "0000000000000abc"
        );
    }

    #[test]
    fn foreign_bytes_cannot_break_a_line() {
        assert_eq!(
            text(|out| escaped(out, b"a\"b\\c\n\xff\x7f d")),
            r"a\x22b\x5Cc\x0A\xFF\x7F d"
        );
    }

    proptest! {
        #[test]
        fn escaped_text_is_printable_and_can_be_read_back(bytes: Vec<u8>) {
            let written = text(|out| escaped(out, &bytes));
            prop_assert!(written.bytes().all(|byte| (0x20..0x7f).contains(&byte) && byte != b'"'));
            let mut back = Vec::new();
            let mut rest = written.as_bytes();
            while let [first, after @ ..] = rest {
                if *first == b'\\' {
                    let hex = std::str::from_utf8(&after[1..3]).unwrap();
                    back.push(u8::from_str_radix(hex, 16).unwrap());
                    rest = &after[3..];
                } else {
                    back.push(*first);
                    rest = after;
                }
            }
            prop_assert_eq!(back, bytes);
        }

        #[test]
        fn numbers(number: u64) {
            prop_assert_eq!(text(|out| decimal(out, number)), number.to_string());
            prop_assert_eq!(text(|out| padded::<6>(out, number % 1_000_000)), format!("{:06}", number % 1_000_000));
        }
    }
}
