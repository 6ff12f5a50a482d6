//! Wildcard patterns: `*` matches any run of bytes, `?` exactly one.

use regex_syntax::hir::{Class, ClassBytes, ClassBytesRange, Hir, Look, Repetition};

/// An element of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Byte(u8),
    One,
    Any,
}

/// A parsed wildcard pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    tokens: Vec<Token>,
    /// Compare letters case-insensitively. The pattern is then kept in lower case.
    any_case: bool,
}

/// A pattern that fixes only how a text begins and ends: at most one `*`, and no `?`. Matching costs O(pattern).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ends {
    head: Box<[u8]>,
    /// The part after the `*`; `None` if there is no `*`.
    tail: Option<Box<[u8]>>,
    any_case: bool,
}

impl Pattern {
    /// Parses a pattern in which `*` and `?` are always wildcards.
    pub(crate) fn new(text: &str, any_case: bool) -> Pattern {
        let tokens = text.bytes().map(|byte| match byte {
            b'*' => Token::Any,
            b'?' => Token::One,
            byte => Token::Byte(byte),
        });
        Pattern::of(tokens.collect(), any_case)
    }

    /// Parses a pattern in which a backslash makes the next `*`, `?` or backslash literal.
    pub(crate) fn escaped(text: &str, any_case: bool) -> Pattern {
        let mut tokens = Vec::with_capacity(text.len());
        let mut bytes = text.bytes().peekable();
        while let Some(byte) = bytes.next() {
            tokens.push(match byte {
                b'\\' => match bytes.next_if(|next| b"*?\\".contains(next)) {
                    Some(next) => Token::Byte(next),
                    None => Token::Byte(b'\\'),
                },
                b'*' => Token::Any,
                b'?' => Token::One,
                byte => Token::Byte(byte),
            });
        }
        Pattern::of(tokens, any_case)
    }

    fn of(mut tokens: Vec<Token>, any_case: bool) -> Pattern {
        tokens.dedup_by(|a, b| *a == Token::Any && *b == Token::Any);
        if any_case {
            for token in &mut tokens {
                if let Token::Byte(byte) = token {
                    byte.make_ascii_lowercase();
                }
            }
        }
        Pattern { tokens, any_case }
    }

    /// The pattern as [`Ends`], if it fixes only how a text begins and ends.
    pub(crate) fn ends(&self) -> Option<Ends> {
        let literal = |tokens: &[Token]| -> Option<Box<[u8]>> {
            let bytes = tokens.iter().map(|token| match token {
                Token::Byte(byte) => Some(*byte),
                Token::One | Token::Any => None,
            });
            bytes.collect()
        };
        let mut parts = self.tokens.splitn(2, |token| *token == Token::Any);
        let head = literal(parts.next().unwrap_or_default())?;
        let tail = match parts.next() {
            Some(tail) => Some(literal(tail)?),
            None => None,
        };
        Some(Ends {
            head,
            tail,
            any_case: self.any_case,
        })
    }

    /// The pattern as an expression for a whole text.
    pub(crate) fn whole(&self) -> Hir {
        // A pattern that begins or ends with `*` needs no anchor there; without one the automaton is smaller and stops
        // reading earlier.
        let tokens = self.tokens.strip_prefix(&[Token::Any]);
        let start = if tokens.is_some() {
            Hir::empty()
        } else {
            Hir::look(Look::Start)
        };
        let tokens = tokens.unwrap_or(&self.tokens);
        let (tokens, end) = match tokens.strip_suffix(&[Token::Any]) {
            Some(tokens) => (tokens, Hir::empty()),
            None => (tokens, Hir::look(Look::End)),
        };
        let middle = expression(tokens, self.any_case, &class(0, 255));
        Hir::concat(vec![start, middle, end])
    }

    /// Whether the pattern matches everything.
    fn is_any(&self) -> bool {
        self.tokens.iter().all(|token| *token == Token::Any)
    }
}

/// A key and value of a query string, as an expression for the whole query. A part without `=` is a key without a
/// value; empty parts do not exist.
pub(crate) fn pair(key: Option<&Pattern>, value: &Pattern) -> Hir {
    let in_value = without(b"&");
    let in_key = without(b"&=");
    let equals = Hir::literal(*b"=");
    let wanted = key.map_or_else(
        || many(&in_key, 0),
        |key| expression(&key.tokens, key.any_case, &in_key),
    );
    let mut parts = vec![Hir::concat(vec![
        wanted.clone(),
        equals,
        expression(&value.tokens, value.any_case, &in_value),
    ])];
    if value.is_any() {
        parts.push(match key {
            Some(key) if !key.is_any() => wanted,
            _ => many(&in_key, 1),
        });
    }
    let and = || Hir::literal(*b"&");
    Hir::concat(vec![
        Hir::alternation(vec![Hir::look(Look::Start), and()]),
        Hir::alternation(parts),
        Hir::alternation(vec![and(), Hir::look(Look::End)]),
    ])
}

/// These tokens, with bytes limited to this class.
fn expression(tokens: &[Token], any_case: bool, class: &ClassBytes) -> Hir {
    let parts = tokens.iter().map(|token| match token {
        Token::Any => many(class, 0),
        Token::One => Hir::class(Class::Bytes(class.clone())),
        Token::Byte(byte) => {
            let mut bytes = ClassBytes::new([ClassBytesRange::new(*byte, *byte)]);
            if any_case {
                bytes.case_fold_simple();
            }
            bytes.intersect(class);
            Hir::class(Class::Bytes(bytes))
        }
    });
    Hir::concat(parts.collect())
}

fn many(class: &ClassBytes, min: u32) -> Hir {
    Hir::repetition(Repetition {
        min,
        max: None,
        greedy: true,
        sub: Box::new(Hir::class(Class::Bytes(class.clone()))),
    })
}

fn class(low: u8, high: u8) -> ClassBytes {
    ClassBytes::new([ClassBytesRange::new(low, high)])
}

fn without(bytes: &[u8]) -> ClassBytes {
    let mut class = ClassBytes::new(bytes.iter().map(|&byte| ClassBytesRange::new(byte, byte)));
    class.negate();
    class
}

impl Ends {
    /// Whether the whole text matches.
    pub(crate) fn fits(&self, text: &[u8]) -> bool {
        let Some(tail) = &self.tail else {
            return self.same(text, &self.head);
        };
        let Some((head, rest)) = text.split_at_checked(self.head.len()) else {
            return false;
        };
        let Some(before) = rest.len().checked_sub(tail.len()) else {
            return false;
        };
        self.same(head, &self.head) && self.same(&rest[before..], tail)
    }

    fn same(&self, text: &[u8], literal: &[u8]) -> bool {
        if self.any_case {
            text.eq_ignore_ascii_case(literal)
        } else {
            text == literal
        }
    }
}

#[cfg(any(test, feature = "fuzzing"))]
impl Pattern {
    /// Whether the whole text matches, checked both as an expression and by its ends. `None` if the expression is too
    /// big.
    pub(crate) fn matches(&self, text: &[u8]) -> Option<bool> {
        let whole = crate::expression::Expression::new(&self.whole()).ok()?.fits(text);
        let ends = self.ends().is_none_or(|ends| ends.fits(text) == whole);
        assert!(ends, "{self:?} {text:?}");
        Some(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn wildcards() {
        let cases = [
            ("/img/*", "/img/a.png", true),
            ("/img/*", "/img", false),
            ("*.example.com", "a.example.com", true),
            ("*.example.com", "example.com", false),
            ("/a?c", "/abc", true),
            ("/a?c", "/ac", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("?", "", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("/a*?", "/a", false),
            ("/a*?", "/ab", true),
            ("*x*", "axb", true),
            ("*x*", "\n\u{e9}x\n", true),
        ];
        for (pattern, text, fits) in cases {
            assert_eq!(
                Pattern::new(pattern, false).matches(text.as_bytes()),
                Some(fits),
                "{pattern} {text}"
            );
        }
        assert_eq!(
            Pattern::new("WWW.*", true).matches(b"www.Example.com"),
            Some(true)
        );
        assert_eq!(
            Pattern::new("*W?W.*", true).matches(b"www.Example.com"),
            Some(true)
        );
        assert_eq!(Pattern::new("/A", false).matches(b"/a"), Some(false));
        assert_eq!(Pattern::escaped(r"a\*b", false).matches(b"a*b"), Some(true));
        assert_eq!(Pattern::escaped(r"a\*b", false).matches(b"axb"), Some(false));
    }

    /// The obvious recursive definition, to check the fast one against.
    fn naive(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern.first(), text.first()) {
            (None, None) => true,
            (Some(b'*'), _) => naive(&pattern[1..], text) || (!text.is_empty() && naive(pattern, &text[1..])),
            (Some(b'?'), Some(_)) => naive(&pattern[1..], &text[1..]),
            (Some(a), Some(b)) => a == b && naive(&pattern[1..], &text[1..]),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(pattern in "[ab*?]{0,8}", text in "[ab]{0,10}") {
            prop_assert_eq!(Pattern::new(&pattern, false).matches(text.as_bytes()), Some(naive(pattern.as_bytes(), text.as_bytes())));
        }
    }
}
