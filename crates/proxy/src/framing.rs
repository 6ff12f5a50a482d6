//! Where a body ends. Decided here, once per message, and nowhere else (RFC 9112, section 6.3): two decisions that differ
//! are how requests are smuggled.

use crate::fields::Field;
use crate::names::Known;
use forebay_node::Reason;

/// Where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// There is no body.
    None,
    /// After this many bytes.
    Length(u64),
    /// After the last chunk.
    Chunked,
    /// When the sender closes its connection (answers) or its stream (HTTP/2).
    UntilClose,
}

/// Why a body's end cannot be determined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unclear {
    /// The lengths are invalid or contradict each other.
    Malformed,
    /// A transfer coding that is not supported.
    UnknownCoding,
}

impl From<Unclear> for Reason {
    fn from(unclear: Unclear) -> Reason {
        match unclear {
            Unclear::Malformed => Reason::Malformed,
            Unclear::UnknownCoding => Reason::TransferEncoding,
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Claims {
    length: Option<u64>,
    chunked: bool,
    /// Identity was named as a coding, which is obsolete (RFC 9112, section 7).
    identity: bool,
    codings: u32,
}

fn claims(fields: &[Field], head: &[u8]) -> Result<Claims, Unclear> {
    let mut claims = Claims::default();
    for field in fields {
        if field.is(Known::ContentLength) {
            let length = digits(field.value(head)).ok_or(Unclear::Malformed)?;
            // RFC 9112, section 6.3, item 5: differing lengths are an unrecoverable error.
            if claims.length.is_some_and(|known| known != length) {
                return Err(Unclear::Malformed);
            }
            claims.length = Some(length);
        } else if field.is(Known::TransferEncoding) {
            codings(field.value(head), &mut claims)?;
        }
    }
    if claims.codings > 1 {
        return Err(Unclear::Malformed);
    }
    Ok(claims)
}

/// Reads a list of codings, of which some elements may be empty (RFC 9110, section 5.6.1.2). A list without any coding is
/// invalid.
fn codings(value: &[u8], claims: &mut Claims) -> Result<(), Unclear> {
    let before = claims.codings;
    for coding in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
        if coding.is_empty() {
            continue;
        }
        claims.codings += 1;
        if coding.eq_ignore_ascii_case(b"chunked") {
            claims.chunked = true;
        } else if coding.eq_ignore_ascii_case(b"identity") {
            claims.identity = true;
        } else {
            return Err(Unclear::UnknownCoding);
        }
    }
    if claims.codings == before {
        Err(Unclear::Malformed)
    } else {
        Ok(())
    }
}

fn digits(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 19 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    value.iter().try_fold(0_u64, |sum, digit| {
        sum.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    })
}

/// A request's framing, and whether both a length and a coding were given (the connection then ends with this request: RFC
/// 9112, section 6.1).
pub(crate) fn of_request(fields: &[Field], head: &[u8], http_10: bool) -> Result<(Framing, bool), Unclear> {
    let claims = claims(fields, head)?;
    // With a length, identity is ignored; alone it does not say where the body ends.
    if claims.identity && claims.length.is_none() {
        return Err(Unclear::Malformed);
    }
    match (claims.chunked, claims.length) {
        // A transfer coding in HTTP/1.0 is a sign of faulty framing (RFC 9112, section 6.1).
        (true, _) if http_10 => Err(Unclear::Malformed),
        (true, length) => Ok((Framing::Chunked, length.is_some())),
        (false, Some(length)) if length > 0 => Ok((Framing::Length(length), claims.identity)),
        (false, _) => Ok((Framing::None, claims.identity)),
    }
}

/// An answer's framing. `to_head`: the request was HEAD.
pub(crate) fn of_answer(
    fields: &[Field],
    head: &[u8],
    status: u16,
    to_head: bool,
) -> Result<Framing, Unclear> {
    if to_head || status == 204 || status == 304 || status < 200 {
        return Ok(Framing::None);
    }
    let claims = claims(fields, head)?;
    Ok(match (claims.chunked, claims.length) {
        (true, None) => Framing::Chunked,
        // Choosing one of two claims would let a target's confusion split the answer for the client; refuse it.
        (true, Some(_)) => return Err(Unclear::Malformed),
        (false, Some(length)) => Framing::Length(length),
        (false, None) => Framing::UntilClose,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::RequestHead;

    fn framing(lines: &str) -> Result<(Framing, bool), Unclear> {
        let head = format!("POST / HTTP/1.1\r\n{lines}\r\n");
        let mut fields = Vec::new();
        let parsed = RequestHead::parse(head.as_bytes(), &mut fields).unwrap().unwrap();
        of_request(&fields, head.as_bytes(), parsed.http_10)
    }

    #[test]
    fn one_framing_or_none() {
        let cases = [
            ("", Ok((Framing::None, false))),
            ("Content-Length: 0\r\n", Ok((Framing::None, false))),
            ("Content-Length: 5\r\n", Ok((Framing::Length(5), false))),
            (
                "Content-Length: 5\r\ncontent-length: 5\r\n",
                Ok((Framing::Length(5), false)),
            ),
            (
                "Content-Length: 5\r\nContent-Length: 6\r\n",
                Err(Unclear::Malformed),
            ),
            ("Content-Length: 5, 5\r\n", Err(Unclear::Malformed)),
            ("Content-Length: +5\r\n", Err(Unclear::Malformed)),
            ("Content-Length: 0x5\r\n", Err(Unclear::Malformed)),
            ("Content-Length: \r\n", Err(Unclear::Malformed)),
            (
                "Content-Length: 99999999999999999999\r\n",
                Err(Unclear::Malformed),
            ),
            ("Transfer-Encoding: Chunked\r\n", Ok((Framing::Chunked, false))),
            (
                "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
                Ok((Framing::Chunked, true)),
            ),
            (
                "Transfer-Encoding: identity\r\nContent-Length: 5\r\n",
                Ok((Framing::Length(5), true)),
            ),
            (
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                Err(Unclear::Malformed),
            ),
            (
                "Transfer-Encoding: gzip, chunked\r\n",
                Err(Unclear::UnknownCoding),
            ),
            ("Transfer-Encoding: xchunked\r\n", Err(Unclear::UnknownCoding)),
            // These were once refused as an unknown coding, with 501.
            ("Transfer-Encoding: , chunked\r\n", Ok((Framing::Chunked, false))),
            ("Transfer-Encoding: chunked,\r\n", Ok((Framing::Chunked, false))),
            ("Transfer-Encoding: chunked, ,\r\n", Ok((Framing::Chunked, false))),
            ("Transfer-Encoding: chunked, chunked\r\n", Err(Unclear::Malformed)),
            ("Transfer-Encoding: ,\r\n", Err(Unclear::Malformed)),
            // These once passed as requests without a body.
            ("Transfer-Encoding: identity\r\n", Err(Unclear::Malformed)),
            ("Transfer-Encoding: \r\n", Err(Unclear::Malformed)),
            (
                "Transfer-Encoding: identity\r\nContent-Length: 0\r\n",
                Ok((Framing::None, true)),
            ),
        ];
        for (lines, expected) in cases {
            assert_eq!(framing(lines), expected, "{lines:?}");
        }
    }
}
