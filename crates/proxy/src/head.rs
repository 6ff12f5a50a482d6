//! Heads of requests and answers, parsed once into offsets. `plain` parses most of them, `offsets` holds the results.

use crate::fields::{Field, Span};
use crate::names::Known;
use forebay_model::limits;
use httparse::{ParserConfig, Status};
use std::mem::MaybeUninit;

mod offsets;
mod plain;

pub(crate) use offsets::{AnswerHead, Bounds, RequestHead, Says, connection_words};
pub(crate) use plain::is_token;

use offsets::LINES;

/// Why bytes are not a valid head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeadError {
    /// Not HTTP.
    Malformed,
    /// An unsupported version.
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
            known: Known::of(header.name.as_bytes()),
        });
    }
}

/// The offset and the two digits of the version in a request line that is valid except for it. None if a space may have got
/// into the target, or if there is no version.
fn other_version(bytes: &[u8]) -> Option<(usize, u8, u8)> {
    let end = memchr::memchr(b'\n', bytes).unwrap_or(bytes.len());
    let line = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
    let (before, version) = line.split_at_checked(line.len().checked_sub(VERSION.len())?)?;
    let (Some((b' ', request)), [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]) =
        (before.split_last(), version)
    else {
        return None;
    };
    let spaces = request.iter().filter(|&&byte| byte == b' ').count();
    (spaces == 1 && major.is_ascii_digit() && minor.is_ascii_digit()).then_some((
        before.len(),
        *major,
        *minor,
    ))
}

const VERSION: &[u8] = b"HTTP/1.1";

impl RequestHead {
    /// [`RequestHead::parse_within`] a client's bounds.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn parse(bytes: &[u8], fields: &mut Vec<Field>) -> Result<Option<RequestHead>, HeadError> {
        RequestHead::parse_within(bytes, fields, &Bounds::CLIENT)
    }

    /// Parses a head at the beginning of `bytes`; none while it is incomplete.
    pub(crate) fn parse_within(
        bytes: &[u8],
        fields: &mut Vec<Field>,
        bounds: &Bounds,
    ) -> Result<Option<RequestHead>, HeadError> {
        let head = match plain::request(bytes, fields, bounds.lines) {
            Some(head) => head,
            None => match RequestHead::parse_any(bytes, fields, bounds)? {
                Some(head) => head,
                None => return Ok(None),
            },
        };
        let length = |span: Span| (span.end - span.start) as usize;
        if length(head.method) + length(head.target) + 12 > bounds.line {
            return Err(HeadError::LineTooLong);
        }
        let long = |field: &Field| length(field.name) + length(field.value) > bounds.header;
        if head.length > bounds.head || fields.iter().any(long) {
            return Err(HeadError::TooLong);
        }
        Ok(Some(head))
    }

    /// Parses a head of any form and length.
    fn parse_any(
        bytes: &[u8],
        fields: &mut Vec<Field>,
        bounds: &Bounds,
    ) -> Result<Option<RequestHead>, HeadError> {
        let mut headers = [const { MaybeUninit::uninit() }; Bounds::NODE.lines];
        let headers = &mut headers[..bounds.lines];
        let mut request = httparse::Request::new(&mut []);
        match request.parse_with_uninit_headers(bytes, headers) {
            Ok(Status::Partial) => {
                let line_ended = memchr::memchr(b'\n', &bytes[..bytes.len().min(bounds.line)]).is_some();
                if !line_ended && bytes.len() >= bounds.line {
                    return Err(HeadError::LineTooLong);
                }
                if bytes.len() >= bounds.head {
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
                keep(request.headers, bytes, fields);
                Ok(Some(RequestHead {
                    method: Span::within(bytes, method.as_bytes()),
                    target: Span::within(bytes, target.as_bytes()),
                    http_10: version == 0,
                    length,
                }))
            }
            Err(httparse::Error::Version) => match other_version(bytes) {
                // A later minor version is served as the latest that is supported (RFC 9110, section 2.5).
                Some((at, b'1', b'2'..=b'9')) => {
                    let mut as_11 = bytes.to_vec();
                    as_11[at..at + VERSION.len()].copy_from_slice(VERSION);
                    RequestHead::parse_any(&as_11, fields, bounds)
                }
                Some(_) => Err(HeadError::Version),
                None => Err(HeadError::Malformed),
            },
            Err(httparse::Error::TooManyHeaders) => Err(HeadError::TooLong),
            Err(_) => Err(HeadError::Malformed),
        }
    }
}

/// The host in a head that we wrote, without its port.
pub(crate) fn host_of(head: &[u8]) -> Option<&str> {
    let mut lines = head.split(|&byte| byte == b'\n').skip(1);
    let value = lines.find_map(|line| {
        let (name, value) = line.split_at_checked(5)?;
        name.eq_ignore_ascii_case(b"host:").then_some(value)
    })?;
    let value = std::str::from_utf8(value).ok()?.trim();
    // An address in brackets keeps its colons; it is not a name anyway.
    Some(value.rsplit_once(':').map_or(value, |(host, _)| host))
}

impl AnswerHead {
    /// Parses a head at the beginning of `bytes`; none while it is incomplete.
    pub(crate) fn parse(bytes: &[u8], fields: &mut Vec<Field>) -> Result<Option<AnswerHead>, HeadError> {
        let head = match plain::answer(bytes, fields, LINES) {
            Some(head) => Some(head),
            None => AnswerHead::parse_any(bytes, fields)?,
        };
        // A longer head may be incomplete here.
        if head.map_or(bytes.len() >= limits::RESPONSE_HEAD_BYTES, |head| {
            head.length > limits::RESPONSE_HEAD_BYTES
        }) {
            return Err(HeadError::TooLong);
        }
        Ok(head)
    }

    /// Parses a head of any form.
    fn parse_any(bytes: &[u8], fields: &mut Vec<Field>) -> Result<Option<AnswerHead>, HeadError> {
        let mut headers = [const { MaybeUninit::uninit() }; LINES];
        let mut answer = httparse::Response::new(&mut []);
        match ParserConfig::default().parse_response_with_uninit_headers(&mut answer, bytes, &mut headers) {
            Ok(Status::Partial) => Ok(None),
            Ok(Status::Complete(length)) => {
                let status = answer
                    .code
                    .filter(|code| (100..=999).contains(code))
                    .ok_or(HeadError::Malformed)?;
                let phrase = answer
                    .reason
                    // Without a reason phrase, httparse returns an empty text that is not part of the head.
                    .filter(|reason| !reason.is_empty())
                    .map_or_else(Span::default, |reason| Span::within(bytes, reason.as_bytes()));
                let http_10 = answer.version == Some(0);
                keep(answer.headers, bytes, fields);
                Ok(Some(AnswerHead {
                    status,
                    phrase,
                    http_10,
                    says: Says::of(fields, bytes),
                    length,
                }))
            }
            Err(_) => Err(HeadError::Malformed),
        }
    }
}

/// Whether each parser accepts these bytes; where the quick one does, both must agree.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn agree(bytes: &[u8]) -> (bool, bool) {
    let (mut quick, mut general) = (Vec::new(), Vec::new());
    let request = plain::request(bytes, &mut quick, LINES);
    if request.is_some() {
        let parsed = RequestHead::parse_any(bytes, &mut general, &Bounds::CLIENT);
        assert_eq!(
            (Ok(request), &quick),
            (parsed, &general),
            "{}",
            bytes.escape_ascii()
        );
    }
    let answer = plain::answer(bytes, &mut quick, LINES);
    if answer.is_some() {
        let parsed = AnswerHead::parse_any(bytes, &mut general);
        assert_eq!(
            (Ok(answer), &quick),
            (parsed, &general),
            "{}",
            bytes.escape_ascii()
        );
    }
    (request.is_some(), answer.is_some())
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
        for version in ["HTTP/2.0", "HTTP/0.9", "HTTP/3.1"] {
            let head = format!("GET / {version}\r\n\r\n");
            assert_eq!(parse(head.as_bytes()), Err(HeadError::Version), "{version}");
        }
        // HTTP/1.2, which any HTTP/1.1 server can serve, was once answered with 505, and so was an invalid version.
        assert_eq!(parse(b"GET / HTTP/1.2\r\n\r\n"), Ok(true));
        assert_eq!(parse(b"GET / HTTP/1.9\r\nHost: a\r\n"), Ok(false));
        for version in [
            "HTTP/1",
            "HTTP/01.01",
            "HTTP/1.10",
            "HTTP/1.",
            "HTTP/ 1.2",
            "HTTP/a.b",
        ] {
            let head = format!("GET / {version}\r\n\r\n");
            assert_eq!(parse(head.as_bytes()), Err(HeadError::Malformed), "{version}");
        }
        for line in [
            "GET /a b HTTP/1.1",
            "GET /a b HTTP/1.2",
            "GET / http/1.1",
            "GET / HTTP/1.1 ",
        ] {
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

    #[test]
    fn a_node_may_have_added_to_what_a_client_sent() {
        let mut fields = Vec::new();
        let lines = |count: usize, length: usize| {
            let line = format!("A: {}\r\n", "a".repeat(length));
            format!("GET / HTTP/1.1\r\n{}\r\n", line.repeat(count))
        };
        for (head, by_node) in [
            (lines(257, 1), true),
            (lines(1, 17_000), true),
            (lines(5, 14_000), true),
            (lines(300, 1), false),
            (lines(1, 60_000), true),
            (lines(8, 14_000), false),
        ] {
            let head = head.as_bytes();
            assert_eq!(
                RequestHead::parse(head, &mut fields).err(),
                Some(HeadError::TooLong)
            );
            let parsed = RequestHead::parse_within(head, &mut fields, &Bounds::NODE);
            assert_eq!(parsed.is_ok(), by_node, "{}", head.len());
        }
    }

    #[test]
    fn usual_heads_are_read_the_quick_way() {
        let lines = "Host: a.example:80\r\nUser-Agent: curl/8.5.0 (x; y)\r\nAccept: */*\r\nContent-Length: 63\r\nX: \u{e4}\r\n\r\nbody";
        assert_eq!(
            agree(format!("GET /a?b=[c]{{d}} HTTP/1.1\r\n{lines}").as_bytes()),
            (true, false)
        );
        assert_eq!(
            agree(format!("HTTP/1.1 404 Not Found\r\n{lines}").as_bytes()),
            (false, true)
        );
        assert_eq!(agree(b"GET / HTTP/1.0\r\n\r\n"), (true, false));
        for odd in [
            "GET / HTTP/1.1\r\nA: b\n\r\n",
            "GET / HTTP/1.1\r\nA:b\r\n\r\n",
            "GET / HTTP/1.1\r\nA: b",
            "GET /\u{e4} HTTP/1.1\r\n\r\n",
            "HTTP/1.1 200\r\n\r\n",
            "GET / HTTP/1.1\r\nA: b\x7f\r\n\r\n",
            "GET / HTTP/1.1\r\nA: b \r\n\r\n",
        ] {
            assert_eq!(agree(odd.as_bytes()), (false, false), "{odd:?}");
        }
    }

    #[test]
    fn every_byte_everywhere() {
        for head in [
            &b"POST /some/path?query=1 HTTP/1.1\r\nHost: a.example\r\nContent-Length: 12345678\r\nA: b\r\n\r\n"[..],
            b"HTTP/1.1 200 All is well\r\nServer: nginx/1.22.1\r\nConnection: keep-alive\r\nA: b\r\n\r\n",
        ] {
            for at in 0..head.len() {
                agree(&head[..at]);
                for byte in 0..=255 {
                    let mut odd = head.to_vec();
                    odd[at] = byte;
                    agree(&odd);
                    odd.insert(at, byte);
                    agree(&odd);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn quick_and_general_agree(
            start in prop_oneof![Just("GET / HTTP/1.1"), Just("HTTP/1.1 200 OK"), Just("HTTP/1.0 302 Found"), Just("A /b HTTP/1.0")],
            lines in proptest::collection::vec("[A-Za-z!-~]{0,9}:[ \t]{0,2}[ -~\t\r\u{80}-\u{ff}]{0,20}", 0..6),
            end in prop_oneof![Just("\r\n"), Just("\n")],
        ) {
            let mut head = format!("{start}{end}");
            for line in &lines {
                head.push_str(line);
                head.push_str(end);
            }
            head.push_str(end);
            agree(head.as_bytes());
        }

        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut fields = Vec::new();
            let _ = RequestHead::parse(&bytes, &mut fields);
            let _ = AnswerHead::parse(&bytes, &mut fields);
        }
    }
}
