//! Server certificates, roles, policies and instance profiles, as the store keeps them.

use crate::acm::records::{Bundle, Facts};
use forebay_units::Wall;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A server certificate of IAM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerCertificate {
    /// Unique in the account.
    pub name: String,
    /// `/` or `/some/path/`.
    pub path: String,
    /// `ASCA...`
    pub id: String,
    /// Made of path and name.
    pub arn: String,
    /// When it was uploaded.
    pub uploaded: Wall,
    /// Its texts.
    pub bundle: Bundle,
    /// What they say.
    pub facts: Facts,
}

/// A role. What it may do is stored and described, and not enforced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// Unique in the account.
    pub name: String,
    /// `/` or `/some/path/`.
    pub path: String,
    /// `AROA...`
    pub id: String,
    /// Made of path and name.
    pub arn: String,
    /// When it was made.
    pub created: Wall,
    /// Who may assume it: a policy document.
    pub trust: String,
    /// What it is for.
    pub description: Option<String>,
    /// In seconds.
    pub max_session: i64,
    /// Inline policies: documents by name.
    pub inline: BTreeMap<String, String>,
    /// ARNs of managed policies.
    pub attached: BTreeSet<String>,
}

/// A managed policy of the account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagedPolicy {
    /// Unique in the account.
    pub name: String,
    /// `/` or `/some/path/`.
    pub path: String,
    /// `ANPA...`
    pub id: String,
    /// Made of path and name.
    pub arn: String,
    /// When it was made.
    pub created: Wall,
    /// When a version was last made.
    pub updated: Wall,
    /// What it is for.
    pub description: Option<String>,
    /// The oldest first.
    pub versions: Vec<PolicyVersion>,
    /// The number of the version that counts.
    pub default: u32,
}

/// A version of a managed policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyVersion {
    /// Counted from 1; shown as `v1`.
    pub number: u32,
    /// When it was made.
    pub created: Wall,
    /// A policy document.
    pub document: String,
}

/// An instance profile: by its name instances get keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceProfile {
    /// Unique in the account.
    pub name: String,
    /// `/` or `/some/path/`.
    pub path: String,
    /// `AIPA...`
    pub id: String,
    /// Made of path and name.
    pub arn: String,
    /// When it was made.
    pub created: Wall,
    /// The name of its role, if it has one.
    pub role: Option<String>,
}
