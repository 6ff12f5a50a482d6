//! The tables of a listener's rules, by the text that they match. A long text is read for eight tables at once, and
//! only once for each eight: the results are kept until the request is decided.

use crate::facts::Facts;
use crate::table::{LANES, Table, fits_which};

/// Shorter texts are read for one table at a time, because most rules after the one that matches need not be evaluated.
const LONG: usize = 256;

/// The text that a table matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Host,
    Path,
    Query,
    /// Each value of this header.
    Header(Box<str>),
}

/// Identifies a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lane {
    subject: usize,
    table: usize,
}

#[derive(Debug)]
struct TableGroup {
    subject: Subject,
    tables: Vec<Table>,
    /// Number of blocks of eight tables in the groups before this one.
    before: usize,
}

/// All tables of a listener.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    groups: Vec<TableGroup>,
}

/// A request, and the results of reading its texts for blocks of eight tables.
pub(crate) struct Reading<'a> {
    pub(crate) facts: Facts<'a>,
    /// The normal form of the path.
    pub(crate) path: &'a [u8],
    read: Vec<Option<u8>>,
}

impl<'a> Reading<'a> {
    pub(crate) fn new(facts: Facts<'a>, path: &'a [u8]) -> Reading<'a> {
        Reading {
            facts,
            path,
            read: Vec::new(),
        }
    }

    /// The text itself, if there is exactly one; otherwise the header's name.
    fn text<'s>(&self, subject: &'s Subject) -> Result<&'a [u8], &'s str> {
        match subject {
            Subject::Host => Ok(self.facts.host),
            Subject::Path => Ok(self.path),
            Subject::Query => Ok(self.facts.query),
            Subject::Header(name) => Err(name),
        }
    }

    /// Whether any of the subject's texts fits.
    pub(crate) fn any(&self, subject: &Subject, mut fits: impl FnMut(&[u8]) -> bool) -> bool {
        match self.text(subject) {
            Ok(text) => fits(text),
            Err(name) => self.facts.headers.any(name, &mut fits),
        }
    }
}

impl Lanes {
    /// Adds a table. Tables come in the order of the rules, so that those evaluated together lie together.
    pub(crate) fn add(&mut self, subject: &Subject, table: Table) -> Lane {
        let group = match self.groups.iter().position(|group| group.subject == *subject) {
            Some(group) => group,
            None => {
                self.groups.push(TableGroup {
                    subject: subject.clone(),
                    tables: Vec::new(),
                    before: 0,
                });
                self.groups.len() - 1
            }
        };
        let tables = &mut self.groups[group].tables;
        tables.push(table);
        let lane = Lane {
            subject: group,
            table: tables.len() - 1,
        };
        let mut before = 0;
        for group in &mut self.groups {
            group.before = before;
            before += group.tables.len().div_ceil(LANES);
        }
        lane
    }

    fn eights(&self) -> usize {
        self.groups
            .last()
            .map_or(0, |last| last.before + last.tables.len().div_ceil(LANES))
    }

    /// Whether any text of the table's subject matches it.
    pub(crate) fn fits(&self, lane: Lane, reading: &mut Reading<'_>) -> bool {
        let group = &self.groups[lane.subject];
        if let Ok(text) = reading.text(&group.subject)
            && text.len() < LONG
        {
            return group.tables[lane.table].fits(text);
        }
        let eight = lane.table / LANES;
        let at = group.before + eight;
        let known = reading.read.get(at).copied().flatten();
        let bits = known.unwrap_or_else(|| {
            let rest = &group.tables[eight * LANES..];
            let tables = &rest[..rest.len().min(LANES)];
            let mut bits = 0;
            reading.any(&group.subject, |text| {
                bits |= fits_which(tables, text);
                false
            });
            reading.read.resize(self.eights().max(reading.read.len()), None);
            reading.read[at] = Some(bits);
            bits
        });
        bits >> (lane.table % LANES) & 1 == 1
    }
}
