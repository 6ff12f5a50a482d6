//! A group's demand, as the planner of its capacity sees it: only counters, which are cheap to read.

use super::{Group, Node};
use crate::group_demand::GroupDemand;
use crate::pressure::Pressure;
use core::sync::atomic::Ordering::Relaxed;
use core::time::Duration;
use forebay_admission::Coming;
use forebay_model::Concurrency;

impl Node {
    /// The demand of a group's requests. O(targets of the group).
    pub fn demand(&self, group_arn: &str) -> Option<GroupDemand> {
        self.groups.get(group_arn).map(Group::demand)
    }

    /// Announces slots of a group that are being started, so that requests they would serve in time are not refused.
    pub fn expect(&self, group_arn: &str, coming: Option<Coming>) {
        if let Some(gate) = self.groups.get(group_arn).and_then(|group| group.gate.as_ref()) {
            gate.expect(coming);
        }
    }

    /// Reports requests that had to wait or were refused.
    pub fn pressure(&self) -> &Pressure {
        &self.pressure
    }
}

impl Group {
    fn demand(&self) -> GroupDemand {
        let mut demand = GroupDemand::default();
        for (_, shards) in self.counters.zones() {
            for shard in shards.iter() {
                demand.arrivals += shard.arrivals.load(Relaxed);
                demand.completed += shard.completed.load(Relaxed);
                demand.held += Duration::from_micros(shard.held_us.load(Relaxed));
                demand.waiting += shard.waiting.load(Relaxed);
                demand.refused += shard
                    .spillover
                    .iter()
                    .map(|count| count.load(Relaxed))
                    .sum::<u64>();
            }
        }
        let mut weights = 0;
        for target in self.targets.values() {
            demand.in_flight += u64::from(target.stats.in_flight.load(Relaxed));
            if self.counts_as_healthy(target) {
                demand.healthy += 1;
                weights += target.blueprint.weight;
            }
        }
        if let Some(queue) = &self.blueprint.settings.queue {
            demand.length = queue.length.into();
            demand.wait = if queue.length == 0 {
                Duration::ZERO
            } else {
                queue.wait
            };
            demand.slots = match queue.concurrency {
                Concurrency::Open => None,
                Concurrency::Fixed(limit) => Some(limit.into()),
                // Granted or learned slots are known only at the gate. Over the weights, they tell what one more unit
                // would add. Targets that have just left may still be at work, and have no weight.
                Concurrency::Agent | Concurrency::Auto => {
                    let healthy = self
                        .targets
                        .values()
                        .filter(|target| self.counts_as_healthy(target));
                    let healthy = healthy.map(|target| target.id);
                    let slots = self.gate.as_ref().map_or(0, |gate| gate.slots_of(healthy));
                    (slots > 0 && weights > 0).then(|| slots as f64 / f64::from(weights))
                }
            };
        }
        demand
    }
}
