//! Wildcard patterns: `*` any run of bytes, `?` exactly one.

use memchr::memmem;

/// A compiled wildcard pattern. Matching costs O(text) for patterns with one `*`, O(text x pattern) at worst.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    form: Form,
    /// Compare letters in any case; the pattern is then kept in lower case.
    any_case: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Form {
    Exact(Box<[u8]>),
    /// Literal, then `*`.
    Prefix(Box<[u8]>),
    /// `*`, then literal.
    Suffix(Box<[u8]>),
    /// `*`, literal, `*`.
    Contains(Box<[u8]>),
    General(Box<[Token]>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Byte(u8),
    One,
    Any,
}

impl Pattern {
    /// A pattern where `*` and `?` are always wildcards.
    pub fn new(text: &str, any_case: bool) -> Pattern {
        let tokens = text.bytes().map(|byte| match byte {
            b'*' => Token::Any,
            b'?' => Token::One,
            byte => Token::Byte(byte),
        });
        Pattern::from_tokens(tokens.collect(), any_case)
    }

    /// A pattern where a backslash makes the next `*`, `?` or backslash literal.
    pub fn escaped(text: &str, any_case: bool) -> Pattern {
        let mut tokens = Vec::with_capacity(text.len());
        let mut bytes = text.bytes().peekable();
        while let Some(byte) = bytes.next() {
            tokens.push(match byte {
                b'\\' => match bytes.peek() {
                    Some(&next) if matches!(next, b'*' | b'?' | b'\\') => {
                        bytes.next();
                        Token::Byte(next)
                    }
                    _ => Token::Byte(b'\\'),
                },
                b'*' => Token::Any,
                b'?' => Token::One,
                byte => Token::Byte(byte),
            });
        }
        Pattern::from_tokens(tokens, any_case)
    }

    fn from_tokens(mut tokens: Vec<Token>, any_case: bool) -> Pattern {
        tokens.dedup_by(|a, b| *a == Token::Any && *b == Token::Any);
        if any_case {
            for token in &mut tokens {
                if let Token::Byte(byte) = token {
                    byte.make_ascii_lowercase();
                }
            }
        }
        let literal = |tokens: &[Token]| -> Option<Box<[u8]>> {
            tokens
                .iter()
                .map(|token| {
                    if let Token::Byte(byte) = token {
                        Some(*byte)
                    } else {
                        None
                    }
                })
                .collect()
        };
        let form = match tokens.as_slice() {
            [Token::Any, middle @ .., Token::Any] if literal(middle).is_some() => {
                literal(middle).map(Form::Contains)
            }
            [head @ .., Token::Any] if literal(head).is_some() => literal(head).map(Form::Prefix),
            [Token::Any, tail @ ..] if literal(tail).is_some() => literal(tail).map(Form::Suffix),
            all => literal(all).map(Form::Exact),
        };
        Pattern {
            form: form.unwrap_or_else(|| Form::General(tokens.into())),
            any_case,
        }
    }

    /// Whether the whole text fits the pattern.
    pub fn matches(&self, text: &[u8]) -> bool {
        match &self.form {
            Form::Exact(literal) => self.same(text, literal),
            Form::Prefix(literal) => text
                .get(..literal.len())
                .is_some_and(|head| self.same(head, literal)),
            Form::Suffix(literal) => {
                text.len() >= literal.len() && self.same(&text[text.len() - literal.len()..], literal)
            }
            Form::Contains(literal) if self.any_case => {
                literal.is_empty()
                    || text
                        .windows(literal.len())
                        .any(|window| self.same(window, literal))
            }
            Form::Contains(literal) => memmem::find(text, literal).is_some(),
            Form::General(tokens) => self.general(tokens, text),
        }
    }

    fn same(&self, text: &[u8], literal: &[u8]) -> bool {
        if self.any_case {
            text.eq_ignore_ascii_case(literal)
        } else {
            text == literal
        }
    }

    /// Greedy match that, on a mismatch, lets the last `*` take one byte more.
    fn general(&self, tokens: &[Token], text: &[u8]) -> bool {
        let fits = |token: Token, byte: u8| match token {
            Token::One => true,
            Token::Byte(wanted) if self.any_case => wanted == byte.to_ascii_lowercase(),
            Token::Byte(wanted) => wanted == byte,
            Token::Any => false,
        };
        let (mut at, mut token, mut retry) = (0, 0, None);
        while at < text.len() {
            match tokens.get(token) {
                Some(Token::Any) => {
                    retry = Some((token + 1, at));
                    token += 1;
                }
                Some(&wanted) if fits(wanted, text[at]) => {
                    at += 1;
                    token += 1;
                }
                _ => match retry {
                    Some((after, from)) => {
                        retry = Some((after, from + 1));
                        (token, at) = (after, from + 1);
                    }
                    None => return false,
                },
            }
        }
        tokens[token..].iter().all(|token| *token == Token::Any)
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
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("/a*?", "/a", false),
            ("/a*?", "/ab", true),
            ("*x*", "axb", true),
        ];
        for (pattern, text, fits) in cases {
            assert_eq!(
                Pattern::new(pattern, false).matches(text.as_bytes()),
                fits,
                "{pattern} {text}"
            );
        }
        assert!(Pattern::new("WWW.*", true).matches(b"www.Example.com"));
        assert!(!Pattern::new("/A", false).matches(b"/a"));
        assert!(Pattern::escaped(r"a\*b", false).matches(b"a*b"));
        assert!(!Pattern::escaped(r"a\*b", false).matches(b"axb"));
    }

    /// The obvious recursive definition, to judge the fast one.
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
            prop_assert_eq!(Pattern::new(&pattern, false).matches(text.as_bytes()), naive(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
