//! What a group's desired capacity becomes, and why.

use crate::autoscaling::records::Group;
use core::time::Duration;
use forebay_units::Wall;

/// Whether a group has just scaled, by its default cooldown.
pub(super) fn cools_down(group: &Group, now: Wall) -> bool {
    let cooldown = Duration::from_secs(group.cooldown.into());
    group.quiet_since.is_some_and(|since| now.since(since) < cooldown)
}

/// What a group's planner wants at least; 0 if it has none. What a policy wants is no less.
pub(super) fn planned_floor(group: &Group) -> u32 {
    let is_planned = group
        .tags
        .iter()
        .any(|tag| tag.key == "forebay:planner" && tag.value == "on");
    group.planned.filter(|_| is_planned).unwrap_or(0).min(group.max)
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
