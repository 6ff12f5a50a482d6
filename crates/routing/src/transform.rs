//! Transforms: rewrites of the Host header, and of path and query, applied after the rule matched.

use crate::error::CompileError;
use crate::expression::{parse, states};
use crate::spots::width;
use forebay_model::{Rewrite, Transform, limits};
use regex_automata::nfa::thompson::WhichCaptures;
use regex_automata::nfa::thompson::backtrack::{BoundedBacktracker, Config};
use regex_automata::util::interpolate;

/// Maximum number of states of an expression. Visited states are remembered as one bit per state and byte: 4 MiB for
/// the longest text.
const STATES: usize = 2048;
/// Bound on the memory of those states.
const STATES_BYTES: usize = 256 << 10;
/// Maximum number of states visited per byte. Each takes some 6 ns, so the longest text takes less than 3 ms.
const WIDTH: usize = 24;

/// A rewrite's result cannot be sent. The names are those of ALB's access log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransformError {
    /// The new host is not a valid host.
    InvalidHost,
    /// The new path does not begin with `/`, or contains a byte that a request line cannot.
    InvalidPath,
    /// The result is longer than a request line may be.
    BufferTooSmall,
    /// Some text would take the expression too long. The API stores and returns the rule all the same, as ALB does.
    CompileTooBig,
    /// The expression is malformed. The API refuses it, but one may be stored from before.
    RegexSyntax,
}

/// A rule's transforms, compiled.
#[derive(Debug)]
pub struct Transforms {
    host: Box<[Rewriter]>,
    url: Box<[Rewriter]>,
}

/// One rewrite, compiled.
#[derive(Debug)]
struct Rewriter {
    search: Result<BoundedBacktracker, TransformError>,
    replace: Box<[u8]>,
}

impl Transforms {
    /// `None` if there are no transforms.
    pub(crate) fn compile(transforms: &[Transform]) -> Option<Transforms> {
        let compile = |rewrites: &[Rewrite]| rewrites.iter().map(Rewriter::new).collect();
        let mut out = Transforms {
            host: [].into(),
            url: [].into(),
        };
        for transform in transforms {
            match transform {
                Transform::HostHeader(rewrites) => out.host = compile(rewrites),
                Transform::Url(rewrites) => out.url = compile(rewrites),
            }
        }
        (!out.host.is_empty() || !out.url.is_empty()).then_some(out)
    }

    /// Checks that all expressions parse. Those that would take too long are accepted.
    pub fn check(transforms: &[Transform]) -> Result<(), CompileError> {
        let rewrites = transforms.iter().flat_map(|transform| match transform {
            Transform::HostHeader(rewrites) | Transform::Url(rewrites) => rewrites,
        });
        rewrites
            .into_iter()
            .try_for_each(|rewrite| parse(&rewrite.regex, false).map(|_| ()))
    }

    /// The new host; `None` if no rewrite matches.
    pub fn host(&self, host: &[u8]) -> Result<Option<Vec<u8>>, TransformError> {
        let Some(new) = rewrite(&self.host, host)? else {
            return Ok(None);
        };
        let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~:[]%".contains(byte);
        if new.is_empty() || new.len() > 255 || !new.iter().all(fits) {
            return Err(TransformError::InvalidHost);
        }
        Ok(Some(new))
    }

    /// The new path and query; `None` if no rewrite matches.
    pub fn url(&self, url: &[u8]) -> Result<Option<Vec<u8>>, TransformError> {
        let Some(new) = rewrite(&self.url, url)? else {
            return Ok(None);
        };
        if new.len() > limits::REQUEST_LINE_BYTES {
            return Err(TransformError::BufferTooSmall);
        }
        // A space or a control character would end the request target early.
        if new.first() != Some(&b'/') || !new.iter().all(|&byte| byte > b' ' && byte != 0x7f) {
            return Err(TransformError::InvalidPath);
        }
        Ok(Some(new))
    }
}

impl Rewriter {
    fn new(rewrite: &Rewrite) -> Rewriter {
        Rewriter {
            search: search(&rewrite.regex),
            replace: rewrite.replace.as_bytes().into(),
        }
    }

    /// The text with its first match replaced; `None` if there is no match.
    fn apply(&self, text: &[u8]) -> Result<Option<Vec<u8>>, TransformError> {
        let search = self.search.as_ref().map_err(|&error| error)?;
        let mut found = search.create_captures();
        // The cache is sized for this text, so a short text needs little memory.
        let searched = search.try_captures(&mut search.create_cache(), text, &mut found);
        searched.map_err(|_| TransformError::BufferTooSmall)?;
        let Some(whole) = found.get_match() else {
            return Ok(None);
        };
        let mut new = text[..whole.start()].to_vec();
        let take = |group: usize, new: &mut Vec<u8>| {
            // A result that is too long already need not grow further.
            if let Some(span) = found.get_group(group)
                && new.len() <= limits::REQUEST_LINE_BYTES
            {
                new.extend_from_slice(&text[span.range()]);
            }
        };
        let named = |name: &str| {
            let groups = found.group_info();
            groups.to_index(whole.pattern(), name)
        };
        interpolate::bytes(&self.replace, take, named, &mut new);
        new.extend_from_slice(&text[whole.end()..]);
        Ok(Some(new))
    }
}

fn search(regex: &str) -> Result<BoundedBacktracker, TransformError> {
    let hir = parse(regex, false).map_err(|_| TransformError::RegexSyntax)?;
    let states = states(&hir, STATES_BYTES, WhichCaptures::All).map_err(|_| TransformError::CompileTooBig)?;
    let count = states.states().len();
    if count > STATES || width(&states) > WIDTH {
        return Err(TransformError::CompileTooBig);
    }
    let remembered = (count * (limits::REQUEST_LINE_BYTES + 1)).div_ceil(8) + 8;
    BoundedBacktracker::builder()
        .configure(Config::new().visited_capacity(remembered))
        .build_from_nfa(states)
        .map_err(|_| TransformError::CompileTooBig)
}

fn rewrite(rewrites: &[Rewriter], text: &[u8]) -> Result<Option<Vec<u8>>, TransformError> {
    let mut current: Option<Vec<u8>> = None;
    for rewriter in rewrites {
        if let Some(new) = rewriter.apply(current.as_deref().unwrap_or(text))? {
            current = Some(new);
        }
    }
    Ok(current)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(regex: &str, replace: &str) -> Transforms {
        let rewrite = Rewrite {
            regex: regex.into(),
            replace: replace.into(),
        };
        Transforms::compile(&[Transform::Url(vec![rewrite])]).unwrap()
    }

    #[test]
    fn rewrites_path_and_query() {
        let transforms = url("^/dp/([A-Za-z0-9]+)/?$", "/product.php?id=$1");
        assert_eq!(
            transforms.url(b"/dp/B0/").unwrap().unwrap(),
            b"/product.php?id=B0"
        );
        assert_eq!(transforms.url(b"/other"), Ok(None));
        assert_eq!(transforms.host(b"a.b"), Ok(None));
    }

    #[test]
    fn refuses_what_cannot_be_sent() {
        assert_eq!(url("^/", "x").url(b"/a"), Err(TransformError::InvalidPath));
        assert_eq!(
            url("a", " HTTP/1.1\r\n").url(b"/a"),
            Err(TransformError::InvalidPath)
        );
        let long = url("b", &"a".repeat(1024));
        assert!(long.url(b"/b").is_ok());
        let rewrite = Rewrite {
            regex: "^.*$".into(),
            replace: "a b".into(),
        };
        let host = Transforms::compile(&[Transform::HostHeader(vec![rewrite])]).unwrap();
        assert_eq!(host.host(b"x"), Err(TransformError::InvalidHost));
    }

    #[test]
    fn says_500_to_what_would_take_too_long_and_to_what_is_no_expression() {
        for (regex, error) in [
            ("(.{0,90}){0,90}x", TransformError::CompileTooBig),
            ("(a.{0,40}){0,9}x", TransformError::CompileTooBig),
            ("(", TransformError::RegexSyntax),
        ] {
            assert_eq!(url(regex, "/").url(b"/any"), Err(error), "{regex}");
        }
        // Ordinary expressions are accepted, however long.
        let long = format!("^/{}/([^/]+)/(.*)$", "abcdefgh".repeat(100));
        for regex in [
            &long,
            "^/(.*)/(.*)/(.*)$",
            "(?i)^/api/v([0-9]+)/(users|groups)/([^/?]+)(/.*)?$",
            r"/([a-z]{2})-([A-Z]{2})/(.*)\?(.*)lang=([a-z]+)(&.*)?$",
            "^/dp/([A-Za-z0-9]{10})/?",
            "(/+)",
            "^/([^/]+)/([^/]+)/([^/]+)/([^/]+)/([^/]+)/([^/]+)/(.*)$",
            "(.*)/index\\.(php|html?|aspx?)(.*)",
        ] {
            assert!(url(regex, "/$1").url(b"/nothing").is_ok(), "{regex}");
        }
    }

    #[test]
    fn result_that_grows_without_end_is_not_made() {
        let transforms = url("^(.*)$", &"$1".repeat(512));
        let text = format!("/{}", "a".repeat(16_000));
        assert_eq!(
            transforms.url(text.as_bytes()),
            Err(TransformError::BufferTooSmall)
        );
        let text = format!("/{}", "a".repeat(20_000));
        assert_eq!(
            transforms.url(text.as_bytes()),
            Err(TransformError::BufferTooSmall)
        );
    }

    proptest::proptest! {
        #[test]
        fn replaces_as_the_library_does(
            regex in r"\^?(([ab/.]|\((a|b)\*?\)|\(/([.a])\+\))(\*|\+|\?|\+\?)?){0,4}\$?",
            replace in r"/(\$1|\$\{2\}|\$\$|x|\$n){0,3}",
            text in "/[ab/]{0,10}",
        ) {
            let ours = url(&regex, &replace).url(text.as_bytes());
            proptest::prop_assume!(ours != Err(TransformError::CompileTooBig));
            let theirs = regex::bytes::RegexBuilder::new(&regex).unicode(false).build().unwrap();
            let wanted = theirs.is_match(text.as_bytes()).then(|| theirs.replace(text.as_bytes(), replace.as_bytes()).into_owned());
            if let Some(wanted) = &wanted && wanted.first() != Some(&b'/') {
                proptest::prop_assert_eq!(ours, Err(TransformError::InvalidPath));
            } else {
                proptest::prop_assert_eq!(ours, Ok(wanted));
            }
        }
    }
}
