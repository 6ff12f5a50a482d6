//! The history of alarms.

use crate::api::context::View;
use crate::api::errors::{error, validation};
use crate::api::paging::{after, cut, sealed};
use crate::cloudwatch::metric::{seconds, wall};
use crate::cloudwatch::records::{Alarm, HistoryEntry};
use crate::tables::Region;
use forebay_awswire::ApiError;
use forebay_units::Wall;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// How many entries are kept for each alarm. (AWS keeps them for 30 days.)
pub(super) const KEPT: u64 = 100;
/// The most characters of an entry's data (AWS's model).
const DATA_LIMIT: usize = 4095;
/// The most characters of a summary (AWS's model).
const SUMMARY_LIMIT: usize = 255;
/// The page size of DescribeAlarmHistory.
const PAGE_SIZE: usize = 100;

/// The types of entries, as AWS names them.
pub(super) const CONFIGURATION: &str = "ConfigurationUpdate";
pub(super) const STATE: &str = "StateUpdate";
pub(super) const ACTION: &str = "Action";

/// Adds an entry to an alarm's history and drops the oldest if there are too many. The alarm counts its entries, and is
/// not stored here.
pub(super) fn enter(
    region: &mut Region,
    alarm: &mut Alarm,
    at: Wall,
    kind: &str,
    summary: &str,
    data: &Value,
) {
    let cut = |text: String, most: usize| text.chars().take(most).collect::<String>();
    let entry = HistoryEntry {
        alarm_name: alarm.name.clone(),
        alarm_type: alarm.kind().to_owned(),
        at,
        kind: kind.to_owned(),
        summary: cut(summary.to_owned(), SUMMARY_LIMIT),
        data: cut(data.to_string(), DATA_LIMIT),
    };
    let number = alarm.next_entry;
    region
        .alarm_history
        .insert(key(&alarm.name, number), Arc::new(entry));
    if let Some(oldest) = number.checked_sub(KEPT) {
        region.alarm_history.remove(&key(&alarm.name, oldest));
    }
    alarm.next_entry += 1;
}

/// Deletes an alarm's history.
pub(super) fn forget(region: &mut Region, alarm: &Alarm) {
    for number in alarm.next_entry.saturating_sub(KEPT)..alarm.next_entry {
        region.alarm_history.remove(&key(&alarm.name, number));
    }
}

/// The separator is the one character that names cannot contain.
fn key(name: &str, number: u64) -> String {
    format!("{name}\0{number:010}")
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    alarm_name: Option<String>,
    #[serde(default)]
    alarm_types: Vec<String>,
    history_item_type: Option<String>,
    start_date: Option<f64>,
    end_date: Option<f64>,
    max_records: Option<usize>,
    next_token: Option<String>,
    scan_by: Option<String>,
}

pub(crate) fn describe(view: &View<'_>) -> Result<Value, ApiError> {
    let input: Input = view.input()?;
    let size = match input.max_records {
        None => PAGE_SIZE,
        Some(size @ 1..=PAGE_SIZE) => size,
        Some(_) => return Err(validation("MaxRecords must be between 1 and 100")),
    };
    let after = after(view, input.next_token.as_deref(), |_| {
        error("InvalidNextToken", "Request parameter NextToken is invalid")
    })?;
    let (from, to) = (input.start_date.map(wall), input.end_date.map(wall));
    // By default, AWS shows entries of metric alarms only.
    let of_type = |kind: &String| match input.alarm_types.as_slice() {
        [] => kind == "MetricAlarm" || input.alarm_name.is_some(),
        types => types.contains(kind),
    };
    let region = view.region();
    let mut found: Vec<(String, &Arc<HistoryEntry>)> = region
        .alarm_history
        .iter()
        .filter(|(_, entry)| {
            input
                .alarm_name
                .as_ref()
                .is_none_or(|name| *name == entry.alarm_name)
                && input
                    .history_item_type
                    .as_ref()
                    .is_none_or(|kind| *kind == entry.kind)
                && of_type(&entry.alarm_type)
                && from.is_none_or(|from| entry.at >= from)
                && to.is_none_or(|to| entry.at <= to)
        })
        .map(|(key, entry)| (key.clone(), entry))
        .collect();
    let ascends = input.scan_by.as_deref() == Some("TimestampAscending");
    // Ordered by time, then by key. A page begins after the previous page's last entry, in either order.
    found.sort_by_key(|(key, entry)| (entry.at, key.clone()));
    if !ascends {
        found.reverse();
    }
    let begins = match after.as_str() {
        "" => 0,
        last => found
            .iter()
            .position(|(key, _)| key == last)
            .map_or(found.len(), |place| place + 1),
    };
    let (page, last) = cut(found.split_off(begins), |(key, _)| key.clone(), "", size);
    let items: Vec<Value> = page.iter().map(|(_, entry)| shown(entry)).collect();
    let mut answer = json!({ "AlarmHistoryItems": items });
    if let Some(last) = last {
        answer["NextToken"] = json!(sealed(view, &last));
    }
    Ok(answer)
}

fn shown(entry: &HistoryEntry) -> Value {
    json!({
        "AlarmName": entry.alarm_name,
        "AlarmType": entry.alarm_type,
        "Timestamp": seconds(entry.at),
        "HistoryItemType": entry.kind,
        "HistorySummary": entry.summary,
        "HistoryData": entry.data,
    })
}
