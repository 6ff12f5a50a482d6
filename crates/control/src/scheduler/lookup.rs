//! Which group is meant, where a schedule stands, and pages of lists.

use super::errors::{invalid, not_found};
use crate::api::arns::own_arn;
use crate::api::context::View;
use crate::api::paging::{cut, sealed, unsealed};
use crate::schedules::records::ScheduleGroup;
use forebay_awswire::ApiError;
use serde_json::{Value, json};
use std::sync::Arc;

/// The group of schedules that name none.
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
    // Nobody made it, and it has always been there.
    let made = forebay_units::Wall::from_seconds(0);
    Ok(Arc::new(ScheduleGroup {
        name: DEFAULT.to_owned(),
        arn: own_arn(view, "scheduler", "schedule-group/default"),
        created: made,
        modified: made,
    }))
}

/// The page that a call asks for, and the next one's token.
pub(super) fn page<T>(
    view: &View<'_>,
    items: Vec<T>,
    key: impl Fn(&T) -> String,
) -> Result<(Vec<T>, Option<String>), ApiError> {
    let input = &view.request.input;
    let size = input["MaxResults"].as_u64().unwrap_or(100).clamp(1, 100);
    let after = match input["NextToken"].as_str() {
        None | Some("") => String::new(),
        Some(token) => unsealed(view, token).ok_or_else(|| invalid("Invalid NextToken."))?,
    };
    let (held, last) = cut(items, key, &after, usize::try_from(size).unwrap_or(1));
    Ok((held, last.map(|last| sealed(view, &last))))
}

pub(super) fn with_token(mut answer: Value, next: Option<String>) -> Value {
    if let Some(next) = next {
        answer["NextToken"] = json!(next);
    }
    answer
}
