//! TLS policies (alb reference, section 10.2): names, protocols and ciphers, in OpenSSL's spelling.

use crate::elbv2::errors::validation;
use crate::elbv2::paging::{PageInput, answer, page};
use crate::operate::Work;
use forebay_awswire::ApiError;
use serde::Deserialize;
use serde_json::{Value, json};

/// Policies on a page whose size is not given.
const PAGE: usize = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Group {
    /// TLS 1.3.
    T13,
    /// TLS 1.3 without ChaCha20 (FIPS).
    T13Fips,
    /// TLS 1.3, AES-256 only (RFC 9151).
    T13Strict,
    /// ECDHE with AES-GCM.
    Gcm,
    /// ECDHE with AES-256-GCM.
    Gcm256,
    /// ECDHE with AES-CBC and SHA-2.
    Cbc2,
    /// ECDHE with AES-CBC and SHA-1.
    Cbc1,
    /// RSA key exchange with AES-GCM, or AES-CBC and SHA-2.
    Rsa2,
    /// RSA key exchange with AES-256-GCM.
    RsaGcm256,
    /// RSA key exchange with AES-CBC and SHA-1.
    Rsa1,
}

use Group::{Cbc1, Cbc2, Gcm, Gcm256, Rsa1, Rsa2, RsaGcm256, T13, T13Fips, T13Strict};

impl Group {
    const fn ciphers(self) -> &'static [&'static str] {
        match self {
            T13 => &[
                "TLS_AES_128_GCM_SHA256",
                "TLS_AES_256_GCM_SHA384",
                "TLS_CHACHA20_POLY1305_SHA256",
            ],
            T13Fips => &["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"],
            T13Strict => &["TLS_AES_256_GCM_SHA384"],
            Gcm => &[
                "ECDHE-ECDSA-AES128-GCM-SHA256",
                "ECDHE-RSA-AES128-GCM-SHA256",
                "ECDHE-ECDSA-AES256-GCM-SHA384",
                "ECDHE-RSA-AES256-GCM-SHA384",
            ],
            Gcm256 => &["ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384"],
            Cbc2 => &[
                "ECDHE-ECDSA-AES128-SHA256",
                "ECDHE-RSA-AES128-SHA256",
                "ECDHE-ECDSA-AES256-SHA384",
                "ECDHE-RSA-AES256-SHA384",
            ],
            Cbc1 => &[
                "ECDHE-ECDSA-AES128-SHA",
                "ECDHE-RSA-AES128-SHA",
                "ECDHE-RSA-AES256-SHA",
                "ECDHE-ECDSA-AES256-SHA",
            ],
            Rsa2 => &[
                "AES128-GCM-SHA256",
                "AES128-SHA256",
                "AES256-GCM-SHA384",
                "AES256-SHA256",
            ],
            RsaGcm256 => &["AES256-GCM-SHA384"],
            Rsa1 => &["AES128-SHA", "AES256-SHA"],
        }
    }
}

/// A TLS policy.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Its name.
    pub name: &'static str,
    /// Its protocols, such as `TLSv1.2`.
    pub protocols: &'static [&'static str],
    groups: &'static [Group],
}

const V13: &[&str] = &["TLSv1.3"];
const V12_13: &[&str] = &["TLSv1.2", "TLSv1.3"];
const V11_13: &[&str] = &["TLSv1.1", "TLSv1.2", "TLSv1.3"];
const V10_13: &[&str] = &["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"];
const V12: &[&str] = &["TLSv1.2"];
const V11_12: &[&str] = &["TLSv1.1", "TLSv1.2"];
const V10_12: &[&str] = &["TLSv1", "TLSv1.1", "TLSv1.2"];
const OLD: &[Group] = &[Gcm, Cbc2, Cbc1, Rsa2, Rsa1];
const FORWARD: &[Group] = &[Gcm, Cbc2, Cbc1];
const ALL: &[Group] = &[T13, Gcm, Cbc2, Cbc1, Rsa2, Rsa1];
const ALL_FIPS: &[Group] = &[T13Fips, Gcm, Cbc2, Cbc1, Rsa2, Rsa1];

macro_rules! policies {
    ($($name:literal $protocols:ident $groups:expr;)*) => {
        /// All policies.
        pub const POLICIES: &[Policy] = &[
            $(Policy { name: concat!("ELBSecurityPolicy-", $name), protocols: $protocols, groups: $groups }),*
        ];
    };
}

policies! {
    "2016-08" V10_12 OLD;
    "TLS13-1-2-2021-06" V12_13 &[T13, Gcm, Cbc2];
    "TLS13-1-2-PQ-2025-09" V12_13 &[T13, Gcm, Cbc2];
    "TLS13-1-2-Res-2021-06" V12_13 &[T13, Gcm];
    "TLS13-1-2-Res-PQ-2025-09" V12_13 &[T13, Gcm];
    "TLS13-1-2-Ext1-2021-06" V12_13 &[T13, Gcm, Cbc2, Rsa2];
    "TLS13-1-2-Ext1-PQ-2025-09" V12_13 &[T13, Gcm, Cbc2, Rsa2];
    "TLS13-1-2-Ext2-2021-06" V12_13 ALL;
    "TLS13-1-2-Ext2-PQ-2025-09" V12_13 ALL;
    "TLS13-1-1-2021-06" V11_13 ALL;
    "TLS13-1-0-2021-06" V10_13 ALL;
    "TLS13-1-0-PQ-2025-09" V10_13 ALL;
    "TLS13-1-3-2021-06" V13 &[T13];
    "TLS13-1-3-PQ-2025-09" V13 &[T13];
    "TLS-1-2-2017-01" V12 &[Gcm, Cbc2, Rsa2];
    "TLS-1-1-2017-01" V11_12 OLD;
    "TLS-1-2-Ext-2018-06" V12 OLD;
    "FS-2018-06" V10_12 FORWARD;
    "FS-1-1-2019-08" V11_12 FORWARD;
    "FS-1-2-2019-08" V12 FORWARD;
    "FS-1-2-Res-2019-08" V12 &[Gcm, Cbc2];
    "FS-1-2-Res-2020-10" V12 &[Gcm];
    "2015-05" V10_12 OLD;
    "TLS13-1-3-FIPS-2023-04" V13 &[T13Fips];
    "TLS13-1-3-FIPS-PQ-2025-09" V13 &[T13Fips];
    "TLS13-1-2-Res-FIPS-2023-04" V12_13 &[T13Fips, Gcm];
    "TLS13-1-2-Res-FIPS-PQ-2025-09" V12_13 &[T13Fips, Gcm];
    "TLS13-1-2-FIPS-2023-04" V12_13 &[T13Fips, Gcm, Cbc2];
    "TLS13-1-2-FIPS-PQ-2025-09" V12_13 &[T13Fips, Gcm, Cbc2];
    "TLS13-1-2-Ext0-FIPS-2023-04" V12_13 &[T13Fips, Gcm, Cbc2, Cbc1];
    "TLS13-1-2-Ext0-FIPS-PQ-2025-09" V12_13 &[T13Fips, Gcm, Cbc2, Cbc1];
    "TLS13-1-2-Ext1-FIPS-2023-04" V12_13 &[T13Fips, Gcm, Rsa2];
    "TLS13-1-2-Ext1-FIPS-PQ-2025-09" V12_13 &[T13Fips, Gcm, Rsa2];
    "TLS13-1-2-Ext2-FIPS-2023-04" V12_13 ALL_FIPS;
    "TLS13-1-2-Ext2-FIPS-PQ-2025-09" V12_13 ALL_FIPS;
    "TLS13-1-1-FIPS-2023-04" V11_13 ALL_FIPS;
    "TLS13-1-0-FIPS-2023-04" V10_13 ALL_FIPS;
    "TLS13-1-0-FIPS-PQ-2025-09" V10_13 ALL_FIPS;
    "TLS13-1-3-RFC9151-FIPS-2023-07" V13 &[T13Strict];
    "TLS13-1-2-RFC9151-FIPS-2023-07" V12_13 &[T13Strict, Gcm256];
    "TLS13-1-2-Ext0-RFC9151-FIPS-2023-07" V12_13 &[T13Strict, Gcm256, RsaGcm256];
    "TLS13-1-2-RFC9151-INTEROP1-FIPS-2023-07" V12_13 &[T13Fips, Gcm];
    "TLS13-1-2-RFC9151-INTEROP2-FIPS-2023-07" V12_13 &[T13Fips, Gcm, Cbc2];
    "TLS13-1-2-RFC9151-INTEROP3-FIPS-2023-07" V12_13 &[T13Fips, Gcm, Cbc2, Cbc1];
    "TLS13-1-2-RFC9151-INTEROP4-FIPS-2023-07" V12_13 ALL_FIPS;
}

impl Policy {
    /// Its ciphers, in order of preference.
    pub fn ciphers(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.groups.iter().flat_map(|group| group.ciphers()).copied()
    }

    fn value(&self) -> Value {
        let ciphers: Vec<Value> = self
            .ciphers()
            .zip(1_u32..)
            .map(|(name, priority)| json!({"Name": name, "Priority": priority}))
            .collect();
        json!({
            "Name": self.name,
            "SslProtocols": self.protocols,
            "Ciphers": ciphers,
            "SupportedLoadBalancerTypes": ["application", "network"],
        })
    }
}

/// The policy of this name.
pub fn policy(name: &str) -> Option<&'static Policy> {
    POLICIES.iter().find(|policy| policy.name == name)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PoliciesInput {
    #[serde(default)]
    names: Vec<String>,
    load_balancer_type: Option<String>,
    #[serde(flatten)]
    page: PageInput,
}

pub(crate) fn describe_ssl_policies(work: &mut Work<'_>) -> Result<Value, ApiError> {
    let input: PoliciesInput = work.input()?;
    let mut found: Vec<(usize, &Policy)> = Vec::new();
    for name in &input.names {
        let Some(policy) = policy(name) else {
            return Err(ApiError::sender(
                "SSLPolicyNotFound",
                format!("SSL policy '{name}' not found"),
            ));
        };
        if !found.iter().any(|(_, other)| other.name == policy.name) {
            found.push((found.len(), policy));
        }
    }
    if input.names.is_empty() {
        found = POLICIES.iter().enumerate().collect();
    }
    match input.load_balancer_type.as_deref() {
        None | Some("application" | "network") => {}
        Some("gateway") => found.clear(),
        Some(other) => return Err(validation(format!("Load balancer type '{other}' is not known"))),
    }
    let (held, next) = page(found, |(place, _)| format!("{place:06}"), &input.page, PAGE)?;
    Ok(answer(
        "SslPolicies",
        held.into_iter().map(|(_, policy)| policy.value()).collect(),
        next,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_the_default_is_there() {
        for policy in POLICIES {
            assert_eq!(
                POLICIES.iter().filter(|other| other.name == policy.name).count(),
                1,
                "{}",
                policy.name
            );
        }
        let default = policy("ELBSecurityPolicy-2016-08").unwrap();
        assert_eq!(default.protocols, ["TLSv1", "TLSv1.1", "TLSv1.2"]);
        assert_eq!(default.ciphers().count(), 18);
    }

    #[test]
    fn fips_policies_never_offer_chacha() {
        let fips = POLICIES.iter().filter(|policy| policy.name.contains("FIPS"));
        assert!(
            fips.flat_map(|policy| policy.ciphers())
                .all(|cipher| !cipher.contains("CHACHA"))
        );
    }
}
