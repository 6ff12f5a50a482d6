//! Entry points for `fuzz/`: each function takes arbitrary bytes and panics where an invariant is broken. The corpora
//! also run as ordinary tests.

use crate::permits::{Output, PermitIssuer, Session, Work, WorkId};
use core::time::Duration;
use forebay_units::{Mono, Rng};
use std::collections::{BTreeMap, BTreeSet};

/// A target's name, and the function that takes its bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All targets of this crate, by the names of their corpora.
pub const TARGETS: &[Target] = &[("permit_issuer", permit_issuer)];

/// Number of nodes at once.
const NODES: usize = 6;

/// One node's view.
#[derive(Default)]
struct Node {
    /// Ids as they came, used or not: a node may repeat them at any time.
    ids: Vec<WorkId>,
    seen: u64,
    recalled: usize,
}

/// An agent, its nodes, and the invariants between them.
struct World {
    permit_issuer: PermitIssuer,
    now: Mono,
    rng: Rng,
    nodes: BTreeMap<Session, Node>,
    works: Vec<Work>,
    used: BTreeSet<WorkId>,
    owners: BTreeMap<WorkId, Session>,
    limit: u32,
    draining: bool,
    /// Bound on permits out and requests in flight; may exceed the limit until the limit holds again.
    most: u32,
}

impl World {
    fn new(limit: u32, seed: u64) -> World {
        World {
            permit_issuer: PermitIssuer::new(limit, seed),
            now: Mono::from_millis(1),
            rng: Rng::named(seed, "permit_issuer"),
            nodes: BTreeMap::new(),
            works: Vec::new(),
            used: BTreeSet::new(),
            owners: BTreeMap::new(),
            limit,
            draining: false,
            most: limit,
        }
    }

    fn node(&self, detail: u8) -> Option<Session> {
        let at = usize::from(detail) % self.nodes.len().max(1);
        self.nodes.keys().nth(at).copied()
    }

    fn settle(&mut self) {
        let rng = &mut self.rng;
        while let Some(output) = self
            .permit_issuer
            .poll_output(&mut || u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64()))
        {
            let Some(node) = self.nodes.get_mut(&output.session()) else {
                panic!("something is said to a node that has left: {output:?}");
            };
            match output {
                Output::Grant { session, ids } => {
                    assert!(!self.draining && !ids.is_empty());
                    for id in ids {
                        assert!(self.owners.insert(id, session).is_none(), "an id twice");
                        node.ids.push(id);
                        node.seen += 1;
                    }
                }
                Output::Recall { count, .. } => node.recalled += count as usize,
                Output::Limit { limit, .. } => assert!(limit == self.limit || self.draining && limit == 0),
            }
        }
        self.permit_issuer.check_invariants();
        let figures = self.permit_issuer.figures();
        assert_eq!(figures.in_flight as usize, self.works.len());
        assert_eq!(figures.sessions as usize, self.nodes.len());
        let all = figures.in_flight + figures.outstanding;
        assert!(all <= self.most, "{all} are out or in flight, of {}", self.most);
        self.most = all.max(self.limit);
    }

    fn begin(&mut self, id: WorkId) {
        let held = self.works.len() as u32;
        if let Ok(work) = self.permit_issuer.begin(self.now, id) {
            assert!(held < self.limit, "more than the limit were let in");
            assert!(self.used.insert(id), "an id was used twice");
            let owner = self.owners.get(&id).copied();
            assert!(
                owner.is_some_and(|owner| self.nodes.contains_key(&owner)),
                "an id of a node that has left"
            );
            self.works.push(work);
        }
    }

    fn operate(&mut self, operation: u8, detail: u8) {
        let node = self.node(detail);
        let amount = usize::from(detail >> 3);
        match (operation % 12, node) {
            (0, _) if self.nodes.len() < NODES => {
                let session = self.permit_issuer.join(self.now);
                self.nodes.insert(session, Node::default());
            }
            (1, Some(session)) => {
                self.permit_issuer.part(self.now, session);
                self.nodes.remove(&session);
            }
            (2 | 3, Some(session)) => {
                let seen = self.nodes[&session].seen;
                self.permit_issuer.demand(self.now, session, amount as u64, seen);
            }
            // A node that sends anything: outdated reports, other nodes' ids, ids a second time.
            (4, Some(session)) => {
                self.permit_issuer
                    .demand(self.now, session, u64::from(detail) << 56, u64::from(detail))
            }
            (5, Some(session)) => {
                let others: Vec<WorkId> = self.owners.keys().copied().take(amount).collect();
                self.permit_issuer.returned(self.now, session, &others);
            }
            (6, Some(session)) => {
                let node = self.nodes.entry(session).or_default();
                let count = node.recalled.min(node.ids.len());
                let ids: Vec<WorkId> = node.ids.drain(..count).collect();
                node.recalled = 0;
                self.permit_issuer.returned(self.now, session, &ids);
            }
            (7 | 8, Some(session)) => {
                let ids = &self.nodes[&session].ids;
                if let Some(id) = ids.get(amount % ids.len().max(1)).copied() {
                    self.begin(id);
                }
            }
            (9, _) if !self.works.is_empty() => {
                let work = self.works.swap_remove(amount % self.works.len());
                self.permit_issuer.end(self.now, work);
            }
            (10, _) => {
                self.now = self.now + Duration::from_micros(u64::from(detail) * 200);
                if operation & 64 == 0 || self.permit_issuer.next_deadline() <= self.now {
                    self.permit_issuer.handle_deadline(self.now);
                }
            }
            (11, _) if detail == 255 => {
                self.draining = true;
                self.permit_issuer.drain(self.now);
            }
            (11, _) => {
                self.limit = u32::from(detail & 31);
                self.permit_issuer.set_limit(self.now, self.limit);
                self.most = self.most.max(self.limit);
            }
            _ => self.begin(WorkId(u128::from(detail))),
        }
        self.settle();
    }

    /// From here on only a newcomer speaks: it must get every slot that no request holds, by deadlines alone.
    fn nothing_is_lost(mut self) {
        if self.draining || self.limit == 0 {
            return;
        }
        let newcomer = self.permit_issuer.join(self.now);
        self.nodes.insert(newcomer, Node::default());
        let free = (self.limit as usize).saturating_sub(self.works.len());
        for _ in 0..10 * NODES {
            let got: Vec<WorkId> = self.nodes.get_mut(&newcomer).map_or(Vec::new(), |node| {
                node.recalled = 0;
                node.ids.drain(..).collect()
            });
            self.permit_issuer.returned(self.now, newcomer, &[]);
            got.into_iter().for_each(|id| self.begin(id));
            let missing = (self.limit as usize).saturating_sub(self.works.len());
            if missing == 0 || free == 0 {
                return;
            }
            let seen = self.nodes[&newcomer].seen;
            self.permit_issuer
                .demand(self.now, newcomer, missing as u64, seen);
            self.settle();
            if self.nodes[&newcomer].ids.is_empty() {
                let deadline = self.permit_issuer.next_deadline();
                assert_ne!(
                    deadline,
                    Mono::NEVER,
                    "{missing} slots are lost: {:?}",
                    self.permit_issuer
                );
                self.now = self.now.max(deadline);
                self.permit_issuer.handle_deadline(self.now);
                self.settle();
            }
        }
        panic!("slots did not come back: {:?}", self.permit_issuer);
    }
}

/// An agent, and what nodes may send to it in any order, two bytes each. The first two bytes are the limit and the
/// seed.
pub fn permit_issuer(data: &[u8]) {
    let [limit, seed, operations @ ..] = data else {
        return;
    };
    let mut world = World::new(u32::from(limit & 31), u64::from(*seed));
    for pair in operations.chunks_exact(2) {
        world.operate(pair[0], pair[1]);
    }
    world.nothing_is_lost();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test reads its corpus")]
    fn the_corpora_hold() {
        for (name, target) in TARGETS {
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
            let mut count = 0;
            for entry in std::fs::read_dir(folder.join(name)).unwrap() {
                target(&std::fs::read(entry.unwrap().path()).unwrap());
                count += 1;
            }
            assert!(count > 0, "{name} has no corpus");
        }
    }

    #[test]
    fn any_bytes_hold() {
        let mut rng = Rng::named(1, "bytes");
        for _ in 0..2000 {
            let data: Vec<u8> = (0..rng.below(400)).map(|_| rng.next_u64() as u8).collect();
            permit_issuer(&data);
        }
    }
}
