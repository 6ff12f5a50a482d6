//! Finds Auto Scaling's records, and the errors that several operations return.

use crate::Region;
use crate::api::context::{Tx, View};
use crate::api::errors::{error, validation};
use crate::api::paging::{after, cut, sealed};
use crate::autoscaling::records::{Group, Hook, Member, Policy, Refresh, Schedule};
use crate::state::Dialect;
use crate::tables::Table;
use core::ops::Bound;
use forebay_awswire::ApiError;
use serde_json::{Value, json};
use std::sync::Arc;

/// Separates a group's name from the name of what it owns. Names cannot contain it.
const SEPARATOR: char = '\u{1f}';
/// The default page size.
const PAGE: usize = 50;
/// The largest page size.
const PAGE_LIMIT: usize = 100;

/// The key of a record that a group owns.
pub(crate) fn key(group: &str, name: &str) -> String {
    format!("{group}{SEPARATOR}{name}")
}

/// The key of a numbered record that a group owns.
pub(crate) fn numbered(group: &str, number: u64) -> String {
    key(group, &format!("{number:020}"))
}

/// The records that a group owns, ordered by key.
pub(crate) fn owned<'t, T>(
    table: &'t Table<T>,
    group: &str,
) -> impl DoubleEndedIterator<Item = &'t Arc<T>> + use<'t, T> {
    // The character after the separator ends the range.
    let (from, to) = (key(group, ""), format!("{group}\u{20}"));
    let range = (Bound::Included(&*from), Bound::Excluded(&*to));
    table.range::<_, str>(range).map(|(_, record)| record)
}

pub(crate) fn no_group(name: &str) -> ApiError {
    validation(format!(
        "AutoScalingGroup name not found - AutoScalingGroup '{name}' not found"
    ))
}

impl Region {
    pub(crate) fn scaling_group(&self, name: &str) -> Result<&Arc<Group>, ApiError> {
        self.scaling_groups.get(name).ok_or_else(|| no_group(name))
    }

    /// A group's instances by id, including its warm pool.
    pub(crate) fn members_of(&self, group: &str) -> impl DoubleEndedIterator<Item = &Arc<Member>> + use<'_> {
        owned(&self.members, group)
    }

    /// The instance with that id, in any group.
    pub(crate) fn member(&self, id: &str) -> Option<&Arc<Member>> {
        self.members.values().find(|member| member.id == id)
    }

    pub(crate) fn policies_of(&self, group: &str) -> impl DoubleEndedIterator<Item = &Arc<Policy>> + use<'_> {
        owned(&self.scaling_policies, group)
    }

    pub(crate) fn hooks_of(&self, group: &str) -> impl DoubleEndedIterator<Item = &Arc<Hook>> + use<'_> {
        owned(&self.hooks, group)
    }

    pub(crate) fn schedules_of(
        &self,
        group: &str,
    ) -> impl DoubleEndedIterator<Item = &Arc<Schedule>> + use<'_> {
        owned(&self.schedules, group)
    }

    pub(crate) fn refreshes_of(
        &self,
        group: &str,
    ) -> impl DoubleEndedIterator<Item = &Arc<Refresh>> + use<'_> {
        owned(&self.refreshes, group)
    }

    /// The instance refresh of a group that is in progress.
    pub(crate) fn active_refresh(&self, group: &str) -> Option<&Arc<Refresh>> {
        self.refreshes_of(group)
            .next_back()
            .filter(|refresh| refresh.ended.is_none())
    }
}

/// The group that a call names.
pub(crate) fn asked_group(view: &View<'_>) -> Result<Arc<Group>, ApiError> {
    let name = view.request.input["AutoScalingGroupName"]
        .as_str()
        .unwrap_or_default();
    view.region().scaling_group(name).cloned()
}

/// Stores a group.
pub(crate) fn put_group(tx: &mut Tx<'_>, group: Group) {
    tx.region_mut()
        .scaling_groups
        .insert(group.name.clone(), Arc::new(group));
}

/// An instance of a group by its id.
pub(crate) fn member_of(view: &View<'_>, group: &str, id: &str) -> Result<Arc<Member>, ApiError> {
    let found = view.region().members.get(&key(group, id)).cloned();
    found.ok_or_else(|| {
        validation(format!(
            "The instance {id} is not part of Auto Scaling group {group}."
        ))
    })
}

/// The requested page as an answer. `items` ascend by key.
pub(crate) fn listed(
    view: &View<'_>,
    list: &str,
    items: impl IntoIterator<Item = (String, Value)>,
) -> Result<Value, ApiError> {
    let given = &view.request.input;
    let size = match given["MaxRecords"].as_i64() {
        None => PAGE,
        Some(size) => usize::try_from(size).unwrap_or(0).clamp(1, PAGE_LIMIT),
    };
    let is_moto = view.dialect() == Dialect::Moto;
    let token = given["NextToken"].as_str();
    let after = match token {
        Some(token) if is_moto => token.to_owned(),
        token => after(view, token, |token| {
            error("InvalidNextToken", format!("The token '{token}' is not valid"))
        })?,
    };
    let (held, last) = cut(items, |(key, _)| key.clone(), &after, size);
    let shown: Vec<Value> = held.into_iter().map(|(_, value)| value).collect();
    let mut answer = json!({ list: shown });
    if let Some(last) = last {
        let token = if is_moto { last } else { sealed(view, &last) };
        answer["NextToken"] = json!(token);
    }
    Ok(answer)
}

/// The strings in a list.
pub(crate) fn texts(value: &Value) -> Vec<String> {
    let items = value.as_array().into_iter().flatten();
    items
        .filter_map(|item| item.as_str().map(str::to_owned))
        .collect()
}

/// A time as AWS writes it in answers.
pub(crate) fn time(at: forebay_units::Wall) -> Value {
    json!(at.0 as f64 / 1e6)
}
