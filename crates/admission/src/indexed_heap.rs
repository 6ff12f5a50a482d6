//! Free targets by load: the least loaded first, and among equals the one that was taken longest ago.

/// Load, then turn; the smallest goes first.
type Rank = (u64, u64);
const NOWHERE: u32 = u32::MAX;

/// A binary heap that knows the position of each of its numbers.
#[derive(Debug, Default)]
pub(crate) struct IndexedHeap {
    heap: Vec<(Rank, u32)>,
    /// Positions in `heap` by number.
    at: Vec<u32>,
}

impl IndexedHeap {
    /// Inserts a number or changes its rank. O(log n).
    pub(crate) fn set(&mut self, number: u32, rank: Rank) {
        if number as usize >= self.at.len() {
            self.at.resize(number as usize + 1, NOWHERE);
        }
        let mut at = self.at[number as usize] as usize;
        if at == NOWHERE as usize {
            at = self.heap.len();
            self.heap.push((rank, number));
            self.at[number as usize] = at as u32;
        }
        self.heap[at].0 = rank;
        self.mend(at);
    }

    /// Takes a number out. O(log n).
    pub(crate) fn remove(&mut self, number: u32) {
        let Some(&at) = self.at.get(number as usize).filter(|&&at| at != NOWHERE) else {
            return;
        };
        self.heap.swap_remove(at as usize);
        self.at[number as usize] = NOWHERE;
        if let Some(&(_, moved)) = self.heap.get(at as usize) {
            self.at[moved as usize] = at;
            self.mend(at as usize);
        }
    }

    /// The number of the lowest rank that is not in `besides`. O(1), or O(n) if the very lowest is in it.
    pub(crate) fn least(&self, besides: &[u32]) -> Option<u32> {
        let &(_, top) = self.heap.first()?;
        if !besides.contains(&top) {
            return Some(top);
        }
        let others = self.heap.iter().filter(|(_, number)| !besides.contains(number));
        others.min().map(|&(_, number)| number)
    }

    /// Whether the heap is empty.
    pub(crate) fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        self.at[self.heap[a].1 as usize] = a as u32;
        self.at[self.heap[b].1 as usize] = b as u32;
    }

    fn mend(&mut self, mut at: usize) {
        while at > 0 && self.heap[at] < self.heap[(at - 1) / 2] {
            self.swap(at, (at - 1) / 2);
            at = (at - 1) / 2;
        }
        loop {
            let mut least = at;
            for child in [2 * at + 1, 2 * at + 2] {
                if child < self.heap.len() && self.heap[child] < self.heap[least] {
                    least = child;
                }
            }
            if least == at {
                return;
            }
            self.swap(at, least);
            at = least;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn least_is_least(steps in prop::collection::vec((0_u32..20, prop::option::of((0_u64..4, 0_u64..4)), 0_u32..20), 1..200)) {
            let (mut heap, mut map) = (IndexedHeap::default(), BTreeMap::new());
            for (number, rank, besides) in steps {
                match rank {
                    Some(rank) => { heap.set(number, rank); map.insert(number, rank); }
                    None => { heap.remove(number); map.remove(&number); }
                }
                let least = map.iter().filter(|(number, _)| **number != besides).map(|(&number, &rank)| (rank, number)).min();
                prop_assert_eq!(heap.least(&[besides]), least.map(|(_, number)| number));
                prop_assert_eq!(heap.is_empty(), map.is_empty());
            }
        }
    }
}
