//! Conditions, compiled.

use crate::error::CompileError;
use crate::expression::{Expression, parse};
use crate::lanes::{Lane, Lanes, Reading, Subject};
use crate::pattern::{Ends, Pattern, pair};
use crate::spots::Spots;
use forebay_model::{Condition, QueryMatch, TextMatch};
use ipnet::IpNet;
use regex_syntax::hir::Hir;

/// A condition. The variants are ordered by cost; a rule's cheapest conditions are evaluated first.
#[derive(Debug)]
pub(crate) enum Compiled {
    Method(Box<[Box<[u8]>]>),
    Source(Box<[IpNet]>),
    /// At least one of these texts must match.
    Texts(Texts),
}

/// The alternatives for one text of a request, of which one must match.
#[derive(Debug)]
pub(crate) struct Texts {
    subject: Subject,
    ends: Box<[Ends]>,
    lanes: Box<[Lane]>,
    spots: Box<[Spots]>,
}

impl Texts {
    fn new(
        subject: Subject,
        texts: &TextMatch,
        any_case: bool,
        lanes: &mut Lanes,
    ) -> Result<Texts, CompileError> {
        match texts {
            TextMatch::Wildcards(values) => {
                let patterns = values.iter().map(|value| Pattern::new(value, any_case));
                let mut ends = Vec::new();
                let mut others = Vec::new();
                for (pattern, value) in patterns.zip(values) {
                    match pattern.ends() {
                        Some(simple) => ends.push(simple),
                        None => others.push((value.as_str(), pattern.whole())),
                    }
                }
                Texts::of(subject, ends, others, lanes)
            }
            TextMatch::Regexes(values) => {
                let parsed = values
                    .iter()
                    .map(|value| Ok((value.as_str(), parse(value, any_case)?)));
                let parsed = parsed.collect::<Result<_, CompileError>>()?;
                Texts::of(subject, Vec::new(), parsed, lanes)
            }
        }
    }

    fn query(pairs: &[QueryMatch], lanes: &mut Lanes) -> Result<Texts, CompileError> {
        let pairs = pairs.iter().map(|wanted| {
            let key = wanted.key.as_deref().filter(|key| !key.is_empty());
            let key = key.map(|key| Pattern::escaped(key, true));
            let value = Pattern::escaped(&wanted.value, true);
            (wanted.value.as_str(), pair(key.as_ref(), &value))
        });
        Texts::of(Subject::Query, Vec::new(), pairs.collect(), lanes)
    }

    /// `others` pairs each expression with the value that the API was given, which errors name.
    fn of(
        subject: Subject,
        ends: Vec<Ends>,
        others: Vec<(&str, Hir)>,
        lanes: &mut Lanes,
    ) -> Result<Texts, CompileError> {
        let (mut taken, mut spots) = (Vec::new(), Vec::new());
        let (names, hirs): (Vec<&str>, Vec<Hir>) = others.into_iter().unzip();
        let expressions = Expression::any_of(hirs).map_err(|at| CompileError::too_big(names[at]))?;
        for expression in expressions {
            match expression {
                Expression::Table(table) => taken.push(lanes.add(&subject, table)),
                Expression::Spots(some) => spots.push(*some),
            }
        }
        Ok(Texts {
            subject,
            ends: ends.into(),
            lanes: taken.into(),
            spots: spots.into(),
        })
    }

    fn fit(&self, reading: &mut Reading<'_>, lanes: &Lanes) -> bool {
        // In the order of cost: literal ends, tables, positions.
        (!self.ends.is_empty()
            && reading.any(&self.subject, |text| self.ends.iter().any(|ends| ends.fits(text))))
            || self.lanes.iter().any(|&lane| lanes.fits(lane, reading))
            || (!self.spots.is_empty()
                && reading.any(&self.subject, |text| {
                    self.spots.iter().any(|spots| spots.fits(text))
                }))
    }
}

impl Compiled {
    pub(crate) fn new(condition: &Condition, lanes: &mut Lanes) -> Result<Compiled, CompileError> {
        Ok(match condition {
            Condition::HostHeader(texts) => Compiled::Texts(Texts::new(Subject::Host, texts, true, lanes)?),
            Condition::PathPattern(texts) => Compiled::Texts(Texts::new(Subject::Path, texts, false, lanes)?),
            Condition::HttpHeader { name, values } => {
                let subject = Subject::Header(name.to_ascii_lowercase().into());
                Compiled::Texts(Texts::new(subject, values, true, lanes)?)
            }
            Condition::QueryString(pairs) => Compiled::Texts(Texts::query(pairs, lanes)?),
            Condition::Method(methods) => {
                Compiled::Method(methods.iter().map(|method| method.as_bytes().into()).collect())
            }
            Condition::SourceIp(networks) => Compiled::Source(networks.iter().copied().collect()),
        })
    }

    /// Relative cost of the condition.
    pub(crate) fn cost(&self) -> u8 {
        match self {
            Compiled::Method(_) | Compiled::Source(_) => 0,
            Compiled::Texts(texts) if texts.lanes.is_empty() && texts.spots.is_empty() => 1,
            Compiled::Texts(texts) if texts.spots.is_empty() => 2,
            Compiled::Texts(_) => 3,
        }
    }

    /// Number of positions in its expressions.
    pub(crate) fn spots(&self) -> usize {
        match self {
            Compiled::Texts(texts) => texts.spots.iter().map(Spots::count).sum(),
            Compiled::Method(_) | Compiled::Source(_) => 0,
        }
    }

    /// Whether the condition holds; `lanes` are those of its listener.
    pub(crate) fn holds(&self, reading: &mut Reading<'_>, lanes: &Lanes) -> bool {
        match self {
            Compiled::Texts(texts) => texts.fit(reading, lanes),
            Compiled::Method(methods) => methods.iter().any(|method| **method == *reading.facts.method),
            Compiled::Source(networks) => {
                let source = reading.facts.source;
                networks.iter().any(|network| network.contains(&source))
            }
        }
    }
}
