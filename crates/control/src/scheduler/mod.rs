//! EventBridge Scheduler: schedules and their groups. `crate::schedules` decides when they run, and carries the runs
//! out.
//!
//! Read `schedules`, `groups`, `lookup`, `tags`, `errors`.

mod errors;
mod groups;
mod lookup;
mod schedules;
mod tags;
#[cfg(test)]
mod tests;

use crate::api::context::OperationSpec;

/// All operations that are served.
pub(crate) const OPERATIONS: &[OperationSpec] = &[
    OperationSpec::write("CreateSchedule", schedules::create),
    OperationSpec::write("CreateScheduleGroup", groups::create),
    OperationSpec::write("DeleteSchedule", schedules::delete),
    OperationSpec::write("DeleteScheduleGroup", groups::delete),
    OperationSpec::read("GetSchedule", schedules::get),
    OperationSpec::read("GetScheduleGroup", groups::get),
    OperationSpec::read("ListScheduleGroups", groups::list),
    OperationSpec::read("ListSchedules", schedules::list),
    OperationSpec::read("ListTagsForResource", tags::list),
    OperationSpec::write("TagResource", tags::tag),
    OperationSpec::write("UntagResource", tags::untag),
    OperationSpec::write("UpdateSchedule", schedules::update),
];
