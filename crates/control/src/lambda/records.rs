//! Functions and event source mappings, as the store keeps them.

use forebay_queues::QueueId;
use forebay_units::Wall;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// A function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Function {
    /// Its name, unique in its region.
    pub name: String,
    /// Its ARN, without a qualifier.
    pub arn: String,
    /// Such as `python3.11`.
    pub runtime: String,
    /// The ARN of its role.
    pub role: String,
    /// What its runtime is to call.
    pub handler: String,
    /// What it is for.
    pub description: String,
    /// How long one invocation may take, in seconds.
    pub timeout_s: u32,
    /// Its memory, in MiB.
    pub memory_mib: u32,
    /// Environment variables of its own.
    pub environment: BTreeMap<String, String>,
    /// SHA-256 of its archive, in lower-case hexadecimal digits.
    pub code_sha256: String,
    /// The archive's bytes.
    pub code_size: u64,
    /// `x86_64` or `arm64`: told, and what this machine is counts.
    pub architecture: String,
    /// Room for files, in MiB: told.
    pub ephemeral_mib: u32,
    /// `Active` or `PassThrough`: told.
    pub tracing: String,
    /// The ARN of the queue for events that it failed.
    pub dead_letter: Option<String>,
    /// How it logs, if that was said: told.
    pub logging: Option<Value>,
    /// Changes with each change.
    pub revision: String,
    /// When it was changed last.
    pub modified: Wall,
    /// The queue of events that it is to get later; drawn at random.
    pub events: QueueId,
    /// How many invocations it may have at once, all others as many fewer.
    pub reserved: Option<u32>,
    /// The statements of its policy.
    pub policy: Vec<Value>,
}

/// What takes messages from a queue and gives them to a function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping {
    /// A UUID.
    pub id: String,
    /// Its ARN.
    pub arn: String,
    /// The queue's ARN.
    pub source: String,
    /// The function's ARN.
    pub function: String,
    /// Whether it works.
    pub enabled: bool,
    /// Messages of one invocation, at most.
    pub batch: u32,
    /// How long they are gathered, in seconds.
    pub window_s: u32,
    /// Invocations at once, at most, if that was said.
    pub concurrency: Option<u32>,
    /// Whether the function may say which messages of a batch it failed.
    pub reports_failures: bool,
    /// When it was changed last.
    pub modified: Wall,
}
