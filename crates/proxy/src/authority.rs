//! The authority of a request, in the terms of RFC 3986 and RFC 9112: host, port, and invalid bytes.

/// The authority and the rest of `http://authority/rest`.
pub(crate) fn absolute(target: &[u8]) -> Option<(&[u8], &[u8])> {
    let lower = |prefix: &[u8]| {
        target
            .get(..prefix.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(prefix))
    };
    let after = if lower(b"http://") {
        &target[7..]
    } else if lower(b"https://") {
        &target[8..]
    } else {
        return None;
    };
    let end = after
        .iter()
        .position(|byte| matches!(byte, b'/' | b'?' | b'#'))
        .unwrap_or(after.len());
    let (authority, rest) = after.split_at(end);
    (!authority.is_empty() && !authority.contains(&b'@')).then_some((authority, rest))
}

/// Whether a target will read this host and port as rules did. Bytes that end an authority or start another part of it must
/// not occur (RFC 3986, section 3.2; RFC 9112, section 3.2): rules would read `a:x@b` as a, and its target as b.
pub(crate) fn is_authority(host: &[u8], port: &[u8]) -> bool {
    /// Bytes that must not occur.
    const OUTSIDE: [bool; 256] = {
        let mut outside = [false; 256];
        let mut byte = 0;
        while byte < 256 {
            outside[byte] = byte <= 0x20 || matches!(byte as u8, 0x7f | b'/' | b'@' | b'?' | b'#' | b'\\');
            byte += 1;
        }
        outside
    };
    !host.is_empty()
        && !host.iter().any(|&byte| OUTSIDE[usize::from(byte)])
        && port.iter().all(u8::is_ascii_digit)
}

/// The host without its port, and the port's text. Addresses in brackets keep their colons.
pub(crate) fn split_port(authority: &[u8]) -> (&[u8], Option<&[u8]>) {
    match authority.iter().rposition(|byte| matches!(byte, b':' | b']')) {
        Some(at) if authority[at] == b':' => (&authority[..at], Some(&authority[at + 1..])),
        _ => (authority, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_their_ports() {
        assert_eq!(split_port(b"a.b:80"), (&b"a.b"[..], Some(&b"80"[..])));
        assert_eq!(split_port(b"[::1]:80"), (&b"[::1]"[..], Some(&b"80"[..])));
        assert_eq!(split_port(b"[::1]"), (&b"[::1]"[..], None));
        assert_eq!(absolute(b"http://a.b:1/x?y"), Some((&b"a.b:1"[..], &b"/x?y"[..])));
        assert_eq!(absolute(b"http://u@a.b/"), None);
        assert_eq!(absolute(b"ftp://a/"), None);
        assert!(is_authority(b"a.b", b"80") && is_authority(b"[::1]", b""));
        assert!(!is_authority(b"", b"80") && !is_authority(b"", b""));
        assert!(!is_authority(b"a:x@b", b"") && !is_authority(b"a b", b"") && !is_authority(b"a", b"8o"));
    }
}
