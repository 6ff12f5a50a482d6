//! Warm pools: prepared instances that wait, stopped or suspended, so that scale-out takes less time.

use crate::api::context::{Tx, View};
use crate::api::errors::{error, validation};
use crate::autoscaling::launching::launch;
use crate::autoscaling::leaving;
use crate::autoscaling::lookup::{asked_group, listed, put_group};
use crate::autoscaling::member_view::member_value;
use crate::autoscaling::pass::Pass;
use crate::autoscaling::records::{Group, Member, WarmPool};
use crate::state::Dialect;
use forebay_awswire::ApiError;
use serde_json::{Value, json};

/// The most launches in one pass.
const LAUNCHES: u32 = 100;

pub(super) fn shown(pool: &WarmPool, dialect: Dialect) -> Value {
    let mut value = json!({"MinSize": pool.min, "PoolState": pool.state});
    // moto shows only what was set.
    if pool.reuse || dialect == Dialect::Aws {
        value["InstanceReusePolicy"] = json!({"ReuseOnScaleIn": pool.reuse});
    }
    if let Some(prepared) = pool.prepared {
        value["MaxGroupPreparedCapacity"] = json!(prepared);
    }
    if pool.deleting {
        value["Status"] = json!("PendingDelete");
    }
    value
}

pub(crate) fn put(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let mut group = Group::clone(&*asked_group(tx)?);
    let given = &tx.request.input;
    let known = group.warm_pool.take();
    let state = given["PoolState"]
        .as_str()
        .map(str::to_owned)
        .or_else(|| known.as_ref().map(|pool| pool.state.clone()))
        .unwrap_or_else(|| "Stopped".to_owned());
    if !matches!(state.as_str(), "Stopped" | "Running" | "Hibernated") {
        return Err(validation(format!(
            "The pool state {state} is invalid: it must be Stopped, Running or Hibernated."
        )));
    }
    let prepared = match given["MaxGroupPreparedCapacity"].as_i64() {
        None => known.as_ref().and_then(|pool| pool.prepared),
        Some(-1) => None,
        Some(value) => Some(u32::try_from(value).map_err(|_| {
            validation("MaxGroupPreparedCapacity must be -1, which clears it, or a number of instances.")
        })?),
    };
    let min = match given["MinSize"].as_i64() {
        None => known.as_ref().map_or(0, |pool| pool.min),
        Some(value) => u32::try_from(value).map_err(|_| validation("MinSize cannot be negative."))?,
    };
    let reuse = match given["InstanceReusePolicy"]["ReuseOnScaleIn"].as_bool() {
        None => known.as_ref().is_some_and(|pool| pool.reuse),
        Some(reuse) => reuse,
    };
    group.warm_pool = Some(WarmPool {
        prepared,
        min,
        state,
        reuse,
        deleting: false,
    });
    put_group(tx, group);
    Ok(json!({}))
}

pub(crate) fn describe(view: &View<'_>) -> Result<Value, ApiError> {
    let group = asked_group(view)?;
    let members = view.region().members_of(&group.name);
    let warm = members.filter(|member| member.state.is_warmed());
    let items: Vec<(String, Value)> = warm
        .map(|member| (member.id.clone(), member_value(member)))
        .collect();
    let mut answer = listed(view, "Instances", items)?;
    if let Some(pool) = &group.warm_pool {
        answer["WarmPoolConfiguration"] = shown(pool, view.dialect());
    }
    Ok(answer)
}

pub(crate) fn delete(tx: &mut Tx<'_>) -> Result<Value, ApiError> {
    let mut group = Group::clone(&*asked_group(tx)?);
    let forced = tx.request.input["ForceDelete"] == true;
    let Some(pool) = &mut group.warm_pool else {
        return Err(validation(format!(
            "No warm pool found for AutoScalingGroup {}.",
            group.name
        )));
    };
    let is_used = {
        let mut members = tx.region().members_of(&group.name);
        members.any(|member| member.state.is_warmed())
    };
    if !forced && is_used && tx.dialect() == Dialect::Aws {
        return Err(error(
            "ResourceInUse",
            "You cannot delete a warm pool while there are instances in it, unless by force.",
        ));
    }
    pool.deleting = true;
    pool.min = 0;
    put_group(tx, group);
    Ok(json!({}))
}

/// What to do about a group's warm pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Nothing,
    /// Remove the pool: it is empty and was deleted.
    Forget,
    /// Launch this many instances.
    Launch(u32),
    /// Remove this many instances.
    Remove(u32),
}

/// Whether [`fill`] would do nothing.
pub(super) fn is_settled(view: &View<'_>, group: &Group, members: &[&Member]) -> bool {
    change(view, group, members) == Change::Nothing
}

fn change(view: &View<'_>, group: &Group, members: &[&Member]) -> Change {
    let Some(pool) = &group.warm_pool else {
        return Change::Nothing;
    };
    let warm = || members.iter().filter(|member| member.state.is_warmed());
    // moto's pools stay empty.
    let is_moto = view.dialect() == Dialect::Moto;
    if pool.deleting && (is_moto || warm().next().is_none()) {
        return Change::Forget;
    }
    if is_moto {
        return Change::Nothing;
    }
    let wanted = pool.wanted(group);
    let count = warm().filter(|member| !member.state.leaves()).count() as u32;
    let counted = members.iter().filter(|member| member.state.counts());
    let capacity: u32 = counted.map(|member| member.weight.unwrap_or(1)).sum();
    // The capacity that the group itself lacks comes first.
    let may_launch =
        capacity >= group.desired && !group.is_suspended("Launch") && view.request.now >= group.not_before;
    if count < wanted && may_launch {
        Change::Launch(wanted - count)
    } else if count > wanted && !group.is_suspended("Terminate") {
        Change::Remove(count - wanted)
    } else {
        Change::Nothing
    }
}

/// Fills the pool or removes surplus instances; removes the pool once it is empty and was deleted.
pub(super) fn fill(pass: &mut Pass<'_, '_>) {
    let Some(pool) = &pass.group.warm_pool else {
        return;
    };
    let wanted = pool.wanted(&pass.group);
    let members = pass.members();
    let seen: Vec<&Member> = members.iter().collect();
    match change(pass.tx, &pass.group, &seen) {
        Change::Nothing => {}
        Change::Forget => pass.group.warm_pool = None,
        Change::Launch(count) => {
            for _ in 0..count.min(LAUNCHES) {
                let cause = format!(
                    "At {} an instance was launched in response to an attempt to prepare the warm pool of {wanted}.",
                    pass.clock()
                );
                if launch(pass, &cause, true).is_none() {
                    return;
                }
            }
        }
        Change::Remove(count) => {
            let mut there = members;
            there.retain(|member| member.state.is_warmed() && !member.state.leaves());
            there.sort_by_key(|member| member.since);
            for member in there.into_iter().take(count as usize) {
                let cause = format!(
                    "At {} an instance was taken out of the warm pool, which should have {wanted}.",
                    pass.clock()
                );
                leaving::begin(pass, member, cause, true);
            }
        }
    }
}
