//! Writes an HTTP/2 request as HTTP/1.1: rules, logs, the desync classifier and the head for the target then work on one
//! form, and nothing can mean one thing here and another there.

use crate::buffers::RequestBuffers;
use crate::desync;
use crate::fields::{Field, Span};
use crate::framing::{self, Framing};
use crate::h2::hpack::Odd;
use crate::head::{Bounds, RequestHead};
use crate::names::Known;
use crate::request::Incoming;
use forebay_node::logging::{Classified, Kind};
use forebay_node::{Reason, Speaks};
use http::Method;
use http::header::{CONTENT_TYPE, COOKIE, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;

/// Whether the content type is one of gRPC's: `application/grpc`, `application/grpc+proto`, ...
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

/// Writes the head into the buffers' input, with its offsets, and describes the request. `odd` replaces parts that the
/// `http` crate refuses; `ends`: there is no body.
pub(crate) fn write(
    parts: &Parts,
    odd: &Odd,
    ends: bool,
    buffers: &mut RequestBuffers,
    bounds: &'static Bounds,
) -> Result<Incoming, Reason> {
    let grpc = is_grpc(&parts.headers);
    buffers.request_log.kind = Some(if grpc { Kind::Grpcs } else { Kind::H2 });
    let authority = authority(parts, odd)?;
    let path = path(parts, odd)?;
    if parts.method.as_str().len() + path.len() + 12 > bounds.line {
        return Err(Reason::UriTooLong);
    }
    buffers.fields.clear();
    buffers.input.clear();
    let mut writer = HeadWriter {
        bytes: &mut buffers.input,
        fields: &mut buffers.fields,
        bounds,
    };
    let method = writer.text(parts.method.as_str().as_bytes());
    writer.bytes.push(b' ');
    let target = writer.text(path);
    writer.bytes.extend_from_slice(b" HTTP/1.1\r\n");
    if let Some(authority) = authority {
        writer.line(b"Host", &authority.to_ascii_lowercase())?;
    }
    writer.lines(&parts.headers)?;
    writer.bytes.extend_from_slice(b"\r\n");
    let length = buffers.input.len();
    if length > bounds.head {
        return Err(Reason::Malformed);
    }
    // An input always has room behind the head, for a body.
    (buffers.start, buffers.end) = (0, length);
    let whole = buffers.input.capacity().max(length);
    buffers.input.resize(whole, 0);
    let head = RequestHead {
        method,
        target,
        http_10: false,
        length,
    };
    buffers.request_log.head = Some(head);
    if matches!(parts.method, Method::TRACE | Method::CONNECT) {
        return Err(Reason::TraceNotAllowed);
    }
    let bytes = &buffers.input[..length];
    let found = desync::classify(&head, bytes, &buffers.fields);
    let framing = body(&buffers.fields, bytes, ends);
    buffers.request_log.classified = judged(&parts.method, framing, found);
    Ok(Incoming {
        head,
        framing: framing?,
        keep: false,
        doubtful: false,
        expects: false,
        to_head: parts.method == Method::HEAD,
        speaks: Speaks::Http2 {
            grpc,
            post: parts.method == Method::POST,
        },
        upgrade: false,
    })
}

/// The path and query.
fn path<'p>(parts: &'p Parts, odd: &'p Odd) -> Result<&'p [u8], Reason> {
    match &odd.path {
        // A byte that no HTTP/1.1 request target may contain would end the request line early.
        Some(path) if !path.iter().all(|&byte| byte > b' ' && byte != 0x7f) => Err(Reason::Malformed),
        Some(path) => Ok(path),
        None => Ok(parts
            .uri
            .path_and_query()
            .map_or("/", |path| path.as_str())
            .as_bytes()),
    }
}

/// Where the body ends: at its length, or with its stream.
fn body(fields: &[Field], head: &[u8], ends: bool) -> Result<Framing, Reason> {
    Ok(match framing::of_request(fields, head, false)?.0 {
        _ if ends => Framing::None,
        Framing::Length(length) => Framing::Length(length),
        _ => Framing::UntilClose,
    })
}

/// The classifier's finding, including what it would find in the head for an HTTP/1.1 target, where a body without a length
/// needs chunks.
fn judged(method: &Method, body: Result<Framing, Reason>, found: Option<Classified>) -> Option<Classified> {
    let chunked = desync::CHUNKS_OF_GET;
    if body != Ok(Framing::UntilClose) || !matches!(*method, Method::GET | Method::HEAD) {
        return found;
    }
    found.filter(|found| found.tier >= chunked.tier).or(Some(chunked))
}

/// The authority that the request is for. `Host` may replace or repeat `:authority`, but not contradict it: a target would
/// see one and rules the other (RFC 9113, section 8.3.1).
fn authority<'p>(parts: &'p Parts, odd: &'p Odd) -> Result<Option<&'p [u8]>, Reason> {
    let mut hosts = parts.headers.get_all(HOST).iter();
    let host = hosts.next().map(HeaderValue::as_bytes);
    if hosts.next().is_some() {
        return Err(Reason::Malformed);
    }
    let said = parts
        .uri
        .authority()
        .map(|authority| authority.as_str().as_bytes());
    let said = odd.authority.as_deref().or(said);
    if said.is_some_and(|said| !said.iter().all(|&byte| byte > b' ' && byte != 0x7f)) {
        return Err(Reason::Malformed);
    }
    if let (Some(said), Some(host)) = (said, host) {
        // The scheme's default port may be written or left out (RFC 9110, section 4.2.3).
        let port = match parts.uri.scheme_str() {
            Some("http") => ":80",
            _ => ":443",
        };
        let bare = |authority: &'p [u8]| authority.strip_suffix(port.as_bytes()).unwrap_or(authority);
        if !bare(said).eq_ignore_ascii_case(bare(host)) {
            return Err(Reason::Malformed);
        }
    }
    Ok(said.or(host))
}

struct HeadWriter<'a> {
    bytes: &'a mut Vec<u8>,
    fields: &'a mut Vec<Field>,
    bounds: &'static Bounds,
}

impl HeadWriter<'_> {
    fn text(&mut self, text: &[u8]) -> Span {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(text);
        self.span(start)
    }

    fn span(&self, start: usize) -> Span {
        let at = |at| u32::try_from(at).unwrap_or(u32::MAX);
        Span {
            start: at(start),
            end: at(self.bytes.len()),
        }
    }

    /// One cookie field, if it is no longer than a header may be.
    fn within<'v>(&self, crumb: &'v HeaderValue) -> Result<&'v [u8], Reason> {
        let crumb = crumb.as_bytes();
        if "cookie".len() + crumb.len() > self.bounds.header {
            return Err(Reason::Malformed);
        }
        Ok(crumb)
    }

    fn line(&mut self, name: &[u8], value: &[u8]) -> Result<(), Reason> {
        if name.len() + value.len() > self.bounds.header {
            return Err(Reason::Malformed);
        }
        self.any_line(name, value)
    }

    /// Like [`HeadWriter::line`], but without a limit on its length.
    fn any_line(&mut self, name: &[u8], value: &[u8]) -> Result<(), Reason> {
        // RFC 9113, section 8.2.1 forbids them; the HTTP/1.1 code behind this would strip the spaces and see another value.
        let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
        if blank(value.first()) || blank(value.last()) || self.fields.len() == self.bounds.lines {
            return Err(Reason::Malformed);
        }
        let known = Known::of(name);
        let name = self.text(name);
        self.bytes.extend_from_slice(b": ");
        let value = self.text(value);
        self.bytes.extend_from_slice(b"\r\n");
        self.fields.push(Field { name, value, known });
        Ok(())
    }

    fn lines(&mut self, headers: &HeaderMap) -> Result<(), Reason> {
        // Expect is not forwarded: its interim answer is of no use to HTTP/2 clients (ALB drops it as well).
        let left_out = |name: &HeaderName| name == HOST || name == COOKIE || name == EXPECT;
        for (name, value) in headers {
            if !left_out(name) {
                self.line(name.as_str().as_bytes(), value.as_bytes())?;
            }
        }
        // A cookie may be split into several fields; HTTP/1.1 allows only one line (RFC 9113, section 8.2.3).
        let mut crumbs = headers.get_all(COOKIE).iter();
        if let Some(first) = crumbs.next() {
            // Each field is bounded like a header; their sum is bounded by the head.
            let mut cookie = self.within(first)?.to_vec();
            for crumb in crumbs {
                cookie.extend_from_slice(b"; ");
                cookie.extend_from_slice(self.within(crumb)?);
            }
            self.any_line(b"cookie", &cookie)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffers::BufferPool;
    use http::Request;
    use proptest::prelude::*;

    fn parts(method: &str, uri: &str, headers: &[(String, Vec<u8>)]) -> Option<Parts> {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(name, &value[..]);
        }
        Some(request.body(()).ok()?.into_parts().0)
    }

    #[test]
    fn cookies_are_joined_and_hosts_agree() {
        let headers = [
            ("cookie", "a=1"),
            ("expect", "100-continue"),
            ("cookie", "b=2"),
            ("host", "A.test"),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
        let mut buffers = BufferPool::default().take().unwrap();
        let one = parts("GET", "https://a.test/x?y", &headers).unwrap();
        let incoming = write(&one, &Odd::default(), true, &mut buffers, &Bounds::CLIENT).unwrap();
        let head = std::str::from_utf8(&buffers.input[..incoming.head.length]).unwrap();
        assert_eq!(
            head,
            "GET /x?y HTTP/1.1\r\nHost: a.test\r\ncookie: a=1; b=2\r\n\r\n"
        );
        let many: Vec<_> = (0..Bounds::CLIENT.lines)
            .map(|line| (format!("x-{line}"), vec![]))
            .collect();
        let crowd = parts("GET", "https://a.test/", &many).unwrap();
        let written = write(&crowd, &Odd::default(), true, &mut buffers, &Bounds::CLIENT);
        assert_eq!(
            written.err(),
            Some(Reason::Malformed),
            "its host makes one line too many"
        );
        // Once answered 400: they differ only by a default port.
        for (uri, host) in [
            ("https://a.test/", "A.test:443"),
            ("https://a.test:443/", "a.test"),
            ("http://a.test:80/", "a.test"),
        ] {
            let same = [("host".to_owned(), host.as_bytes().to_vec())];
            let parts = parts("GET", uri, &same).unwrap();
            assert!(
                write(&parts, &Odd::default(), true, &mut buffers, &Bounds::CLIENT).is_ok(),
                "{uri} {host}"
            );
        }
        for (uri, host) in [("https://a.test/", "a.test:80"), ("http://a.test/", "a.test:443")] {
            let other = [("host".to_owned(), host.as_bytes().to_vec())];
            let parts = parts("GET", uri, &other).unwrap();
            let written = write(&parts, &Odd::default(), true, &mut buffers, &Bounds::CLIENT);
            assert_eq!(written.err(), Some(Reason::Malformed), "{uri} {host}");
        }
        // Once refused as one header that is too long: 18 KB in many fields.
        let crumbs: Vec<_> = (0..300)
            .map(|at| {
                (
                    "cookie".to_owned(),
                    format!("c{at}={}", "v".repeat(56)).into_bytes(),
                )
            })
            .collect();
        let many = parts("GET", "https://a.test/", &crumbs).unwrap();
        let incoming = write(&many, &Odd::default(), true, &mut buffers, &Bounds::CLIENT).unwrap();
        assert!(incoming.head.length > 18_000 && buffers.fields.len() == 2);
        let long = [("cookie".to_owned(), vec![b'c'; 17_000])];
        let long = parts("GET", "https://a.test/", &long).unwrap();
        assert!(
            write(&long, &Odd::default(), true, &mut buffers, &Bounds::CLIENT).is_err(),
            "one crumb is bounded"
        );
        let other = [("host".to_owned(), b"b.test".to_vec())];
        let two = parts("GET", "https://a.test/", &other).unwrap();
        assert_eq!(
            write(&two, &Odd::default(), true, &mut buffers, &Bounds::CLIENT).err(),
            Some(Reason::Malformed)
        );
    }

    proptest! {
        /// Whatever the client sends, the written head reads back as one HTTP/1.1 head with the same parts.
        #[test]
        fn what_is_written_is_one_head(
            method in "[A-Za-z!#$%&'*+.^_`|~-]{1,12}",
            path in "/[ -~]{0,40}",
            headers in proptest::collection::vec(("[a-z0-9-]{1,12}", proptest::collection::vec(any::<u8>(), 0..40)), 0..8),
        ) {
            let Some(parts) = parts(&method, &format!("https://a.test{path}"), &headers) else {
                return Ok(());
            };
            let mut buffers = BufferPool::default().take().unwrap();
            let Ok(incoming) = write(&parts, &Odd::default(), false, &mut buffers, &Bounds::CLIENT) else {
                return Ok(());
            };
            let mut fields = Vec::new();
            let bytes = &buffers.input[..incoming.head.length];
            let parsed = RequestHead::parse(bytes, &mut fields);
            let Ok(Some(parsed)) = parsed else {
                return Err(TestCaseError::fail(format!("{:?}", String::from_utf8_lossy(bytes))));
            };
            prop_assert_eq!(parsed.length, bytes.len());
            prop_assert_eq!((parsed.method, parsed.target), (incoming.head.method, incoming.head.target));
            let spans = |fields: &[Field]| fields.iter().map(|field| (field.name, field.value)).collect::<Vec<_>>();
            let (read, written) = (spans(&fields), spans(&buffers.fields));
            prop_assert_eq!(read.len(), written.len());
            for (read, written) in read.iter().zip(&written) {
                prop_assert_eq!(read.0.of(bytes), written.0.of(bytes));
                prop_assert_eq!(read.1.of(bytes), written.1.of(bytes));
            }
        }
    }
}
