//! The invariants: no slot stays free for long while a request waits that could use it, and nothing is lost.

use crate::scene::{BOUND, DEATH_BOUND};
use crate::world::World;
use forebay_units::Mono;

impl World {
    /// Since when a request has waited that can use this target.
    pub(crate) fn waits_since(&self, target: usize) -> Option<Mono> {
        let waits = self.nodes.iter().enumerate().filter_map(|(node, state)| {
            let since = state.waits_since.filter(|_| state.alive)?;
            let usable = self.channels[self.at(node, target)].usable;
            (usable <= self.now).then_some(since.max(usable))
        });
        waits.min()
    }

    /// Checks the bound: a slot has been free since `free`, and a request has waited for it since `waits`.
    pub(crate) fn idle(&mut self, target: usize, free: Mono, waits: Option<Mono>, what: &str) {
        let Some(waits) = waits else { return };
        let begins = free.max(waits);
        let idle = self.now.since(begins);
        let around = self.last_death.is_some_and(|death| begins <= death + DEATH_BOUND);
        let (bound, seen) = if around {
            (DEATH_BOUND, &mut self.seen.idle_around_death)
        } else {
            (BOUND, &mut self.seen.idle)
        };
        *seen = (*seen).max(idle);
        assert!(
            idle <= bound,
            "seed {}: at {:?} a slot of target {target} was idle for {idle:?}, {what}; free since {free:?}, someone waits since \
             {waits:?}; {:?}",
            self.seed,
            self.now,
            self.agents[target].permit_issuer
        );
    }

    pub(crate) fn look(&mut self, target: usize) {
        if !self.agents[target].alive {
            return;
        }
        let waits = self.waits_since(target);
        if waits.is_none() {
            return;
        }
        let agent = &self.agents[target];
        let unused = agent
            .out
            .values()
            .filter(|(_, used)| !used)
            .map(|(free, _)| *free);
        if let Some(free) = unused.chain(agent.bare.iter().copied()).min() {
            self.idle(target, free, waits, "unused");
        }
    }

    /// Checks the state at rest: nobody waits, and every slot is granted and known to the node that has it.
    pub(crate) fn check_rest(&mut self) {
        let seed = self.seed;
        for (number, node) in self.nodes.iter().enumerate() {
            assert!(node.alive, "seed {seed}: node {number} did not come back");
            assert_eq!(
                node.gate.waiting(),
                0,
                "seed {seed}: someone waits at node {number}"
            );
            assert_eq!(node.gate.figures().busy, 0, "seed {seed}: node {number}");
        }
        for target in 0..self.scene.targets {
            let agent = &self.agents[target];
            agent.permit_issuer.check_invariants();
            let figures = agent.permit_issuer.figures();
            self.seen.revoked += figures.revoked;
            assert_eq!(
                (figures.in_flight, figures.outstanding),
                (0, agent.limit),
                "seed {seed}: target {target}"
            );
            let held: u32 = self
                .nodes
                .iter()
                .map(|node| node.gate.slots(target as u64).free)
                .sum();
            assert_eq!(
                held, agent.limit,
                "seed {seed}: target {target}: nodes hold another number of permits"
            );
            let ups = (0..self.scene.nodes)
                .filter(|&node| self.channels[self.at(node, target)].up)
                .count();
            assert_eq!(
                ups, self.scene.nodes,
                "seed {seed}: target {target} has lost a channel"
            );
        }
    }
}
