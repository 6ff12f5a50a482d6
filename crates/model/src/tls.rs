//! The TLS settings of a listener and of connections to targets.

use core::fmt;
use std::sync::Arc;

/// A listener's TLS settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsBlueprint {
    /// The name of the security policy.
    pub policy: String,
    /// The certificates. The default one comes first, if it has a key (a requested certificate that was never issued
    /// has none).
    pub certificates: Vec<Arc<CertificateBlueprint>>,
    /// Whether the first certificate is the listener's default one.
    pub has_default: bool,
}

/// A certificate with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateBlueprint {
    /// Its ARN.
    pub arn: String,
    /// Certificates in DER, the leaf first.
    pub chain: Vec<Vec<u8>>,
    /// Its private key.
    pub key: PrivateKey,
    /// The names it is valid for, including wildcards such as `*.example.com`.
    pub names: Vec<String>,
    /// Start of validity, in seconds since the epoch.
    pub not_before: i64,
    /// End of validity, in seconds since the epoch.
    pub not_after: i64,
    /// The type of its key.
    pub kind: KeyKind,
    /// The size of its key, in bits.
    pub key_bits: u32,
    /// The size of the hash that it was signed with, in bits; 0 for one that is not trusted (SHA-1 and older).
    pub hash_bits: u32,
}

/// A type of key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyKind {
    /// RSA.
    Rsa,
    /// ECDSA.
    Ecdsa,
}

/// The encoding of a private key's DER.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyForm {
    /// PKCS #8 (`PRIVATE KEY`).
    Pkcs8,
    /// PKCS #1 (`RSA PRIVATE KEY`).
    Pkcs1,
    /// SEC 1 (`EC PRIVATE KEY`).
    Sec1,
}

/// A private key in DER. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct PrivateKey {
    /// The encoding.
    pub form: KeyForm,
    /// The bytes.
    pub der: Vec<u8>,
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({:?}, ...)", self.form)
    }
}

/// How connections to a group's targets are secured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TargetTls {
    /// No TLS.
    #[default]
    Plaintext,
    /// TLS, with any certificate accepted, as ALB does.
    Unverified,
    /// TLS; the certificate must be valid for this name and chain to an authority that the machine trusts (tag
    /// `forebay:target-tls-verify`).
    Verified(Arc<str>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_not_printed() {
        let key = PrivateKey {
            form: KeyForm::Pkcs8,
            der: vec![171, 205],
        };
        let printed = format!("{key:?} {key:#?}");
        assert!(!printed.contains("171") && !printed.contains("205"), "{printed}");
    }
}
