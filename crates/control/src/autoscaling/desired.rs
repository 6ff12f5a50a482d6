//! Changes of a group's desired capacity, with their causes, and its lower bounds.

use crate::autoscaling::pass::clock;
use crate::autoscaling::planner_tags::is_planned;
use crate::autoscaling::predictive;
use crate::autoscaling::records::Group;
use core::time::Duration;
use forebay_units::Wall;

/// Whether the group scaled within its default cooldown.
pub(super) fn cools_down(group: &Group, now: Wall) -> bool {
    let cooldown = Duration::from_secs(group.cooldown.into());
    group.quiet_since.is_some_and(|since| now.since(since) < cooldown)
}

/// Sets the desired capacity. `why` begins the cause's sentence.
pub(super) fn desire(group: &mut Group, desired: u32, why: &str) {
    if group.desired != desired {
        group.cause = format!(
            "{why} changing the desired capacity from {} to {desired}.",
            group.desired
        );
        group.desired = desired;
    }
}

/// The floor: policies do not scale in below it. Zero if there is none beside the minimum.
pub(super) fn floor(group: &Group, now: Wall) -> u32 {
    predicted_floor(group, now).max(planned_floor(group))
}

/// The floor of the group's predictive scaling policies.
pub(super) fn predicted_floor(group: &Group, now: Wall) -> u32 {
    predictive::predicted(group, now)
        .map_or(0, |predicted| predicted.capacity)
        .min(group.max)
}

/// The floor of the group's planner; 0 without one.
fn planned_floor(group: &Group) -> u32 {
    let planned = group.planned.filter(|_| is_planned(group));
    planned.unwrap_or(0).min(group.max)
}

/// Whether [`raise`] would change something.
pub(super) fn is_raised(group: &Group, now: Wall) -> bool {
    !group.deleting
        && (predicted_floor(group, now) > group.desired || predictive::maximum(group, now) > group.max)
}

/// Raises the desired capacity to what predictive scaling policies forecast, and the maximum as far as they are allowed
/// to.
pub(super) fn raise(group: &mut Group, now: Wall) {
    if !is_raised(group, now) {
        return;
    }
    group.max = predictive::maximum(group, now).max(group.max);
    let capacity = predicted_floor(group, now);
    if let Some(predicted) = predictive::predicted(group, now)
        && capacity > group.desired
    {
        group.cause = format!(
            "At {} a predictive scaling policy {} changed the desired capacity from {} to {capacity}.",
            clock(now),
            predicted.policy,
            group.desired
        );
        group.desired = capacity;
    }
}
