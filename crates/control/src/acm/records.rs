//! Certificates, as the store keeps them.

use forebay_units::Wall;
use serde::{Deserialize, Serialize};

/// What a PEM certificate says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The common name, or the first alternative name.
    pub domain: String,
    /// All names that it is valid for.
    pub names: Vec<String>,
    /// The serial number, `aa:bb:..`.
    pub serial: String,
    /// Subject, as text.
    pub subject: String,
    /// Issuer, as text.
    pub issuer: String,
    /// The beginning of its validity, in seconds since the epoch.
    pub not_before: i64,
    /// The end of its validity, in seconds since the epoch.
    pub not_after: i64,
    /// The key algorithm, such as `RSA_2048` or `EC_prime256v1`.
    pub key_algorithm: String,
    /// The signature algorithm, such as `SHA256WITHRSA`.
    pub signature_algorithm: String,
}

/// The PEM texts of a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    /// The certificate.
    pub certificate: String,
    /// The intermediate certificates, if given.
    pub chain: Option<String>,
    /// The private key.
    pub private_key: String,
}

/// A certificate of Certificate Manager.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Its ARN.
    pub arn: String,
    /// The domain that it was requested or imported for.
    pub domain: String,
    /// All names that it is valid for.
    pub names: Vec<String>,
    /// When it was created.
    pub created: Wall,
    /// When it was last imported.
    pub imported: Option<Wall>,
    /// Its texts and what they say; `None` while a requested certificate is pending.
    pub issued: Option<(Bundle, Facts)>,
    /// The validation method of a requested certificate, `DNS` or `EMAIL`.
    pub validation: Option<String>,
    /// The key algorithm that was requested.
    pub key_algorithm: Option<String>,
    /// The idempotency token of the request.
    pub token: Option<String>,
    /// Whether certificate transparency logging is enabled.
    pub logged: bool,
}
