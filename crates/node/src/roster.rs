//! What all workers share about a group's targets beyond their counters: whether the order of loads is kept, and the order.
//!
//! The truth is each target's own counters. A group that is balanced by least outstanding requests keeps a `Board` besides
//! (one for each zone with cross-zone off), under a short lock that only picks take. Whoever else changes a count marks the
//! target's seat as changed, without a lock; a pick first sets what is marked to the counts as they are then. Setting is
//! idempotent, so the board cannot drift; and since marks, the flag and the counts are sequentially consistent, switching
//! the order on misses no change: either the changer sees the flag, or the seeder sees the count.

use crate::ids::{TargetId, ZoneId};
use crate::load::Counted;
use crate::lock::lock;
use crate::shared_load::{NO_SEAT, SharedLoad};
use crate::stats::TargetStats;
use crate::target::TargetView;
use core::sync::atomic::Ordering::{Relaxed, SeqCst};
use forebay_balance::Board;
use forebay_units::Stream;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Which targets stand on a board together: those of a zone, or all.
pub(crate) type Side = Option<ZoneId>;
/// Who stands on each board, by id, ascending.
pub(crate) type Sides = BTreeMap<Side, Vec<Arc<TargetView>>>;

/// One per group; outlives pictures.
#[derive(Debug, Default)]
pub struct Roster {
    pub(crate) shared: Arc<SharedLoad>,
    order: Mutex<Order>,
    /// Who stands where, as the slow path last said. Locked by the slow path only.
    arranged: Mutex<Sides>,
}

#[derive(Debug, Default)]
struct Order {
    boards: Vec<(Side, Board)>,
    /// By seat; the counters beside the view, so that both are fetched at once.
    views: Vec<Option<(Arc<TargetView>, Arc<TargetStats>)>>,
    free: Vec<u32>,
}

impl Order {
    /// Sets a seat to its target's count and weight as they are now.
    fn set(&mut self, seat: u32) {
        let Some(Some((_, stats))) = self.views.get(seat as usize) else {
            return;
        };
        for (_, board) in &mut self.boards {
            if board.contains(seat) {
                board.set(seat, stats.load(), stats.weight());
            }
        }
    }

    fn board(&mut self, side: Side) -> Option<&mut Board> {
        let mut boards = self.boards.iter_mut();
        boards.find(|entry| entry.0 == side).map(|entry| &mut entry.1)
    }

    fn leave(&mut self, side: Side, view: &TargetView) {
        let seat = view.stats.seat.load(Relaxed);
        if let Some(board) = self.board(side) {
            board.remove(seat);
        }
        if seat != NO_SEAT && !self.boards.iter().any(|entry| entry.1.contains(seat)) {
            view.stats.seat.store(NO_SEAT, SeqCst);
            self.views[seat as usize] = None;
            self.free.push(seat);
        }
    }

    fn enter(&mut self, side: Side, view: &Arc<TargetView>) {
        let stats = &view.stats;
        if stats.seat.load(Relaxed) == NO_SEAT {
            let seat = self.free.pop().unwrap_or_else(|| {
                self.views.push(None);
                u32::try_from(self.views.len() - 1).unwrap_or(NO_SEAT)
            });
            stats.seat.store(seat, SeqCst);
        }
        let seat = stats.seat.load(Relaxed);
        self.views[seat as usize] = Some((Arc::clone(view), Arc::clone(stats)));
        if let Some(board) = self.board(side) {
            board.set(seat, stats.load(), stats.weight());
        }
    }
}

impl Roster {
    /// Whether some target's weight may be less than full.
    pub fn is_weighted(&self) -> bool {
        self.shared.is_weighted()
    }

    pub(crate) fn set_weighted(&self, weighted: bool) {
        self.shared.set_weighted(weighted);
    }

    pub(crate) fn set_timed(&self, timed: bool) {
        self.shared.set_timed(timed);
    }

    /// Takes a target of least load over weight and counts the request there: no two workers take the same last place.
    pub(crate) fn take_least(&self, side: Side, refused: &[TargetId], draws: &mut Stream) -> Option<Counted> {
        if !self.shared.ordered.load(SeqCst) {
            return None;
        }
        let mut order = lock(&self.order);
        self.shared.marks.take(|seat| order.set(seat));
        let mut besides = Vec::new();
        loop {
            let board = order.board(side)?;
            let seat = if besides.is_empty() {
                board.least(draws)?
            } else {
                board.least_besides(&besides, draws)?
            };
            board.foresee(seat);
            let (view, stats) = order.views.get(seat as usize)?.as_ref()?;
            // Read before anything is written: a write with a lock prefix would wait for the first miss, then the next.
            let (before, id) = (stats.load(), view.id);
            if !refused.is_empty() && refused.contains(&id) {
                besides.push(seat);
                continue;
            }
            let view = Arc::clone(view);
            stats.in_flight.fetch_add(1, SeqCst);
            order.set(seat);
            return Some(Counted::already(view, before));
        }
    }

    /// Says who may be picked from each side: at once for all workers, whatever picture they decide by. Costs a
    /// comparison of all members, outside the lock; the lock is held for what has changed.
    pub(crate) fn arrange(&self, wanted: Sides) {
        self.shared.ordered.store(true, SeqCst);
        let mut arranged = lock(&self.arranged);
        let gone = missing(&arranged, &wanted);
        let new = missing(&wanted, &arranged);
        let mut order = lock(&self.order);
        for side in wanted.keys() {
            if order.board(*side).is_none() {
                order.boards.push((*side, Board::default()));
            }
        }
        gone.iter().for_each(|(side, view)| order.leave(*side, view));
        new.iter().for_each(|(side, view)| order.enter(*side, view));
        order.boards.retain(|entry| wanted.contains_key(&entry.0));
        drop(order);
        *arranged = wanted;
    }

    /// Keeps no order, and no target.
    pub(crate) fn dissolve(&self) {
        self.shared.ordered.store(false, SeqCst);
        lock(&self.arranged).clear();
        let mut order = lock(&self.order);
        for (_, stats) in order.views.iter().flatten() {
            stats.seat.store(NO_SEAT, SeqCst);
        }
        *order = Order::default();
    }
}

/// What is in `these` and not in `those`. O(members).
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
