//! Conditions, compiled.

use crate::REGEX_BYTES;
use crate::facts::Facts;
use crate::pattern::Pattern;
use crate::rules::CompileError;
use forebay_model::{Condition, TextMatch};
use ipnet::IpNet;
use regex::bytes::{Regex, RegexBuilder};

#[derive(Debug)]
pub(crate) enum Texts {
    Patterns(Box<[Pattern]>),
    Regexes(Box<[Regex]>),
}

impl Texts {
    fn compile(texts: &TextMatch, any_case: bool) -> Result<Texts, CompileError> {
        match texts {
            TextMatch::Wildcards(values) => Ok(Texts::Patterns(
                values.iter().map(|value| Pattern::new(value, any_case)).collect(),
            )),
            TextMatch::Regexes(values) => Ok(Texts::Regexes(
                values
                    .iter()
                    .map(|value| regex(value, any_case))
                    .collect::<Result<_, _>>()?,
            )),
        }
    }

    fn matches(&self, text: &[u8]) -> bool {
        match self {
            Texts::Patterns(patterns) => patterns.iter().any(|pattern| pattern.matches(text)),
            Texts::Regexes(regexes) => regexes.iter().any(|regex| regex.is_match(text)),
        }
    }
}

pub(crate) fn regex(text: &str, any_case: bool) -> Result<Regex, CompileError> {
    RegexBuilder::new(text)
        .case_insensitive(any_case)
        .size_limit(REGEX_BYTES)
        .dfa_size_limit(REGEX_BYTES)
        .unicode(false)
        .build()
        .map_err(|error| CompileError {
            regex: text.to_owned(),
            error: error.to_string(),
        })
}

#[derive(Debug)]
pub(crate) enum Compiled {
    Host(Texts),
    Path(Texts),
    Header(Box<str>, Texts),
    Method(Box<[Box<[u8]>]>),
    Query(Box<[(Option<Pattern>, Pattern)]>),
    Source(Box<[IpNet]>),
}

impl Compiled {
    pub(crate) fn new(condition: &Condition) -> Result<Compiled, CompileError> {
        Ok(match condition {
            Condition::HostHeader(texts) => Compiled::Host(Texts::compile(texts, true)?),
            Condition::PathPattern(texts) => Compiled::Path(Texts::compile(texts, false)?),
            Condition::HttpHeader { name, values } => {
                Compiled::Header(name.as_str().into(), Texts::compile(values, true)?)
            }
            Condition::Method(methods) => {
                Compiled::Method(methods.iter().map(|method| method.as_bytes().into()).collect())
            }
            Condition::QueryString(pairs) => Compiled::Query(
                pairs
                    .iter()
                    .map(|pair| {
                        let key = pair.key.as_deref().filter(|key| !key.is_empty());
                        (
                            key.map(|key| Pattern::escaped(key, true)),
                            Pattern::escaped(&pair.value, true),
                        )
                    })
                    .collect(),
            ),
            Condition::SourceIp(networks) => Compiled::Source(networks.iter().copied().collect()),
        })
    }

    /// Whether it holds; `path` is the normal form of the facts' path, made once for all rules.
    pub(crate) fn holds(&self, facts: &Facts<'_>, path: &[u8]) -> bool {
        match self {
            Compiled::Host(texts) => texts.matches(facts.host),
            Compiled::Path(texts) => texts.matches(path),
            Compiled::Header(name, texts) => facts.headers.any(name, &mut |value| texts.matches(value)),
            Compiled::Method(methods) => methods.iter().any(|method| **method == *facts.method),
            Compiled::Query(pairs) => facts.query.split(|&byte| byte == b'&').any(|part| {
                let cut = memchr::memchr(b'=', part).unwrap_or(part.len());
                let (key, value) = (&part[..cut], part.get(cut + 1..).unwrap_or_default());
                !part.is_empty()
                    && pairs.iter().any(|(wanted, pattern)| {
                        wanted.as_ref().is_none_or(|wanted| wanted.matches(key)) && pattern.matches(value)
                    })
            }),
            Compiled::Source(networks) => networks.iter().any(|network| network.contains(&facts.source)),
        }
    }
}
