//! Targets that are draining, and their removal. `tick` decides when one has drained.

use crate::State;
use crate::elbv2::attribute_table::deregistration_delay;
use crate::elbv2::records::target_key;
use core::time::Duration;
use forebay_units::Wall;

/// A deregistered target that may still have requests in flight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drain {
    /// The ARN of its group.
    pub group_arn: String,
    /// The id it was registered by.
    pub id: String,
    /// The port it was registered at.
    pub port: u16,
    /// When it was deregistered.
    pub since: Wall,
    /// How long requests in flight may still take.
    pub delay: Duration,
}

/// All targets that are draining.
pub(crate) fn drains(state: &State) -> Vec<Drain> {
    let mut drains = Vec::new();
    for (_, region) in state.regions() {
        for target in region.targets.values() {
            let Some(since) = target.deregistered_at else {
                continue;
            };
            let Some(group) = region.target_groups.get(&target.group_arn) else {
                continue;
            };
            drains.push(Drain {
                group_arn: target.group_arn.clone(),
                id: target.id.clone(),
                port: target.port,
                since,
                delay: deregistration_delay(group),
            });
        }
    }
    drains
}

/// The state without a target that has drained: it is idle or its delay is over. Unchanged if the target is not
/// draining.
pub(crate) fn finish_deregistration(state: &State, group_arn: &str, id: &str, port: u16) -> State {
    let key = target_key(group_arn, id, port);
    let holds = |region: &crate::Region| {
        region
            .targets
            .get(&key)
            .is_some_and(|t| t.deregistered_at.is_some())
    };
    let Some(name) = state
        .regions()
        .find(|(_, region)| holds(region))
        .map(|(name, _)| name.to_owned())
    else {
        return state.clone();
    };
    let mut next = state.clone();
    next.region_mut(&name).targets.remove(&key);
    next.grow();
    next
}
