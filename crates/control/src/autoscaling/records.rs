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
    /// A mixed instances policy, as it was given; its template's id and name are both filled in.
    Mixed(Value),
}

/// A launch template and what version of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateRef {
    /// `lt-...`
    pub id: String,
    /// Its name.
    pub name: String,
    /// A number, `$Latest` or `$Default`; none if none was said, which is the default.
    pub version: Option<String>,
}

/// An Auto Scaling group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Unique in its region.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// When it was made.
    pub created: Wall,
    /// The least capacity that it may have.
    pub min: u32,
    /// The most that it may have.
    pub max: u32,
    /// The capacity that it should have.
    pub desired: u32,
    /// What its instances are launched from.
    pub source: Source,
    /// Names of its zones.
    pub zones: Vec<String>,
    /// Its subnets; the default ones of its zones if there are none.
    pub subnets: Vec<String>,
    /// ARNs of the target groups that its instances are registered with.
    pub target_groups: Vec<String>,
    /// Names of load balancers of the first kind. Stored and described.
    pub classic_balancers: Vec<String>,
    /// Members of the create call that are stored and described, by name.
    pub others: BTreeMap<String, Value>,
    /// As given: `EC2`, `ELB` or several, separated by commas.
    pub health_check: String,
    /// Seconds after an instance came into service in which only EC2's health counts.
    pub grace: u32,
    /// Seconds.
    pub cooldown: u32,
    /// Seconds, if it was said.
    pub warmup: Option<u32>,
    /// Names of termination policies, in order.
    pub termination: Vec<String>,
    /// Whether new instances are protected from scale-in.
    pub protects_new: bool,
    /// Suspended processes, and why.
    pub suspended: BTreeMap<String, String>,
    /// Names of the group metrics that are collected.
    pub metrics: BTreeSet<String>,
    /// Its tags.
    pub tags: Vec<GroupTag>,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Its warm pool.
    pub warm_pool: Option<WarmPool>,
    /// Why its desired capacity is what it is, for activities.
    pub cause: String,
    /// Launches that failed in a row.
    pub failures: u32,
    /// Nothing is launched before that.
    pub not_before: Wall,
    /// The number of its next activity.
    pub next_activity: u64,
    /// When its last activity ended.
    pub quiet_since: Option<Wall>,
    /// Topics that are told of what happens, with the kinds of notifications.
    pub notifications: BTreeMap<String, BTreeSet<String>>,
    /// Calls that launched at once, oldest first.
    #[serde(default)]
    pub launch_calls: Vec<LaunchCall>,
    /// What its planner wants at least, if it has one: no policy goes below that.
    #[serde(default)]
    pub planned: Option<u32>,
    /// How long start-ups took, by launch class; the class that was seen last is the last.
    #[serde(default)]
    pub start_ups: Vec<StartUps>,
    /// What its predictive scaling policies have forecast, by their names.
    #[serde(default)]
    pub predicted: BTreeMap<String, Predicted>,
}

/// How long instances of one launch class took from their order until they served.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartUps {
    /// Image and shape, and whether they waited in a warm pool.
    pub class: String,
    /// The last ones, in milliseconds, oldest first.
    pub millis: Vec<u32>,
    /// How long after that workers of a queue first asked it for messages, of those that did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub late: Vec<u32>,
}

/// What a predictive scaling policy has forecast: the capacity of an hour and of the next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Predicted {
    /// When the first of the hours begins. The forecast is made anew when it ends.
    pub from: Wall,
    /// The capacity that each hour needs, whatever the group's bounds are; empty if nothing could be forecast.
    pub capacities: Vec<u32>,
    /// Seconds before an hour begins from which its capacity is to be there.
    pub buffer: u32,
    /// By how many percent of the forecast the group's maximum may exceed it; none if the maximum stays.
    pub max_buffer: Option<u32>,
    /// Why nothing could be forecast.
    pub problem: Option<String>,
}

impl Group {
    /// Whether a process of it is suspended.
    pub fn is_suspended(&self, process: &str) -> bool {
        self.suspended.contains_key(process)
    }
}

/// A call that launched at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LaunchCall {
    /// Its client token.
    pub token: String,
    /// What it was given.
    pub input: Value,
    /// What it was answered.
    pub answer: Value,
}

/// A tag of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupTag {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
    /// Whether instances that are launched later get it too.
    pub propagate: bool,
}

/// A warm pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WarmPool {
    /// The capacity of group and pool together; the group's maximum if none was said.
    pub prepared: Option<u32>,
    /// The least number of instances in the pool.
    pub min: u32,
    /// `Stopped`, `Running` or `Hibernated`.
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
    /// `i-...`
    pub id: String,
    /// Its group's name.
    pub group: String,
    /// Where it is in its life.
    pub state: Lifecycle,
    /// Since when.
    pub since: Wall,
    /// Its zone.
    pub zone: String,
    /// Its shape.
    pub instance_type: String,
    /// Its image.
    pub image_id: String,
    /// What it was launched from.
    pub origin: Origin,
    /// What it counts for, where the group's shapes have weights.
    pub weight: Option<u32>,
    /// Whether it may be taken away at any time.
    pub is_spot: bool,
    /// Why it is unhealthy, if it is.
    pub unhealthy: Option<String>,
    /// Whether it is protected from scale-in.
    pub protected: bool,
    /// When it came into service, the last time.
    pub in_service: Option<Wall>,
    /// When it could be counted on: its target groups found it healthy, or it has none and was in service.
    pub ready: Option<Wall>,
    /// The hook that is waited for.
    pub waiting: Option<Waiting>,
    /// Hooks of this transition that were completed, by name.
    pub hooks_done: BTreeSet<String>,
    /// Whether its requests may be taken away without ado: someone other than scale-in wants it gone.
    pub is_ordered: bool,
    /// The number of the activity that goes on about it.
    pub activity: Option<u64>,
    /// The instance refresh that launched it, by id.
    #[serde(default)]
    pub refresh: Option<String>,
    /// The instance that goes once this one can be counted on.
    #[serde(default)]
    pub replaces: Option<Replaced>,
    /// When it was launched, or called from the warm pool, until it serves.
    #[serde(default)]
    pub ordered: Option<Wall>,
    /// Whether it waited in the warm pool.
    #[serde(default)]
    pub was_warm: bool,
}

/// An instance that goes once another has taken its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaced {
    /// `i-...`
    pub id: String,
    /// Why it goes: the end of a sentence that begins with "in response to".
    pub why: String,
}

/// What an instance was launched from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// A launch configuration, by name.
    Configuration(String),
    /// A launch template's id and name, and the number of its version.
    Template(String, String, u64),
    /// Nothing of the group's: it was attached.
    Attached,
}

/// A wait for a hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// The hook's name.
    pub hook: String,
    /// Who completes the action says it.
    pub token: String,
    /// When it began.
    pub since: Wall,
    /// When the last heartbeat came.
    pub heartbeat: Wall,
    /// What was said of it: `CONTINUE` or `ABANDON`.
    pub result: Option<String>,
}

/// Something that happened to a group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Activity {
    /// A UUID.
    pub id: String,
    /// Its number in its group.
    pub number: u64,
    /// Its group's name.
    pub group: String,
    /// Its group's ARN.
    pub group_arn: String,
    /// What is done.
    pub description: String,
    /// Why.
    pub cause: String,
    /// When it began.
    pub began: Wall,
    /// When it ended.
    pub ended: Option<Wall>,
    /// AWS's name of its status.
    pub status: String,
    /// More of its status, where there is more to say.
    pub message: Option<String>,
    /// Percent.
    pub progress: u32,
    /// JSON: zone and subnet.
    pub details: String,
}

/// A launch configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LaunchConfiguration {
    /// Unique in its region.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// When it was made.
    pub created: Wall,
    /// The create call's members, with defaults filled in.
    pub data: Value,
}

/// A scaling policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// Its name, unique in its group.
    pub name: String,
    /// Its group's name.
    pub group: String,
    /// Its ARN.
    pub arn: String,
    /// `SimpleScaling`, `StepScaling`, `TargetTrackingScaling` or `PredictiveScaling`.
    pub kind: String,
    /// Whether it does anything.
    pub enabled: bool,
    /// The put call's other members, as given.
    pub data: BTreeMap<String, Value>,
    /// Names of the alarms that it made.
    pub alarms: Vec<String>,
}

/// A lifecycle hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// Its name, unique in its group.
    pub name: String,
    /// Its group's name.
    pub group: String,
    /// Whether it is for instances that come (else for those that go).
    pub launching: bool,
    /// Seconds without a heartbeat.
    pub heartbeat: u32,
    /// `CONTINUE` or `ABANDON`, after that time.
    pub default_result: String,
    /// Who is told.
    pub target_arn: Option<String>,
    /// As given.
    pub role_arn: Option<String>,
    /// What they are told beside the rest.
    pub metadata: Option<String>,
}

/// A scheduled action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Its name, unique in its group.
    pub name: String,
    /// Its group's name.
    pub group: String,
    /// Its ARN.
    pub arn: String,
    /// The first time, or the only one.
    pub start: Option<Wall>,
    /// From then on it is no more.
    pub end: Option<Wall>,
    /// A cron expression of five fields.
    pub recurrence: Option<String>,
    /// An IANA time zone for it.
    pub zone: Option<String>,
    /// What the group's capacities become.
    pub min: Option<u32>,
    /// What the group's capacities become.
    pub max: Option<u32>,
    /// What the group's capacities become.
    pub desired: Option<u32>,
    /// When it is due next; none if never.
    pub next: Option<Wall>,
}

/// Something that a topic is to be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The topic's ARN.
    pub topic: String,
    /// In a line.
    pub subject: String,
    /// In full: JSON, in Auto Scaling's form.
    pub message: String,
    /// When it came to be.
    pub at: Wall,
}

/// An instance refresh.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refresh {
    /// A UUID.
    pub id: String,
    /// Its number in its group: later ones are greater.
    pub number: u64,
    /// Its group's name.
    pub group: String,
    /// AWS's name of its status.
    pub status: String,
    /// More of it.
    pub reason: Option<String>,
    /// When it began.
    pub began: Wall,
    /// When it ended.
    pub ended: Option<Wall>,
    /// Percent that are done, of the way back if it is rolled back.
    pub percentage: u32,
    /// How many are still to be replaced.
    pub to_update: u32,
    /// The preferences, with defaults filled in.
    pub preferences: Value,
    /// The desired configuration, as given.
    pub desired: Option<Value>,
    /// What launches use while it goes on; what the group says, if it is none.
    pub source: Option<Source>,
    /// What the group's instances were launched from before it.
    pub before: Source,
    /// Where it is; none before the first look at it.
    pub leg: Option<Leg>,
    /// Why it goes back, if it does.
    pub rollback: Option<Rollback>,
}

/// A way that a refresh goes: there, or back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leg {
    /// When it began.
    pub began: Wall,
    /// How many instances were to be replaced then.
    pub total: u32,
    /// The place of the last checkpoint that was reached, and when.
    pub checkpoint: Option<(usize, Wall)>,
    /// Since when it waits for instances that are protected or stand by.
    pub blocked: Option<Wall>,
    /// When all was replaced.
    pub replaced: Option<Wall>,
}

/// A refresh that goes back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollback {
    /// Why.
    pub reason: String,
    /// Since when.
    pub began: Wall,
    /// How much was done by then, in percent.
    pub percentage: u32,
    /// How many were still to be replaced then.
    pub to_update: u32,
}
