//! Groups whose capacity is planned from the requests of their target groups (tags `forebay:planner`): what the planner
//! needs to know, and how its orders are carried out. The planner itself is `forebay_scaling::planner`; the server
//! calls it with what the data plane counts.

use crate::api::context::Tx;
use crate::autoscaling::desired::{desire, predicted_floor};
use crate::autoscaling::due::acting;
use crate::autoscaling::lookup::put_group;
use crate::autoscaling::pass::clock;
pub use crate::autoscaling::planned_fleet::Costs;
use crate::autoscaling::planned_fleet::{PlannedFleet, aged, planned_fleet};
use crate::autoscaling::planner_tags::{is_planned, tags};
use crate::autoscaling::records::Group;
use crate::autoscaling::settle;
use crate::fleet::Shape;
use crate::own_tags::planners::PlannerTags;
use crate::ports::Observations;
use crate::state::State;
use crate::tables::Region;
use core::time::Duration;
use forebay_scaling::planner::{Fleet, Settings};
use forebay_units::Wall;
use serde_json::Value;

/// A group whose capacity is planned.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedGroup {
    /// The group's region.
    pub region: String,
    /// The group's name.
    pub name: String,
    /// The target groups whose requests its instances serve.
    pub target_groups: Vec<String>,
    /// Whether plans are shown but not carried out.
    pub is_dry_run: bool,
    /// How the planner works.
    pub settings: Settings,
    /// How many requests an instance may have in flight, if a tag says so.
    pub in_flight: Option<f64>,
    /// The cost limit per hour, if there is one, which may keep the capacity below the group's maximum.
    pub costs: Option<Costs>,
    /// What the planner reads, without the ages of pending capacity.
    pub fleet: Fleet,
    /// When each unit of capacity that does not serve yet was ordered; `None` if it has not been launched.
    pub ordered: Vec<Option<Wall>>,
}

impl PlannedGroup {
    /// What the planner reads at this time.
    pub fn fleet(&self, now: Wall) -> Fleet {
        aged(&self.fleet, &self.ordered, now)
    }
}

/// A planner's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedCapacity {
    /// The group's region.
    pub region: String,
    /// The group's name.
    pub group: String,
    /// The desired capacity.
    pub desired: u32,
    /// The cause, a sentence without its end.
    pub cause: String,
}

/// All groups whose capacity is planned. O(groups + their instances).
pub fn planned_groups(state: &State, shapes: &[Shape], now: Wall) -> Vec<PlannedGroup> {
    let mut found = Vec::new();
    for (name, region) in state.regions() {
        for group in region.scaling_groups.values().filter(|group| !group.deleting) {
            if let Some(tags) = tags(group) {
                found.push(planned_group(name, region, group, &tags, shapes, now));
            }
        }
    }
    found
}

fn planned_group(
    region_name: &str,
    region: &Region,
    group: &Group,
    tags: &PlannerTags,
    shapes: &[Shape],
    now: Wall,
) -> PlannedGroup {
    let mut settings = tags.settings;
    // A default instance warmup is the operator's own estimate, unless a tag gives a better one.
    if let (false, Some(warmup)) = (tags.has_start_up, group.warmup) {
        settings.start_up = Duration::from_secs(warmup.into());
    }
    let PlannedFleet {
        fleet,
        ordered,
        costs,
    } = planned_fleet(region, group, tags.max_hourly_cost, shapes, now);
    PlannedGroup {
        region: region_name.to_owned(),
        name: group.name.clone(),
        target_groups: group.target_groups.clone(),
        // Suspending AlarmNotification is AWS's way to pause automatic scaling, so it pauses the planner, too.
        is_dry_run: tags.is_dry_run || group.suspended.contains_key("AlarmNotification"),
        settings,
        in_flight: tags.in_flight,
        fleet,
        costs,
        ordered,
    }
}

/// The state after these orders; `None` if they change nothing. A group that is no longer planned or is being deleted
/// is left alone.
pub fn carry_out(
    state: &State,
    orders: &[PlannedCapacity],
    observations: &dyn Observations,
    now: Wall,
) -> Option<State> {
    let mut next: Option<State> = None;
    for order in orders {
        let state = next.as_ref().unwrap_or(state);
        let changed = acting(state, &order.region, observations, now, "planner", |tx| {
            one(tx, order)
        });
        next = changed.or(next);
    }
    next
}

fn one(tx: &mut Tx<'_>, order: &PlannedCapacity) {
    let now = tx.request.now;
    let Some(known) = tx.region().scaling_groups.get(&order.group) else {
        return;
    };
    if known.deleting || !is_planned(known) {
        return;
    }
    let mut group = Group::clone(known);
    // A forecast is a floor for the planner, too: lowering the capacity now would only have `raise` raise it again in
    // the same pass.
    let least = group.min.max(predicted_floor(&group, now));
    let desired = order.desired.min(group.max).max(least);
    // Recorded even if the desired capacity stays: policies must not scale in below what the planner wants.
    group.planned = Some(desired);
    // Capacity that a target tracking policy may be holding is left for that policy to remove; `planned` is its floor.
    if desired > group.desired || !is_tracked(tx.region(), &group) {
        let why = format!("At {} {},", clock(now), order.cause);
        desire(&mut group, desired, &why);
    }
    // The planner orders many times a minute. An order that changes nothing must not become a change of the state.
    if *known.as_ref() == group {
        return;
    }
    put_group(tx, group);
    settle::settle(tx, &order.group);
}

/// Whether a target tracking policy may scale this group in.
fn is_tracked(region: &Region, group: &Group) -> bool {
    let mut policies = region.policies_of(&group.name);
    policies.any(|policy| {
        let disabled = policy
            .data
            .get("TargetTrackingConfiguration")
            .is_some_and(|given: &Value| given["DisableScaleIn"] == true);
        policy.kind == "TargetTrackingScaling" && policy.enabled && !disabled
    })
}
