//! Text patterns with wildcards, as AWS's APIs have them.

/// Whether `text` matches `pattern`, in which `*` stands for any text, none included, and `?` for any one byte. O(pattern x text) at
/// worst, and nearly linear in practice: after a mismatch only the last `*` is extended.
///
/// The patterns of listener rules are compiled instead, since they are matched for each request: see `routing`.
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&byte) if byte == b'?' || byte == text[t] => (p, t) = (p + 1, t + 1),
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    (p, t) = (at + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks() {
        for (pattern, text, expected) in [
            ("a*c", "abbc", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*", "", true),
            ("ELB app/x/*", "ELB app/x/1", true),
            ("a*b*c", "aXbYd", false),
            ("a*a", "a", false),
            ("a*b*a", "aba", true),
            (
                "arn:aws:events:*:rule/r",
                "arn:aws:events:us-east-1:1:rule/r/x",
                false,
            ),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}
