//! Schedules, rules, their clocks and their runs, as the store keeps them.

use forebay_schedules::{AfterCompletion, Dialect, RawSchedule, Schedule as Times, ScheduleError, Window};
use forebay_units::Wall;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// When something runs, as it was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// `rate(...)`, `cron(...)` or `at(...)`.
    pub expression: String,
    /// Whether it follows the rules of scheduled rules.
    pub of_rule: bool,
    /// The time zone; UTC if none was given.
    pub zone: Option<String>,
    /// When it was made, or enabled, with this expression.
    pub since: Wall,
    /// Nothing is due before.
    pub start: Option<Wall>,
    /// Nothing is due after.
    pub end: Option<Wall>,
    /// Minutes of its flexible window, if it has one.
    pub window: Option<u16>,
}

impl Timing {
    /// Its times.
    ///
    /// # Errors
    /// If it is none: never of what is kept.
    pub fn times(&self) -> Result<Times, ScheduleError> {
        let window = Window::new(self.window.is_some(), self.window.map(i64::from));
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
            window: window.unwrap_or(Window::OFF),
        })
    }
}

/// What a run calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Its id among a rule's targets; empty of a schedule's only one.
    pub id: String,
    /// The ARN of a function, a queue, or an operation.
    pub arn: String,
    /// In whose name; told.
    pub role: Option<String>,
    /// What it is given, as it was said.
    pub input: Option<String>,
    /// Which part of the event it is given, if that was said.
    pub input_path: Option<String>,
    /// What is made of the event, if that was said.
    pub transformer: Option<Value>,
    /// The message group of a FIFO queue.
    pub message_group: Option<String>,
    /// The ARN of the queue for runs that failed.
    pub dead_letter: Option<String>,
    /// How often a failed run is tried again.
    pub retries: Option<u32>,
    /// For how long, in seconds.
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
    /// When it was changed last.
    pub modified: Wall,
}

/// A schedule of EventBridge Scheduler.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventSchedule {
    /// Its name, unique in its group.
    pub name: String,
    /// Its group.
    pub group: String,
    /// Its ARN.
    pub arn: String,
    /// When it runs.
    pub timing: Timing,
    /// Whether it does.
    pub enabled: bool,
    /// What it calls.
    pub target: Target,
    /// What it is for.
    pub description: Option<String>,
    /// What becomes of it when it is never due again.
    pub after: AfterCompletion,
    /// When it was made.
    pub created: Wall,
    /// When it was changed last.
    pub modified: Wall,
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
    /// Whether it does.
    pub enabled: bool,
    /// What it calls, by id.
    pub targets: Vec<Target>,
    /// What it is for.
    pub description: Option<String>,
    /// In whose name; told.
    pub role: Option<String>,
}

/// How far a schedule or a rule has come. There is one for each that is enabled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleClock {
    /// When it was last looked at.
    pub last: Wall,
    /// When to look again; none if nothing will ever be due.
    pub next: Option<Wall>,
    /// Runs that were missed and not made up for.
    pub missed: u64,
}

/// A run of a schedule or a rule with one target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduledRun {
    /// The ARN of what it is a run of.
    pub schedule: String,
    /// When it was scheduled for.
    pub scheduled: Wall,
    /// When it began: at its scheduled time, or in its window.
    pub begun: Wall,
    /// Whether it was missed and is made up for.
    pub caught_up: bool,
    /// What it calls, as it was when the run became due.
    pub target: Target,
    /// Attempts that failed.
    pub failures: u32,
    /// Where it is.
    pub phase: RunPhase,
}

/// Where a run is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunPhase {
    /// To be tried then.
    Due {
        /// When.
        at: Wall,
        /// Why it failed last, if it did.
        why: Option<String>,
    },
    /// It has failed for good, and goes to its dead-letter queue.
    DeadLetter {
        /// The error's code.
        code: String,
        /// Its message.
        why: String,
        /// Which bound of its retries was met, if one was.
        condition: Option<String>,
    },
    /// It is over.
    Done {
        /// When.
        at: Wall,
        /// Why it failed; none if it did not.
        why: Option<String>,
    },
}

impl ScheduledRun {
    /// Its key in the table.
    pub fn key(&self) -> String {
        key(&self.schedule, self.scheduled, &self.target.id)
    }
}

/// A run's key: runs of one schedule stand together, by time.
pub fn key(schedule: &str, scheduled: Wall, target: &str) -> String {
    format!(
        "{schedule}@{}|{target}",
        forebay_awswire::timestamp(scheduled.seconds() as f64)
    )
}
