//! Requests that servers may read differently, as judged by ALB's own classifier (`http_desync_guardian`).
//!
//! Most requests are plain, and are known to follow the RFC without asking it: see [`is_plain`].

use crate::fields::Field;
use crate::head::RequestHead;
use crate::names::Known;
use forebay_model::DesyncMode;
use forebay_node::logging::{Classified, Tier};
use http_desync_guardian::request_analyzer::HttpRequestData;
use http_desync_guardian::{ClassificationReason, RequestSafetyTier};

/// What happens to a request because of its class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Course {
    /// It is served.
    Pass,
    /// It is served, and both its connections are closed afterwards.
    CloseAfter,
    /// It is refused.
    Refuse,
}

/// The class of this request's head; none if it follows the RFC.
pub(crate) fn classify(head: &RequestHead, bytes: &[u8], fields: &[Field]) -> Option<Classified> {
    let bytes = &bytes[..head.length];
    if is_plain(head, bytes, fields) {
        return None;
    }
    match without_list(bytes, fields) {
        Some(plain) => classify_raw(&plain)
            .filter(|found| found.tier > LIST.tier)
            .or(Some(LIST)),
        None => classify_raw(bytes),
    }
}

/// A list of codings with empty elements is legal (RFC 9110, section 5.6.1.2), and accepted here. Others may read it
/// differently; the classifier would give it a worse class.
const LIST: Classified = Classified {
    tier: Tier::Ambiguous,
    reason: "BadTransferEncoding",
};

/// The head with `chunked` in the place of an equivalent list; none if it has no such list.
fn without_list(bytes: &[u8], fields: &[Field]) -> Option<Vec<u8>> {
    let mut codings = fields.iter().filter(|field| field.is(Known::TransferEncoding));
    let (field, None) = (codings.next()?, codings.next()) else {
        return None;
    };
    let value = field.value(bytes);
    let mut named = value
        .split(|&byte| byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|part| !part.is_empty());
    let is_chunked = named
        .next()
        .is_some_and(|part| part.eq_ignore_ascii_case(b"chunked"))
        && named.next().is_none();
    if !is_chunked || !value.contains(&b',') {
        return None;
    }
    let (start, end) = (field.value.start as usize, field.value.end as usize);
    Some([&bytes[..start], b"chunked", &bytes[end..]].concat())
}

/// The class of bytes that are not a valid head, as far as they have come.
pub(crate) fn classify_unread(bytes: &[u8]) -> Option<Classified> {
    let end = memchr::memchr_iter(b'\n', bytes).find_map(|at| {
        let rest = &bytes[at + 1..];
        if rest.starts_with(b"\r\n") {
            Some(at + 3)
        } else {
            rest.starts_with(b"\n").then_some(at + 2)
        }
    });
    classify_raw(&bytes[..end.unwrap_or(bytes.len())])
}

fn classify_raw(bytes: &[u8]) -> Option<Classified> {
    let verdict = HttpRequestData::analyze_raw_request(bytes);
    let tier = match verdict.tier {
        RequestSafetyTier::Compliant => return None,
        RequestSafetyTier::Acceptable => Tier::Acceptable,
        RequestSafetyTier::Ambiguous => Tier::Ambiguous,
        RequestSafetyTier::Severe => Tier::Severe,
    };
    Some(Classified {
        tier,
        reason: word(verdict.reason),
    })
}

/// The class of a GET or HEAD with a chunked body. HTTP/2 needs no coding for a body of unknown length, but the head that
/// goes to the target does.
pub(crate) const CHUNKS_OF_GET: Classified = Classified {
    tier: Tier::Ambiguous,
    reason: "UndefinedTransferEncodingSemantics",
};

/// The course under the load balancer's mode (Elastic Load Balancing user guide for Application Load Balancers, "Desync
/// mitigation mode").
pub(crate) fn course(mode: DesyncMode, classified: Option<Classified>) -> Course {
    let Some(classified) = classified else {
        return Course::Pass;
    };
    match (mode, classified.tier) {
        (DesyncMode::Monitor, _) | (DesyncMode::Defensive, Tier::Acceptable) => Course::Pass,
        (DesyncMode::Defensive, Tier::Ambiguous) => Course::CloseAfter,
        (DesyncMode::Defensive, Tier::Severe) | (DesyncMode::Strictest, _) => Course::Refuse,
    }
}

/// The classifier's reasons as the logs write them.
fn word(reason: ClassificationReason) -> &'static str {
    use ClassificationReason as Why;
    match reason {
        Why::Compliant => "-",
        Why::EmptyHeader => "EmptyHeader",
        Why::SuspiciousHeader => "SuspiciousHeader",
        Why::NonCompliantHeader => "NonCompliantHeader",
        Why::BadHeader => "BadHeader",
        Why::AmbiguousUri => "AmbiguousUri",
        Why::SpaceInUri => "SpaceInUri",
        Why::BadUri => "BadUri",
        Why::NonCompliantVersion => "NonCompliantVersion",
        Why::BadVersion => "BadVersion",
        Why::GetHeadZeroContentLength => "GetHeadZeroContentLength",
        Why::UndefinedContentLengthSemantics => "UndefinedContentLengthSemantics",
        Why::MultipleContentLength => "MultipleContentLength",
        Why::DuplicateContentLength => "DuplicateContentLength",
        Why::BadContentLength => "BadContentLength",
        Why::UndefinedTransferEncodingSemantics => "UndefinedTransferEncodingSemantics",
        Why::MultipleTransferEncodingChunked => "MultipleTransferEncodingChunked",
        Why::BadTransferEncoding => "BadTransferEncoding",
        Why::BothTeClPresent => "BothTeClPresent",
        Why::BadMethod => "BadMethod",
        Why::NonCrLfLineTermination => "NonCrLfLineTermination",
        Why::MultilineHeader => "MultilineHeader",
        Why::PartialHeaderLine => "PartialHeaderLine",
        Why::MissingLastEmptyLine => "MissingLastEmptyLine",
        Why::MissingHeaderColon => "MissingHeaderColon",
        Why::MissingUri => "MissingUri",
    }
}

/// Whether a head is beyond doubt, so that the classifier would find nothing and can be skipped (a property test ensures
/// this). May be false for a compliant head.
///
/// The parser has checked the characters: the method and names are tokens, the target contains no space or control byte,
/// and values no control byte except tab. What remains is the form of lines, framing, and names that resemble those of
/// framing.
fn is_plain(head: &RequestHead, bytes: &[u8], fields: &[Field]) -> bool {
    let at = |offset: u32| offset as usize;
    let target = at(head.target.end);
    let version = bytes.get(target..target + VERSION_END);
    // Both our reader and the parser skip empty lines before a head; the classifier would see them.
    if head.method.start != 0
        || head.method.end + 1 != head.target.start
        || !matches!(version, Some(b" HTTP/1.1\r\n" | b" HTTP/1.0\r\n"))
    {
        return false;
    }
    let mut line = target + VERSION_END;
    let mut lengths = 0;
    for field in fields {
        // Lines must follow each other without gaps, each as `name:value CRLF` with nothing between value and CRLF.
        let end = at(field.value.end);
        if at(field.name.start) != line
            || bytes.get(at(field.name.end)) != Some(&b':')
            || end <= at(field.name.end)
            || bytes.get(end..end + 2) != Some(b"\r\n")
        {
            return false;
        }
        line = end + 2;
        let name = field.name(bytes);
        if name.len() < SHORTEST_FRAMING_NAME {
            continue;
        }
        if field.is(Known::ContentLength) {
            lengths += 1;
            let value = field.value(bytes);
            if value.is_empty() || value.len() > 18 || !value.iter().all(u8::is_ascii_digit) {
                return false;
            }
        } else if resembles_framing(name) {
            return false;
        }
    }
    let bodiless = matches!(head.method(bytes), b"GET" | b"HEAD");
    line + 2 == bytes.len() && bytes.ends_with(b"\r\n") && lengths <= usize::from(!bodiless)
}

/// Length of ` HTTP/1.1` and its line end.
const VERSION_END: usize = 11;
/// Shorter names cannot be taken for `Content-Length` or `Transfer-Encoding`.
const SHORTEST_FRAMING_NAME: usize = 14;

/// Whether the classifier might take a name for `Content-Length` or `Transfer-Encoding`. It compares letters and digits and
/// ignores most of what is between them. A name that begins or ends with another letter or digit than they do is too far
/// from both.
fn resembles_framing(name: &[u8]) -> bool {
    let first = name.iter().find(|byte| byte.is_ascii_alphanumeric());
    let ends_with =
        |end: &[u8]| name.len() >= end.len() && name[name.len() - end.len()..].eq_ignore_ascii_case(end);
    let ends_in_sign = name.last().is_some_and(|byte| !byte.is_ascii_alphanumeric());
    match first.map(u8::to_ascii_lowercase) {
        Some(b'c') => ends_in_sign || ends_with(b"length"),
        Some(b't') => ends_in_sign || ends_with(b"encoding"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEADS: &[&str] = &[
        "GET / HTTP/1.1\r\nHost: a.example\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n",
        "POST /a?b=c HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\n",
        "PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\n",
        "GET http://a.example/ HTTP/1.0\r\nContent-Length: 0\r\n\r\n",
        "DELETE / HTTP/1.1\r\nHost: a\r\nX-Content-Length: 7\r\nContent_Length: 3\r\nTransfer--Encoding: x\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nhost:a\r\ncontent-disposition: inline\r\ntransfer-encoding-x: y\r\nc: \r\n\r\n",
        "HEAD / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\r\nHost: a\r\nCookie: a=b; c=d\r\nX-Forwarded-For: 10.0.0.1, 10.0.0.2\r\nT-------------------: 1\r\n\r\n",
    ];

    /// These were once refused as an unknown coding.
    #[test]
    fn a_list_of_one_coding_is_that_coding() {
        let judged = |value: &str, more: &str| {
            let head = format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {value}\r\n{more}\r\n");
            let mut fields = Vec::new();
            let parsed = RequestHead::parse(head.as_bytes(), &mut fields).unwrap().unwrap();
            classify(&parsed, head.as_bytes(), &fields).map(|found| found.tier)
        };
        assert_eq!(judged("chunked", ""), None);
        for list in [", chunked", "chunked,", " ,chunked , ,"] {
            assert_eq!(judged(list, ""), Some(Tier::Ambiguous), "{list:?}");
            assert_eq!(
                judged(list, "Transfer-Encoding: x\r\n"),
                Some(Tier::Severe),
                "{list:?}"
            );
        }
        assert_eq!(
            judged("gzip, chunked", ""),
            None,
            "no list of one: left to the classifier"
        );
    }

    fn judged(bytes: &[u8]) -> Option<(bool, Option<Classified>)> {
        let mut fields = Vec::new();
        let head = RequestHead::parse(bytes, &mut fields).ok()??;
        let bytes = &bytes[..head.length];
        Some((is_plain(&head, bytes, &fields), classify_raw(bytes)))
    }

    #[test]
    fn everyday_requests_are_plain_and_others_are_not() {
        let plain: Vec<bool> = HEADS
            .iter()
            .map(|head| judged(head.as_bytes()).unwrap().0)
            .collect();
        assert_eq!(plain, [true, true, false, false, false, true, false, false]);
    }

    #[test]
    fn modes_do_what_albs_page_says() {
        let class = |tier| Some(Classified { tier, reason: "x" });
        let of = |mode| {
            [
                course(mode, None),
                course(mode, class(Tier::Acceptable)),
                course(mode, class(Tier::Ambiguous)),
                course(mode, class(Tier::Severe)),
            ]
        };
        use Course::{CloseAfter, Pass, Refuse};
        assert_eq!(of(DesyncMode::Monitor), [Pass, Pass, Pass, Pass]);
        assert_eq!(of(DesyncMode::Defensive), [Pass, Pass, CloseAfter, Refuse]);
        assert_eq!(of(DesyncMode::Strictest), [Pass, Refuse, Refuse, Refuse]);
    }

    #[test]
    fn heads_that_are_not_understood_are_judged_up_to_their_end() {
        let class = |bytes: &[u8]| classify_unread(bytes).map(|class| (class.tier, class.reason));
        let bad = b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\nPOST / HTTP/9\r\n\r\n";
        assert_eq!(class(bad), Some((Tier::Ambiguous, "SuspiciousHeader")));
        assert_eq!(
            class(b"GET / HTTP/1.1\r\nHost: a\0\r\n\r\n"),
            Some((Tier::Severe, "BadHeader"))
        );
        assert_eq!(
            class(b"GET / HTTP/1.1\r\nHost"),
            Some((Tier::Ambiguous, "MissingHeaderColon"))
        );
    }

    /// One mutation of a head: a byte replaced, inserted or removed, or a piece repeated.
    #[derive(Clone, Debug)]
    enum Change {
        Set(usize, u8),
        Insert(usize, u8),
        Remove(usize),
        Repeat(usize, usize),
    }

    fn change() -> impl Strategy<Value = Change> {
        let odd = prop::sample::select(b" \t\r\n:,;=-_\0\x01\x7f\x80tTcCeE05".to_vec());
        let byte = prop_oneof![odd, any::<u8>()].boxed();
        prop_oneof![
            (0_usize..200, byte.clone()).prop_map(|(at, byte)| Change::Set(at, byte)),
            (0_usize..200, byte).prop_map(|(at, byte)| Change::Insert(at, byte)),
            (0_usize..200).prop_map(Change::Remove),
            (0_usize..200, 1_usize..40).prop_map(|(at, length)| Change::Repeat(at, length)),
        ]
    }

    fn changed(head: &str, changes: &[Change]) -> Vec<u8> {
        let mut bytes = head.as_bytes().to_vec();
        for change in changes {
            let length = bytes.len();
            match *change {
                Change::Set(at, byte) => bytes[at % length] = byte,
                Change::Insert(at, byte) => bytes.insert(at % length, byte),
                Change::Remove(at) => {
                    bytes.remove(at % length);
                }
                Change::Repeat(at, count) => {
                    let from = at % length;
                    let piece = bytes[from..(from + count).min(length)].to_vec();
                    bytes.splice(from..from, piece);
                }
            }
        }
        bytes
    }

    /// Names that are close to those of framing.
    fn near_names() -> impl Strategy<Value = String> {
        let signs = "[-_.~!]{0,3}";
        let word = prop::sample::select(vec![
            "content", "length", "transfer", "encoding", "Content", "LENGTH", "cont", "t", "c", "x", "1",
            "enc", "ength",
        ]);
        prop::collection::vec((signs, word, signs), 1..5)
            .prop_map(|parts| parts.into_iter().map(|(a, b, c)| format!("{a}{b}{c}")).collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn what_is_plain_is_compliant(head in prop::sample::select(HEADS), changes in prop::collection::vec(change(), 0..6)) {
            if let Some((true, class)) = judged(&changed(head, &changes)) {
                prop_assert_eq!(class, None);
            }
        }

        #[test]
        fn names_that_are_plain_are_far_from_framing(name in near_names(), method in "GET|POST") {
            let head = format!("{method} / HTTP/1.1\r\nHost: a\r\n{name}: 5\r\n\r\n");
            if let Some((true, class)) = judged(head.as_bytes()) {
                prop_assert_eq!(class, None);
            }
        }

        #[test]
        fn any_bytes_can_be_judged(bytes in prop::collection::vec(any::<u8>(), 1..200), head in prop::sample::select(HEADS), cut in 0_usize..80) {
            let _ = classify_unread(&bytes);
            let _ = classify_unread(&head.as_bytes()[..cut.min(head.len())]);
        }
    }
}
