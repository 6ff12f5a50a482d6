//! Functions and event source mappings, as the store keeps them.

use forebay_queues::QueueId;
use forebay_units::Wall;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// A function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Function {
    /// The name, unique in the region.
    pub name: String,
    /// Its ARN, without a qualifier.
    pub arn: String,
    /// The runtime, such as `python3.11`.
    pub runtime: String,
    /// The ARN of its role.
    pub role: String,
    /// The handler that the runtime calls.
    pub handler: String,
    /// The description.
    pub description: String,
    /// The timeout of an invocation in seconds.
    pub timeout_s: u32,
    /// The memory in MiB.
    pub memory_mib: u32,
    /// The function's own environment variables.
    pub environment: BTreeMap<String, String>,
    /// The SHA-256 digest of its archive in lower-case hexadecimal digits.
    pub code_sha256: String,
    /// The archive's size in bytes.
    pub code_size: u64,
    /// `x86_64` or `arm64`. Only stored and described: this machine's architecture is used.
    pub architecture: String,
    /// The size of `/tmp` in MiB. Only stored and described.
    pub ephemeral_mib: u32,
    /// `Active` or `PassThrough`. Only stored and described.
    pub tracing: String,
    /// The ARN of its dead-letter queue.
    pub dead_letter: Option<String>,
    /// The logging configuration, if given. Only stored and described.
    pub logging: Option<Value>,
    /// The revision id, another one after every change.
    pub revision: String,
    /// When it was last changed.
    pub modified: Wall,
    /// The queue of its events; a random id.
    pub events: QueueId,
    /// The reserved concurrency, which all other functions have less.
    pub reserved: Option<u32>,
    /// The statements of its policy.
    pub policy: Vec<Value>,
}

/// An event source mapping, which gives a queue's messages to a function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping {
    /// The id, a UUID.
    pub id: String,
    /// Its ARN.
    pub arn: String,
    /// The queue's ARN.
    pub source: String,
    /// The function's ARN.
    pub function: String,
    /// Whether it is enabled.
    pub enabled: bool,
    /// The most messages in one invocation.
    pub batch: u32,
    /// How many seconds messages are gathered.
    pub window_s: u32,
    /// The most concurrent invocations, if set.
    pub concurrency: Option<u32>,
    /// Whether the function may report which messages of a batch have failed.
    pub reports_failures: bool,
    /// When it was last changed.
    pub modified: Wall,
}
