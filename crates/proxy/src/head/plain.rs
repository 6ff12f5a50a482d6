//! Parses most heads in one pass. Anything unusual is left to `httparse`, which then decides alone. What this accepts,
//! `httparse` accepts with the same result (property tests and fuzz targets ensure it), but this needs only seven tenths of
//! the instructions.

use super::offsets::{AnswerHead, RequestHead, Says};
use crate::fields::{Field, Span};
use crate::names::Known;

/// Bytes allowed in a token (RFC 9110, section 5.6.2).
const TOKEN: [bool; 256] = {
    let mut token = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        token[byte] = (byte as u8).is_ascii_alphanumeric()
            || matches!(
                byte as u8,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            );
        byte += 1;
    }
    token
};

/// Whether a token may contain this byte.
pub(crate) fn is_token(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

/// Length of the token at the beginning of `bytes`.
fn token(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|&&byte| TOKEN[usize::from(byte)]).count()
}

/// Number of bytes before the first control byte (DEL is one).
fn printable(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const TOPS: u64 = ONES << 7;
    let (words, rest) = bytes.as_chunks::<8>();
    let mut count = 0;
    for &word in words {
        let word = u64::from_le_bytes(word);
        let del = word ^ (ONES * 0x7f);
        // Sets the top bit of each byte that is below a space or is DEL. A borrow falsifies only bytes above the first one
        // found.
        let found = (word.wrapping_sub(ONES * 0x20) & !word | del.wrapping_sub(ONES) & !del) & TOPS;
        if found != 0 {
            return count + found.trailing_zeros() as usize / 8;
        }
        count += 8;
    }
    count
        + rest
            .iter()
            .take_while(|&&byte| byte >= b' ' && byte != 0x7f)
            .count()
}

/// Parses a head's lines from byte `at` to the empty line; returns the head's length. None leaves the head to the general
/// parser, with `fields` in any state: it is incomplete or unusual. `most`: the limit on lines.
fn lines(bytes: &[u8], mut at: usize, fields: &mut Vec<Field>, most: usize) -> Option<usize> {
    fields.clear();
    loop {
        let rest = bytes.get(at..)?;
        if let [b'\r', b'\n', ..] = rest {
            return Some(at + 2);
        }
        let name = token(rest);
        let [b':', b' ', value @ ..] = rest.get(name..)? else {
            return None;
        };
        let length = printable(value);
        let (value, end) = value.split_at(length);
        let ([first, ..], [.., last], [b'\r', b'\n', ..]) = (value, value, end) else {
            return None;
        };
        if name == 0 || *first == b' ' || *last == b' ' || fields.len() == most {
            return None;
        }
        let (start, behind) = (at + name + 2, at + name + 2 + length);
        fields.push(Field {
            name: Span::between(at, at + name),
            value: Span::between(start, behind),
            known: Known::of(&rest[..name]),
        });
        at = behind + 2;
    }
}

/// Whether the version is 1.0: ` HTTP/1.0` or ` HTTP/1.1` and the line's end.
fn version(bytes: &[u8]) -> Option<bool> {
    match bytes.get(..VERSION)? {
        b" HTTP/1.1\r\n" => Some(false),
        b" HTTP/1.0\r\n" => Some(true),
        _ => None,
    }
}

const VERSION: usize = 11;

/// A request's head; none leaves it to the general parser, as with [`lines`].
pub(super) fn request(bytes: &[u8], fields: &mut Vec<Field>, most: usize) -> Option<RequestHead> {
    let method = token(bytes);
    let target = bytes.get(method + 1..)?;
    let target = method + 1 + target.iter().take_while(|byte| byte.is_ascii_graphic()).count();
    let http_10 = version(bytes.get(target..)?)?;
    if method == 0 || bytes[method] != b' ' || target == method + 1 {
        return None;
    }
    let length = lines(bytes, target + VERSION, fields, most)?;
    Some(RequestHead {
        method: Span::between(0, method),
        target: Span::between(method + 1, target),
        http_10,
        length,
    })
}

/// An answer's head; none leaves it to the general parser, as with [`lines`].
pub(super) fn answer(bytes: &[u8], fields: &mut Vec<Field>, most: usize) -> Option<AnswerHead> {
    const LINE: usize = "HTTP/1.1 200 ".len();
    let (line, phrase) = bytes.split_at_checked(LINE)?;
    let [
        b'H',
        b'T',
        b'T',
        b'P',
        b'/',
        b'1',
        b'.',
        minor @ b'0'..=b'1',
        b' ',
        a @ b'1'..=b'9',
        b,
        c,
        b' ',
    ] = *line
    else {
        return None;
    };
    let end = printable(phrase);
    if !(b.is_ascii_digit() && c.is_ascii_digit() && end > 0 && phrase[..end].is_ascii()) {
        return None;
    }
    let [b'\r', b'\n', ..] = phrase[end..] else {
        return None;
    };
    let length = lines(bytes, LINE + end + 2, fields, most)?;
    let digit = |byte: u8| u16::from(byte - b'0');
    Some(AnswerHead {
        status: digit(a) * 100 + digit(b) * 10 + digit(c),
        phrase: Span::between(LINE, LINE + end),
        http_10: minor == b'0',
        says: Says::of(fields, bytes),
        length,
    })
}
