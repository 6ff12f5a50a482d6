//! What a group's tags say of its planner.

use crate::autoscaling::records::Group;
use crate::own_tags::planners::{PlannerTags, planner_of};

/// What a group's tags say of its planner.
pub(super) fn tags(group: &Group) -> Option<PlannerTags> {
    planner_of(|key| {
        let mut tags = group.tags.iter();
        tags.find(|tag| tag.key == key).map(|tag| &*tag.value)
    })
}

/// Whether a planner sizes this group.
pub(super) fn is_planned(group: &Group) -> bool {
    tags(group).is_some_and(|tags| !tags.is_dry_run)
}
