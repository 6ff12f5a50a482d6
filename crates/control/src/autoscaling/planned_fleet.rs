//! The capacity that a planned group has, and what bounds it.

use crate::autoscaling::desired::predicted_floor;
use crate::autoscaling::records::{Group, Lifecycle, Member};
use crate::autoscaling::start_ups::start_up;
use crate::fleet::Shape;
use crate::tables::Region;
use core::time::Duration;
use forebay_scaling::planner::Fleet;
use forebay_units::Wall;

/// What a group's instances may cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Costs {
    /// In an hour, all together.
    pub limit: f64,
    /// What a unit of capacity costs in an hour; none if no prices were declared.
    pub each: Option<f64>,
}

/// A group's capacity.
pub(super) struct PlannedFleet {
    /// What planners read, without the ages of what is pending.
    pub(super) fleet: Fleet,
    /// When each unit of capacity that does not serve yet was ordered; none if it has not been launched.
    pub(super) ordered: Vec<Option<Wall>>,
    /// What it may cost, if that is bounded.
    pub(super) costs: Option<Costs>,
}

/// The same with the ages of what is pending at this time.
pub(super) fn aged(fleet: &Fleet, ordered: &[Option<Wall>], now: Wall) -> Fleet {
    let age = |ordered: &Option<Wall>| ordered.map_or(Duration::ZERO, |ordered| now.since(ordered));
    Fleet {
        pending: ordered.iter().map(age).collect(),
        ..fleet.clone()
    }
}

/// What a group has now, by what it may cost in an hour. O(its instances).
pub(super) fn planned_fleet(
    region: &Region,
    group: &Group,
    max_hourly_cost: Option<f64>,
    shapes: &[Shape],
    now: Wall,
) -> PlannedFleet {
    let members: Vec<&Member> = region
        .members_of(&group.name)
        .map(|member| &**member)
        .filter(|member| member.state.counts())
        .collect();
    let weight = |member: &Member| member.weight.unwrap_or(1);
    let serves = |member: &Member| member.state == Lifecycle::InService && member.ready.is_some();
    let ready: u32 = members
        .iter()
        .filter(|member| serves(member))
        .map(|member| weight(member))
        .sum();
    let mut ordered: Vec<Option<Wall>> = Vec::new();
    for member in members.iter().filter(|member| !serves(member)) {
        let since = member.ordered.unwrap_or(member.since);
        ordered.extend((0..weight(member)).map(|_| Some(since)));
    }
    let missing = group.desired.saturating_sub(ready + ordered.len() as u32);
    ordered.extend((0..missing).map(|_| None));
    let costs = max_hourly_cost.map(|limit| Costs {
        limit,
        each: price(group, &members, shapes),
    });
    PlannedFleet {
        fleet: Fleet {
            desired: group.desired,
            ready,
            pending: Vec::new(),
            minimum: group.min.max(predicted_floor(group, now)),
            maximum: affordable(group, costs),
            start_up: start_up(region, group),
        },
        ordered,
        costs,
    }
}

/// The most that a group may have, by its own maximum and by what it may cost. The minimum stays, whatever it costs.
fn affordable(group: &Group, costs: Option<Costs>) -> u32 {
    let Some(Costs {
        limit,
        each: Some(each),
    }) = costs
    else {
        return group.max;
    };
    let most = (limit / each.max(1e-9)).floor().min(f64::from(u32::MAX)) as u32;
    most.min(group.max).max(group.min)
}

/// What a unit of a group's capacity costs in an hour, by declared prices: on average of its instances, or else of its last launch.
fn price(group: &Group, members: &[&Member], shapes: &[Shape]) -> Option<f64> {
    let of = |name: &str, is_spot: bool| {
        let shape = shapes.iter().find(|shape| shape.name == name)?;
        let spot = shape.spot_price.filter(|_| is_spot);
        Some(spot.unwrap_or(shape.on_demand_price))
    };
    let costs = members.iter().filter_map(|member| {
        Some((
            of(&member.instance_type, member.is_spot)?,
            member.weight.unwrap_or(1),
        ))
    });
    let (cost, units) = costs.fold((0.0, 0), |(cost, units), (each, weight)| {
        (cost + each, units + weight)
    });
    if units > 0 {
        return Some(cost / f64::from(units));
    }
    let last = group.start_ups.last()?;
    let name = last.class.split(' ').nth(1)?;
    of(name, false)
}
