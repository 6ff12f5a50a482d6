//! Groups of workers that are sized by the backlog of their queue (tag `forebay:backlog-queue` and others): what their
//! planner needs to know. The planner itself is `forebay_scaling::backlog`. The server calls it with the state of the
//! queues, and its orders are carried out like those of any planner (`planning::carry_out`).

use crate::api::arns::{account_of, arn_of};
use crate::autoscaling::due::acting;
use crate::autoscaling::lookup::put_group;
pub use crate::autoscaling::planned_fleet::Costs;
use crate::autoscaling::planned_fleet::{PlannedFleet, aged, planned_fleet};
use crate::autoscaling::planner_tags::backlog_tags;
use crate::autoscaling::records::{Group, Lifecycle};
use crate::autoscaling::start_ups::{late, record_late};
use crate::fleet::Shape;
use crate::own_tags::backlogs::BacklogTags;
pub use crate::own_tags::backlogs::ProcessingMetric;
use crate::ports::Observations;
use crate::state::State;
use crate::tables::Region;
use core::time::Duration;
use forebay_scaling::backlog::{Settings, Workers};
use forebay_scaling::planner::Fleet;
use forebay_units::Wall;

/// The least tolerance when an instance is compared with how late others were.
const LATE: Duration = Duration::from_secs(1);

/// A group that is sized by a backlog.
#[derive(Clone, Debug, PartialEq)]
pub struct BacklogGroup {
    /// The group's region.
    pub region: String,
    /// The group's name.
    pub name: String,
    /// The ARN of its workers' queue.
    pub queue_arn: String,
    /// Whether plans are shown but not carried out.
    pub is_dry_run: bool,
    /// How the group is sized.
    pub settings: Settings,
    /// The metric that reports the processing time of a message; `None` if it is measured from receives and deletes.
    pub metric: Option<ProcessingMetric>,
    /// The cost limit, if there is one, which may keep the capacity below the group's maximum.
    pub costs: Option<Costs>,
    /// Its instances in service, without those that have an interruption notice.
    pub serving: Vec<Serving>,
    /// The start-up time that the operator set, or zero.
    told_start_up: Duration,
    /// How long after coming into service its instances first ask for messages, if that is known.
    late: Option<Duration>,
    fleet: Fleet,
    ordered: Vec<Option<Wall>>,
    protected: u32,
    may_finish: bool,
}

/// An instance asked for messages for the first time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstReceive {
    /// The group's region.
    pub region: String,
    /// The group's name.
    pub group: String,
    /// The instance's id.
    pub instance: String,
    /// How long the instance had been in service by then.
    pub late: Duration,
}

/// The state with these first receives recorded; `None` if nothing changed.
pub fn record_first_receives(
    state: &State,
    receives: &[FirstReceive],
    observations: &dyn Observations,
    now: Wall,
) -> Option<State> {
    let mut next: Option<State> = None;
    for receive in receives {
        let state = next.as_ref().unwrap_or(state);
        let changed = acting(state, &receive.region, observations, now, "planner", |tx| {
            let region = tx.region();
            let members = region.members_of(&receive.group);
            let member = members
                .map(|member| &**member)
                .find(|member| member.id == receive.instance);
            let (Some(member), Some(group)) = (member, region.scaling_groups.get(&receive.group)) else {
                return;
            };
            let mut group = Group::clone(group);
            record_late(&mut group, member, receive.late);
            put_group(tx, group);
        });
        next = changed.or(next);
    }
    next
}

/// An instance in service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serving {
    /// The instance's id.
    pub id: String,
    /// Its units of capacity.
    pub units: u32,
    /// When its process was started.
    pub ready: Wall,
}

impl BacklogGroup {
    /// The workers at this time. Once it is known how long instances take until they first ask for messages, those in
    /// service that have not asked yet count as still starting.
    pub fn workers(&self, now: Wall, has_asked: impl Fn(&str) -> bool) -> Workers {
        let mut fleet = aged(&self.fleet, &self.ordered, now);
        match self.late {
            Some(late) => {
                let until_ready = fleet.start_up.unwrap_or_default();
                for one in &self.serving {
                    let age = now.since(one.ready);
                    // From here on a start-up lasts until the worker first asks for messages, so an instance in service
                    // that has not asked is as old as its start-up until service plus its time in service.
                    // An instance that takes much longer than others is not starting: its worker does something else,
                    // or hangs. Counted as pending for ever, it would be expected and never replaced.
                    if age < late * 2 + LATE && !has_asked(&one.id) {
                        fleet.ready = fleet.ready.saturating_sub(one.units);
                        fleet.pending.extend((0..one.units).map(|_| until_ready + age));
                    }
                }
                fleet.start_up = fleet.start_up.map(|start_up| start_up + late);
            }
            // What was measured ends when the process has started; when its worker begins to work has not been seen.
            // The operator's value stands until the measured one exceeds it.
            None => fleet.start_up = fleet.start_up.filter(|start_up| *start_up > self.told_start_up),
        }
        Workers {
            fleet,
            protected: self.protected,
            may_finish: self.may_finish,
        }
    }

    /// The group's desired capacity.
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
    // A default instance warmup is the operator's own estimate, unless a tag gives a better one.
    if let (false, Some(warmup)) = (tags.has_start_up, group.warmup) {
        settings.start_up = Duration::from_secs(warmup.into());
    }
    let is_told = tags.has_start_up || group.warmup.is_some();
    let settings_start_up = settings.start_up;
    let PlannedFleet {
        mut fleet,
        ordered,
        costs,
    } = planned_fleet(region, group, tags.max_hourly_cost, shapes, now);
    let (serving, leaving) = serving(region, group);
    // A Spot Instance with an interruption notice gets no more messages, so it is no longer capacity, although it is in
    // service until it ends. Its replacement counts as pending.
    fleet.ready = fleet.ready.saturating_sub(leaving);
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
        serving,
        late: late(region, group),
        told_start_up: if is_told {
            settings_start_up
        } else {
            Duration::ZERO
        },
        fleet,
        ordered,
        protected: members.map(|member| member.weight.unwrap_or(1)).sum(),
        may_finish: region.hooks_of(&group.name).any(|hook| !hook.launching),
    }
}

/// Instances in service, and the capacity of those that have an interruption notice and are left out.
fn serving(region: &Region, group: &Group) -> (Vec<Serving>, u32) {
    let (mut serving, mut leaving) = (Vec::new(), 0);
    for member in region.members_of(&group.name) {
        let (Lifecycle::InService, Some(ready)) = (member.state, member.ready) else {
            continue;
        };
        let units = member.weight.unwrap_or(1);
        let instance = region.instances.get(&member.id);
        if instance.is_some_and(|instance| instance.interrupted_at.is_some()) {
            leaving += units;
            continue;
        }
        serving.push(Serving {
            id: member.id.clone(),
            units,
            ready,
        });
    }
    (serving, leaving)
}
