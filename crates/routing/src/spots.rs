//! An expression as a position automaton (Glushkov): the positions that may take the next byte are a set of bits. For
//! expressions whose table would be too big; a byte costs at most some 80 ns, whatever the text.

use regex_automata::nfa::thompson::{NFA, State};
use regex_automata::util::look::Look;
use regex_automata::util::primitives::StateID;
use std::collections::{BTreeMap, BTreeSet};

/// Maximum number of positions of an expression: what fits into four words.
const SPOTS: usize = 256;

/// Steps spent on finding how wide an expression is. After them it counts as being as wide as it could be.
const STEPS: usize = 1 << 20;

/// The positions that can be reached from the start, or from behind a position, without taking a byte.
#[derive(Clone, Debug, Default)]
struct Reach {
    spots: Vec<usize>,
    /// Whether a match is reached.
    matches: bool,
    /// The states passed on the way, one bit each.
    passed: Vec<u64>,
}

/// A position: the bytes that it takes, and the state behind it.
struct Spot {
    ranges: Vec<(u8, u8)>,
    behind: StateID,
}

/// The positions of an expression, and those at each of its states.
struct Map<'a> {
    nfa: &'a NFA,
    spots: Vec<Spot>,
    at: Vec<Vec<usize>>,
}

impl Map<'_> {
    fn new(nfa: &NFA) -> Map<'_> {
        let mut map = Map {
            nfa,
            spots: Vec::new(),
            at: Vec::new(),
        };
        for state in nfa.states() {
            let mut ranges: BTreeMap<StateID, Vec<(u8, u8)>> = BTreeMap::new();
            match state {
                State::ByteRange { trans } => {
                    ranges
                        .entry(trans.next)
                        .or_default()
                        .push((trans.start, trans.end));
                }
                State::Sparse(sparse) => {
                    for trans in &*sparse.transitions {
                        ranges
                            .entry(trans.next)
                            .or_default()
                            .push((trans.start, trans.end));
                    }
                }
                State::Dense(dense) => {
                    for (byte, &next) in (0..=255).zip(&*dense.transitions) {
                        ranges.entry(next).or_default().push((byte, byte));
                    }
                }
                _ => {}
            }
            let first = map.spots.len();
            map.spots
                .extend(ranges.into_iter().map(|(behind, ranges)| Spot { ranges, behind }));
            map.at.push((first..map.spots.len()).collect());
        }
        map
    }

    /// The positions that can be reached from a state without taking a byte, where the assertions that `holds` accepts
    /// are true.
    fn reach(&self, from: StateID, holds: impl Fn(Look) -> bool) -> Reach {
        let mut reach = Reach::default();
        let mut seen = BTreeSet::new();
        let mut open = vec![from];
        while let Some(id) = open.pop() {
            if !seen.insert(id) {
                continue;
            }
            reach.spots.extend(&self.at[id.as_usize()]);
            match self.nfa.state(id) {
                State::Look { look, next } if holds(*look) => open.push(*next),
                State::Union { alternates } => open.extend(alternates.iter().copied()),
                State::BinaryUnion { alt1, alt2 } => open.extend([*alt1, *alt2]),
                State::Capture { next, .. } => open.push(*next),
                State::Match { .. } => reach.matches = true,
                _ => {}
            }
        }
        reach.passed = vec![0; self.at.len().div_ceil(64)];
        for id in seen {
            reach.passed[id.as_usize() / 64] |= 1 << (id.as_usize() % 64);
        }
        reach
    }

    /// One byte of each class that the expression distinguishes.
    fn kinds(&self) -> Vec<u8> {
        let classes = self.nfa.byte_classes();
        let mut kinds: BTreeMap<u8, u8> = BTreeMap::new();
        for byte in 0..=255 {
            kinds.entry(classes.get(byte)).or_insert(byte);
        }
        kinds.into_values().collect()
    }
}

impl Spot {
    fn takes(&self, byte: u8) -> bool {
        self.ranges
            .iter()
            .any(|&(low, high)| (low..=high).contains(&byte))
    }
}

/// Upper bound on the states visited per byte of a text, whatever the text, by a search that visits none twice.
pub(crate) fn width(nfa: &NFA) -> usize {
    let map = Map::new(nfa);
    let any = |_| true;
    let start = map.reach(nfa.start_anchored(), any);
    // The search starts anew at each later byte.
    let later = map.reach(nfa.start_anchored(), |look| look != Look::Start);
    let behind: Vec<Reach> = map.spots.iter().map(|spot| map.reach(spot.behind, any)).collect();
    let kinds = map.kinds();
    let begin: BTreeSet<usize> = later.spots.iter().copied().collect();
    let first: BTreeSet<usize> = start.spots.into_iter().collect();
    let mut seen = BTreeSet::from([first.clone()]);
    let mut open = vec![first];
    let count = |states: &[u64]| -> usize { states.iter().map(|word| word.count_ones() as usize).sum() };
    let (mut widest, mut steps) = (count(&start.passed), 0);
    while let Some(set) = open.pop() {
        for &byte in &kinds {
            let (mut next, mut passed) = (begin.clone(), later.passed.clone());
            steps += set.len() + passed.len();
            for &spot in set.iter().filter(|&&spot| map.spots[spot].takes(byte)) {
                steps += behind[spot].spots.len() + passed.len();
                join(&mut passed, &behind[spot].passed);
                next.extend(&behind[spot].spots);
            }
            widest = widest.max(count(&passed));
            if steps > STEPS {
                return nfa.states().len();
            }
            if !seen.contains(&next) {
                seen.insert(next.clone());
                open.push(next);
            }
        }
    }
    widest
}

/// A set of positions, one bit each.
type Set = [u64; SPOTS / 64];

/// An expression of at most [`SPOTS`] positions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spots {
    count: usize,
    /// For each byte, the positions that take it.
    takes: Box<[Set; 256]>,
    /// For each four positions and each subset of them, the positions that may be next.
    follow: Box<[[Set; 16]]>,
    /// The positions that may be first, and those that may start a match at a later byte.
    first: Set,
    later: Set,
    /// The positions after which a match ends: anywhere, and at the end of the text.
    last: Set,
    last_of_all: Set,
    /// Whether it matches the empty text, every text, and the end of every text.
    empty: bool,
    anything: bool,
    end: bool,
}

impl Spots {
    /// `None` if it has too many positions, or has assertions other than start and end of text.
    pub(crate) fn new(nfa: &NFA) -> Option<Spots> {
        let map = Map::new(nfa);
        let count = map.spots.len();
        let asks = nfa.look_set_any();
        if count > SPOTS
            || asks.remove(Look::Start).remove(Look::End) != regex_automata::util::look::LookSet::empty()
        {
            return None;
        }
        let set = |reach: &Reach| {
            reach.spots.iter().fold(Set::default(), |mut set, &spot| {
                set[spot / 64] |= 1 << (spot % 64);
                set
            })
        };
        let reach = |from: StateID, start: bool, end: bool| {
            map.reach(from, |look| match look {
                Look::Start => start,
                _ => end,
            })
        };
        let start = nfa.start_anchored();
        let mut spots = Spots {
            count,
            takes: Box::new([Set::default(); 256]),
            follow: vec![[Set::default(); 16]; count.div_ceil(4)].into(),
            first: set(&reach(start, true, false)),
            later: set(&reach(start, false, false)),
            last: Set::default(),
            last_of_all: Set::default(),
            empty: reach(start, true, true).matches,
            anything: reach(start, true, false).matches,
            end: reach(start, false, true).matches,
        };
        for (number, spot) in map.spots.iter().enumerate() {
            let (word, bit) = (number / 64, 1 << (number % 64));
            for byte in (0..=255).filter(|&byte| spot.takes(byte)) {
                spots.takes[usize::from(byte)][word] |= bit;
            }
            let behind = reach(spot.behind, false, false);
            if behind.matches {
                spots.last[word] |= bit;
            }
            if reach(spot.behind, false, true).matches {
                spots.last_of_all[word] |= bit;
            }
            let behind = set(&behind);
            for sets in (0..16).filter(|sets| sets >> (number % 4) & 1 == 1) {
                join(&mut spots.follow[number / 4][sets], &behind);
            }
        }
        Some(spots)
    }

    /// Number of positions.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn fits(&self, text: &[u8]) -> bool {
        let Some((&final_byte, before)) = text.split_last() else {
            return self.empty;
        };
        if self.anything || self.end {
            return true;
        }
        let mut open = self.first;
        for &byte in before {
            let taken = meet(&open, &self.takes[usize::from(byte)]);
            if meet(&taken, &self.last) != Set::default() {
                return true;
            }
            open = self.later;
            let quads = self.follow.chunks(16).zip(taken);
            for (follow, mut word) in quads {
                for sets in follow {
                    join(&mut open, &sets[(word & 15) as usize]);
                    word >>= 4;
                }
            }
        }
        let taken = meet(&open, &self.takes[usize::from(final_byte)]);
        meet(&taken, &self.last_of_all) != Set::default()
    }
}

fn meet(one: &Set, other: &Set) -> Set {
    core::array::from_fn(|at| one[at] & other[at])
}

fn join(to: &mut [u64], more: &[u64]) {
    for (to, more) in to.iter_mut().zip(more) {
        *to |= more;
    }
}
