//! The strict form of a path: like [`crate::normal_path`], but with slashes as a target may see them. With it,
//! `//admin` or `/x%2f..%2fadmin` passes no rule that `/admin` would not. What servers would still read differently is
//! refused.

use std::borrow::Cow;

/// Why a path has no strict form: servers differ on what it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ambiguous {
    /// A percent sign that does not begin an escape.
    BrokenEscape,
    /// An escaped percent sign before two hexadecimal digits: a server that decodes twice reads another path.
    EscapedTwice,
    /// A byte that UTF-8 paths never contain (0, C0, C1, F8 to FF): some servers read it as the end or as a disguised
    /// slash.
    OddByte,
    /// A backslash, escaped or not: some servers read it as a slash.
    Backslash,
    /// `..` in a path with an escaped or doubled slash: servers differ on which segment it removes.
    ClimbsFromDoubt,
    /// `.` or `..` followed by parameters after a semicolon: some servers read it as a dot segment.
    DotWithParameters,
}

/// Decodes escaped unreserved characters and slashes, merges runs of slashes, and removes dot segments. Borrows if
/// there is nothing to change. Costs O(path).
pub fn strict_path(path: &[u8]) -> Result<Cow<'_, [u8]>, Ambiguous> {
    let plain = memchr::memchr3(b'%', b'\\', b';', path).is_none()
        && memchr::memmem::find(path, b"//").is_none()
        && memchr::memmem::find(path, b"/.").is_none();
    // `*` is the target of OPTIONS and not a path.
    if plain || path == b"*" {
        return Ok(Cow::Borrowed(path));
    }
    let (decoded, slashes) = decode(path)?;
    let mut segments = decoded.split(|&byte| byte == b'/').peekable();
    let rooted = decoded.first() == Some(&b'/');
    if rooted {
        segments.next();
    }
    let (mut kept, mut doubt, mut climbs): (Vec<&[u8]>, bool, bool) = (Vec::new(), slashes, false);
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            b"" if last => kept.push(b""),
            b"" => doubt = true,
            b"." if last => kept.push(b""),
            b"." => {}
            b".." => {
                climbs = true;
                kept.pop();
                if last {
                    kept.push(b"");
                }
            }
            [b'.', b';', ..] | [b'.', b'.', b';', ..] => return Err(Ambiguous::DotWithParameters),
            segment => kept.push(segment),
        }
    }
    // Doubt alone is resolved by merging the slashes. With `..` it is not: servers that do not merge them climb to
    // another segment.
    if doubt && climbs {
        return Err(Ambiguous::ClimbsFromDoubt);
    }
    let mut joined = Vec::with_capacity(decoded.len());
    for (index, segment) in kept.iter().enumerate() {
        if index > 0 || rooted {
            joined.push(b'/');
        }
        joined.extend_from_slice(segment);
    }
    if joined.is_empty() && rooted {
        joined.push(b'/');
    }
    Ok(Cow::Owned(joined))
}

/// The decoded path, and whether a slash was decoded.
fn decode(path: &[u8]) -> Result<(Vec<u8>, bool), Ambiguous> {
    let digit = |at: usize| {
        let byte = path.get(at).copied()?;
        char::from(byte).to_digit(16).map(|digit| digit as u8)
    };
    let mut out = Vec::with_capacity(path.len());
    let (mut at, mut slashes) = (0, false);
    while let Some(&byte) = path.get(at) {
        if byte == b'\\' {
            return Err(Ambiguous::Backslash);
        }
        if byte != b'%' {
            out.push(byte);
            at += 1;
            continue;
        }
        let (Some(high), Some(low)) = (digit(at + 1), digit(at + 2)) else {
            return Err(Ambiguous::BrokenEscape);
        };
        match high * 16 + low {
            b'/' => {
                out.push(b'/');
                slashes = true;
            }
            b'\\' => return Err(Ambiguous::Backslash),
            0 | 0xc0 | 0xc1 | 0xf8..=0xff => return Err(Ambiguous::OddByte),
            b'%' if digit(at + 3).is_some() && digit(at + 4).is_some() => {
                return Err(Ambiguous::EscapedTwice);
            }
            byte if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') => {
                out.push(byte)
            }
            _ => out.extend_from_slice(&path[at..at + 3]),
        }
        at += 3;
    }
    Ok((out, slashes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The first four used to pass a rule on `/admin*`, and nginx behind it served /admin.
    #[test]
    fn strict_forms() {
        let cases = [
            ("//admin", Ok("/admin")),
            ("/%2fadmin", Ok("/admin")),
            ("/public//../admin", Err(Ambiguous::ClimbsFromDoubt)),
            ("/x/..%2fadmin", Err(Ambiguous::ClimbsFromDoubt)),
            ("/", Ok("/")),
            ("//", Ok("/")),
            ("/a/b", Ok("/a/b")),
            ("/a/", Ok("/a/")),
            ("/a//b///c//", Ok("/a/b/c/")),
            ("/a%2Fb", Ok("/a/b")),
            ("/a/../b", Ok("/b")),
            ("/a/./b/..", Ok("/a/")),
            ("/%61dmin", Ok("/admin")),
            ("/a%20b;c=d", Ok("/a%20b;c=d")),
            ("/%e4", Ok("/%e4")),
            ("*", Ok("*")),
            ("/%", Err(Ambiguous::BrokenEscape)),
            ("/%zz", Err(Ambiguous::BrokenEscape)),
            ("/%252fadmin", Err(Ambiguous::EscapedTwice)),
            ("/100%25", Ok("/100%25")),
            ("/a%00", Err(Ambiguous::OddByte)),
            ("/%c0%afadmin", Err(Ambiguous::OddByte)),
            ("/a\\b", Err(Ambiguous::Backslash)),
            ("/a%5cb", Err(Ambiguous::Backslash)),
            ("/x/..;/admin", Err(Ambiguous::DotWithParameters)),
            ("/x/%2e%2e;a=b/admin", Err(Ambiguous::DotWithParameters)),
        ];
        for (path, strict) in cases {
            let made = strict_path(path.as_bytes());
            let made = made.as_ref().map(|path| core::str::from_utf8(path).unwrap());
            assert_eq!(made, strict.as_ref().copied(), "{path}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_and_what_is_strict_stays(path in proptest::collection::vec(any::<u8>(), 0..64), plain in "(/|%2[fFeE]|\\.|[a-z;%5]){0,12}") {
            let _ = strict_path(&path);
            let text = format!("/{plain}");
            if let Ok(once) = strict_path(text.as_bytes()) {
                let once = once.into_owned();
                prop_assert_eq!(strict_path(&once).map(Cow::into_owned), Ok(once.clone()));
                // It is also in normal form.
                prop_assert_eq!(crate::normal_path(&once).into_owned(), once);
            }
        }
    }
}
