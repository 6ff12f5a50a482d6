//! Translates a security policy's name to what rustls offers: versions, suites in the policy's order, and groups.

use forebay_model::Policy;
use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::{SupportedCipherSuite, SupportedProtocolVersion, version};
use std::sync::Arc;

/// The versions of a policy.
pub(crate) fn versions(policy: &Policy) -> Vec<&'static SupportedProtocolVersion> {
    policy
        .served_protocols()
        .filter_map(|name| match name {
            "TLSv1.2" => Some(&version::TLS12),
            "TLSv1.3" => Some(&version::TLS13),
            _ => None,
        })
        .collect()
}

/// A provider with the policy's suites and groups, in its order.
pub(crate) fn provider(policy: &Policy) -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        cipher_suites: policy.served_ciphers().filter_map(suite).collect(),
        kx_groups: groups(policy),
        ..default_provider()
    })
}

/// Groups by preference: ALB's lists, without SecP384r1MLKEM1024 and P-521, which rustls lacks.
fn groups(policy: &Policy) -> Vec<&'static dyn SupportedKxGroup> {
    let mut groups: Vec<&'static dyn SupportedKxGroup> = Vec::new();
    if policy.is_post_quantum() {
        groups.extend([kx_group::X25519MLKEM768, kx_group::SECP256R1MLKEM768]);
    }
    // FIPS 140-3 does not approve X25519 on its own; RFC 9151 requires P-384.
    if !policy.is_fips() {
        groups.push(kx_group::X25519);
    }
    if !policy.is_strict() {
        groups.push(kx_group::SECP256R1);
    }
    groups.push(kx_group::SECP384R1);
    groups
}

fn suite(name: &str) -> Option<SupportedCipherSuite> {
    SUITES.iter().find(|known| known.0 == name).map(|known| known.1)
}

/// The name of a suite as in ALB's headers and logs, which is OpenSSL's.
pub(crate) fn suite_name(suite: SupportedCipherSuite) -> &'static str {
    SUITES
        .iter()
        .find(|known| known.1.suite() == suite.suite())
        .map_or("-", |known| known.0)
}

/// All supported suites.
const SUITES: &[(&str, SupportedCipherSuite)] = &[
    ("TLS_AES_128_GCM_SHA256", cipher_suite::TLS13_AES_128_GCM_SHA256),
    ("TLS_AES_256_GCM_SHA384", cipher_suite::TLS13_AES_256_GCM_SHA384),
    (
        "TLS_CHACHA20_POLY1305_SHA256",
        cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    ),
    (
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    ),
    (
        "ECDHE-RSA-AES128-GCM-SHA256",
        cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    ),
    (
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        "ECDHE-RSA-AES256-GCM-SHA384",
        cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use forebay_model::{POLICIES, policy};
    use rustls::ServerConfig;

    #[test]
    fn each_policy_is_served_as_it_is_described() {
        for policy in POLICIES {
            let provider = provider(policy);
            let offered: Vec<&str> = provider
                .cipher_suites
                .iter()
                .map(|&suite| suite_name(suite))
                .collect();
            assert_eq!(
                offered,
                policy.served_ciphers().collect::<Vec<_>>(),
                "{}",
                policy.name
            );
            assert_eq!(
                versions(policy).len(),
                policy.served_protocols().count(),
                "{}",
                policy.name
            );
            let built =
                ServerConfig::builder_with_provider(provider).with_protocol_versions(&versions(policy));
            assert!(built.is_ok(), "{}: {:?}", policy.name, built.err());
        }
    }

    #[test]
    fn groups_are_the_policys() {
        let names = |name: &str| -> Vec<String> {
            let provider = provider(policy(name).unwrap());
            provider
                .kx_groups
                .iter()
                .map(|group| format!("{:?}", group.name()))
                .collect()
        };
        assert_eq!(
            names("ELBSecurityPolicy-TLS13-1-2-PQ-2025-09"),
            [
                "X25519MLKEM768",
                "secp256r1MLKEM768",
                "X25519",
                "secp256r1",
                "secp384r1"
            ]
        );
        assert_eq!(
            names("ELBSecurityPolicy-2016-08"),
            ["X25519", "secp256r1", "secp384r1"]
        );
        assert_eq!(
            names("ELBSecurityPolicy-TLS13-1-3-FIPS-2023-04"),
            ["secp256r1", "secp384r1"]
        );
        assert_eq!(
            names("ELBSecurityPolicy-TLS13-1-3-RFC9151-FIPS-2023-07"),
            ["secp384r1"]
        );
    }
}
