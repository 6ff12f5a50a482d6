//! Predictive scaling: what policies forecast for this hour and the next is a floor of their group's capacity. It never
//! scales in.

use crate::Region;
use crate::api::context::Tx;
use crate::autoscaling::forecast::{HOUR, capacity, history, load};
use crate::autoscaling::lookup::put_group;
use crate::autoscaling::records::{Group, Policy, Predicted};
use crate::ports::Datapoints;
use forebay_units::Wall;
use serde_json::{Value, json};

/// How many seconds before an hour its capacity must be there, by default (AWS's default).
const BUFFER: u32 = 300;
/// Hours of a forecast: this one and the next.
const HOURS: i64 = 2;
/// How many forecasts are made at a time: each reads two weeks of a metric, and other changes wait for it. Until a
/// policy's turn comes, its forecast for the current hour from the previous one applies.
const AT_A_TIME: usize = 10;

/// The highest capacity that is predicted for a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Prediction<'g> {
    /// The policy that predicts it.
    pub(super) policy: &'g str,
    pub(super) capacity: u32,
}

/// The prediction for now: the highest forecast of all policies, regardless of the group's bounds.
pub(super) fn predicted(group: &Group, now: Wall) -> Option<Prediction<'_>> {
    let all = group.predicted.iter().filter_map(|(policy, predicted)| {
        let capacity = of_time(predicted, now)?;
        Some(Prediction { policy, capacity })
    });
    // Of equal predictions, the first.
    all.rev().max_by_key(|prediction| prediction.capacity)
}

/// The maximum that the group should have now, as far as policies may raise it; zero if none may.
pub(super) fn maximum(group: &Group, now: Wall) -> u32 {
    let all = group.predicted.values().filter_map(|predicted| {
        let share = 100 + u64::from(predicted.max_buffer?);
        let most = (u64::from(of_time(predicted, now)?) * share).div_ceil(100);
        Some(u32::try_from(most).unwrap_or(u32::MAX))
    });
    all.max().unwrap_or(0)
}

/// The forecast that applies at a time: the hour's capacity, or the next hour's if it is higher and about to begin.
fn of_time(predicted: &Predicted, now: Wall) -> Option<u32> {
    let hour = |at: i64| usize::try_from((at - predicted.from.seconds()).div_euclid(HOUR)).ok();
    let this = *predicted.capacities.get(hour(now.seconds())?)?;
    let ahead = hour(now.seconds() + i64::from(predicted.buffer))?;
    let next = predicted.capacities.get(ahead).copied();
    Some(this.max(next.unwrap_or(0)))
}

/// Whether a policy scales by its forecasts.
fn scales(policy: &Policy) -> bool {
    policy.kind == "PredictiveScaling"
        && policy.enabled
        && configuration(policy)["Mode"] == "ForecastAndScale"
}

fn configuration(policy: &Policy) -> &Value {
    let given = policy.data.get("PredictiveScalingConfiguration");
    given.unwrap_or(&Value::Null)
}

/// The beginning of the hour.
fn this_hour(now: Wall) -> Wall {
    Wall::from_seconds(now.seconds().div_euclid(HOUR) * HOUR)
}

/// The policies without a forecast for this hour.
fn outdated(region: &Region, now: Wall) -> impl Iterator<Item = &Policy> {
    let policies = region.scaling_policies.values().map(|policy| &**policy);
    policies.filter(move |policy| {
        let group = region.scaling_groups.get(&policy.group);
        scales(policy)
            && group.is_some_and(|group| {
                let known = group.predicted.get(&policy.name);
                known.is_none_or(|known| known.from != this_hour(now))
            })
    })
}

/// Whether [`renew`] has something to do: once an hour for each policy.
pub(super) fn is_due(region: &Region, now: Wall) -> bool {
    outdated(region, now).next().is_some()
}

/// Makes the forecasts for this hour and the next that are missing: a few at a time, the rest in the seconds that
/// follow.
pub(super) fn renew(tx: &mut Tx<'_>, datapoints: &dyn Datapoints) {
    let now = tx.request.now;
    let policies: Vec<Policy> = outdated(tx.region(), now).take(AT_A_TIME).cloned().collect();
    for policy in policies {
        let Some(known) = tx.region().scaling_groups.get(&policy.group) else {
            continue;
        };
        let mut group = Group::clone(known);
        let predicted = forecast(tx.request.region, &policy, datapoints, now);
        group.predicted.insert(policy.name, predicted);
        put_group(tx, group);
    }
}

fn forecast(region: &str, policy: &Policy, datapoints: &dyn Datapoints, now: Wall) -> Predicted {
    let given = configuration(policy);
    let number = |name: &str| given[name].as_u64().and_then(|value| u32::try_from(value).ok());
    let from = this_hour(now);
    let hour = from.seconds() / HOUR;
    let specification = &given["MetricSpecifications"][0];
    let loads = load(region, specification, &policy.group)
        .map_err(|problem| problem.message)
        .and_then(|load| load.forecast(&history(&load, datapoints, now), hour, hour + HOURS));
    let (capacities, problem) = match loads {
        Ok(loads) => {
            let needed = loads.iter().map(|load| capacity(*load, specification));
            (needed.collect(), None)
        }
        // Stored like a forecast, so that the policy is not tried again each second.
        Err(problem) => (Vec::new(), Some(problem)),
    };
    let may_raise = given["MaxCapacityBreachBehavior"] == "IncreaseMaxCapacity";
    Predicted {
        from,
        capacities,
        buffer: number("SchedulingBufferTime").unwrap_or(BUFFER),
        max_buffer: may_raise.then(|| number("MaxCapacityBuffer").unwrap_or(0)),
        problem,
    }
}

/// Drops a policy's forecast when the policy is changed or deleted.
pub(super) fn forget(tx: &mut Tx<'_>, policy: &Policy) {
    let known = tx.region().scaling_groups.get(&policy.group);
    let Some(known) = known.filter(|group| group.predicted.contains_key(&policy.name)) else {
        return;
    };
    let mut group = Group::clone(known);
    group.predicted.remove(&policy.name);
    put_group(tx, group);
}

/// Adds the predicted capacity to a group's description.
pub(super) fn say(value: &mut Value, group: &Group, now: Wall) {
    if let Some(prediction) = predicted(group, now) {
        value["PredictedCapacity"] = json!(prediction.capacity);
    }
}
