//! The tables of a listener's rules, by what they look at. A long text is read for eight of them at once, and once for each eight:
//! what was read is kept until the request is decided.

use crate::facts::Facts;
use crate::table::{LANES, Table, fits_which};

/// Shorter texts are read for one table at a time: most rules that are looked at are not the last.
const LONG: usize = 256;

/// What a table looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Host,
    Path,
    Query,
    /// Each value of this header.
    Header(Box<str>),
}

/// Which table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lane {
    subject: usize,
    table: usize,
}

#[derive(Debug)]
struct TableGroup {
    subject: Subject,
    tables: Vec<Table>,
    /// Eights of tables on the shelves before.
    before: usize,
}

/// All tables of a listener.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    groups: Vec<TableGroup>,
}

/// A request, and what was read of it for eights of tables.
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

    /// The text that is looked at, where there is exactly one.
    fn text<'s>(&self, subject: &'s Subject) -> Result<&'a [u8], &'s str> {
        match subject {
            Subject::Host => Ok(self.facts.host),
            Subject::Path => Ok(self.path),
            Subject::Query => Ok(self.facts.query),
            Subject::Header(name) => Err(name),
        }
    }

    /// Whether one of the texts that are looked at fits.
    pub(crate) fn any(&self, subject: &Subject, mut fits: impl FnMut(&[u8]) -> bool) -> bool {
        match self.text(subject) {
            Ok(text) => fits(text),
            Err(name) => self.facts.headers.any(name, &mut fits),
        }
    }
}

impl Lanes {
    /// Tables come in the order of the rules, so that those that lie together are asked for together.
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

    /// Whether any text that it looks at fits this table.
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
