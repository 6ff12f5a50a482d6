//! Metrics of groups that collect some: once a minute, how many instances are in each state.

use crate::Region;
use crate::State;
use crate::autoscaling::records::{Group, Lifecycle, Member};
use crate::ports::{Datapoint, Series};
use forebay_signals::Summary;
use forebay_units::Wall;

/// The datapoints of all groups' metrics at this time.
pub fn group_datapoints(state: &State, at: Wall) -> Vec<Datapoint> {
    let mut points = Vec::new();
    for (name, region) in state.regions() {
        let groups = region.scaling_groups.values();
        for group in groups.filter(|group| !group.metrics.is_empty()) {
            points.extend(of_group(name, region, group, at));
        }
    }
    points
}

fn of_group(region_name: &str, region: &Region, group: &Group, at: Wall) -> Vec<Datapoint> {
    let members: Vec<&Member> = region.members_of(&group.name).map(|member| &**member).collect();
    let metrics = group.metrics.iter();
    metrics
        .filter_map(|name| Some((name, value(name, group, &members)?)))
        .map(|(name, value)| Datapoint {
            series: Series {
                region: region_name.to_owned(),
                namespace: "AWS/AutoScaling".to_owned(),
                name: name.clone(),
                dimensions: vec![("AutoScalingGroupName".to_owned(), group.name.clone())],
            },
            at,
            unit: None,
            summary: Summary::of(f64::from(value), 1.0),
            high_resolution: false,
        })
        .collect()
}

/// A metric's value; `None` if it does not apply to the group.
fn value(name: &str, group: &Group, members: &[&Member]) -> Option<u32> {
    // Metrics of capacity count weights; the others count instances.
    let weighted = name.ends_with("Capacity");
    let sum = |is: &dyn Fn(Lifecycle) -> bool| {
        let counted = members.iter().filter(|member| is(member.state));
        counted
            .map(|member| if weighted { member.weight.unwrap_or(1) } else { 1 })
            .sum::<u32>()
    };
    let pending = |state| {
        matches!(
            state,
            Lifecycle::Pending | Lifecycle::PendingWait | Lifecycle::PendingProceed
        )
    };
    let standby = |state| matches!(state, Lifecycle::Standby | Lifecycle::EnteringStandby);
    let leaving = |state: Lifecycle| state.leaves() && !state.is_warmed();
    let pool = group.warm_pool.as_ref();
    let wanted = pool.map(|pool| pool.wanted(group));
    Some(match name {
        "GroupMinSize" => group.min,
        "GroupMaxSize" => group.max,
        "GroupDesiredCapacity" => group.desired,
        "GroupInServiceInstances" | "GroupInServiceCapacity" => sum(&|state| state == Lifecycle::InService),
        "GroupPendingInstances" | "GroupPendingCapacity" => sum(&pending),
        "GroupTerminatingInstances" | "GroupTerminatingCapacity" => sum(&leaving),
        "GroupStandbyInstances" | "GroupStandbyCapacity" => sum(&standby),
        "GroupTotalInstances" | "GroupTotalCapacity" => sum(&|state| !state.is_warmed()),
        "WarmPoolMinSize" => pool?.min,
        "WarmPoolDesiredCapacity" => wanted?,
        "WarmPoolWarmedCapacity" => {
            pool?;
            sum(&|state| {
                matches!(
                    state,
                    Lifecycle::WarmedStopped | Lifecycle::WarmedRunning | Lifecycle::WarmedHibernated
                )
            })
        }
        "WarmPoolPendingCapacity" => {
            pool?;
            sum(&|state| {
                matches!(
                    state,
                    Lifecycle::WarmedPending | Lifecycle::WarmedPendingWait | Lifecycle::WarmedPendingProceed
                )
            })
        }
        "WarmPoolTerminatingCapacity" => {
            pool?;
            sum(&|state: Lifecycle| state.is_warmed() && state.leaves())
        }
        "WarmPoolTotalCapacity" => {
            pool?;
            sum(&Lifecycle::is_warmed)
        }
        "GroupAndWarmPoolDesiredCapacity" => group.desired + wanted?,
        "GroupAndWarmPoolTotalCapacity" => {
            pool?;
            sum(&|_| true)
        }
        _ => return None,
    })
}
