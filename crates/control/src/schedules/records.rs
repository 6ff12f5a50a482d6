//! Schedules, rules, their clocks and their runs, as the store keeps them.

use forebay_schedules::{AfterCompletion, Dialect, RawSchedule, Schedule as Times, ScheduleError, Window};
use forebay_units::Wall;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;

/// When a schedule runs, as given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// `rate(...)`, `cron(...)` or `at(...)`.
    pub expression: String,
    /// Whether it follows the rules of scheduled rules rather than those of EventBridge Scheduler.
    pub of_rule: bool,
    /// The time zone; UTC if none was given.
    pub zone: Option<String>,
    /// When it was created or enabled with this expression.
    pub since: Wall,
    /// The start date: nothing is due before it.
    pub start: Option<Wall>,
    /// The end date: nothing is due after it.
    pub end: Option<Wall>,
    /// The length of its flexible window in minutes, if it has one.
    pub window: Option<u16>,
}

impl Timing {
    /// The scheduled times.
    ///
    /// # Errors
    /// If the expression is invalid, which stored ones are not.
    pub fn times(&self) -> Result<Times, ScheduleError> {
        Times::new(&RawSchedule {
            expression: &self.expression,
            dialect: if self.of_rule {
                Dialect::Rules
            } else {
                Dialect::Scheduler
            },
            zone: self.zone.as_deref(),
            since: self.since,
            start: self.start,
            end: self.end,
            window: self.window(),
        })
    }

    /// The flexible window.
    pub fn window(&self) -> Window {
        Window::new(self.window.is_some(), self.window.map(i64::from)).unwrap_or(Window::OFF)
    }
}

/// The target of a schedule or rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The id among a rule's targets; empty for a schedule's only target.
    pub id: String,
    /// The ARN of a function, a queue, or an operation.
    pub arn: String,
    /// The role's ARN. Only stored and described.
    pub role: Option<String>,
    /// The input, as given.
    pub input: Option<String>,
    /// The part of the event that becomes the input, if given.
    pub input_path: Option<String>,
    /// The input transformer, if given.
    pub transformer: Option<Value>,
    /// The message group of a FIFO queue.
    pub message_group: Option<String>,
    /// The ARN of the queue for runs that failed.
    pub dead_letter: Option<String>,
    /// How often a failed run is retried.
    pub retries: Option<u32>,
    /// For how many seconds a failed run is retried.
    pub age_s: Option<u32>,
}

/// A group of schedules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleGroup {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// When it was made.
    pub created: Wall,
    /// When it was last changed.
    pub modified: Wall,
    /// The token of the call that made it: the same call again succeeds.
    pub token: Option<String>,
}

/// A schedule of EventBridge Scheduler.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventSchedule {
    /// The name, unique in the group.
    pub name: String,
    /// The name of its group.
    pub group: String,
    /// Its ARN.
    pub arn: String,
    /// When it runs.
    pub timing: Timing,
    /// Whether it is enabled.
    pub enabled: bool,
    /// What it calls.
    pub target: Target,
    /// The description.
    pub description: Option<String>,
    /// What happens to it when it is never due again.
    pub after: AfterCompletion,
    /// When it was made.
    pub created: Wall,
    /// When it was last changed.
    pub modified: Wall,
    /// The token of the call that made it: the same call again succeeds.
    pub token: Option<String>,
}

impl EventSchedule {
    /// Whether the same call would make `other`.
    pub fn is_like(&self, other: &EventSchedule) -> bool {
        let mut same = self.clone();
        same.timing.since = other.timing.since;
        (same.created, same.modified) = (other.created, other.modified);
        same == *other
    }
}

/// A rule of EventBridge with a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRule {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// When it runs.
    pub timing: Timing,
    /// Whether it is enabled.
    pub enabled: bool,
    /// Its targets, by id.
    pub targets: Vec<Target>,
    /// The description.
    pub description: Option<String>,
    /// The role's ARN. Only stored and described.
    pub role: Option<String>,
}

/// Up to which time a schedule or rule has been looked at. Every enabled one has a clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleClock {
    /// The time of the last look.
    pub last: Wall,
    /// When to look again; `None` if nothing will ever be due.
    pub next: Option<Wall>,
    /// How many runs were missed and not caught up.
    pub missed: u64,
}

/// A run of a schedule or rule, for one target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduledRun {
    /// The ARN of its schedule or rule.
    pub schedule: String,
    /// The scheduled time.
    pub scheduled: Wall,
    /// When it begins: at the scheduled time, or within the window.
    pub begun: Wall,
    /// Whether it was missed and is being caught up.
    pub caught_up: bool,
    /// The target, as it was when the run became due; of a run that has ended, without its input.
    pub target: Arc<Target>,
    /// How many attempts failed.
    pub failures: u32,
    /// The current phase.
    pub phase: RunPhase,
}

/// The phase of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunPhase {
    /// It is waiting for its next attempt.
    Due {
        /// When to try.
        at: Wall,
        /// Why the last attempt failed, if one did.
        why: Option<String>,
    },
    /// It has failed for good, and goes to its dead-letter queue.
    DeadLetter {
        /// The error's code.
        code: String,
        /// Its message.
        why: String,
        /// The retry limit that was reached, if it was one.
        condition: Option<String>,
        /// When to send it.
        at: Wall,
    },
    /// It has ended.
    Done {
        /// When it ended.
        at: Wall,
        /// Why it failed; `None` if it succeeded.
        why: Option<String>,
    },
}

impl ScheduledRun {
    /// Whether it waits for its moment within its window.
    pub fn is_waiting(&self, now: Wall) -> bool {
        self.failures == 0 && self.begun > now
    }

    /// Its key in the table.
    pub fn key(&self) -> String {
        key(&self.schedule, self.scheduled, &self.target.id)
    }
}

/// The key of a run. Runs of one schedule are adjacent, ordered by time.
pub fn key(schedule: &str, scheduled: Wall, target: &str) -> String {
    format!(
        "{schedule}@{}|{target}",
        forebay_awswire::timestamp(scheduled.seconds() as f64)
    )
}
