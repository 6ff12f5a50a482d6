//! Expressions with bounded cost: whatever cannot be matched in bounded time is refused before any text is seen.

use crate::error::CompileError;
use crate::spots::Spots;
use crate::table::Table;
use regex_automata::nfa::thompson::{Compiler, Config, NFA, WhichCaptures};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Hir, Look};

/// Bound on the memory of an expression's states before it is made into something faster. The 128 characters that the
/// API allows need a tenth of it, unless they repeat something hundreds of times.
const STATES_BYTES: usize = 128 << 10;

/// An expression that says whether a text matches. Costs 2 ns per byte as a table and at most some 80 ns as positions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expression {
    Table(Table),
    Spots(Box<Spots>),
}

/// The expression would cost too much: it is too large for a table and has too many positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooBig;

/// Parses a regular expression over bytes, not characters; `any_case` makes letters case-insensitive.
pub(crate) fn parse(text: &str, any_case: bool) -> Result<Hir, CompileError> {
    let mut parser = ParserBuilder::new()
        .utf8(false)
        .unicode(false)
        .case_insensitive(any_case)
        .build();
    parser
        .parse(text)
        .map_err(|error| CompileError::syntax(text, error.to_string()))
}

/// The Thompson NFA of an expression, in at most `bytes` bytes.
pub(crate) fn states(hir: &Hir, bytes: usize, captures: WhichCaptures) -> Result<NFA, TooBig> {
    let config = Config::new()
        .utf8(false)
        .nfa_size_limit(Some(bytes))
        .which_captures(captures);
    Compiler::new()
        .configure(config)
        .build_from_hir(hir)
        .map_err(|_| TooBig)
}

impl Expression {
    pub(crate) fn new(hir: &Hir) -> Result<Expression, TooBig> {
        let states = states(hir, STATES_BYTES, WhichCaptures::None)?;
        let anchored = hir.properties().look_set_prefix().contains(Look::Start);
        if let Some(table) = Table::new(&states, anchored) {
            return Ok(Expression::Table(table));
        }
        Spots::new(&states)
            .map(|spots| Expression::Spots(Box::new(spots)))
            .ok_or(TooBig)
    }

    /// As few expressions as possible that together match whatever any of these matches. The error is the index of one
    /// that is too big.
    pub(crate) fn any_of(hirs: Vec<Hir>) -> Result<Vec<Expression>, usize> {
        if hirs.len() > 1
            && let Ok(one @ Expression::Table(_)) = Expression::new(&Hir::alternation(hirs.clone()))
        {
            return Ok(vec![one]);
        }
        let each = hirs.iter().enumerate();
        each.map(|(at, hir)| Expression::new(hir).map_err(|TooBig| at))
            .collect()
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn fits(&self, text: &[u8]) -> bool {
        match self {
            Expression::Table(table) => table.fits(text),
            Expression::Spots(spots) => spots.fits(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::{Pattern, pair};
    use crate::table::fits_which;
    use proptest::prelude::*;
    use regex::bytes::RegexBuilder;

    fn table(hir: &Hir) -> Option<Table> {
        let states = states(hir, STATES_BYTES, WhichCaptures::None).ok()?;
        Table::new(&states, hir.properties().look_set_prefix().contains(Look::Start))
    }

    fn spots(hir: &Hir) -> Option<Spots> {
        Spots::new(&states(hir, STATES_BYTES, WhichCaptures::None).ok()?)
    }

    /// All implementations here agree with the general-purpose regex library.
    fn agree(regex: &str, any_case: bool, text: &[u8]) {
        let theirs = RegexBuilder::new(regex)
            .unicode(false)
            .case_insensitive(any_case)
            .build()
            .unwrap()
            .is_match(text);
        let hir = parse(regex, any_case).unwrap();
        if let Some(table) = table(&hir) {
            assert_eq!(table.fits(text), theirs, "table {regex:?} {text:?}");
        }
        if let Some(spots) = spots(&hir) {
            assert_eq!(spots.fits(text), theirs, "spots {regex:?} {text:?}");
        }
    }

    #[test]
    fn edges() {
        let regexes = [
            "",
            "^",
            "$",
            "^$",
            "a",
            "^a",
            "a$",
            "^a$",
            "a*",
            "^a*$",
            "(a|)b?",
            "(^a|b$)",
            "(^|b)a($|b)",
            "a|$",
            r"\ba\b",
            "(?m)^a$",
            "a.b",
            "(?s)a.b",
            "[^a]",
            "(a|ab)(c|bcd)?",
            "a{2,3}",
            "(?i)A",
            "x^",
            "$x",
            "(a|b)*$",
            "[[:alpha:]]",
            "(?-u)\\xff",
        ];
        let texts = [
            "", "a", "b", "ab", "ba", "aab", "a\nb", "b\na\nb", "A", "x", "ax", "abcd", "aaaa",
        ];
        for regex in regexes {
            for text in texts {
                agree(regex, false, text.as_bytes());
                agree(regex, true, text.as_bytes());
            }
            agree(regex, false, b"\xff\x00");
        }
    }

    #[test]
    fn what_people_write_is_taken_and_as_a_table() {
        for regex in [
            r"^/api/v[0-9]+/users/([a-z0-9-]+)/?$",
            r"^/(en|de|fr|es|it)/.*\.(jpg|jpeg|png|gif|webp|svg)$",
            r".*(Android|iPhone|iPad|Mobile).*Safari/[0-9]{3}",
            r"^(www\.)?([a-z0-9-]{1,63}\.){1,4}example\.(com|net|org)$",
            r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
            r"^/orders/[0-9]{4}-[0-9]{2}-[0-9]{2}/.{1,64}$",
            r"(bot|crawl|spider|slurp|bing|yandex|baidu|duckduck|facebook|twitter|linkedin|pinterest|slack|telegram|whatsapp|discord)",
            r"^.{1,255}$",
            r"/[^/]{1,300}/x",
            r"^/.{1,300}/x",
            r"^/a/.*/b/.*/c/.*$",
        ] {
            assert!(
                matches!(
                    Expression::new(&parse(regex, true).unwrap()),
                    Ok(Expression::Table(_))
                ),
                "{regex}"
            );
        }
        // Too many sets of positions for a table.
        for regex in [r"\d{4}-.{1,50}-\d{2}", r"/.{1,100}/x", r"[ab].{30}c"] {
            assert!(
                matches!(
                    Expression::new(&parse(regex, false).unwrap()),
                    Ok(Expression::Spots(_))
                ),
                "{regex}"
            );
        }
        // An expression whose 128 characters repeat nothing that often is never refused.
        let many = "a.*b|c.*d|e.*f|g.*h|i.*j|k.*l|m.*n|o.*p|q.*r|s.*t|u.*v|w.*x|y.*z|A.*B|C.*D|E.*F|G.*H|I.*J|K.*L|M.*N|O.*P";
        assert!(Expression::new(&parse(many, false).unwrap()).is_ok());
        for regex in [
            r"(.{0,90}){0,90}x",
            r"/.{1,300}/x",
            r"[ab].{600}c",
            r"(?s)(a.{0,200}){0,200}b",
        ] {
            assert_eq!(
                Expression::new(&parse(regex, false).unwrap()).unwrap_err(),
                TooBig,
                "{regex}"
            );
        }
    }

    /// The obvious way to find a pair in a query string.
    fn has_pair(key: &str, value: &str, query: &[u8]) -> bool {
        let fits = |pattern: &str, text: &[u8]| Pattern::escaped(pattern, true).matches(text).unwrap();
        query.split(|&byte| byte == b'&').any(|part| {
            let cut = part.iter().position(|&byte| byte == b'=').unwrap_or(part.len());
            let text = part.get(cut + 1..).unwrap_or_default();
            !part.is_empty() && (key.is_empty() || fits(key, &part[..cut])) && fits(value, text)
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn agrees_with_the_library(
            regex in r"(\^?(([ab.]|\[ab\]|\(a\|b\)|\(b\|ab\))(\*|\+|\?|\{1,3\})?){0,5}\$?)(\|\^?[ab]{0,3}\$?)?",
            text in "[abA\n]{0,12}",
        ) {
            agree(&regex, false, text.as_bytes());
            agree(&regex, true, text.as_bytes());
        }

        #[test]
        fn tables_side_by_side_are_tables(
            patterns in proptest::collection::vec("[ab*?]{1,6}", 1..=8), text in "[ab]{0,600}",
        ) {
            let tables: Vec<Table> = patterns.iter().map(|pattern| table(&Pattern::new(pattern, false).whole()).unwrap()).collect();
            let bits = fits_which(&tables, text.as_bytes());
            for (lane, table) in tables.iter().enumerate() {
                prop_assert_eq!(bits >> lane & 1 == 1, table.fits(text.as_bytes()), "{}", patterns[lane]);
            }
        }

        #[test]
        fn pairs_are_found(key in r"[aB=&*?\\]{0,4}", value in r"[ab=&*?\\]{0,4}", query in "[abA=&*]{0,12}") {
            let wanted = (!key.is_empty()).then(|| Pattern::escaped(&key, true));
            let hir = pair(wanted.as_ref(), &Pattern::escaped(&value, true));
            let found = Expression::new(&hir).unwrap().fits(query.as_bytes());
            prop_assert_eq!(found, has_pair(&key, &value, query.as_bytes()));
        }
    }
}
