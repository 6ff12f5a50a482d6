//! Heads of requests and answers, parsed once into offsets.

use crate::buffers::{Field, Span};
use forebay_model::limits;
use httparse::{ParserConfig, Status};
use std::mem::MaybeUninit;

/// Header lines a head may have. ALB publishes only a limit in bytes; this bounds the parser's memory.
const LINES: usize = 256;

/// A request's head: offsets are relative to its first byte.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestHead {
    pub(crate) method: Span,
    pub(crate) target: Span,
    /// HTTP/1.0 (else 1.1).
    pub(crate) http_10: bool,
    /// Bytes of the head, its empty line included.
    pub(crate) length: usize,
}

/// Why bytes are no head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeadError {
    /// No HTTP.
    Malformed,
    /// A version that is not spoken here.
    Version,
    /// Longer than allowed.
    TooLong,
    /// The request line is longer than allowed.
    LineTooLong,
}

fn keep(headers: &[httparse::Header<'_>], bytes: &[u8], fields: &mut Vec<Field>) {
    fields.clear();
    for header in headers {
        fields.push(Field {
            name: Span::within(bytes, header.name.as_bytes()),
            value: Span::within(bytes, header.value),
        });
    }
}

/// Whether a request line is one but for its version; else a space may have come into the target.
fn names_version(bytes: &[u8]) -> bool {
    let end = memchr::memchr(b'\n', bytes).unwrap_or(bytes.len());
    let mut parts = bytes[..end].split(|&byte| byte == b' ');
    let version = parts.nth(2);
    parts.next().is_none() && matches!(version, Some([b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', ..]))
}

impl RequestHead {
    /// Parses a head at the beginning of `bytes`; none while it is incomplete.
    pub(crate) fn parse(bytes: &[u8], fields: &mut Vec<Field>) -> Result<Option<RequestHead>, HeadError> {
        let mut headers = [const { MaybeUninit::uninit() }; LINES];
        let mut request = httparse::Request::new(&mut []);
        match request.parse_with_uninit_headers(bytes, &mut headers) {
            Ok(Status::Partial) => {
                let line_ended =
                    memchr::memchr(b'\n', &bytes[..bytes.len().min(limits::REQUEST_LINE_BYTES)]).is_some();
                if !line_ended && bytes.len() >= limits::REQUEST_LINE_BYTES {
                    return Err(HeadError::LineTooLong);
                }
                if bytes.len() >= limits::REQUEST_HEAD_BYTES {
                    Err(HeadError::TooLong)
                } else {
                    Ok(None)
                }
            }
            Ok(Status::Complete(length)) => {
                let (Some(method), Some(target), Some(version)) =
                    (request.method, request.path, request.version)
                else {
                    return Err(HeadError::Malformed);
                };
                if method.len() + target.len() + 12 > limits::REQUEST_LINE_BYTES {
                    return Err(HeadError::LineTooLong);
                }
                if length > limits::REQUEST_HEAD_BYTES {
                    return Err(HeadError::TooLong);
                }
                let long = |header: &httparse::Header<'_>| {
                    header.name.len() + header.value.len() > limits::HEADER_BYTES
                };
                if request.headers.iter().any(long) {
                    return Err(HeadError::TooLong);
                }
                keep(request.headers, bytes, fields);
                Ok(Some(RequestHead {
                    method: Span::within(bytes, method.as_bytes()),
                    target: Span::within(bytes, target.as_bytes()),
                    http_10: version == 0,
                    length,
                }))
            }
            Err(httparse::Error::Version) if names_version(bytes) => Err(HeadError::Version),
            Err(httparse::Error::TooManyHeaders) => Err(HeadError::TooLong),
            Err(_) => Err(HeadError::Malformed),
        }
    }

    pub(crate) fn method<'a>(&self, head: &'a [u8]) -> &'a [u8] {
        self.method.of(head)
    }

    pub(crate) fn target<'a>(&self, head: &'a [u8]) -> &'a [u8] {
        self.target.of(head)
    }
}

/// The host that a head of our own making asks for, without its port.
pub(crate) fn host_of(head: &[u8]) -> Option<&str> {
    let mut lines = head.split(|&byte| byte == b'\n').skip(1);
    let value = lines.find_map(|line| {
        let (name, value) = line.split_at_checked(5)?;
        name.eq_ignore_ascii_case(b"host:").then_some(value)
    })?;
    let value = std::str::from_utf8(value).ok()?.trim();
    // An address in brackets keeps its colons, and is no name anyway.
    Some(value.rsplit_once(':').map_or(value, |(host, _)| host))
}

/// An answer's head: offsets are relative to its first byte.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AnswerHead {
    pub(crate) status: u16,
    pub(crate) phrase: Span,
    pub(crate) http_10: bool,
    pub(crate) length: usize,
}

impl AnswerHead {
    /// Parses a head at the beginning of `bytes`; none while it is incomplete.
    pub(crate) fn parse(bytes: &[u8], fields: &mut Vec<Field>) -> Result<Option<AnswerHead>, HeadError> {
        let mut headers = [const { MaybeUninit::uninit() }; LINES];
        let mut answer = httparse::Response::new(&mut []);
        match ParserConfig::default().parse_response_with_uninit_headers(&mut answer, bytes, &mut headers) {
            Ok(Status::Partial) if bytes.len() >= limits::RESPONSE_HEAD_BYTES => Err(HeadError::TooLong),
            Ok(Status::Partial) => Ok(None),
            Ok(Status::Complete(length)) => {
                if length > limits::RESPONSE_HEAD_BYTES {
                    return Err(HeadError::TooLong);
                }
                let status = answer
                    .code
                    .filter(|code| (100..=999).contains(code))
                    .ok_or(HeadError::Malformed)?;
                let phrase = answer
                    .reason
                    .map_or_else(Span::default, |reason| Span::within(bytes, reason.as_bytes()));
                let http_10 = answer.version == Some(0);
                keep(answer.headers, bytes, fields);
                Ok(Some(AnswerHead {
                    status,
                    phrase,
                    http_10,
                    length,
                }))
            }
            Err(_) => Err(HeadError::Malformed),
        }
    }
}

/// Whether a comma-separated header value holds this word, in any case.
pub(crate) fn has_word(value: &[u8], word: &[u8]) -> bool {
    value
        .split(|&byte| byte == b',')
        .any(|part| part.trim_ascii().eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parses_to_offsets() {
        let head = b"GET /a?b HTTP/1.1\r\nHost: x.y\r\nA:  b \r\n\r\nrest";
        let mut fields = Vec::new();
        let parsed = RequestHead::parse(head, &mut fields).unwrap().unwrap();
        assert_eq!(parsed.method(head), b"GET");
        assert_eq!(parsed.target(head), b"/a?b");
        assert_eq!(&head[parsed.length..], b"rest");
        assert_eq!(
            (fields[1].name(head), fields[1].value(head)),
            (&b"A"[..], &b"b"[..])
        );
        let mut fields = Vec::new();
        let answer = AnswerHead::parse(b"HTTP/1.0 404 Not There\r\n\r\n", &mut fields)
            .unwrap()
            .unwrap();
        assert_eq!((answer.status, answer.http_10), (404, true));
    }

    #[test]
    fn limits_and_versions() {
        let mut fields = Vec::new();
        let mut parse = |bytes: &[u8]| RequestHead::parse(bytes, &mut fields).map(|head| head.is_some());
        assert_eq!(parse(b"GET / HT"), Ok(false));
        assert_eq!(parse(b"PRI * HTTP/2.0\r\n\r\n"), Err(HeadError::Version));
        assert_eq!(parse(b"GET / HTTP/1.2\r\n\r\n"), Err(HeadError::Version));
        for line in ["GET /a b HTTP/1.1", "GET / http/1.1", "GET / HTTP/1.1 "] {
            let head = format!("{line}\r\nHost: a\r\n\r\n");
            assert_eq!(parse(head.as_bytes()), Err(HeadError::Malformed), "{line}");
        }
        assert_eq!(
            parse(b"GET / HTTP/1.1\r\nA : b\r\n\r\n"),
            Err(HeadError::Malformed)
        );
        assert_eq!(parse(&[b'a'; 17_000]), Err(HeadError::LineTooLong));
        let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(17_000));
        assert_eq!(parse(long.as_bytes()), Err(HeadError::LineTooLong));
        let header = format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "a".repeat(17_000));
        assert_eq!(parse(header.as_bytes()), Err(HeadError::TooLong));
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut fields = Vec::new();
            let _ = RequestHead::parse(&bytes, &mut fields);
            let _ = AnswerHead::parse(&bytes, &mut fields);
        }
    }
}
