//! Parameters, as the store keeps them.

use forebay_units::Wall;
use serde::{Deserialize, Serialize};

/// One version of a parameter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// The number, counted from 1.
    pub number: u64,
    /// Its value.
    pub value: String,
    /// The type: `String`, `StringList` or `SecureString`.
    pub kind: String,
    /// The id of a secure string's key, as given.
    pub key_id: Option<String>,
    /// The description.
    pub description: Option<String>,
    /// A regular expression that values must match.
    pub allowed_pattern: Option<String>,
    /// The tier, `Standard` or `Advanced`.
    pub tier: String,
    /// The data type, such as `text`.
    pub data_type: String,
    /// When it was put.
    pub modified: Wall,
    /// The ARN of the user who put it.
    pub modified_by: String,
    /// The labels of this version.
    #[serde(default)]
    pub labels: Vec<String>,
}

/// A parameter of Systems Manager's Parameter Store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// The versions, the oldest first; never empty.
    pub versions: Vec<Version>,
}

impl Parameter {
    /// The current version.
    pub fn newest(&self) -> Option<&Version> {
        self.versions.last()
    }
}
