//! The normal form of a path, which path conditions see. With it, `/a/../admin` or `/%61dmin` passes no rule that
//! `/admin` would not (RFC 3986 sections 6.2.2.2 and 5.2.4). Targets get the path as it was sent.

use std::borrow::Cow;

/// Decodes escaped unreserved characters and removes dot segments. Borrows if there is nothing to change.
pub fn normal_path(path: &[u8]) -> Cow<'_, [u8]> {
    let escaped = memchr::memchr(b'%', path).is_some();
    let dotted = memchr::memmem::find(path, b"/.").is_some();
    if !escaped && !dotted {
        return Cow::Borrowed(path);
    }
    let decoded = if escaped {
        decode_unreserved(path)
    } else {
        path.to_vec()
    };
    if memchr::memmem::find(&decoded, b"/.").is_none() {
        return Cow::Owned(decoded);
    }
    Cow::Owned(remove_dot_segments(&decoded))
}

fn decode_unreserved(path: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let mut out = Vec::with_capacity(path.len());
    let mut at = 0;
    while at < path.len() {
        if path[at] == b'%'
            && let (Some(high), Some(low)) = (
                path.get(at + 1).copied().and_then(digit),
                path.get(at + 2).copied().and_then(digit),
            )
        {
            let byte = high * 16 + low;
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
                out.push(byte);
            } else {
                out.extend_from_slice(&path[at..at + 3]);
            }
            at += 3;
        } else {
            out.push(path[at]);
            at += 1;
        }
    }
    out
}

fn remove_dot_segments(path: &[u8]) -> Vec<u8> {
    let mut out: Vec<&[u8]> = Vec::new();
    let mut segments = path.split(|&byte| byte == b'/').peekable();
    let rooted = path.first() == Some(&b'/');
    if rooted {
        segments.next();
    }
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            // A final dot segment leaves the slash before it (RFC 3986 section 5.2.4).
            b"." if last => out.push(b""),
            b"." => {}
            b".." => {
                out.pop();
                if last {
                    out.push(b"");
                }
            }
            segment => out.push(segment),
        }
    }
    let mut joined = Vec::with_capacity(path.len());
    for (index, segment) in out.iter().enumerate() {
        if index > 0 || rooted {
            joined.push(b'/');
        }
        joined.extend_from_slice(segment);
    }
    if joined.is_empty() && rooted {
        joined.push(b'/');
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn normal_forms() {
        let cases = [
            ("/a/b", "/a/b"),
            ("/a/../admin", "/admin"),
            ("/%61dmin", "/admin"),
            ("/a/%2e%2E/admin", "/admin"),
            ("/../../x", "/x"),
            ("/a/.", "/a/"),
            ("/a/..", "/"),
            ("/a%2Fb", "/a%2Fb"),
            ("/%", "/%"),
            ("/%zz", "/%zz"),
            ("/.well-known/x", "/.well-known/x"),
            ("*", "*"),
            ("/a//b", "/a//b"),
        ];
        for (path, normal) in cases {
            assert_eq!(
                String::from_utf8_lossy(&normal_path(path.as_bytes())),
                normal,
                "{path}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_bytes_and_idempotent_on_plain(path in proptest::collection::vec(any::<u8>(), 0..64), plain in "(/[a-z.]{0,3}){0,6}") {
            let _ = normal_path(&path);
            let once = normal_path(plain.as_bytes()).into_owned();
            prop_assert_eq!(normal_path(&once).into_owned(), once);
        }
    }
}
