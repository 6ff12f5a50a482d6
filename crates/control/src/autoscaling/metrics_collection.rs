//! Enables and disables the collection of group metrics.

use crate::api::context::Tx;
use crate::api::errors::validation;
use crate::autoscaling::lookup::{asked_group, put_group, texts};
use crate::autoscaling::records::Group;
use crate::autoscaling::types::METRICS;
use forebay_awswire::ApiError;
use serde_json::{Value, json};

/// The metrics that a call names, or all if it names none.
fn asked(tx: &Tx<'_>) -> Result<Vec<String>, ApiError> {
    let names = texts(&tx.request.input["Metrics"]);
    if names.is_empty() {
        return Ok(METRICS.map(str::to_owned).to_vec());
    }
    match names.iter().find(|name| !METRICS.contains(&name.as_str())) {
        None => Ok(names),
        Some(unknown) => Err(validation(format!(
            "The metric {unknown} is invalid. Valid ones are {}.",
            METRICS.join(", ")
        ))),
    }
}

pub(crate) fn enable(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let granularity = tx.request.input["Granularity"].as_str();
    if granularity.is_some_and(|text| text != "1Minute") {
        return Err(validation("The granularity must be 1Minute."));
    }
    let names = asked(tx)?;
    let mut group = Group::clone(&*asked_group(tx)?);
    group.metrics.extend(names);
    put_group(tx, group);
    Ok(json!({}))
}

pub(crate) fn disable(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let names = asked(tx)?;
    let mut group = Group::clone(&*asked_group(tx)?);
    group.metrics.retain(|name| !names.contains(name));
    put_group(tx, group);
    Ok(json!({}))
}
