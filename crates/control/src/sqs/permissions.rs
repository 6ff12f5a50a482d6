//! AddPermission and RemovePermission: statements of a queue's policy, which is stored and not enforced.

use super::definitions::put_attributes;
use super::errors::{invalid, invalid_value, missing};
use super::lookup::named;
use crate::api::context::Tx;
use crate::api::errors::error;
use forebay_awswire::ApiError;
use serde_json::{Value, json};

/// The actions that can be permitted.
const ACTIONS: [&str; 8] = [
    "*",
    "ChangeMessageVisibility",
    "DeleteMessage",
    "GetQueueAttributes",
    "GetQueueUrl",
    "ListDeadLetterSourceQueues",
    "PurgeQueue",
    "ReceiveMessage",
];
const SENDING: &str = "SendMessage";
/// The most actions in one statement.
const MOST: usize = 7;

fn texts(list: &Value) -> Vec<&str> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

fn policy(queue: &super::records::Queue) -> Value {
    let stored = queue.attributes.get("Policy");
    let stored = stored.and_then(|text| serde_json::from_str::<Value>(text).ok());
    let mut policy = stored.unwrap_or_else(
        || json!({"Version": "2012-10-17", "Id": format!("{}/SQSDefaultPolicy", queue.arn), "Statement": []}),
    );
    // IAM accepts a single statement without a list around it.
    if policy["Statement"].is_object() {
        policy["Statement"] = json!([policy["Statement"]]);
    }
    if !policy["Statement"].is_array() {
        policy["Statement"] = json!([]);
    }
    policy
}

pub(super) fn add(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let queue = named(tx)?;
    let input = tx.request.input.clone();
    let label = input["Label"].as_str().unwrap_or_default();
    let (accounts, actions) = (texts(&input["AWSAccountIds"]), texts(&input["Actions"]));
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if label.is_empty() || label.len() > 80 || !label.bytes().all(fits) {
        return Err(invalid_value(
            label,
            "Label",
            "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length.",
        ));
    }
    if accounts.is_empty() {
        return Err(invalid_value("[]", "PrincipalId", "Unable to verify."));
    }
    if let Some(account) = accounts
        .iter()
        .find(|account| account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()))
    {
        return Err(invalid_value(account, "PrincipalId", "Unable to verify."));
    }
    if actions.is_empty() {
        return Err(missing("Actions"));
    }
    if actions.len() > MOST {
        return Err(error(
            "OverLimit",
            format!("{} Actions were found, maximum allowed is {MOST}.", actions.len()),
        )
        .with_status(403));
    }
    if let Some(action) = actions
        .iter()
        .find(|action| !ACTIONS.contains(action) && **action != SENDING)
    {
        let words = format!(
            "Value SQS:{action} for parameter ActionName is invalid. Reason: Only the queue owner is allowed to invoke this action."
        );
        return Err(invalid(words));
    }
    let mut policy = policy(&queue);
    let statements = policy["Statement"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    if statements
        .iter()
        .any(|statement| statement["Sid"].as_str() == Some(label))
    {
        return Err(invalid_value(label, "Label", "Already exists."));
    }
    let principals: Vec<String> = accounts
        .iter()
        .map(|account| format!("arn:aws:iam::{account}:root"))
        .collect();
    let actions: Vec<String> = actions.iter().map(|action| format!("SQS:{action}")).collect();
    let one = |mut list: Vec<String>| match list.len() {
        1 => json!(list.remove(0)),
        _ => json!(list),
    };
    let statement = json!({
        "Sid": label, "Effect": "Allow", "Principal": {"AWS": one(principals)}, "Action": one(actions), "Resource": queue.arn,
    });
    if let Some(statements) = policy["Statement"].as_array_mut() {
        statements.push(statement);
    }
    let mut attributes = queue.attributes.clone();
    attributes.insert("Policy".to_owned(), policy.to_string());
    put_attributes(tx, &queue, attributes);
    Ok(Value::Null)
}

pub(super) fn remove(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let queue = named(tx)?;
    let label = tx.request.input["Label"].as_str().unwrap_or_default().to_owned();
    let mut policy = policy(&queue);
    let statements = policy["Statement"].as_array().cloned().unwrap_or_default();
    let left: Vec<Value> = statements
        .iter()
        .filter(|statement| statement["Sid"].as_str() != Some(label.as_str()))
        .cloned()
        .collect();
    if left.len() == statements.len() {
        return Err(invalid_value(
            &label,
            "Label",
            "can't find label on existing policy.",
        ));
    }
    let mut attributes = queue.attributes.clone();
    if left.is_empty() {
        attributes.remove("Policy");
    } else {
        policy["Statement"] = Value::Array(left);
        attributes.insert("Policy".to_owned(), policy.to_string());
    }
    put_attributes(tx, &queue, attributes);
    Ok(Value::Null)
}
