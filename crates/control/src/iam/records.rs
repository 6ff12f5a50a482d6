//! Server certificates, roles, policies and instance profiles, as the store keeps them.

use crate::acm::records::{Bundle, Facts};
use forebay_units::Wall;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A server certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerCertificate {
    /// The name, unique in the account.
    pub name: String,
    /// The path: `/` or `/some/path/`.
    pub path: String,
    /// The id, `ASCA...`.
    pub id: String,
    /// The ARN, which contains path and name.
    pub arn: String,
    /// When it was uploaded.
    pub uploaded: Wall,
    /// The PEM texts.
    pub bundle: Bundle,
    /// What the certificate says.
    pub facts: Facts,
}

/// A role. Its policies are stored and described, but not enforced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// The name, unique in the account.
    pub name: String,
    /// The path: `/` or `/some/path/`.
    pub path: String,
    /// The id, `AROA...`.
    pub id: String,
    /// The ARN, which contains path and name.
    pub arn: String,
    /// When it was created.
    pub created: Wall,
    /// The trust policy: who may assume it.
    pub trust: String,
    /// The description.
    pub description: Option<String>,
    /// The longest session, in seconds.
    pub max_session: i64,
    /// Inline policies: documents by name.
    pub inline: BTreeMap<String, String>,
    /// The ARNs of attached managed policies.
    pub attached: BTreeSet<String>,
}

/// A managed policy of the account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagedPolicy {
    /// The name, unique in the account.
    pub name: String,
    /// The path: `/` or `/some/path/`.
    pub path: String,
    /// The id, `ANPA...`.
    pub id: String,
    /// The ARN, which contains path and name.
    pub arn: String,
    /// When it was created.
    pub created: Wall,
    /// When a version was last created.
    pub updated: Wall,
    /// The description.
    pub description: Option<String>,
    /// The versions, the oldest first.
    pub versions: Vec<PolicyVersion>,
    /// The number of the default version.
    pub default: u32,
}

/// A version of a managed policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyVersion {
    /// The number, counted from 1 and shown as `v1`.
    pub number: u32,
    /// When it was created.
    pub created: Wall,
    /// The policy document.
    pub document: String,
}

/// An instance profile, which gives instances credentials.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceProfile {
    /// The name, unique in the account.
    pub name: String,
    /// The path: `/` or `/some/path/`.
    pub path: String,
    /// The id, `AIPA...`.
    pub id: String,
    /// The ARN, which contains path and name.
    pub arn: String,
    /// When it was created.
    pub created: Wall,
    /// The name of its role, if it has one.
    pub role: Option<String>,
}
