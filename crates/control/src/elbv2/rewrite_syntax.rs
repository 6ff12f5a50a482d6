//! Which regular expressions a transform accepts: those that Forebay's engine accepts, except for a few that AWS
//! refuses.

use forebay_model::{Rewrite, Transform};
use forebay_routing::Transforms;

/// The classes that `[[:name:]]` may name.
const CLASSES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
    "upper", "word", "xdigit",
];

/// Whether AWS accepts the expression.
pub(crate) fn is_taken(regex: &str) -> bool {
    if regex
        .bytes()
        .any(|byte| byte.is_ascii_whitespace() || byte == 0x0b)
        || has_foreign(regex)
    {
        return false;
    }
    is_meaningless(regex) || {
        let (regex, replace) = (regex.to_owned(), String::new());
        Transforms::check(&[Transform::Url(vec![Rewrite { regex, replace }])]).is_ok()
    }
}

/// Whether the expression contains syntax that AWS accepts and stores but documents no meaning for.
pub(crate) fn is_meaningless(regex: &str) -> bool {
    parts(regex).any(|part| match part {
        Part::Group(rest) => rest.starts_with("(?R)"),
        Part::Class(rest) => {
            let named = rest.strip_prefix("[:").and_then(|rest| rest.split_once(":]"));
            named.map_or_else(
                || rest.starts_with("[=") || rest.starts_with("[."),
                |(name, _)| !CLASSES.contains(&name.trim_start_matches('^')),
            )
        }
        Part::Escape(_) | Part::Brace(_) => false,
    })
}

/// Whether the expression contains syntax that Forebay's engine accepts and AWS does not: `\p`, `{,3}`, or the flag
/// `R`.
fn has_foreign(regex: &str) -> bool {
    parts(regex).any(|part| match part {
        Part::Escape(letter) => matches!(letter, b'p' | b'P'),
        Part::Brace(rest) => rest.starts_with("{,"),
        Part::Group(rest) => {
            let flags = rest.strip_prefix("(?").unwrap_or_default();
            let flags = flags.split([':', ')']).next().unwrap_or_default();
            let plain = flags
                .bytes()
                .all(|byte| byte.is_ascii_alphabetic() || byte == b'-');
            plain && flags.contains('R') && !rest.starts_with("(?R)")
        }
        Part::Class(_) => false,
    })
}

/// A part of an expression that matters here, with the text from there on.
enum Part<'a> {
    /// The byte after a backslash.
    Escape(u8),
    /// `(`, outside of classes.
    Group(&'a str),
    /// `{`, outside of classes.
    Brace(&'a str),
    /// `[` inside a class.
    Class(&'a str),
}

/// The parts of an ASCII expression.
fn parts(regex: &str) -> impl Iterator<Item = Part<'_>> {
    let bytes = regex.as_bytes();
    let (mut at, mut depth, mut begins) = (0, 0_usize, false);
    core::iter::from_fn(move || {
        while let Some(&byte) = bytes.get(at) {
            let here = at;
            at += 1;
            // A closing bracket that comes first in a class is a literal.
            let first = core::mem::take(&mut begins);
            match (byte, depth) {
                (b'\\', _) => {
                    at += 1;
                    return Some(Part::Escape(bytes.get(here + 1).copied().unwrap_or_default()));
                }
                (b'[', _) => {
                    depth += 1;
                    begins = true;
                    if depth > 1 {
                        return Some(Part::Class(regex.get(here..).unwrap_or_default()));
                    }
                }
                (b'^', 1..) if first => begins = true,
                (b']', 1..) if !first => depth -= 1,
                (b'(', 0) => return Some(Part::Group(regex.get(here..).unwrap_or_default())),
                (b'{', 0) => return Some(Part::Brace(regex.get(here..).unwrap_or_default())),
                _ => {}
            }
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Regression: `\pL`, `{,3}` and white space were accepted; `(?R)` was accepted and matched everything.
    #[test]
    fn takes_what_the_live_service_takes() {
        for regex in [
            "[[:alpha:]]+",
            "[[:foo:]]",
            "[[=a=]]",
            "(?<n>x)",
            "(?P<n>x)",
            "a+?",
            "a++",
            "a*+",
            "a**",
            "a*{2}",
            "a{2}{3}",
            "a|",
            "|",
            "\\x41",
            "\\u0041",
            "\\x{41}",
            "\\Aa\\z",
            "\\ba\\B",
            "(?i)a",
            "(?ms)a",
            "(?U)a",
            "(?u)a",
            "(?x)a",
            "(?-i)a",
            "(?i-s:a)",
            "(?R)",
            "a{1001}",
            "]",
            "}",
            "[\\w-]",
            "[a-z&&b]",
            "\\.\\-\\/\\_",
            "[]a]",
            "[(?#]",
            "[{,3}]",
        ] {
            assert!(is_taken(regex), "{regex}");
        }
        for regex in [
            "(?=a)",
            "(?!a)",
            "(?<=a)",
            "(?<!a)",
            "(a)\\1",
            "(?>a)",
            "(a)?(?(1)b|c)",
            "\\p{L}",
            "\\pL",
            "\\P{L}",
            "\\X",
            "\\R",
            "\\h",
            "\\Ka",
            "\\N",
            "\\G",
            "\\Z",
            "\\Qa\\E",
            "\\cA",
            "\\e",
            "\\o{12}",
            "\\012",
            "(?<n>a)\\k<n>",
            "(?#a)",
            "(?|a)",
            "(?y)",
            "(?iR)",
            "(?R:a)",
            "(?)",
            "a{,3}",
            "a{3,2}",
            "[a",
            "(a",
            "a{",
            "a\\",
            "a)",
            "*a",
            "[z-a]",
            "[\\d-z]",
            "[^]",
            "(?<n>a)(?<n>b)",
            "a b",
            "a\\ b",
            "a\tb",
        ] {
            assert!(!is_taken(regex), "{regex}");
        }
    }

    #[test]
    fn knows_what_means_nothing() {
        for (regex, meaningless) in [
            ("(?R)", true),
            ("[[:foo:]]", true),
            ("[a[=b=]]", true),
            ("[[:^alpha:]]", false),
            ("[[:digit:]]", false),
            ("\\(?R)", false),
            ("[(?R)]", false),
            ("[]\\[[:foo:]]", true),
        ] {
            assert_eq!(is_meaningless(regex), meaningless, "{regex}");
        }
    }
}
