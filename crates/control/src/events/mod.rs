//! EventBridge: rules with schedules. There are no other events, so a rule with an event pattern is refused.
//!
//! Read `rules`, `targets`, `tags`, `errors`.

mod errors;
mod rules;
mod tags;
mod targets;
#[cfg(test)]
mod tests;

use crate::api::context::OperationSpec;

/// All operations that are served.
pub(crate) const OPERATIONS: &[OperationSpec] = &[
    OperationSpec::write("DeleteRule", rules::delete),
    OperationSpec::read("DescribeEventBus", rules::bus),
    OperationSpec::read("DescribeRule", rules::describe),
    OperationSpec::write("DisableRule", rules::disable),
    OperationSpec::write("EnableRule", rules::enable),
    OperationSpec::read("ListEventBuses", rules::buses),
    OperationSpec::read("ListRuleNamesByTarget", targets::rule_names),
    OperationSpec::read("ListRules", rules::list),
    OperationSpec::read("ListTagsForResource", tags::list),
    OperationSpec::read("ListTargetsByRule", targets::list),
    OperationSpec::write("PutRule", rules::put),
    OperationSpec::write("PutTargets", targets::put),
    OperationSpec::write("RemoveTargets", targets::remove),
    OperationSpec::write("TagResource", tags::tag),
    OperationSpec::write("UntagResource", tags::untag),
];
