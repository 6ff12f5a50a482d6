//! A set of small numbers that any thread may add to without a lock, and one thread at a time takes as a whole.

use crate::sync::{AtomicU64, AtomicUsize};
use core::sync::atomic::Ordering::SeqCst;
use std::sync::OnceLock;

/// Words of the first chunk; each further chunk has twice as many. Enough for 16 million numbers, at a word per 64.
const FIRST: usize = 64;
const CHUNKS: usize = 12;

/// The marked numbers. O(1) to mark; O(marked + highest / 4096) to take.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    chunks: [OnceLock<Box<[AtomicU64]>>; CHUNKS],
    /// Bit b is set if a word whose number is b modulo 64 has a mark.
    summary: AtomicU64,
    /// The highest chunk that exists.
    top: AtomicUsize,
}

/// The chunk of a word, and its position there.
fn place(word: usize) -> (usize, usize) {
    let chunk = (word / FIRST + 1).ilog2() as usize;
    (chunk, word - FIRST * ((1 << chunk) - 1))
}

impl Marks {
    /// Marks a number; numbers beyond the bound are ignored.
    pub(crate) fn set(&self, number: u32) {
        let word = number as usize / 64;
        let (chunk, at) = place(word);
        let Some(chunk_words) = self.chunks.get(chunk) else {
            return;
        };
        if chunk_words.get().is_none() {
            // Raised before the chunk exists, so that a thread that finds the mark's bit in the summary looks as far as
            // its chunk.
            self.top.fetch_max(chunk, SeqCst);
        }
        let words = chunk_words.get_or_init(|| (0..FIRST << chunk).map(|_| AtomicU64::new(0)).collect());
        // The word before the summary: a thread that takes the summary's bit then finds the word's bit. If the bit is
        // already set, it is taken later than now, and the thread that takes it reads the counter after that.
        add(&words[at], number % 64);
        add(&self.summary, (word % 64) as u32);
    }

    /// Takes all marks. Only one thread may do so at a time, or marks are split between them.
    pub(crate) fn take(&self, mut each: impl FnMut(u32)) {
        if self.summary.load(SeqCst) == 0 {
            return;
        }
        let mut summary = self.summary.swap(0, SeqCst);
        let top = self.top.load(SeqCst);
        while summary != 0 {
            let low = summary.trailing_zeros() as usize;
            summary &= summary - 1;
            let mut word = low;
            // Chunks are made in any order; one that does not exist has no marks.
            loop {
                let (chunk, at) = place(word);
                if chunk > top {
                    break;
                }
                let Some(words) = self.chunks[chunk].get() else {
                    // On to the next chunk's first word with this remainder modulo 64.
                    word += FIRST << chunk;
                    continue;
                };
                let mut bits = match words[at].load(SeqCst) {
                    0 => 0,
                    _ => words[at].swap(0, SeqCst),
                };
                while bits != 0 {
                    each((word * 64) as u32 + bits.trailing_zeros());
                    bits &= bits - 1;
                }
                word += 64;
            }
        }
    }
}

fn add(word: &AtomicU64, bit: u32) {
    let bit = 1 << bit;
    if word.load(SeqCst) & bit == 0 {
        word.fetch_or(bit, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn chunks_follow_each_other() {
        let mut next = (0, 0);
        for word in 0..20_000 {
            assert_eq!(place(word), next);
            next.1 += 1;
            if next.1 == FIRST << next.0 {
                next = (next.0 + 1, 0);
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_marked_is_taken_once(rounds in proptest::collection::vec(proptest::collection::vec(0_u32..200_000, 0..40), 1..10)) {
            let marks = Marks::default();
            for round in rounds {
                round.iter().for_each(|&number| marks.set(number));
                let mut taken = Vec::new();
                marks.take(|number| taken.push(number));
                let wanted: BTreeSet<u32> = round.into_iter().collect();
                prop_assert_eq!(taken.len(), wanted.len());
                prop_assert_eq!(taken.into_iter().collect::<BTreeSet<_>>(), wanted);
                marks.take(|_| panic!("taken twice"));
            }
        }
    }
}
