//! Security policies (user guide for Application Load Balancers, "Security policies for your Application Load
//! Balancer"): names, protocols and ciphers in OpenSSL's spelling, and which of those are served.

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

/// The protocols that are served. Whatever else a policy allows is not served; docs/tls-policies.md lists what is lost.
const SERVED_PROTOCOLS: &[&str] = &["TLSv1.2", "TLSv1.3"];

impl Group {
    /// Whether its ciphers are served. CBC ciphers and RSA key exchange are not.
    const fn is_served(self) -> bool {
        matches!(self, T13 | T13Fips | T13Strict | Gcm | Gcm256)
    }

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

/// A security policy.
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
    /// Its ciphers as AWS lists them, in order of preference.
    pub fn ciphers(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.groups.iter().flat_map(|group| group.ciphers()).copied()
    }

    /// The protocols that are served: TLS 1.2 and 1.3.
    pub fn served_protocols(&self) -> impl Iterator<Item = &'static str> + use<> {
        let served = |name: &&str| SERVED_PROTOCOLS.contains(name);
        self.protocols.iter().copied().filter(served)
    }

    /// The ciphers that are served: those with forward secrecy and authenticated encryption.
    pub fn served_ciphers(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.groups
            .iter()
            .filter(|group| group.is_served())
            .flat_map(|group| group.ciphers())
            .copied()
    }

    /// Whether its name contains `FIPS`: only curves and ciphers that FIPS 140-3 approves.
    pub fn is_fips(&self) -> bool {
        self.name.contains("FIPS")
    }

    /// Whether it is for RFC 9151 without interoperation: only P-384 and AES-256.
    pub fn is_strict(&self) -> bool {
        self.groups.contains(&T13Strict)
    }

    /// Whether it has post-quantum key exchanges.
    pub fn is_post_quantum(&self) -> bool {
        self.name.contains("-PQ-")
    }
}

/// The policy with this name.
pub fn policy(name: &str) -> Option<&'static Policy> {
    POLICIES.iter().find(|policy| policy.name == name)
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
        assert_eq!(default.served_protocols().collect::<Vec<_>>(), ["TLSv1.2"]);
        assert_eq!(default.served_ciphers().count(), 4);
    }

    #[test]
    fn every_policy_serves_something_of_each_protocol_it_speaks() {
        for policy in POLICIES {
            let ciphers: Vec<&str> = policy.served_ciphers().collect();
            assert!(policy.served_protocols().count() > 0, "{}", policy.name);
            for protocol in policy.served_protocols() {
                let of_13 = protocol == "TLSv1.3";
                assert!(
                    ciphers.iter().any(|cipher| cipher.starts_with("TLS_") == of_13),
                    "{} has no cipher for {protocol}",
                    policy.name
                );
            }
        }
    }

    #[test]
    fn fips_policies_never_offer_chacha() {
        let fips = POLICIES.iter().filter(|policy| policy.is_fips());
        assert!(
            fips.flat_map(|policy| policy.ciphers())
                .all(|cipher| !cipher.contains("CHACHA"))
        );
    }
}
