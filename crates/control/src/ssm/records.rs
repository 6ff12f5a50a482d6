//! Parameters, as the store keeps them.

use forebay_units::Wall;
use serde::{Deserialize, Serialize};

/// One version of a parameter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// Counted from 1.
    pub number: u64,
    /// Its value.
    pub value: String,
    /// `String`, `StringList` or `SecureString`.
    pub kind: String,
    /// The key that a secure string names.
    pub key_id: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// A regular expression that its value fits.
    pub allowed_pattern: Option<String>,
    /// `Standard` or `Advanced`.
    pub tier: String,
    /// Such as `text`.
    pub data_type: String,
    /// When it was put.
    pub modified: Wall,
    /// By whom.
    pub modified_by: String,
    /// Words that name this version.
    #[serde(default)]
    pub labels: Vec<String>,
}

/// A parameter of Systems Manager's Parameter Store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// The oldest first; never empty.
    pub versions: Vec<Version>,
}

impl Parameter {
    /// The version that counts.
    pub fn newest(&self) -> Option<&Version> {
        self.versions.last()
    }
}
