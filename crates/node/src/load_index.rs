//! The order of a group's targets by load, which all workers share, and whether it is kept.
//!
//! The truth is each target's own counters. A group balanced by least outstanding requests also keeps a
//! `LeastLoadedIndex` (one per zone with cross-zone off), under a short lock that only picks take. Any other change of
//! a count marks the target's number, without a lock; a pick first updates all marked entries from the counters. An
//! update is idempotent, so the index cannot drift. Marks, the flag and the counters are sequentially consistent, so
//! switching the order on misses no change: either the changer sees the flag, or the code that fills the index sees the
//! count.

use crate::ids::{TargetId, ZoneId};
use crate::load::Counted;
use crate::lock::lock;
use crate::shared_load::{NOT_INDEXED, SharedLoad};
use crate::stats::TargetStats;
use crate::sync::Mutex;
use crate::target::TargetView;
use core::sync::atomic::Ordering::{Relaxed, SeqCst};
use forebay_balance::LeastLoadedIndex;
use forebay_units::Rng;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The targets of one least-loaded index: those of a zone, or all.
pub(crate) type Side = Option<ZoneId>;
/// The targets of each least-loaded index, by id, ascending.
pub(crate) type Sides = BTreeMap<Side, Vec<Arc<TargetView>>>;

/// One per group; outlives snapshots.
#[derive(Debug, Default)]
pub struct LoadIndex {
    pub(crate) shared: Arc<SharedLoad>,
    order: Mutex<Order>,
    /// The members as last arranged. Locked by the slow path only.
    arranged: Mutex<Sides>,
}

#[derive(Debug, Default)]
struct Order {
    indexes: Vec<(Side, LeastLoadedIndex)>,
    /// By number in the index; the counters beside the view, so that both are fetched at once.
    views: Vec<Option<(Arc<TargetView>, Arc<TargetStats>)>>,
    free: Vec<u32>,
}

impl Order {
    /// Updates an entry from its target's load and weight.
    fn set(&mut self, index: u32) {
        let Some(Some((_, stats))) = self.views.get(index as usize) else {
            return;
        };
        for (_, least_loaded) in &mut self.indexes {
            if least_loaded.contains(index) {
                least_loaded.set(index, stats.load(), stats.weight());
            }
        }
    }

    fn least_loaded(&mut self, side: Side) -> Option<&mut LeastLoadedIndex> {
        let mut indexes = self.indexes.iter_mut();
        indexes.find(|entry| entry.0 == side).map(|entry| &mut entry.1)
    }

    fn leave(&mut self, side: Side, view: &TargetView) {
        let index = view.stats.index.load(Relaxed);
        if let Some(least_loaded) = self.least_loaded(side) {
            least_loaded.remove(index);
        }
        if index != NOT_INDEXED && !self.indexes.iter().any(|entry| entry.1.contains(index)) {
            view.stats.index.store(NOT_INDEXED, SeqCst);
            self.views[index as usize] = None;
            self.free.push(index);
        }
    }

    fn enter(&mut self, side: Side, view: &Arc<TargetView>) {
        let stats = &view.stats;
        if stats.index.load(Relaxed) == NOT_INDEXED {
            let index = self.free.pop().unwrap_or_else(|| {
                self.views.push(None);
                u32::try_from(self.views.len() - 1).unwrap_or(NOT_INDEXED)
            });
            stats.index.store(index, SeqCst);
        }
        let index = stats.index.load(Relaxed);
        self.views[index as usize] = Some((Arc::clone(view), Arc::clone(stats)));
        if let Some(least_loaded) = self.least_loaded(side) {
            least_loaded.set(index, stats.load(), stats.weight());
        }
    }
}

impl LoadIndex {
    /// Whether any target's weight may be less than full.
    pub fn is_weighted(&self) -> bool {
        self.shared.is_weighted()
    }

    pub(crate) fn set_weighted(&self, weighted: bool) {
        self.shared.set_weighted(weighted);
    }

    pub(crate) fn set_timed(&self, timed: bool) {
        self.shared.set_timed(timed);
    }

    /// Takes a target of least load over weight and counts the request there, under one lock, so that two workers never
    /// take the same last place.
    pub(crate) fn take_least(&self, side: Side, refused: &[TargetId], rng: &mut Rng) -> Option<Counted> {
        if !self.shared.ordered.load(SeqCst) {
            return None;
        }
        let mut order = lock(&self.order);
        self.shared.marks.take(|index| order.set(index));
        let mut besides = Vec::new();
        loop {
            let least_loaded = order.least_loaded(side)?;
            let index = if besides.is_empty() {
                least_loaded.least(rng)?
            } else {
                least_loaded.least_besides(&besides, rng)?
            };
            least_loaded.foresee(index);
            let (view, stats) = order.views.get(index as usize)?.as_ref()?;
            // Read before anything is written: a locked write would wait for the first cache miss, and only then start
            // the next.
            let (before, id) = (stats.load(), view.id);
            if !refused.is_empty() && refused.contains(&id) {
                besides.push(index);
                continue;
            }
            let view = Arc::clone(view);
            stats.in_flight.fetch_add(1, SeqCst);
            order.set(index);
            return Some(Counted::already(view, before));
        }
    }

    /// Replaces the members of each side, at once for all workers, whatever snapshot they hold. All members are
    /// compared outside the lock; the lock is held only for what changed.
    pub(crate) fn arrange(&self, wanted: Sides) {
        self.shared.ordered.store(true, SeqCst);
        let mut arranged = lock(&self.arranged);
        let gone = missing(&arranged, &wanted);
        let new = missing(&wanted, &arranged);
        let mut order = lock(&self.order);
        for side in wanted.keys() {
            if order.least_loaded(*side).is_none() {
                order.indexes.push((*side, LeastLoadedIndex::default()));
            }
        }
        gone.iter().for_each(|(side, view)| order.leave(*side, view));
        new.iter().for_each(|(side, view)| order.enter(*side, view));
        order.indexes.retain(|entry| wanted.contains_key(&entry.0));
        drop(order);
        *arranged = wanted;
    }

    /// Keeps no order and no targets.
    pub(crate) fn dissolve(&self) {
        self.shared.ordered.store(false, SeqCst);
        lock(&self.arranged).clear();
        let mut order = lock(&self.order);
        for (_, stats) in order.views.iter().flatten() {
            stats.index.store(NOT_INDEXED, SeqCst);
        }
        *order = Order::default();
    }
}

/// The members of `these` that are not in `those`. O(members).
fn missing(these: &Sides, those: &Sides) -> Vec<(Side, Arc<TargetView>)> {
    let mut found = Vec::new();
    for (side, members) in these {
        let mut others = those.get(side).into_iter().flatten().peekable();
        for view in members {
            while others.next_if(|other| other.id < view.id).is_some() {}
            if others.next_if(|other| other.id == view.id).is_none() {
                found.push((*side, Arc::clone(view)));
            }
        }
    }
    found
}
