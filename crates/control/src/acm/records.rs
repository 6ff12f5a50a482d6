//! Certificates, as the store keeps them.

use forebay_units::Wall;
use serde::{Deserialize, Serialize};

/// What a PEM certificate says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Its common name, or the first of its alternative names.
    pub domain: String,
    /// All names it is for.
    pub names: Vec<String>,
    /// Serial number, `aa:bb:..`.
    pub serial: String,
    /// Subject, as text.
    pub subject: String,
    /// Issuer, as text.
    pub issuer: String,
    /// Valid from, seconds since the epoch.
    pub not_before: i64,
    /// Valid until, seconds since the epoch.
    pub not_after: i64,
    /// Such as `RSA_2048` or `EC_prime256v1`.
    pub key_algorithm: String,
    /// Such as `SHA256WITHRSA`.
    pub signature_algorithm: String,
}

/// The certificate's PEM texts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    /// The certificate.
    pub certificate: String,
    /// The authorities between it and a root, if given.
    pub chain: Option<String>,
    /// The private key.
    pub private_key: String,
}

/// A certificate of Certificate Manager.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Its ARN.
    pub arn: String,
    /// The domain it was made for.
    pub domain: String,
    /// All names it is for.
    pub names: Vec<String>,
    /// When it was made.
    pub created: Wall,
    /// When its texts were last imported.
    pub imported: Option<Wall>,
    /// Its texts and what they say; none while a requested certificate is pending.
    pub issued: Option<(Bundle, Facts)>,
    /// `DNS` or `EMAIL`, of a requested certificate.
    pub validation: Option<String>,
    /// Asked for, of a requested certificate.
    pub key_algorithm: Option<String>,
    /// The request's idempotency token.
    pub token: Option<String>,
    /// Whether certificate transparency logging is wanted.
    pub logged: bool,
}
