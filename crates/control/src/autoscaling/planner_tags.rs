//! Reads a group's tags for planners.

use crate::autoscaling::records::Group;
use crate::own_tags::backlogs::{BacklogTags, backlog_of};
use crate::own_tags::planners::{PlannerTags, planner_of};

/// The tags of the request planner. A group that is sized by a backlog is not also sized by requests.
pub(super) fn tags(group: &Group) -> Option<PlannerTags> {
    let planned = planner_of(|key| tag(group, key))?;
    let by_backlog = backlog_tags(group).is_some_and(|tags| !tags.is_dry_run);
    (!by_backlog).then_some(planned)
}

/// The tags of the backlog planner.
pub(super) fn backlog_tags(group: &Group) -> Option<BacklogTags> {
    backlog_of(|key| tag(group, key))
}

fn tag<'g>(group: &'g Group, key: &str) -> Option<&'g str> {
    let mut tags = group.tags.iter();
    tags.find(|tag| tag.key == key).map(|tag| &*tag.value)
}

/// Whether a planner sizes this group, by requests or by a backlog.
pub(super) fn is_planned(group: &Group) -> bool {
    tags(group).is_some_and(|tags| !tags.is_dry_run)
        || backlog_tags(group).is_some_and(|tags| !tags.is_dry_run)
}
