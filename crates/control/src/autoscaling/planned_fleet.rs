//! The current capacity of a planned group, and its bounds.

use crate::autoscaling::desired::predicted_floor;
use crate::autoscaling::records::{Group, Lifecycle, Member};
use crate::autoscaling::start_ups::start_up;
use crate::fleet::Shape;
use crate::tables::Region;
use core::time::Duration;
use forebay_scaling::planner::Fleet;
use forebay_units::Wall;

/// The cost limit of a group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Costs {
    /// The limit per hour for all instances together.
    pub limit: f64,
    /// The price of a unit of capacity per hour; `None` if no prices are declared.
    pub each: Option<f64>,
}

/// The capacity of a group.
pub(super) struct PlannedFleet {
    /// What planners read, without the ages of pending capacity.
    pub(super) fleet: Fleet,
    /// When each unit of capacity that does not serve yet was ordered; `None` if it has not been launched.
    pub(super) ordered: Vec<Option<Wall>>,
    /// The cost limit, if there is one.
    pub(super) costs: Option<Costs>,
}

/// The fleet with the ages of pending capacity at this time.
pub(super) fn aged(fleet: &Fleet, ordered: &[Option<Wall>], now: Wall) -> Fleet {
    let age = |ordered: &Option<Wall>| ordered.map_or(Duration::ZERO, |ordered| now.since(ordered));
    Fleet {
        pending: ordered.iter().map(age).collect(),
        ..fleet.clone()
    }
}

/// The current capacity of a group, with its cost limit per hour. O(its instances).
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

/// The most capacity that the group may have by its maximum and its cost limit. The minimum holds whatever it costs.
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

/// The price of a unit of the group's capacity per hour by declared prices: the average of its instances, or that of
/// its last launch.
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
