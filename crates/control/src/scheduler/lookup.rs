//! Finds groups, and the keys of schedules.

use super::errors::not_found;
use crate::api::arns::own_arn;
use crate::api::context::View;
use crate::schedules::records::ScheduleGroup;
use forebay_awswire::ApiError;
use std::sync::Arc;

/// The input member with the page size.
pub(super) const PAGE_SIZE: &str = "MaxResults";
/// The default group.
pub(super) const DEFAULT: &str = "default";
/// The key of a schedule's row.
pub(super) fn key(group: &str, name: &str) -> String {
    format!("{group}/{name}")
}

/// The group of that name.
pub(super) fn named(view: &View<'_>, name: &str) -> Result<Arc<ScheduleGroup>, ApiError> {
    if let Some(group) = view.region().schedule_groups.get(name) {
        return Ok(Arc::clone(group));
    }
    if name != DEFAULT {
        return Err(not_found("Schedule group", name));
    }
    // The default group was not created by anyone and has always existed.
    let made = forebay_units::Wall::from_seconds(0);
    Ok(Arc::new(ScheduleGroup {
        name: DEFAULT.to_owned(),
        arn: own_arn(view, "scheduler", "schedule-group/default"),
        created: made,
        modified: made,
        token: None,
    }))
}
