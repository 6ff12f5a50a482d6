//! Predictive scaling: what policies have forecast for this hour and the next is a floor of their group's capacity. It scales nothing in.

use crate::Region;
use crate::api::context::Tx;
use crate::autoscaling::forecast::{HOUR, capacity, history, load};
use crate::autoscaling::lookup::put_group;
use crate::autoscaling::records::{Group, Policy, Predicted};
use crate::ports::Datapoints;
use forebay_units::Wall;
use serde_json::{Value, json};

/// Seconds before an hour from which its capacity is to be there, if the policy does not say (AWS's).
const BUFFER: u32 = 300;
/// Hours of a forecast: this one and the next.
const HOURS: i64 = 2;
/// Forecasts that are made at a time: each reads two weeks of a metric, and other changes wait for it. Until its turn comes, what a policy has
/// forecast for the hour in the hour before counts.
const AT_A_TIME: usize = 10;

/// The greatest capacity that is predicted for a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Prediction<'g> {
    /// The policy that predicts it.
    pub(super) policy: &'g str,
    pub(super) capacity: u32,
}

/// What is predicted for now: the most that any policy has forecast, whatever the group's bounds are.
pub(super) fn predicted(group: &Group, now: Wall) -> Option<Prediction<'_>> {
    let all = group.predicted.iter().filter_map(|(policy, predicted)| {
        let capacity = of_time(predicted, now)?;
        Some(Prediction { policy, capacity })
    });
    // The first of those that are alike.
    all.rev().max_by_key(|prediction| prediction.capacity)
}

/// The maximum that a group should have by now, as far as policies may raise it; zero if none may.
pub(super) fn maximum(group: &Group, now: Wall) -> u32 {
    let all = group.predicted.values().filter_map(|predicted| {
        let share = 100 + u64::from(predicted.max_buffer?);
        let most = (u64::from(of_time(predicted, now)?) * share).div_ceil(100);
        Some(u32::try_from(most).unwrap_or(u32::MAX))
    });
    all.max().unwrap_or(0)
}

/// What was forecast for a time: the hour's capacity, or the next hour's if that is more and about to begin.
fn of_time(predicted: &Predicted, now: Wall) -> Option<u32> {
    let hour = |at: i64| usize::try_from((at - predicted.from.seconds()).div_euclid(HOUR)).ok();
    let this = *predicted.capacities.get(hour(now.seconds())?)?;
    let ahead = hour(now.seconds() + i64::from(predicted.buffer))?;
    let next = predicted.capacities.get(ahead).copied();
    Some(this.max(next.unwrap_or(0)))
}

/// Whether a policy is to be asked at all.
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

/// The policies whose forecast is not of this hour.
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

/// Has policies forecast this hour and the next that have not done so: a few, the others in the seconds that follow.
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

/// A policy is put or deleted: what it has forecast counts no more.
pub(super) fn forget(tx: &mut Tx<'_>, policy: &Policy) {
    let known = tx.region().scaling_groups.get(&policy.group);
    let Some(known) = known.filter(|group| group.predicted.contains_key(&policy.name)) else {
        return;
    };
    let mut group = Group::clone(known);
    group.predicted.remove(&policy.name);
    put_group(tx, group);
}

/// The capacity that is predicted for a group, for its description.
pub(super) fn say(value: &mut Value, group: &Group, now: Wall) {
    if let Some(prediction) = predicted(group, now) {
        value["PredictedCapacity"] = json!(prediction.capacity);
    }
}
