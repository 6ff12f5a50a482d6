//! Reserved concurrency: how many invocations a function may have at once.

use super::errors::invalid;
use super::functions::put as put_function;
use super::lookup::named;
use crate::api::context::{Answered, Tx, View};
use serde_json::{Value, json};

/// The account's concurrency (AWS's default), as GetAccountSettings shows it.
const ALL: u64 = 1000;
/// How much of it cannot be reserved.
const UNRESERVED: u64 = 100;

pub(super) fn put(tx: &mut Tx<'_>) -> Answered {
    let mut function = (*named(tx)?).clone();
    let wanted = tx.request.input["ReservedConcurrentExecutions"]
        .as_u64()
        .unwrap_or_default();
    let others = tx
        .region()
        .functions
        .values()
        .filter(|other| other.name != function.name);
    let reserved: u64 = others.filter_map(|other| other.reserved).map(u64::from).sum();
    if reserved + wanted > ALL - UNRESERVED {
        return Err(invalid(format!(
            "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value \
             of [{UNRESERVED}]."
        )));
    }
    function.reserved = u32::try_from(wanted).ok();
    put_function(tx, function);
    Ok(json!({"ReservedConcurrentExecutions": wanted}))
}

pub(super) fn get(view: &View<'_>) -> Answered {
    let function = named(view)?;
    Ok(function.reserved.map_or_else(
        || json!({}),
        |reserved| json!({"ReservedConcurrentExecutions": reserved}),
    ))
}

pub(super) fn delete(tx: &mut Tx<'_>) -> Answered {
    let mut function = (*named(tx)?).clone();
    if function.reserved.take().is_some() {
        put_function(tx, function);
    }
    Ok(Value::Null)
}

pub(super) fn account(view: &View<'_>) -> Answered {
    let functions = &view.region().functions;
    let reserved: u64 = functions
        .values()
        .filter_map(|function| function.reserved)
        .map(u64::from)
        .sum();
    let code: u64 = functions.values().map(|function| function.code_size).sum();
    Ok(json!({
        "AccountLimit": {
            "TotalCodeSize": 4_u64 << 30,
            "CodeSizeUnzipped": 250 << 20,
            "CodeSizeZipped": 50 << 20,
            "ConcurrentExecutions": ALL,
            "UnreservedConcurrentExecutions": ALL - reserved,
        },
        "AccountUsage": {"TotalCodeSize": code, "FunctionCount": functions.len()},
    }))
}
