//! Resource-based policies of functions: who may invoke them.

use super::errors::{conflict, invalid, not_found, other_revision};
use super::functions::changed;
use super::lookup::{named, qualifier};
use super::records::Function;
use crate::api::context::{Answered, Tx, View};
use crate::api::errors::error;
use forebay_units::wildcard;
use serde_json::{Value, json};

/// The most bytes of a policy (AWS's quota).
const POLICY: usize = 20_480;

/// The condition key of the account whose resource invokes.
const SOURCE_ACCOUNT: &str = "AWS:SourceAccount";

/// Parameters of AddPermission that become conditions, with their condition keys.
const EQUALS: [(&str, &str); 4] = [
    ("SourceAccount", SOURCE_ACCOUNT),
    ("PrincipalOrgID", "aws:PrincipalOrgID"),
    ("EventSourceToken", "lambda:EventSourceToken"),
    ("FunctionUrlAuthType", "lambda:FunctionUrlAuthType"),
];

fn check_revision(view: &View<'_>, function: &Function) -> Result<(), forebay_awswire::ApiError> {
    let seen = view.request.input["RevisionId"].as_str();
    if seen.is_some_and(|seen| seen != function.revision) {
        return Err(other_revision());
    }
    Ok(())
}

pub(super) fn add(tx: &mut Tx<'_>) -> Answered {
    let mut function = (*named(tx)?).clone();
    if qualifier(tx).is_some() {
        return Err(invalid(
            "A policy of $LATEST alone is not supported: leave the qualifier out.",
        ));
    }
    check_revision(tx, &function)?;
    let input = &tx.request.input;
    let text = |name: &str| input[name].as_str();
    let sid = text("StatementId").unwrap_or_default();
    if function.policy.iter().any(|statement| statement["Sid"] == sid) {
        return Err(conflict(format!(
            "The statement id ({sid}) provided already exists. Please provide a new statement id, or remove the existing statement."
        )));
    }
    let principal = text("Principal").unwrap_or_default();
    let principal = match principal {
        "*" => json!("*"),
        // Before services: a user's name may have dots, too.
        arn if arn.starts_with("arn:") => json!({"AWS": arn}),
        service if service.contains('.') => json!({"Service": service}),
        account if account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit()) => {
            json!({"AWS": format!("arn:aws:iam::{account}:root")})
        }
        arn => json!({"AWS": arn}),
    };
    let mut statement = json!({
        "Sid": sid, "Effect": "Allow", "Principal": principal, "Action": input["Action"], "Resource": function.arn,
    });
    let mut condition = json!({});
    if let Some(arn) = text("SourceArn") {
        condition["ArnLike"] = json!({"AWS:SourceArn": arn});
    }
    for (name, key) in EQUALS {
        if let Some(value) = text(name) {
            condition["StringEquals"][key] = json!(value);
        }
    }
    if let Some(only) = input["InvokedViaFunctionUrl"].as_bool() {
        condition["Bool"] = json!({"lambda:InvokedViaFunctionUrl": only.to_string()});
    }
    if condition
        .as_object()
        .is_some_and(|condition| !condition.is_empty())
    {
        statement["Condition"] = condition;
    }
    function.policy.push(statement.clone());
    if json!(function.policy).to_string().len() > POLICY {
        return Err(error(
            "PolicyLengthExceededException",
            "The final policy size is bigger than the limit (20480).",
        ));
    }
    changed(tx, function);
    Ok(json!({"Statement": statement.to_string()}))
}

pub(super) fn remove(tx: &mut Tx<'_>) -> Answered {
    let mut function = (*named(tx)?).clone();
    check_revision(tx, &function)?;
    let sid = tx.request.input["StatementId"].as_str().unwrap_or_default();
    let before = function.policy.len();
    function.policy.retain(|statement| statement["Sid"] != sid);
    if function.policy.len() == before {
        return Err(not_found("No policy is associated with the given resource."));
    }
    changed(tx, function);
    Ok(Value::Null)
}

pub(super) fn get(view: &View<'_>) -> Answered {
    let function = named(view)?;
    if function.policy.is_empty() {
        return Err(not_found("The resource you requested does not exist."));
    }
    let policy = json!({"Version": "2012-10-17", "Id": "default", "Statement": function.policy});
    Ok(json!({"Policy": policy.to_string(), "RevisionId": function.revision}))
}

/// Whether the policy permits a service to invoke the function for one of its resources.
pub(crate) fn permits(function: &Function, service: &str, source_arn: &str) -> bool {
    function.policy.iter().any(|statement| {
        let principal = &statement["Principal"];
        let action = statement["Action"].as_str().unwrap_or_default();
        (principal == "*" || principal["Service"] == service)
            && ["lambda:InvokeFunction", "lambda:*", "*"].contains(&action)
            && holds(&statement["Condition"], source_arn)
    })
}

/// Whether a condition is met by a service that invokes for a resource. Such a call has no organization, token or
/// function URL.
fn holds(condition: &Value, source_arn: &str) -> bool {
    let account = source_arn.split(':').nth(4);
    let mut equals = condition["StringEquals"].as_object().into_iter().flatten();
    let pattern = condition["ArnLike"]["AWS:SourceArn"].as_str();
    condition["Bool"].is_null()
        && pattern.is_none_or(|pattern| wildcard::matches(pattern, source_arn))
        && equals.all(|(key, value)| key == SOURCE_ACCOUNT && value.as_str() == account)
}
