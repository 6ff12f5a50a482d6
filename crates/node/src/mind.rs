//! What one worker keeps between requests to decide by: turns and its random stream.

use crate::picture::{GroupId, GroupView, Picture, TargetId, TargetView, ZoneId};
use forebay_balance::RoundRobin;
use forebay_units::Stream;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A worker's memory. One per worker; never shared.
#[derive(Debug)]
pub struct Mind {
    /// Which shard of the counters is its own.
    pub worker: usize,
    pub(crate) draws: Stream,
    turns: BTreeMap<GroupId, RoundRobin>,
}

impl Mind {
    /// The mind of worker number `worker`, drawing from a stream of this seed.
    pub fn new(worker: usize, seed: u64) -> Mind {
        Mind {
            worker,
            draws: Stream::named(seed, &format!("worker-{worker}")),
            turns: BTreeMap::new(),
        }
    }

    /// 64 random bits from the worker's stream.
    pub fn draw(&mut self) -> u64 {
        self.draws.next_u64()
    }

    /// The next target of the group for a node in `zone`, passing over those in `refused`. O(log groups),
    /// and O(refused squared) when some are passed over.
    pub fn choose(
        &mut self,
        group: &GroupView,
        zone: ZoneId,
        refused: &[TargetId],
    ) -> Option<Arc<TargetView>> {
        let turns = self.turns.entry(group.id).or_default();
        let passed_over =
            |index: u32| !refused.is_empty() && refused.contains(&group.targets[index as usize].id);
        let index = turns.choose(&group.eligible(zone).targets, passed_over)?;
        Some(Arc::clone(&group.targets[index as usize]))
    }

    /// Forgets groups that are gone. Call when a new picture was adopted.
    pub fn forget(&mut self, picture: &Picture) {
        self.turns.retain(|&group, _| picture.group(group).is_some());
    }
}
