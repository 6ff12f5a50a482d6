//! Dashboards: put, validate, describe and delete them. They are global.

use crate::api::arns::arn_of;
use crate::api::context::{Tx, View};
use crate::api::errors::error;
use crate::api::paging::{after, cut, sealed};
use crate::api::tagging::put_tags;
use crate::cloudwatch::metric::{seconds, wrong};
use crate::cloudwatch::records::Dashboard;
use crate::cloudwatch::tags;
use crate::records::Tags;
use forebay_awswire::ApiError;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// The most widgets of a dashboard (AWS's quota).
const WIDGET_LIMIT: usize = 500;
/// The page size of ListDashboards.
const PAGE_SIZE: usize = 1000;
/// The types of widgets (AWS's).
const KINDS: [&str; 7] = ["metric", "text", "alarm", "log", "explorer", "custom", "insights"];
/// The members of a dashboard's body.
const MEMBERS: [&str; 5] = ["widgets", "start", "end", "periodOverride", "variables"];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Given {
    #[serde(default)]
    dashboard_name: String,
    #[serde(default)]
    dashboard_body: String,
    #[serde(default)]
    dashboard_names: Vec<String>,
    dashboard_name_prefix: Option<String>,
    next_token: Option<String>,
    #[serde(default)]
    tags: Vec<tags::Tag>,
}

/// A validation message: the path and the text.
type Message = (String, String);

pub(crate) fn put(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: Given = tx.input()?;
    let name = given.dashboard_name;
    let part = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
    if !(1..=255).contains(&name.len()) || !name.chars().all(part) {
        return Err(refused(
            "The field DashboardName must be 1 to 255 letters, digits, - and _".to_owned(),
        ));
    }
    let body: Value = serde_json::from_str(&given.dashboard_body)
        .map_err(|_| refused("The field DashboardBody must be a valid JSON object".to_owned()))?;
    let (wrong, doubtful) = judged(&body);
    if !wrong.is_empty() {
        return Err(refused(format!(
            "The dashboard body is invalid, there are {} validation errors: {}",
            wrong.len(),
            told(&wrong)
        )));
    }
    let arn = arn_of("cloudwatch", "", tx.request.account, &format!("dashboard/{name}"));
    if !tx.home().dashboards.contains_key(&name) {
        let tags = tags::read(given.tags, Tags::new())?;
        put_tags(tx.home_mut(), &arn, tags);
    }
    let dashboard = Dashboard {
        name: name.clone(),
        arn,
        body: given.dashboard_body,
        modified: tx.request.now,
    };
    tx.home_mut().dashboards.insert(name, Arc::new(dashboard));
    Ok(json!({"DashboardValidationMessages": told(&doubtful)}))
}

fn refused(message: String) -> ApiError {
    error("InvalidParameterInput", message)
}

fn told(messages: &[Message]) -> Value {
    let messages = messages.iter();
    messages
        .map(|(path, message)| json!({"DataPath": path, "Message": message}))
        .collect()
}

/// The errors and the warnings about a body. Warnings are for what would have no effect.
fn judged(body: &Value) -> (Vec<Message>, Vec<Message>) {
    let (mut wrong, mut doubtful) = (Vec::new(), Vec::new());
    let mut refuse = |path: String, text: &str| wrong.push((path, text.to_owned()));
    let Some(members) = body.as_object() else {
        refuse("/".to_owned(), "Should be an object");
        return (wrong, doubtful);
    };
    for name in members.keys().filter(|name| !MEMBERS.contains(&name.as_str())) {
        doubtful.push((
            format!("/{name}"),
            "Should NOT have additional properties".to_owned(),
        ));
    }
    let widgets = match members.get("widgets") {
        None => {
            doubtful.push((
                "/".to_owned(),
                "Should have required property 'widgets'".to_owned(),
            ));
            return (wrong, doubtful);
        }
        Some(Value::Array(widgets)) => widgets,
        Some(_) => {
            refuse("/widgets".to_owned(), "Should be an array");
            return (wrong, doubtful);
        }
    };
    if widgets.len() > WIDGET_LIMIT {
        refuse("/widgets".to_owned(), "Should NOT have more than 500 items");
        return (wrong, doubtful);
    }
    for (place, widget) in widgets.iter().enumerate() {
        let path = format!("/widgets/{place}");
        match widget["type"].as_str() {
            None => refuse(path.clone(), "Should have required property 'type'"),
            Some(kind) if !KINDS.contains(&kind) => {
                refuse(
                    format!("{path}/type"),
                    "Should be equal to one of the allowed values",
                );
            }
            Some(_) => {}
        }
        if !widget["properties"].is_object() {
            refuse(path.clone(), "Should have required property 'properties'");
        }
        for name in ["x", "y", "width", "height"] {
            if widget.get(name).is_some_and(|number| number.as_u64().is_none()) {
                refuse(format!("{path}/{name}"), "Should be an integer");
            }
        }
    }
    (wrong, doubtful)
}

pub(crate) fn show(view: &View<'_>) -> Result<Value, ApiError> {
    let given: Given = view.input()?;
    let home = view.home();
    let dashboard = home.dashboards.get(&given.dashboard_name).ok_or_else(|| {
        let text = format!("Dashboard {} does not exist", given.dashboard_name);
        error("ResourceNotFound", text).with_status(404)
    })?;
    Ok(json!({
        "DashboardName": dashboard.name,
        "DashboardArn": dashboard.arn,
        "DashboardBody": dashboard.body,
    }))
}

pub(crate) fn list(view: &View<'_>) -> Result<Value, ApiError> {
    let given: Given = view.input()?;
    let after = after(view, given.next_token.as_deref(), |_| {
        wrong("Request parameter NextToken is invalid")
    })?;
    let prefix = given.dashboard_name_prefix.unwrap_or_default();
    let home = view.home();
    let found = home
        .dashboards
        .values()
        .filter(|dashboard| dashboard.name.starts_with(&prefix));
    let (page, last) = cut(found, |dashboard| dashboard.name.clone(), &after, PAGE_SIZE);
    let entries: Vec<Value> = page
        .iter()
        .map(|dashboard| {
            json!({
                "DashboardName": dashboard.name,
                "DashboardArn": dashboard.arn,
                "LastModified": seconds(dashboard.modified),
                "Size": dashboard.body.len(),
            })
        })
        .collect();
    let mut answer = json!({ "DashboardEntries": entries });
    if let Some(last) = last {
        answer["NextToken"] = json!(sealed(view, &last));
    }
    Ok(answer)
}

/// Deletes all of them, or none if one does not exist.
pub(crate) fn delete(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: Given = tx.input()?;
    if given.dashboard_names.is_empty() {
        return Err(wrong("Need to specify at least 1 dashboard."));
    }
    let home = tx.home();
    let absent: Vec<&str> = given
        .dashboard_names
        .iter()
        .filter(|name| !home.dashboards.contains_key(*name))
        .map(String::as_str)
        .collect();
    if !absent.is_empty() {
        let text = format!("The specified dashboard does not exist. [{}]", absent.join(", "));
        return Err(error("ResourceNotFound", text).with_status(404));
    }
    for name in &given.dashboard_names {
        let home = tx.home_mut();
        if let Some(dashboard) = home.dashboards.remove(name) {
            put_tags(home, &dashboard.arn, Tags::new());
        }
    }
    Ok(json!({}))
}
