//! An expression as a table (a DFA): one look-up per byte, whatever the expression and whatever the text.
//!
//! A step has to wait for the one before it, so one table takes 2 ns per byte. Eight tables that are walked side by
//! side take half a nanosecond each.

use regex_automata::dfa::dense::{Builder, Config, DFA};
use regex_automata::dfa::{Automaton, StartKind};
use regex_automata::nfa::thompson::NFA;
use regex_automata::util::primitives::StateID;
use regex_automata::util::start;
use regex_automata::{Anchored, MatchKind};
use std::collections::BTreeMap;

/// Maximum number of entries of a table: 128 KiB.
const ENTRIES: usize = 1 << 16;
/// Memory that making a table may use, in bytes: for its rows, and for the sets of states that they stand for. The
/// second also bounds the time, to some 20 ms.
const ROWS_BYTES: usize = 256 << 10;
const SETS_BYTES: usize = 128 << 10;
/// Bytes after which tables that are walked side by side check whether all are decided.
const BLOCK: usize = 256;
/// Number of tables walked side by side.
pub(crate) const LANES: usize = 8;

/// The row from which no text matches any more. The row after it is the one from which every text matches. Neither is
/// ever left.
const FAILED: u16 = 0;

/// A DFA that says which texts an expression matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    classes: Box<[u8; 256]>,
    /// Entries per row.
    width: u16,
    start: u16,
    /// For each row and each class of bytes, the next row.
    next: Box<[u16]>,
    /// For each row, whether a text that ends there matches.
    ends: Box<[bool]>,
}

impl Table {
    /// `None` if the table would be too big.
    pub(crate) fn new(nfa: &NFA, anchored: bool) -> Option<Table> {
        let kind = if anchored {
            StartKind::Anchored
        } else {
            StartKind::Unanchored
        };
        let config = Config::new()
            .start_kind(kind)
            .match_kind(MatchKind::LeftmostFirst)
            .accelerate(false)
            .dfa_size_limit(Some(ROWS_BYTES))
            .determinize_size_limit(Some(SETS_BYTES));
        let dfa = Builder::new().configure(config).build_from_nfa(nfa).ok()?;
        let anchor = if anchored { Anchored::Yes } else { Anchored::No };
        let start = dfa.start_state(&start::Config::new().anchored(anchor)).ok()?;
        Table::of(&dfa, start)
    }

    /// Copies the part of the DFA that can be reached before a match; nothing after that is needed.
    fn of(dfa: &DFA<Vec<u32>>, start: StateID) -> Option<Table> {
        let classes: Box<[u8; 256]> =
            Box::new(core::array::from_fn(|byte| dfa.byte_classes().get(byte as u8)));
        // The last class stands for the end of the text.
        let width = dfa.byte_classes().alphabet_len() - 1;
        let mut bytes = vec![0; width];
        for (byte, &class) in classes.iter().enumerate() {
            bytes[usize::from(class)] = byte as u8;
        }
        let mut rows: BTreeMap<StateID, u16> = BTreeMap::new();
        let mut order = Vec::new();
        let mut next = vec![FAILED; width];
        next.extend(core::iter::repeat_n(width as u16, width));
        let mut ends = vec![false, true];
        let mut row_of = |state: StateID, order: &mut Vec<StateID>| {
            if dfa.is_dead_state(state) || dfa.is_quit_state(state) {
                return Some(FAILED);
            }
            if dfa.is_match_state(state) {
                return Some(width as u16);
            }
            if let Some(&row) = rows.get(&state) {
                return Some(row);
            }
            let row = (order.len() + 2) * width;
            if row + width > ENTRIES {
                return None;
            }
            rows.insert(state, row as u16);
            order.push(state);
            Some(row as u16)
        };
        let start = row_of(start, &mut order)?;
        let mut at = 0;
        while let Some(&state) = order.get(at) {
            at += 1;
            for &byte in &bytes {
                next.push(row_of(dfa.next_state(state, byte), &mut order)?);
            }
            ends.push(dfa.is_match_state(dfa.next_eoi_state(state)));
        }
        Some(Table {
            classes,
            width: width as u16,
            start,
            next: next.into(),
            ends: ends.into(),
        })
    }

    pub(crate) fn fits(&self, text: &[u8]) -> bool {
        let mut row = self.start;
        for &byte in text {
            row = self.next[usize::from(row) + usize::from(self.classes[usize::from(byte)])];
            // Both final rows are the lowest ones, so that one comparison finds either.
            if row <= self.width {
                break;
            }
        }
        self.ends_in(row)
    }

    fn ends_in(&self, row: u16) -> bool {
        self.ends[usize::from(row / self.width)]
    }
}

/// The tables, of at most [`LANES`], that this text matches: a bit for each.
pub(crate) fn fits_which(tables: &[Table], text: &[u8]) -> u8 {
    match tables {
        [a, b, c, d, e, f, g, h, ..] => side_by_side([a, b, c, d, e, f, g, h], text),
        [a, b, c, d, rest @ ..] => side_by_side([a, b, c, d], text) | fits_which(rest, text) << 4,
        [a, b, rest @ ..] => side_by_side([a, b], text) | fits_which(rest, text) << 2,
        [a] => u8::from(a.fits(text)),
        [] => 0,
    }
}

fn side_by_side<const N: usize>(tables: [&Table; N], text: &[u8]) -> u8 {
    let classes = tables.map(|table| &*table.classes);
    let next = tables.map(|table| &*table.next);
    let mut rows = tables.map(|table| table.start);
    for block in text.chunks(BLOCK) {
        for &byte in block {
            for lane in 0..N {
                let class = classes[lane][usize::from(byte)];
                rows[lane] = next[lane][usize::from(rows[lane]) + usize::from(class)];
            }
        }
        if (0..N).all(|lane| rows[lane] <= tables[lane].width) {
            break;
        }
    }
    (0..N).fold(0, |bits, lane| {
        bits | u8::from(tables[lane].ends_in(rows[lane])) << lane
    })
}
