//! Header names that the load balancer itself reads or writes, recognised once per header line, when its head is parsed.

/// A header name that has a meaning here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// Any other name.
    Other,
    Connection,
    ContentLength,
    Date,
    Expect,
    ForwardedFor,
    ForwardedPort,
    ForwardedProto,
    Host,
    KeepAlive,
    ProxyConnection,
    Te,
    TraceId,
    Trailer,
    TransferEncoding,
    Upgrade,
    /// The permit in a request to an agent.
    WorkId,
    /// With this header an agent says that it refused a request's permit, and that its application did not see the request.
    WorkRefused,
}

impl Known {
    /// The known name that this is, ignoring case.
    pub(crate) fn of(name: &[u8]) -> Known {
        // Most names are none of these; their length and first letter show that.
        let first = name.first().copied().unwrap_or_default() | 0x20;
        let (candidate, text): (Known, &[u8]) = match (name.len(), first) {
            (2, b't') => (Known::Te, b"te"),
            (4, b'h') => (Known::Host, b"host"),
            (4, b'd') => (Known::Date, b"date"),
            (6, b'e') => (Known::Expect, b"expect"),
            (7, b'u') => (Known::Upgrade, b"upgrade"),
            (7, b't') => (Known::Trailer, b"trailer"),
            (10, b'c') => (Known::Connection, b"connection"),
            (10, b'k') => (Known::KeepAlive, b"keep-alive"),
            (14, b'c') => (Known::ContentLength, b"content-length"),
            (15, b'x') if name.get(2).is_some_and(|byte| byte | 0x20 == b'f') => {
                (Known::ForwardedFor, b"x-forwarded-for")
            }
            (15, b'x') => (Known::TraceId, b"x-amzn-trace-id"),
            (16, b'p') => (Known::ProxyConnection, b"proxy-connection"),
            (16, b'x') => (Known::ForwardedPort, b"x-forwarded-port"),
            (17, b'x') => (Known::ForwardedProto, b"x-forwarded-proto"),
            (17, b't') => (Known::TransferEncoding, b"transfer-encoding"),
            (22, b'x') => (Known::WorkRefused, b"x-forebay-work-refused"),
            (29, b'x') => (Known::WorkId, b"x-amzn-target-control-work-id"),
            _ => return Known::Other,
        };
        if is_same(name, text) {
            candidate
        } else {
            Known::Other
        }
    }
}

/// Whether a name equals `lower`, which is in lower case and of the same length, ignoring case. Compares eight bytes at a
/// time.
fn is_same(name: &[u8], lower: &[u8]) -> bool {
    // The cases of a letter differ in one bit. No other byte of these names has the bit above it set.
    let word = |bytes: &[u8], at: usize| {
        bytes
            .get(at..at + 8)
            .and_then(|part| part.first_chunk())
            .map(|part| u64::from_le_bytes(*part))
    };
    let same = |at: usize| match (word(name, at), word(lower, at)) {
        (Some(name), Some(lower)) => (name ^ lower) & !((lower & 0x4040_4040_4040_4040) >> 1) == 0,
        _ => false,
    };
    match lower.len() {
        ..8 => name.eq_ignore_ascii_case(lower),
        // The last word overlaps the one before it.
        length => (0..length - 8).step_by(8).all(same) && same(length - 8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NAMES: [(&str, Known); 17] = [
        ("Date", Known::Date),
        ("Connection", Known::Connection),
        ("Content-Length", Known::ContentLength),
        ("Expect", Known::Expect),
        ("X-Forwarded-For", Known::ForwardedFor),
        ("X-Forwarded-Port", Known::ForwardedPort),
        ("X-Forwarded-Proto", Known::ForwardedProto),
        ("Host", Known::Host),
        ("Keep-Alive", Known::KeepAlive),
        ("Proxy-Connection", Known::ProxyConnection),
        ("TE", Known::Te),
        ("X-Amzn-Trace-Id", Known::TraceId),
        ("Trailer", Known::Trailer),
        ("Transfer-Encoding", Known::TransferEncoding),
        ("Upgrade", Known::Upgrade),
        ("X-Amzn-Target-Control-Work-Id", Known::WorkId),
        ("X-Forebay-Work-Refused", Known::WorkRefused),
    ];

    proptest! {
        #[test]
        fn in_any_case_and_only_whole(index in 0..NAMES.len(), upper: u32, at in 0..29_usize, byte: u8) {
            let (name, known) = NAMES[index];
            let mut bytes: Vec<u8> = name.bytes().enumerate().map(|(place, byte)| {
                if upper >> place & 1 == 1 { byte.to_ascii_uppercase() } else { byte.to_ascii_lowercase() }
            }).collect();
            prop_assert_eq!(Known::of(&bytes), known);
            prop_assert_eq!(Known::of(&bytes[1..]), Known::Other);
            let at = at % bytes.len();
            bytes[at] = byte;
            let same = NAMES.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(&bytes));
            prop_assert_eq!(Known::of(&bytes), same.map_or(Known::Other, |(_, known)| *known));
        }
    }
}
