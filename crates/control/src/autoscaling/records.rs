//! Auto Scaling's records.

pub use crate::autoscaling::lifecycle::Lifecycle;
use forebay_units::Wall;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What a group's instances are launched from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Source {
    /// A launch configuration, by name.
    Configuration(String),
    /// A launch template.
    Template(TemplateRef),
    /// A mixed instances policy as given, with both the id and the name of its template.
    Mixed(Value),
}

/// A launch template and its version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateRef {
    /// The id, `lt-...`.
    pub id: String,
    /// The name.
    pub name: String,
    /// The version: a number, `$Latest` or `$Default`; `None` if none was given, which means the default version.
    pub version: Option<String>,
}

/// An Auto Scaling group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// The name, unique in the region.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// When it was created.
    pub created: Wall,
    /// The minimum capacity.
    pub min: u32,
    /// The maximum capacity.
    pub max: u32,
    /// The desired capacity.
    pub desired: u32,
    /// What its instances are launched from.
    pub source: Source,
    /// The names of its zones.
    pub zones: Vec<String>,
    /// Its subnets; if empty, the default subnets of its zones.
    pub subnets: Vec<String>,
    /// The ARNs of the target groups that its instances are registered with.
    pub target_groups: Vec<String>,
    /// Names of Classic Load Balancers. Only stored and described.
    pub classic_balancers: Vec<String>,
    /// Members of the create call that are only stored and described, by name.
    pub others: BTreeMap<String, Value>,
    /// The health check type as given: `EC2`, `ELB` or several, separated by commas.
    pub health_check: String,
    /// The health check grace period in seconds, in which only EC2's health counts.
    pub grace: u32,
    /// The default cooldown in seconds.
    pub cooldown: u32,
    /// The default instance warmup in seconds, if set.
    pub warmup: Option<u32>,
    /// The names of termination policies, in order.
    pub termination: Vec<String>,
    /// Whether new instances are protected from scale-in.
    pub protects_new: bool,
    /// The suspended processes, each with the reason.
    pub suspended: BTreeMap<String, String>,
    /// The names of the group metrics that are collected.
    pub metrics: BTreeSet<String>,
    /// Its tags.
    pub tags: Vec<GroupTag>,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Its warm pool.
    pub warm_pool: Option<WarmPool>,
    /// The cause of the current desired capacity, for activities.
    pub cause: String,
    /// How many launches failed in a row.
    pub failures: u32,
    /// No launch is tried before this time.
    pub not_before: Wall,
    /// The number of the next activity.
    pub next_activity: u64,
    /// When the last activity ended.
    pub quiet_since: Option<Wall>,
    /// Topics, each with the notification types that it gets.
    pub notifications: BTreeMap<String, BTreeSet<String>>,
    /// LaunchInstances calls, oldest first.
    #[serde(default)]
    pub launch_calls: Vec<LaunchCall>,
    /// The capacity that its planner wants, if it has one: policies do not scale in below it.
    #[serde(default)]
    pub planned: Option<u32>,
    /// Start-up times by launch class; the class that was seen last comes last.
    #[serde(default)]
    pub start_ups: Vec<StartUps>,
    /// The forecasts of its predictive scaling policies, by policy name.
    #[serde(default)]
    pub predicted: BTreeMap<String, Predicted>,
}

/// How long instances of one launch class took from their order until they were ready.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartUps {
    /// The image and the shape, and whether they waited in a warm pool.
    pub class: String,
    /// The most recent start-up times in milliseconds, oldest first.
    pub millis: Vec<u32>,
    /// How many milliseconds later workers of a queue first asked for messages, for those that did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub late: Vec<u32>,
}

/// A forecast of a predictive scaling policy: the capacity of an hour and of the next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Predicted {
    /// When the first of the two hours begins. The forecast is renewed when that hour ends.
    pub from: Wall,
    /// The capacity that each hour needs, regardless of the group's bounds; empty if no forecast was possible.
    pub capacities: Vec<u32>,
    /// How many seconds before an hour its capacity must be there.
    pub buffer: u32,
    /// By how many percent the group's maximum may exceed the forecast; `None` if the maximum stays.
    pub max_buffer: Option<u32>,
    /// Why no forecast was possible.
    pub problem: Option<String>,
}

impl Group {
    /// Whether the process is suspended.
    pub fn is_suspended(&self, process: &str) -> bool {
        self.suspended.contains_key(process)
    }
}

/// A LaunchInstances call, remembered by its client token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LaunchCall {
    /// Its client token.
    pub token: String,
    /// Its input.
    pub input: Value,
    /// Its answer.
    pub answer: Value,
}

/// A tag of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupTag {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
    /// Whether new instances get it, too.
    pub propagate: bool,
}

/// A warm pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WarmPool {
    /// The prepared capacity: group and pool together; `None` means the group's maximum.
    pub prepared: Option<u32>,
    /// The minimum number of instances in the pool.
    pub min: u32,
    /// The state of its instances: `Stopped`, `Running` or `Hibernated`.
    pub state: String,
    /// Whether instances return to it when the group scales in.
    pub reuse: bool,
    /// Whether it is being deleted.
    pub deleting: bool,
}

impl WarmPool {
    /// How many instances it should have.
    pub fn wanted(&self, group: &Group) -> u32 {
        if self.deleting || group.deleting {
            return 0;
        }
        let prepared = self.prepared.unwrap_or(group.max).max(group.desired);
        (prepared - group.desired).max(self.min)
    }
}

/// An instance in a group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// The instance's id, `i-...`.
    pub id: String,
    /// The name of its group.
    pub group: String,
    /// Its lifecycle state.
    pub state: Lifecycle,
    /// Since when it has been in that state.
    pub since: Wall,
    /// Its zone.
    pub zone: String,
    /// Its shape.
    pub instance_type: String,
    /// Its image.
    pub image_id: String,
    /// What it was launched from.
    pub origin: Origin,
    /// Its weight, if the group's shapes have weights.
    pub weight: Option<u32>,
    /// Whether it is a Spot Instance.
    pub is_spot: bool,
    /// Why it is unhealthy; `None` if it is healthy.
    pub unhealthy: Option<String>,
    /// Whether it is protected from scale-in.
    pub protected: bool,
    /// When it last came into service.
    pub in_service: Option<Wall>,
    /// When it became ready: its target groups found it healthy, or it was in service and has none.
    pub ready: Option<Wall>,
    /// The hook that it is waiting for.
    pub waiting: Option<Waiting>,
    /// The hooks completed in this transition, by name.
    pub hooks_done: BTreeSet<String>,
    /// Whether something other than scale-in wants it gone, so that it is not taken back.
    pub is_ordered: bool,
    /// The number of the activity in progress for it.
    pub activity: Option<u64>,
    /// The id of the instance refresh that launched it.
    #[serde(default)]
    pub refresh: Option<String>,
    /// The instance that leaves once this one is ready.
    #[serde(default)]
    pub replaces: Option<Replaced>,
    /// When it was launched, or taken from the warm pool; cleared once it is ready.
    #[serde(default)]
    pub ordered: Option<Wall>,
    /// Whether it came from the warm pool.
    #[serde(default)]
    pub was_warm: bool,
}

/// An instance that is being replaced and leaves once the replacement is ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaced {
    /// The instance's id, `i-...`.
    pub id: String,
    /// Why it is replaced: completes a sentence that begins with "in response to".
    pub why: String,
}

/// What an instance was launched from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// A launch configuration, by name.
    Configuration(String),
    /// A launch template's id and name, and the number of its version.
    Template(String, String, u64),
    /// Not launched by the group: it was attached.
    Attached,
}

/// A wait for a hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// The hook's name.
    pub hook: String,
    /// The token by which the action is completed.
    pub token: String,
    /// When it began.
    pub since: Wall,
    /// When the last heartbeat arrived.
    pub heartbeat: Wall,
    /// The result, once completed: `CONTINUE` or `ABANDON`.
    pub result: Option<String>,
}

/// A scaling activity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Activity {
    /// The id, a UUID.
    pub id: String,
    /// Its number in its group.
    pub number: u64,
    /// The name of its group.
    pub group: String,
    /// The ARN of its group.
    pub group_arn: String,
    /// What is being done.
    pub description: String,
    /// The cause.
    pub cause: String,
    /// When it began.
    pub began: Wall,
    /// When it ended.
    pub ended: Option<Wall>,
    /// AWS's name of the status.
    pub status: String,
    /// Details of the status, if there are any.
    pub message: Option<String>,
    /// The progress in percent.
    pub progress: u32,
    /// The zone and the subnet, as JSON.
    pub details: String,
}

/// A launch configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LaunchConfiguration {
    /// The name, unique in the region.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// When it was created.
    pub created: Wall,
    /// The create call's members, with defaults filled in.
    pub data: Value,
}

/// A scaling policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// The name, unique in the group.
    pub name: String,
    /// The name of its group.
    pub group: String,
    /// Its ARN.
    pub arn: String,
    /// `SimpleScaling`, `StepScaling`, `TargetTrackingScaling` or `PredictiveScaling`.
    pub kind: String,
    /// Whether it is enabled.
    pub enabled: bool,
    /// The other members of PutScalingPolicy, as given.
    pub data: BTreeMap<String, Value>,
    /// The names of the alarms that Forebay created for it.
    pub alarms: Vec<String>,
}

/// A lifecycle hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// The name, unique in the group.
    pub name: String,
    /// The name of its group.
    pub group: String,
    /// Whether it is for launches; otherwise it is for terminations.
    pub launching: bool,
    /// The heartbeat timeout in seconds.
    pub heartbeat: u32,
    /// The result after the timeout: `CONTINUE` or `ABANDON`.
    pub default_result: String,
    /// The ARN of the topic that is notified.
    pub target_arn: Option<String>,
    /// The role's ARN, as given.
    pub role_arn: Option<String>,
    /// Additional text for the notification.
    pub metadata: Option<String>,
}

/// A scheduled action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// The name, unique in the group.
    pub name: String,
    /// The name of its group.
    pub group: String,
    /// Its ARN.
    pub arn: String,
    /// The first time, or the only one.
    pub start: Option<Wall>,
    /// When the action ends and is deleted.
    pub end: Option<Wall>,
    /// The recurrence: a cron expression of five fields.
    pub recurrence: Option<String>,
    /// The IANA time zone of the recurrence.
    pub zone: Option<String>,
    /// The new minimum.
    pub min: Option<u32>,
    /// The new maximum.
    pub max: Option<u32>,
    /// The new desired capacity.
    pub desired: Option<u32>,
    /// When it is next due; `None` if never.
    pub next: Option<Wall>,
}

/// A notification that is still to be sent to a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The topic's ARN.
    pub topic: String,
    /// The subject line.
    pub subject: String,
    /// The full text: JSON in Auto Scaling's format.
    pub message: String,
    /// When it happened.
    pub at: Wall,
}

/// An instance refresh.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refresh {
    /// The id, a UUID.
    pub id: String,
    /// Its number in its group; later refreshes have higher numbers.
    pub number: u64,
    /// The name of its group.
    pub group: String,
    /// AWS's name of its status.
    pub status: String,
    /// Details of the status.
    pub reason: Option<String>,
    /// When it began.
    pub began: Wall,
    /// When it ended.
    pub ended: Option<Wall>,
    /// The percentage done; for a rollback, of the way back.
    pub percentage: u32,
    /// How many instances are still to be replaced.
    pub to_update: u32,
    /// The preferences, with defaults filled in.
    pub preferences: Value,
    /// The desired configuration, as given.
    pub desired: Option<Value>,
    /// What it launches from; `None` if that is the group's own source.
    pub source: Option<Source>,
    /// The group's source before the refresh.
    pub before: Source,
    /// Its current leg; `None` before the first step.
    pub leg: Option<Leg>,
    /// The rollback, if it is being rolled back.
    pub rollback: Option<Rollback>,
}

/// A leg of a refresh: the way to the new configuration, or the way back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leg {
    /// When it began.
    pub began: Wall,
    /// How many instances had to be replaced at its beginning.
    pub total: u32,
    /// The index of the last checkpoint reached, and when it was reached.
    pub checkpoint: Option<(usize, Wall)>,
    /// Since when it has been waiting for instances that are protected or in standby.
    pub blocked: Option<Wall>,
    /// When all instances had been replaced.
    pub replaced: Option<Wall>,
}

/// The rollback of a refresh.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollback {
    /// The reason.
    pub reason: String,
    /// When it began.
    pub began: Wall,
    /// The percentage that had been done by then.
    pub percentage: u32,
    /// How many instances were still to be replaced by then.
    pub to_update: u32,
}
