//! Contributor Insights rules: stored, enabled, disabled and described. There are no logs, so nothing is analysed, and
//! operations that report contributors are not supported.

use crate::api::arns::own_arn;
use crate::api::context::{Tx, View};
use crate::api::errors::error;
use crate::api::paging::{after, cut, sealed};
use crate::api::tagging::put_tags;
use crate::cloudwatch::metric::wrong;
use crate::cloudwatch::records::InsightRule;
use crate::cloudwatch::tags;
use crate::records::Tags;
use crate::state::Dialect;
use forebay_awswire::ApiError;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// The most rules of a region (AWS's quota).
const RULE_LIMIT: usize = 100;
/// The default and the largest page size.
const PAGE_SIZE: usize = 500;
/// The schema that AWS shows for all rules of users.
const SCHEMA: &str = r#"{"Name" : "CloudWatchLogRule", "Version" : 1}"#;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Given {
    rule_name: String,
    rule_state: Option<String>,
    rule_definition: String,
    #[serde(default)]
    tags: Vec<tags::Tag>,
    #[serde(default)]
    apply_on_transformed_logs: bool,
}

pub(crate) fn put(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let given: Given = tx.input()?;
    let name = given.rule_name;
    let enabled = match given.rule_state.as_deref() {
        None | Some("ENABLED") => true,
        Some("DISABLED") => false,
        Some(other) => {
            return Err(wrong(format!(
                "The value {other} for parameter RuleState is invalid: it must be ENABLED or DISABLED."
            )));
        }
    };
    check(&given.rule_definition, tx.dialect())?;
    let arn = own_arn(tx, "cloudwatch", &format!("insight-rule/{name}"));
    let rules = &tx.region().insight_rules;
    if !rules.contains_key(&name) {
        if rules.len() >= RULE_LIMIT {
            let text = "The maximum limit of insight rules was exceeded.";
            return Err(error("LimitExceededException", text));
        }
        // Tags given with an existing rule are ignored, as on AWS.
        let tags = tags::read(given.tags, Tags::new())?;
        put_tags(tx.region_mut(), &arn, tags);
    }
    let rule = InsightRule {
        name: name.clone(),
        arn,
        definition: given.rule_definition,
        enabled,
        on_transformed_logs: given.apply_on_transformed_logs,
    };
    tx.region_mut().insight_rules.insert(name, Arc::new(rule));
    Ok(json!({}))
}

/// A definition must be JSON and name the one schema of users' rules. moto also accepts the schema's bare name.
fn check(definition: &str, dialect: Dialect) -> Result<(), ApiError> {
    let parsed: Value = serde_json::from_str(definition)
        .map_err(|_| wrong("The parameter RuleDefinition must be a valid JSON object."))?;
    let name = match &parsed["Schema"] {
        Value::String(name) if dialect == Dialect::Moto => Some(name.as_str()),
        schema => schema["Name"].as_str(),
    };
    if name == Some("CloudWatchLogRule") {
        return Ok(());
    }
    Err(wrong(
        "The parameter RuleDefinition must have the Schema CloudWatchLogRule.",
    ))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    next_token: Option<String>,
    max_results: Option<usize>,
}

pub(crate) fn describe(view: &View<'_>) -> Result<Value, ApiError> {
    let asked: Page = view.input()?;
    let after = after(view, asked.next_token.as_deref(), |_| {
        error("InvalidNextToken", "Request parameter NextToken is invalid")
    })?;
    let size = asked.max_results.unwrap_or(PAGE_SIZE).clamp(1, PAGE_SIZE);
    let rules = view.region().insight_rules.values();
    let (page, last) = cut(rules, |rule| rule.name.clone(), &after, size);
    let rules: Vec<Value> = page.into_iter().map(|rule| shown(rule)).collect();
    let mut answer = json!({ "InsightRules": rules });
    if let Some(last) = last {
        answer["NextToken"] = json!(sealed(view, &last));
    }
    Ok(answer)
}

fn shown(rule: &InsightRule) -> Value {
    json!({
        "Name": rule.name,
        "State": if rule.enabled { "ENABLED" } else { "DISABLED" },
        "Schema": SCHEMA,
        "Definition": rule.definition,
        "ManagedRule": false,
        "ApplyOnTransformedLogs": rule.on_transformed_logs,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Names {
    rule_names: Vec<String>,
}

pub(crate) fn enable(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    switch(tx, true)
}

pub(crate) fn disable(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    switch(tx, false)
}

fn switch(tx: &mut Tx<'_>, enabled: bool) -> Result<Value, ApiError> {
    let (names, failures) = found(tx)?;
    for name in names {
        let Some(mut rule) = tx.region().insight_rules.get(&name).map(|rule| (**rule).clone()) else {
            continue;
        };
        if rule.enabled != enabled {
            rule.enabled = enabled;
            tx.region_mut().insight_rules.insert(name, Arc::new(rule));
        }
    }
    Ok(json!({ "Failures": failures }))
}

pub(crate) fn delete(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let (names, failures) = found(tx)?;
    for name in names {
        let region = tx.region_mut();
        if let Some(rule) = region.insight_rules.remove(&name) {
            put_tags(region, &rule.arn, Tags::new());
        }
    }
    Ok(json!({ "Failures": failures }))
}

/// The names in a call that are rules, and the failures for the others.
fn found(tx: &Tx<'_>) -> Result<(Vec<String>, Vec<Value>), ApiError> {
    let input: Names = tx.input()?;
    let rules = &tx.region().insight_rules;
    let (found, missing): (Vec<String>, Vec<String>) = input
        .rule_names
        .into_iter()
        .partition(|name| rules.contains_key(name));
    let failures = missing.into_iter().map(|name| {
        json!({
            "FailureResource": name,
            "ExceptionType": "ResourceNotFoundException",
            "FailureCode": "ResourceNotFound",
            "FailureDescription": "The rule does not exist.",
        })
    });
    Ok((found, failures.collect()))
}
