//! Records that belong to no service: all of them have tags and addresses.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Tags of one resource.
pub type Tags = BTreeMap<String, String>;

/// An address of the pool in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// Whose slice it is part of.
    pub subnet_id: String,
    /// ARN or id of who has it.
    pub owner: String,
}
