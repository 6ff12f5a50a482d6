//! Processes of a group that can be suspended.

use crate::api::context::Tx;
use crate::api::errors::validation;
use crate::autoscaling::lookup::{asked_group, put_group, texts};
use crate::autoscaling::records::Group;
use crate::autoscaling::types::PROCESSES;
use forebay_awswire::ApiError;
use serde_json::{Value, json};

/// The processes that a call names, or all if it names none.
fn asked(tx: &Tx<'_>) -> Result<Vec<String>, ApiError> {
    let names = texts(&tx.request.input["ScalingProcesses"]);
    if names.is_empty() {
        return Ok(PROCESSES.map(str::to_owned).to_vec());
    }
    match names.iter().find(|name| !PROCESSES.contains(&name.as_str())) {
        None => Ok(names),
        Some(unknown) => Err(validation(format!(
            "Invalid value '{unknown}' of parameter ScalingProcesses. Valid ones are {}.",
            PROCESSES.join(", ")
        ))),
    }
}

pub(crate) fn suspend(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let names = asked(tx)?;
    let mut group = Group::clone(&*asked_group(tx)?);
    for name in names {
        // moto gives no reason.
        let reason = match tx.dialect() {
            crate::state::Dialect::Moto => String::new(),
            crate::state::Dialect::Aws => {
                format!(
                    "User suspended at {}",
                    crate::autoscaling::pass::clock(tx.request.now)
                )
            }
        };
        group.suspended.entry(name).or_insert(reason);
    }
    put_group(tx, group);
    Ok(json!({}))
}

pub(crate) fn resume(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let names = asked(tx)?;
    let mut group = Group::clone(&*asked_group(tx)?);
    group.suspended.retain(|name, _| !names.contains(name));
    put_group(tx, group);
    Ok(json!({}))
}
