//! What both planners of capacity do with a plan: order what it wants, and say what it may cost.

use forebay_control::State;
use forebay_control::autoscaling::planning::{Costs, PlannedCapacity, carry_out};
use forebay_gateway::{SharedPorts, Writer};
use std::sync::Arc;

/// Has orders carried out, as one change of the state; returns whether they were.
pub(crate) async fn order(writer: &Writer, ports: &SharedPorts, orders: Vec<PlannedCapacity>) -> bool {
    let observations = Arc::clone(&ports.observations);
    let change = Box::new(move |state: &State, now| carry_out(state, &orders, &*observations, now));
    let done = writer.change(change).await;
    if let Err(error) = &done {
        tracing::warn!(%error, "cannot change the desired capacity of planned groups");
    }
    done.is_ok()
}

/// A group's bound on costs, in words. `maximum` is the capacity that this and the group's own maximum leave.
pub(crate) fn costs_text(costs: Costs, maximum: u32) -> String {
    let limit = costs.limit;
    match costs.each {
        Some(each) => format!("{limit} an hour at most, {each} for each: {maximum} at most"),
        None => {
            format!("{limit} an hour at most, but no prices are declared (--shapes), so there is no bound")
        }
    }
}
