//! Functions: create, change, find, list and delete them.

use super::configuration::{set, shown};
use super::errors::{conflict, other_revision};
use super::lookup::{named, new_name, qualifier};
use super::records::Function;
use super::{tags, upload};
use crate::api::arns::own_arn;
use crate::api::context::{Answered, Tx, View};
use crate::api::errors::error;
use crate::api::paging::{after, sealed_cut};
use crate::api::tagging::put_tags;
use crate::ids::uuid;
use forebay_awswire::ApiError;
use forebay_queues::QueueId;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The most functions of a region. (AWS limits their code instead.)
const FUNCTIONS: usize = 1000;
/// The most bytes of all archives together. (AWS's quota: 75 GB.)
const CODE: u64 = 4 << 30;
/// The largest page of a list.
const PAGE: i64 = 50;

pub(super) fn create(tx: &mut Tx<'_>) -> Answered {
    let name = new_name(tx)?;
    let arn = own_arn(tx, "lambda", &format!("function:{name}"));
    if tx.region().functions.contains_key(&name) {
        return Err(conflict(format!("Function already exist: {name}")));
    }
    let code = upload::given(&tx.request.input["Code"])?;
    let held: u64 = tx
        .region()
        .functions
        .values()
        .map(|function| function.code_size)
        .sum();
    if tx.region().functions.len() >= FUNCTIONS || held + code.size > CODE {
        let text = format!(
            "Code storage limit exceeded: a region has {FUNCTIONS} functions, and {CODE} bytes of code."
        );
        return Err(error("CodeStorageExceededException", text));
    }
    let wanted = tags::checked(&tx.request.input["Tags"])?;
    let mut function = Function {
        name: name.clone(),
        arn: arn.clone(),
        runtime: String::new(),
        role: String::new(),
        handler: String::new(),
        description: String::new(),
        timeout_s: 3,
        memory_mib: 128,
        environment: BTreeMap::new(),
        code_sha256: code.sha256,
        code_size: code.size,
        architecture: architecture(&tx.request.input),
        ephemeral_mib: 512,
        tracing: "PassThrough".to_owned(),
        dead_letter: None,
        logging: None,
        revision: uuid(tx.rng),
        modified: tx.request.now,
        events: QueueId(tx.rng.next_u64()),
        reserved: None,
        policy: Vec::new(),
    };
    set(tx, &mut function)?;
    let answer = shown(&function, false);
    tx.region_mut().functions.insert(name, Arc::new(function));
    put_tags(tx.region_mut(), &arn, wanted);
    Ok(answer)
}

fn architecture(input: &Value) -> String {
    input["Architectures"][0].as_str().unwrap_or("x86_64").to_owned()
}

/// Stores a function that has changed.
pub(super) fn changed(tx: &mut Tx<'_>, mut function: Function) -> Arc<Function> {
    function.revision = uuid(tx.rng);
    function.modified = tx.request.now;
    put(tx, function)
}

/// Stores a function whose configuration has not changed.
pub(super) fn put(tx: &mut Tx<'_>, function: Function) -> Arc<Function> {
    let function = Arc::new(function);
    let name = function.name.clone();
    tx.region_mut().functions.insert(name, Arc::clone(&function));
    function
}

/// The function to change, if its revision is still the one that the caller names.
pub(super) fn expected(view: &View<'_>) -> Result<Function, ApiError> {
    let function = named(view)?;
    let seen = view.request.input["RevisionId"].as_str();
    if seen.is_some_and(|seen| seen != function.revision) {
        return Err(other_revision());
    }
    Ok((*function).clone())
}

pub(super) fn update_code(tx: &mut Tx<'_>) -> Answered {
    let input = tx.request.input.clone();
    if input["Publish"] == true {
        return Err(super::errors::invalid(
            "Publish is not supported by Forebay: leave it out.",
        ));
    }
    let code = upload::given(&input)?;
    let mut function = expected(tx)?;
    (function.code_sha256, function.code_size) = (code.sha256, code.size);
    if input["Architectures"].is_array() {
        function.architecture = architecture(&input);
    }
    if input["DryRun"] == true {
        return Ok(shown(&function, false));
    }
    Ok(shown(&changed(tx, function), false))
}

pub(super) fn update_configuration(tx: &mut Tx<'_>) -> Answered {
    let mut function = expected(tx)?;
    set(tx, &mut function)?;
    Ok(shown(&changed(tx, function), false))
}

pub(super) fn get(view: &View<'_>) -> Answered {
    let function = named(view)?;
    let mut answer = json!({
        "Configuration": shown(&function, false),
        // There is no S3 to download it from.
        "Code": {"RepositoryType": "Forebay"},
    });
    let tags = crate::api::tagging::stored_tags(view.region(), &function.arn);
    if !tags.is_empty() {
        answer["Tags"] = json!(tags);
    }
    if let Some(reserved) = function.reserved {
        answer["Concurrency"] = json!({"ReservedConcurrentExecutions": reserved});
    }
    Ok(answer)
}

pub(super) fn get_configuration(view: &View<'_>) -> Answered {
    Ok(shown(&*named(view)?, false))
}

pub(super) fn code_signing(view: &View<'_>) -> Answered {
    // No function has a code signing configuration, so the answer has only the name, as on AWS.
    Ok(json!({"FunctionName": named(view)?.name}))
}

pub(super) fn list(view: &View<'_>) -> Answered {
    let input = &view.request.input;
    let all = view.region().functions.values();
    let (held, next) = page(view, all.cloned().collect(), |function| function.name.clone())?;
    let qualified = input["FunctionVersion"] == "ALL";
    let shown: Vec<Value> = held.iter().map(|function| shown(function, qualified)).collect();
    Ok(with_marker(json!({"Functions": shown}), next))
}

pub(super) fn versions(view: &View<'_>) -> Answered {
    Ok(json!({"Versions": [shown(&*named(view)?, true)]}))
}

/// The requested page of a sorted list, and the next page's marker.
pub(super) fn page<T>(
    view: &View<'_>,
    items: Vec<T>,
    key: impl Fn(&T) -> String,
) -> Result<(Vec<T>, Option<String>), ApiError> {
    let input = &view.request.input;
    let size = input["MaxItems"].as_i64().unwrap_or(PAGE).clamp(1, PAGE);
    let wrong = |_: &str| super::errors::invalid("Invalid Marker.");
    let after = after(view, input["Marker"].as_str(), wrong)?;
    let size = usize::try_from(size).unwrap_or(1);
    Ok(sealed_cut(view, items, key, &after, size))
}

/// An answer with the next page's marker, if there is one.
pub(super) fn with_marker(mut answer: Value, next: Option<String>) -> Value {
    if let Some(next) = next {
        answer["NextMarker"] = json!(next);
    }
    answer
}

pub(super) fn delete(tx: &mut Tx<'_>) -> Answered {
    let function = named(tx)?;
    if qualifier(tx).is_some() {
        return Err(super::errors::invalid(
            "$LATEST version cannot be deleted without deleting the function.",
        ));
    }
    let region = tx.region_mut();
    region.functions.remove(&function.name);
    region.tags.remove(&function.arn);
    Ok(json!({"StatusCode": 204}))
}
