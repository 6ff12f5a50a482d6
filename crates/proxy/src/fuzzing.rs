//! Entry points for `fuzz/`: each function takes any bytes and panics where an invariant is broken. The corpora also pass
//! through them as ordinary tests.

use crate::answer::{Relayed, write_answer_head};
use crate::buffers::BufferPool;
use crate::chunked::Decoder;
use crate::desync;
use crate::fields::{Field, write_lines};
use crate::framing::{self, Framing, Unclear};
use crate::h2::hpack::Odd;
use crate::h2::request;
use crate::head::{AnswerHead, Bounds, RequestHead, agree};
use crate::names::Known;
use crate::proxy_protocol;
use crate::pump::{HEADROOM, Pump, TAILROOM};
use forebay_model::ListenerSettings;
use http::uri::PathAndQuery;

/// A target's name and the function that takes its input.
pub type Target = (&'static str, fn(&[u8]));

/// All fuzz targets of this crate, by the names of their corpora.
pub const TARGETS: &[Target] = &[
    ("request_head", request_head),
    ("answer_head", answer_head),
    ("chunked", chunked),
    ("desync", desync),
    ("h2_request", h2_request),
    ("proxy_protocol", proxy_protocol),
];

/// A PROXY header and the bytes behind it.
pub fn proxy_protocol(data: &[u8]) {
    proxy_protocol::judge(data);
}

/// Names and values of header lines.
fn lines<'a>(fields: &[Field], head: &'a [u8]) -> Vec<(&'a [u8], &'a [u8])> {
    fields
        .iter()
        .map(|field| (field.name(head), field.value(head)))
        .collect()
}

/// Empty lines before a head are skipped by the reader, not by the parser.
fn without_empty_lines(mut bytes: &[u8]) -> &[u8] {
    while let [b'\r' | b'\n', rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

fn values<'a>(lines: &[(&[u8], &'a [u8])], name: &[u8]) -> Vec<&'a [u8]> {
    lines
        .iter()
        .filter(|line| line.0.eq_ignore_ascii_case(name))
        .map(|line| line.1)
        .collect()
}

/// A request's head and its framing: parsed alike however it comes, understood in one way, and unchanged when written.
pub fn request_head(data: &[u8]) {
    let bytes = without_empty_lines(data);
    agree(bytes);
    let mut fields = Vec::new();
    let Ok(Some(head)) = RequestHead::parse(bytes, &mut fields) else {
        return;
    };
    let whole = &bytes[..head.length];
    let seen = lines(&fields, whole);
    let framing = framing::of_request(&fields, whole, head.http_10);
    for cut in [head.length / 3, head.length / 2, head.length - 1] {
        let early = RequestHead::parse(&whole[..cut], &mut Vec::new());
        assert!(matches!(early, Ok(None)), "a part of a head is {early:?}");
    }
    for (name, value) in &seen {
        assert!(!name.is_empty() && name.iter().all(u8::is_ascii_graphic));
        assert!(!value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
    }
    judge_framing(&seen, head.http_10, framing);
    // Written as a target will see it, it must parse to the same again.
    let mut again = [head.method(whole), b" ", head.target(whole)].concat();
    again.extend_from_slice(if head.http_10 {
        b" HTTP/1.0\r\n"
    } else {
        b" HTTP/1.1\r\n"
    });
    write_lines(&mut again, whole, 0, &fields, |_| true);
    again.extend_from_slice(b"\r\n");
    let mut fields = Vec::new();
    match RequestHead::parse(&again, &mut fields) {
        Ok(Some(second)) => {
            assert_eq!(second.length, again.len(), "a head became more than one");
            assert_eq!(second.target(&again), head.target(whole));
            assert_eq!(lines(&fields, &again), seen);
            assert_eq!(framing::of_request(&fields, &again, head.http_10), framing);
        }
        // It grew by the spaces and carriage returns that were left out.
        Err(_) if again.len() > head.length => {}
        other => panic!("what was a head is {other:?}"),
    }
}

/// RFC 9112, section 6.3, implemented a second time, independently of `framing`.
fn judge_framing(seen: &[(&[u8], &[u8])], http_10: bool, framing: Result<(Framing, bool), Unclear>) {
    let lengths = values(seen, b"content-length");
    let codings = values(seen, b"transfer-encoding");
    let Ok((framing, doubtful)) = framing else {
        assert!(
            !(lengths.is_empty() && codings.is_empty()),
            "nothing to be unclear of"
        );
        return;
    };
    let chunked = codings
        .iter()
        .any(|coding| coding.eq_ignore_ascii_case(b"chunked"));
    assert!(codings.len() <= 1 && !(chunked && http_10));
    let length = lengths.first().map(|value| {
        let text = core::str::from_utf8(value).expect("a length in digits");
        assert!(text.bytes().all(|byte| byte.is_ascii_digit()), "{text}");
        text.parse::<u64>().expect("a length that fits")
    });
    for other in &lengths {
        let other = core::str::from_utf8(other)
            .ok()
            .and_then(|text| text.parse().ok());
        assert_eq!(other, length, "two lengths");
    }
    match framing {
        Framing::Chunked => {
            assert!(chunked);
            assert_eq!(doubtful, length.is_some());
        }
        Framing::Length(known) => assert!(!chunked && length == Some(known) && known > 0),
        Framing::None => assert!(!chunked && length.unwrap_or(0) == 0),
        Framing::UntilClose => panic!("a request never lasts until its connection ends"),
    }
}

/// A target's answer: what is written for the client has exactly the framing that was decided.
pub fn answer_head(data: &[u8]) {
    let [mode, bytes @ ..] = data else { return };
    let (to_head, keep) = (mode & 1 != 0, mode & 2 != 0);
    agree(bytes);
    let mut fields = Vec::new();
    let Ok(Some(head)) = AnswerHead::parse(bytes, &mut fields) else {
        return;
    };
    if head.status < 200 {
        return;
    }
    let whole = &bytes[..head.length];
    let Ok(framing) = framing::of_answer(&fields, whole, head.status, to_head) else {
        return;
    };
    let to_chunks = matches!(framing, Framing::Chunked | Framing::UntilClose);
    let mut out = Vec::new();
    let settings = ListenerSettings::default();
    write_answer_head(
        &mut out,
        &Relayed {
            bytes: whole,
            fields: &fields,
            head: &head,
            framing,
            to_head,
            settings: &settings,
            extras: &[],
        },
        to_chunks,
        keep,
    );
    let mut fields = Vec::new();
    let again = match AnswerHead::parse(&out, &mut fields) {
        Ok(Some(again)) => again,
        // At the limits, the lines that we add may exceed them.
        Err(_) if fields.len() > 250 || out.len() > forebay_model::limits::RESPONSE_HEAD_BYTES => return,
        Err(_) if out.iter().filter(|&&byte| byte == b'\n').count() > 250 => return,
        other => panic!("the client gets no head: {other:?}"),
    };
    assert_eq!((again.length, again.status), (out.len(), head.status));
    let seen = lines(&fields, &out);
    let (lengths, codings) = (
        values(&seen, b"content-length"),
        values(&seen, b"transfer-encoding"),
    );
    match framing {
        Framing::Chunked | Framing::UntilClose => {
            assert!(lengths.is_empty() && codings == [b"chunked"]);
        }
        Framing::Length(length) => {
            assert!(codings.is_empty() && lengths == [length.to_string().as_bytes()]);
        }
        Framing::None => {
            assert!(codings.is_empty());
            assert!(lengths.is_empty() || to_head || head.status == 304);
        }
    }
    let connection = values(&seen, b"connection");
    assert_eq!(connection, [if keep { &b"keep-alive"[..] } else { b"close" }]);
}

/// How a chunked body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// At this byte.
    At(usize),
    More,
    Bad,
}

fn run(bytes: &[u8], at: usize, is: impl Fn(u8) -> bool) -> usize {
    bytes[at..].iter().take_while(|&&byte| is(byte)).count()
}

fn is_text(byte: u8) -> bool {
    byte == b'\t' || byte >= b' ' && byte != 0x7f
}

/// The offset behind this byte, which must come next.
fn byte(bytes: &[u8], at: usize, wanted: u8) -> Result<usize, End> {
    match bytes.get(at) {
        None => Err(End::More),
        Some(&byte) if byte == wanted => Ok(at + 1),
        Some(_) => Err(End::Bad),
    }
}

/// The offset behind a token.
fn word(bytes: &[u8], at: usize) -> Result<usize, End> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    match run(bytes, at, is_token) {
        0 if at < bytes.len() => Err(End::Bad),
        0 => Err(End::More),
        length => Ok(at + length),
    }
}

/// The offset behind a quoted value whose opening quote was read.
fn quoted(bytes: &[u8], mut at: usize) -> Result<usize, End> {
    loop {
        match bytes[at..] {
            [] | [b'\\'] => return Err(End::More),
            [b'"', ..] => return Ok(at + 1),
            [b'\\', escaped, ..] if is_text(escaped) => at += 2,
            [text, ..] if is_text(text) && text != b'\\' => at += 1,
            _ => return Err(End::Bad),
        }
    }
}

/// The offset behind a chunk's extensions (RFC 9112, section 7.1.1).
fn extensions(bytes: &[u8], mut at: usize) -> Result<usize, End> {
    let blanks = |at: usize| at + run(bytes, at, |byte| matches!(byte, b' ' | b'\t'));
    loop {
        if bytes.get(at).is_some_and(|&byte| byte == b'\r') {
            return Ok(at);
        }
        at = blanks(byte(bytes, blanks(at), b';')?);
        at = word(bytes, at)?;
        if bytes.get(blanks(at)) == Some(&b'=') {
            at = blanks(blanks(at) + 1);
            at = match bytes.get(at) {
                Some(b'"') => quoted(bytes, at + 1)?,
                _ => word(bytes, at)?,
            };
        }
    }
}

/// A reference decoder of the chunked coding (RFC 9112, section 7.1) for a complete body.
fn chunks(bytes: &[u8]) -> (Vec<u8>, End) {
    let mut data = Vec::new();
    let mut at = 0;
    let line_end = |at: usize| match bytes[at.min(bytes.len())..] {
        [] | [b'\r'] => Err(End::More),
        [b'\r', b'\n', ..] => Ok(at + 2),
        _ => Err(End::Bad),
    };
    let mut read = || -> Result<usize, End> {
        loop {
            let digits = run(bytes, at, |byte| byte.is_ascii_hexdigit());
            let text = String::from_utf8_lossy(&bytes[at..at + digits]).into_owned();
            at += digits;
            let significant = text.trim_start_matches('0');
            match (digits, bytes.get(at)) {
                _ if significant.len() > 15 => return Err(End::Bad),
                (0, Some(_)) => return Err(End::Bad),
                (_, None) => return Err(End::More),
                _ => {}
            }
            at = line_end(extensions(bytes, at)?)?;
            let size = u64::from_str_radix(&format!("0{significant}"), 16).map_err(|_| End::Bad)?;
            let size = usize::try_from(size).map_err(|_| End::Bad)?;
            if size == 0 {
                break;
            }
            let there = size.min(bytes.len() - at);
            data.extend_from_slice(&bytes[at..at + there]);
            at += there;
            if there < size {
                return Err(End::More);
            }
            at = line_end(at)?;
        }
        while bytes.get(at).is_some_and(|&byte| byte != b'\r') {
            at = word(bytes, at)?;
            at = byte(bytes, at, b':')?;
            at += run(bytes, at, is_text);
            at = line_end(at)?;
        }
        line_end(at)
    };
    let end = match read() {
        Ok(at) => End::At(at),
        Err(end) => end,
    };
    (data, end)
}

/// A body of any framing in pieces of any size: the pump moves what the reference decoder finds, and leaves what follows
/// it.
pub fn chunked(data: &[u8]) {
    let [mode, seed, bytes @ ..] = data else { return };
    // Beyond the limit of a line, the reference decoder, which has none, would differ.
    if bytes.len() > 4 * 1024 {
        return;
    }
    let framing = match mode & 3 {
        0 | 1 => Framing::Chunked,
        2 => Framing::Length(u64::from(*seed) * 3),
        _ => Framing::UntilClose,
    };
    let (expected, end) = match framing {
        Framing::Length(length) => {
            let length = usize::try_from(length).expect("small");
            let end = if length <= bytes.len() {
                End::At(length)
            } else {
                End::More
            };
            (bytes[..length.min(bytes.len())].to_vec(), end)
        }
        Framing::UntilClose => (bytes.to_vec(), End::More),
        _ => chunks(bytes),
    };
    let to_chunks = mode & 4 != 0;
    let mut pump = Pump::new(framing, to_chunks);
    let (mut out, mut at, mut state) = (Vec::new(), 0, u32::from(*seed));
    let mut leftover = None;
    while at < bytes.len() && !pump.is_read() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let size = (1 + (state >> 24) as usize % (1 + usize::from(mode >> 3) * 8)).min(bytes.len() - at);
        let mut buffer = vec![0xaa; HEADROOM + size + TAILROOM];
        buffer[HEADROOM..HEADROOM + size].copy_from_slice(&bytes[at..at + size]);
        if pump.feed(&mut buffer, HEADROOM, HEADROOM + size).is_err() {
            assert_eq!(end, End::Bad, "refused what is right");
            return;
        }
        at += size;
        let (from, to) = pump.take_ready();
        out.extend_from_slice(&buffer[from..to]);
        let (from, to) = pump.leftover();
        leftover = pump.is_read().then(|| buffer[from..to].to_vec());
    }
    let ended = match end {
        End::At(end) => {
            assert!(pump.is_read(), "read on behind the end");
            assert_eq!(pump.taken, end as u64);
            assert_eq!(leftover.unwrap_or_default(), bytes[end..at.max(end)]);
            true
        }
        End::More => {
            assert!(!pump.is_read(), "ended early");
            false
        }
        End::Bad => panic!("took what is wrong"),
    };
    assert_eq!(pump.moved, expected.len() as u64);
    if to_chunks && ended {
        let length = out.len();
        let (written, read) = Decoder::new()
            .decode(&mut out, 0, length)
            .expect("our own chunks");
        assert_eq!((&out[..written], read), (&expected[..], length));
    } else if !to_chunks {
        assert_eq!(out, expected);
    }
}

/// Where the quick check says plain, the classifier finds nothing; and the classifier takes any bytes.
pub fn desync(data: &[u8]) {
    let bytes = without_empty_lines(data);
    let _ = desync::classify_unread(bytes);
    let mut fields = Vec::new();
    if let Ok(Some(head)) = RequestHead::parse(bytes, &mut fields) {
        // Lists of codings are judged by this crate, not by the classifier.
        let listed = |field: &Field| field.is(Known::TransferEncoding) && field.value(bytes).contains(&b',');
        if fields.iter().any(listed) {
            return;
        }
        let quick = desync::classify(&head, bytes, &fields);
        let whole = desync::classify_unread(&bytes[..head.length]);
        assert_eq!(quick, whole, "the quick look and the classifier differ");
    }
}

/// An HTTP/2 request becomes one HTTP/1.1 head that says the same, or is refused. The first byte says whether it has a
/// body; then come lines: method, path, authority (if any), and headers as `name:value`.
pub fn h2_request(data: &[u8]) {
    let [mode, text @ ..] = data else { return };
    let mut parts = text.split(|&byte| byte == b'\n');
    let (method, path, authority) = (parts.next(), parts.next(), parts.next());
    let (Some(method), Some(path)) = (method, path) else {
        return;
    };
    let mut uri = http::uri::Builder::new();
    if let Ok(path) = PathAndQuery::try_from(path) {
        uri = uri.path_and_query(path);
    }
    if let Some(authority) = authority.filter(|authority| !authority.is_empty()) {
        uri = uri.scheme("https").authority(authority);
    }
    let Ok(uri) = uri.build() else { return };
    let mut request = http::Request::builder().method(method).uri(uri);
    for line in parts {
        let mut halves = line.splitn(2, |&byte| byte == b':');
        if let (Some(name), Some(value)) = (halves.next(), halves.next()) {
            request = request.header(name, value);
        }
    }
    let Ok(request) = request.body(()) else { return };
    let (parts, ()) = request.into_parts();
    let Some(mut buffers) = BufferPool::default().take() else {
        return;
    };
    let Ok(incoming) = request::write(
        &parts,
        &Odd::default(),
        mode & 1 != 0,
        &mut buffers,
        &Bounds::CLIENT,
    ) else {
        return;
    };
    let whole = &buffers.input[buffers.start..buffers.end];
    assert_eq!(incoming.head.length, whole.len());
    if buffers.fields.len() > 250 {
        return;
    }
    let mut fields = Vec::new();
    let again = match RequestHead::parse(whole, &mut fields) {
        Ok(Some(again)) => again,
        other => panic!(
            "what was written is {other:?}: {:?}",
            String::from_utf8_lossy(whole)
        ),
    };
    assert_eq!(again.length, whole.len(), "more than one request");
    assert_eq!(again.method(whole), parts.method.as_str().as_bytes());
    assert_eq!(again.target(whole), incoming.head.target(whole));
    assert_eq!(lines(&fields, whole), lines(&buffers.fields, whole));
    match incoming.framing {
        Framing::Length(length) => {
            let told = framing::of_request(&fields, whole, false);
            assert_eq!(told, Ok((Framing::Length(length), false)));
        }
        Framing::Chunked => panic!("HTTP/2 has no chunks"),
        Framing::None | Framing::UntilClose => {}
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_corpora_hold() {
        for (name, target) in super::TARGETS {
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
            let mut count = 0;
            for entry in std::fs::read_dir(folder.join(name)).unwrap() {
                target(&std::fs::read(entry.unwrap().path()).unwrap());
                count += 1;
            }
            assert!(count > 0, "{name} has no corpus");
        }
    }
}
