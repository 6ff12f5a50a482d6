//! The search expressions of SEARCH, such as `{Namespace,Dimension} MetricName="x" (a OR b) NOT c`.

/// Maximum number of terms of a search.
const TERM_LIMIT: usize = 100;
/// Maximum nesting of parentheses and NOTs.
const DEPTH_LIMIT: usize = 32;

/// Why a text is not a valid search expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("SEARCH: {0}")]
pub struct SearchError(String);

/// A parsed search expression.
#[derive(Clone, Debug)]
pub struct Search {
    /// The namespace, and the sorted names of all dimensions.
    schema: Option<(String, Vec<String>)>,
    any: Vec<Vec<Term>>,
}

/// A metric, as a search sees it.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// The namespace.
    pub namespace: &'a str,
    /// The metric's name.
    pub name: &'a str,
    /// Its dimensions.
    pub dimensions: &'a [(String, String)],
}

#[derive(Clone, Debug)]
enum Term {
    /// A text; `exact` if the whole must be equal.
    Text {
        property: Option<String>,
        text: String,
        exact: bool,
    },
    Not(Box<Term>),
    Inner(Vec<Vec<Term>>),
}

impl Search {
    /// Parses a search expression.
    pub fn parse(text: &str) -> Result<Search, SearchError> {
        let text = text.trim_start();
        let (schema, rest) = match text.strip_prefix('{') {
            None => (None, text),
            Some(inside) => {
                let (inside, rest) = inside.split_once('}').ok_or_else(|| wrong("'}' is missing"))?;
                (Some(schema(inside)?), rest)
            }
        };
        let mut parser = Parser { rest, terms: 0 };
        let any = if parser.peek().is_none() {
            vec![Vec::new()]
        } else {
            parser.any(0)?
        };
        match parser.peek() {
            None => Ok(Search { schema, any }),
            Some(letter) => Err(wrong(&format!("'{letter}' is not expected"))),
        }
    }

    /// The namespace that it is restricted to.
    pub fn namespace(&self) -> Option<&str> {
        self.schema.as_ref().map(|(namespace, _)| namespace.as_str())
    }

    /// Whether it finds a metric.
    pub fn finds(&self, metric: &Found<'_>) -> bool {
        let fits = self.schema.as_ref().is_none_or(|(namespace, names)| {
            let mut found: Vec<&str> = metric.dimensions.iter().map(|(name, _)| name.as_str()).collect();
            found.sort_unstable();
            namespace == metric.namespace && *names == found
        });
        fits && holds(&self.any, metric)
    }
}

fn holds(any: &[Vec<Term>], metric: &Found<'_>) -> bool {
    any.iter().any(|all| all.iter().all(|term| term.holds(metric)))
}

impl Term {
    fn holds(&self, metric: &Found<'_>) -> bool {
        match self {
            Term::Not(inner) => !inner.holds(metric),
            Term::Inner(any) => holds(any, metric),
            Term::Text {
                property,
                text,
                exact,
            } => {
                let fits = |value: &str| {
                    if *exact {
                        value == text
                    } else {
                        value.to_lowercase().contains(&text.to_lowercase())
                    }
                };
                let dimensions = metric.dimensions.iter();
                match property.as_deref() {
                    Some("MetricName") => fits(metric.name),
                    Some("Namespace") => fits(metric.namespace),
                    Some(name) => dimensions
                        .clone()
                        .any(|(found, value)| found == name && fits(value)),
                    None => {
                        fits(metric.name)
                            || fits(metric.namespace)
                            || dimensions.clone().any(|(name, value)| fits(name) || fits(value))
                    }
                }
            }
        }
    }
}

fn wrong(problem: &str) -> SearchError {
    SearchError(problem.to_owned())
}

fn schema(text: &str) -> Result<(String, Vec<String>), SearchError> {
    let mut parts = text
        .split(',')
        .map(|part| part.trim().trim_matches('"').to_owned());
    let namespace = parts.next().filter(|namespace| !namespace.is_empty());
    let namespace = namespace.ok_or_else(|| wrong("the namespace is missing in {}"))?;
    let mut names: Vec<String> = parts.collect();
    names.sort_unstable();
    Ok((namespace, names))
}

struct Parser<'a> {
    rest: &'a str,
    terms: usize,
}

impl<'a> Parser<'a> {
    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start();
        self.rest.chars().next()
    }

    fn take_word(&mut self, word: &str) -> bool {
        self.peek();
        let behind = self.rest.strip_prefix(word);
        let ends = |behind: &&str| {
            behind.is_empty()
                || behind.starts_with(|letter: char| letter.is_whitespace() || "()".contains(letter))
        };
        let taken = behind.filter(ends);
        if let Some(behind) = taken {
            self.rest = behind;
        }
        taken.is_some()
    }

    /// Adjacent terms must all hold, with or without AND between them.
    fn any(&mut self, depth: usize) -> Result<Vec<Vec<Term>>, SearchError> {
        let mut any = vec![vec![self.term(depth)?]];
        loop {
            if self.take_word("OR") {
                any.push(vec![self.term(depth)?]);
                continue;
            }
            let and = self.take_word("AND");
            if !and && self.peek().is_none_or(|letter| letter == ')') {
                return Ok(any);
            }
            let term = self.term(depth)?;
            if let Some(all) = any.last_mut() {
                all.push(term);
            }
        }
    }

    fn term(&mut self, depth: usize) -> Result<Term, SearchError> {
        self.terms += 1;
        if self.terms > TERM_LIMIT || depth > DEPTH_LIMIT {
            return Err(wrong("the search is too large"));
        }
        if self.take_word("NOT") {
            return Ok(Term::Not(Box::new(self.term(depth + 1)?)));
        }
        if self.peek() == Some('(') {
            self.rest = &self.rest[1..];
            let any = self.any(depth + 1)?;
            if self.peek() != Some(')') {
                return Err(wrong("')' is missing"));
            }
            self.rest = &self.rest[1..];
            return Ok(Term::Inner(any));
        }
        let (first, quoted) = self.text()?;
        let Some(behind) = self.rest.strip_prefix('=') else {
            return Ok(Term::Text {
                property: None,
                text: first,
                exact: quoted,
            });
        };
        self.rest = behind;
        let (text, exact) = self.text()?;
        Ok(Term::Text {
            property: Some(first),
            text,
            exact,
        })
    }

    /// A text, and whether it was in quotes.
    fn text(&mut self) -> Result<(String, bool), SearchError> {
        self.peek();
        if let Some(inside) = self.rest.strip_prefix('"') {
            let (text, rest) = inside
                .split_once('"')
                .ok_or_else(|| wrong("a text in quotes has no end"))?;
            self.rest = rest;
            return Ok((text.to_owned(), true));
        }
        let ends = |letter: char| letter.is_whitespace() || "()=\"".contains(letter);
        let length = self.rest.find(ends).unwrap_or(self.rest.len());
        if length == 0 {
            return Err(wrong("a term is missing"));
        }
        let (text, rest) = self.rest.split_at(length);
        self.rest = rest;
        Ok((text.to_owned(), false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn finds(text: &str) -> Result<bool, SearchError> {
        let dimensions = [
            ("LoadBalancer".to_owned(), "app/web/1".to_owned()),
            ("TargetGroup".to_owned(), "targetgroup/blue/2".to_owned()),
        ];
        let search = Search::parse(text)?;
        Ok(search.finds(&Found {
            namespace: "AWS/ApplicationELB",
            name: "RequestCount",
            dimensions: &dimensions,
        }))
    }

    #[test]
    fn metrics_are_found() {
        for (text, wanted) in [
            ("", true),
            ("{AWS/ApplicationELB,TargetGroup,LoadBalancer}", true),
            ("{AWS/ApplicationELB, \"LoadBalancer\"}", false),
            ("{Other,TargetGroup,LoadBalancer} RequestCount", false),
            ("{AWS/ApplicationELB,TargetGroup,LoadBalancer} RequestCount", true),
            ("request", true),
            ("\"Request\"", false),
            ("MetricName=\"RequestCount\"", true),
            ("MetricName=\"Request\"", false),
            ("MetricName=Request", true),
            ("TargetGroup=blue LoadBalancer=web", true),
            ("TargetGroup=blue AND LoadBalancer=api", false),
            ("green OR blue", true),
            ("NOT green", true),
            ("web NOT (green OR blue)", false),
            ("Namespace=\"AWS/ApplicationELB\"", true),
        ] {
            assert_eq!(finds(text), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn wrong_searches_are_refused() {
        for text in ["{A", "{}", "(a", "a)", "\"a", "MetricName=", "=", "a AND"] {
            assert!(finds(text).is_err(), "{text}");
        }
        assert!(finds(&"(".repeat(5000)).is_err());
        assert!(finds(&"NOT ".repeat(5000)).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in any::<String>()) {
            let _ = finds(&text);
        }
    }
}
