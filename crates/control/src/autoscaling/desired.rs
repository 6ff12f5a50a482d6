//! What a group's desired capacity becomes, and why.

use crate::autoscaling::pass::clock;
use crate::autoscaling::planner_tags::is_planned;
use crate::autoscaling::predictive;
use crate::autoscaling::records::Group;
use core::time::Duration;
use forebay_units::Wall;

/// Whether a group has just scaled, by its default cooldown.
pub(super) fn cools_down(group: &Group, now: Wall) -> bool {
    let cooldown = Duration::from_secs(group.cooldown.into());
    group.quiet_since.is_some_and(|since| now.since(since) < cooldown)
}

/// Sets what is desired; `why` is the beginning of a sentence.
pub(super) fn desire(group: &mut Group, desired: u32, why: &str) {
    if group.desired != desired {
        group.cause = format!(
            "{why} changing the desired capacity from {} to {desired}.",
            group.desired
        );
        group.desired = desired;
    }
}

/// The capacity that a group has at least now, beside its minimum: its policies do not scale in below it. Zero if there is no such floor.
pub(super) fn floor(group: &Group, now: Wall) -> u32 {
    predicted_floor(group, now).max(planned_floor(group))
}

/// What a group's predictive scaling policies want at least.
pub(super) fn predicted_floor(group: &Group, now: Wall) -> u32 {
    predictive::predicted(group, now)
        .map_or(0, |predicted| predicted.capacity)
        .min(group.max)
}

/// What a group's planner wants at least; 0 if it has none. What a policy wants is no less.
fn planned_floor(group: &Group) -> u32 {
    let planned = group.planned.filter(|_| is_planned(group));
    planned.unwrap_or(0).min(group.max)
}

/// Whether [`raise`] would change something.
pub(super) fn is_raised(group: &Group, now: Wall) -> bool {
    !group.deleting
        && (predicted_floor(group, now) > group.desired || predictive::maximum(group, now) > group.max)
}

/// Raises what is desired to the group's floor, and its maximum as far as its predictive policies may.
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
