//! Groups of workers that are sized by the backlog of their queue (tags `forebay:backlog-queue` and its like): what their planner needs to
//! know of them. The planner itself is `forebay_scaling::backlog`; whoever sees the queues asks it, and its orders are carried out as
//! any planner's (`planning::carry_out`).

use crate::api::arns::{account_of, arn_of};
pub use crate::autoscaling::planned_fleet::Costs;
use crate::autoscaling::planned_fleet::{PlannedFleet, aged, planned_fleet};
use crate::autoscaling::planner_tags::backlog_tags;
use crate::autoscaling::records::{Group, Lifecycle};
use crate::fleet::Shape;
use crate::own_tags::backlogs::BacklogTags;
pub use crate::own_tags::backlogs::ProcessingMetric;
use crate::state::State;
use crate::tables::Region;
use core::time::Duration;
use forebay_scaling::backlog::{Settings, Workers};
use forebay_scaling::planner::Fleet;
use forebay_units::Wall;

/// A group that is sized by a backlog.
#[derive(Clone, Debug, PartialEq)]
pub struct BacklogGroup {
    /// Its region.
    pub region: String,
    /// Its name.
    pub name: String,
    /// Its workers' queue.
    pub queue_arn: String,
    /// It is only said what would be done.
    pub is_dry_run: bool,
    /// How it is sized.
    pub settings: Settings,
    /// The metric that has the time that a message takes, if it is not to be learnt.
    pub metric: Option<ProcessingMetric>,
    /// What bounds its capacity below its own maximum, if anything does.
    pub costs: Option<Costs>,
    fleet: Fleet,
    ordered: Vec<Option<Wall>>,
    protected: u32,
    may_finish: bool,
}

impl BacklogGroup {
    /// Who is there to work, at this time.
    pub fn workers(&self, now: Wall) -> Workers {
        Workers {
            fleet: aged(&self.fleet, &self.ordered, now),
            protected: self.protected,
            may_finish: self.may_finish,
        }
    }

    /// The capacity that is wanted.
    pub fn desired(&self) -> u32 {
        self.fleet.desired
    }
}

/// All groups that are sized by a backlog. O(groups + their instances).
pub fn backlog_groups(state: &State, shapes: &[Shape], now: Wall) -> Vec<BacklogGroup> {
    let mut found = Vec::new();
    for (name, region) in state.regions() {
        for group in region.scaling_groups.values().filter(|group| !group.deleting) {
            if let Some(tags) = backlog_tags(group) {
                found.push(backlog_group(name, region, group, tags, shapes, now));
            }
        }
    }
    found
}

fn backlog_group(
    region_name: &str,
    region: &Region,
    group: &Group,
    tags: BacklogTags,
    shapes: &[Shape],
    now: Wall,
) -> BacklogGroup {
    let mut settings = tags.settings;
    if let (false, Some(warmup)) = (tags.has_start_up, group.warmup) {
        settings.start_up = Duration::from_secs(warmup.into());
    }
    let PlannedFleet {
        mut fleet,
        ordered,
        costs,
    } = planned_fleet(region, group, tags.max_hourly_cost, shapes, now);
    // A Spot Instance that was told to go gets no more messages. Who takes its place is on its way.
    fleet.ready = fleet.ready.saturating_sub(leaving(region, group));
    let members = region
        .members_of(&group.name)
        .filter(|member| member.state.counts() && member.protected);
    let queue_arn = if tags.queue.starts_with("arn:") {
        tags.queue
    } else {
        arn_of("sqs", region_name, account_of(&group.arn), &tags.queue)
    };
    BacklogGroup {
        region: region_name.to_owned(),
        name: group.name.clone(),
        queue_arn,
        is_dry_run: tags.is_dry_run || group.is_suspended("AlarmNotification"),
        settings,
        metric: tags.metric,
        costs,
        fleet,
        ordered,
        protected: members.map(|member| member.weight.unwrap_or(1)).sum(),
        may_finish: region.hooks_of(&group.name).any(|hook| !hook.launching),
    }
}

/// The capacity of instances in service that were told to go.
fn leaving(region: &Region, group: &Group) -> u32 {
    let members = region.members_of(&group.name);
    let leaving = members.filter(|member| {
        let instance = region.instances.get(&member.id);
        member.state == Lifecycle::InService
            && member.ready.is_some()
            && instance.is_some_and(|instance| instance.interrupted_at.is_some())
    });
    leaving.map(|member| member.weight.unwrap_or(1)).sum()
}
