//! What a listener needs to speak TLS, and how TLS goes to targets.

use core::fmt;
use std::sync::Arc;

/// How a listener speaks TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsBlueprint {
    /// The name of its security policy.
    pub policy: String,
    /// Its certificates; the default one first, if it has a key (a requested certificate that nobody issued has none).
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
    /// The names it is for, `*.example.com` among them.
    pub names: Vec<String>,
    /// Valid from, seconds since the epoch.
    pub not_before: i64,
    /// Valid until, seconds since the epoch.
    pub not_after: i64,
    /// What its key is.
    pub kind: KeyKind,
    /// Bits of its key.
    pub key_bits: u32,
    /// Bits of the hash it was signed with; 0 for one that nobody trusts (SHA-1 and before count as such).
    pub hash_bits: u32,
}

/// A kind of key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyKind {
    /// RSA.
    Rsa,
    /// ECDSA.
    Ecdsa,
}

/// How a private key's DER is wrapped.
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
    /// How it is wrapped.
    pub form: KeyForm,
    /// Its bytes.
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
    /// Not at all.
    #[default]
    Plaintext,
    /// TLS; any certificate will do, as with ALB.
    Unverified,
    /// TLS; the certificate must be for this name and lead to an authority that the machine trusts (tag
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
