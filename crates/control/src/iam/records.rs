//! Server certificates, as the store keeps them.

use crate::acm::records::{Bundle, Facts};
use forebay_units::Wall;
use serde::{Deserialize, Serialize};

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
