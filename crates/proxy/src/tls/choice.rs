//! The choice of the certificate that a client is shown: a pure function of the name it asked for, the signatures it can
//! check, and the time.
//!
//! ALB's order (Elastic Load Balancing user guide for Application Load Balancers, "SSL certificates"): the certificates in
//! the listener's list that match the name; among several ECDSA before RSA, then one that has not expired, the stronger
//! hash, the longer key, the later end of validity. Without a name or a match, the default certificate. In addition, an
//! exact match is preferred to a wildcard, and a certificate whose key the client cannot check is not considered.

use forebay_model::{CertificateBlueprint, KeyKind};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A listener's certificates, by the names they are valid for.
#[derive(Debug, Default)]
pub(crate) struct Choice {
    certificates: Vec<Arc<CertificateBlueprint>>,
    has_default: bool,
    /// Exact names in lower case, with indices into `certificates`; the default certificate is not among them.
    exact: BTreeMap<String, Vec<usize>>,
    /// Wildcards: `*.example.com` is found under `example.com`.
    wildcard: BTreeMap<String, Vec<usize>>,
}

impl Choice {
    pub(crate) fn new(certificates: Vec<Arc<CertificateBlueprint>>, has_default: bool) -> Choice {
        let mut choice = Choice {
            has_default,
            ..Choice::default()
        };
        for (index, certificate) in certificates.iter().enumerate().skip(usize::from(has_default)) {
            for name in &certificate.names {
                let name = name.to_ascii_lowercase();
                let (map, name) = match name.strip_prefix("*.") {
                    Some(parent) => (&mut choice.wildcard, parent.to_owned()),
                    None => (&mut choice.exact, name),
                };
                map.entry(name).or_default().push(index);
            }
        }
        choice.certificates = certificates;
        choice
    }

    /// The index of the certificate to show; none if there is no certificate. `name` is what the client asked for, `now` is
    /// in seconds since the epoch, and `checks` says whether the client can check signatures of that certificate's key.
    pub(crate) fn of(&self, name: Option<&str>, now: i64, checks: impl Fn(usize) -> bool) -> Option<usize> {
        let default = self.has_default.then_some(0);
        let Some(name) = name else {
            return default;
        };
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let exact = self.exact.get(&name);
        // A wildcard stands for exactly one label (RFC 6125, section 6.4.3).
        let wildcard = || {
            name.split_once('.')
                .and_then(|(_, parent)| self.wildcard.get(parent))
        };
        let best = |candidates: &Vec<usize>| self.best(candidates, now, &checks);
        exact
            .and_then(best)
            .or_else(|| wildcard().and_then(best))
            .or(default)
    }

    fn best(&self, candidates: &[usize], now: i64, checks: impl Fn(usize) -> bool) -> Option<usize> {
        let rank = |index: usize| {
            let certificate = &self.certificates[index];
            (
                certificate.kind == KeyKind::Ecdsa,
                certificate.not_before <= now && now <= certificate.not_after,
                certificate.hash_bits,
                certificate.key_bits,
                certificate.not_after,
                // Among equals, the one that was added first.
                Reverse(index),
            )
        };
        candidates
            .iter()
            .copied()
            .filter(|&index| checks(index))
            .max_by_key(|&index| rank(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use forebay_model::{KeyForm, PrivateKey};
    use proptest::prelude::*;

    const NOW: i64 = 1_000;

    fn certificate(names: &[&str], kind: KeyKind) -> CertificateBlueprint {
        CertificateBlueprint {
            arn: names.join(","),
            chain: Vec::new(),
            key: PrivateKey {
                form: KeyForm::Pkcs8,
                der: Vec::new(),
            },
            names: names.iter().map(|&name| name.to_owned()).collect(),
            not_before: 0,
            not_after: 2 * NOW,
            kind,
            key_bits: if kind == KeyKind::Rsa { 2048 } else { 256 },
            hash_bits: 256,
        }
    }

    fn choice(certificates: Vec<CertificateBlueprint>) -> Choice {
        Choice::new(certificates.into_iter().map(Arc::new).collect(), true)
    }

    fn rsa(names: &[&str]) -> CertificateBlueprint {
        certificate(names, KeyKind::Rsa)
    }

    fn ecdsa(names: &[&str]) -> CertificateBlueprint {
        certificate(names, KeyKind::Ecdsa)
    }

    #[test]
    fn names_decide_first() {
        let choice = choice(vec![
            rsa(&["default.test", "a.test"]),
            rsa(&["a.test", "*.w.test"]),
            ecdsa(&["*.test"]),
            rsa(&["x.w.test"]),
        ]);
        let of = |name: Option<&str>| choice.of(name, NOW, |_| true);
        assert_eq!(of(None), Some(0));
        assert_eq!(of(Some("nobody.example")), Some(0));
        // An exact name before a wildcard, even if that is ECDSA; the default certificate is not in the list.
        assert_eq!(of(Some("a.test")), Some(1));
        assert_eq!(of(Some("A.TEST.")), Some(1));
        assert_eq!(of(Some("default.test")), Some(2));
        assert_eq!(of(Some("x.w.test")), Some(3));
        assert_eq!(of(Some("y.w.test")), Some(1));
        // A wildcard matches exactly one label.
        assert_eq!(of(Some("a.b.test")), Some(0));
        assert_eq!(of(Some("test")), Some(0));
        assert_eq!(of(Some("")), Some(0));
        assert_eq!(
            Choice::new(Vec::new(), false).of(Some("a.test"), NOW, |_| true),
            None
        );
    }

    #[test]
    fn of_several_the_better_one() {
        let names = &["a.test"];
        let better: Vec<(CertificateBlueprint, CertificateBlueprint)> = vec![
            (ecdsa(names), rsa(names)),
            // ECDSA wins although it has expired: the kind of key is compared first.
            (
                CertificateBlueprint {
                    not_after: NOW - 1,
                    ..ecdsa(names)
                },
                rsa(names),
            ),
            (
                rsa(names),
                CertificateBlueprint {
                    not_after: NOW - 1,
                    key_bits: 4096,
                    ..rsa(names)
                },
            ),
            (
                rsa(names),
                CertificateBlueprint {
                    not_before: NOW + 1,
                    hash_bits: 512,
                    ..rsa(names)
                },
            ),
            (
                CertificateBlueprint {
                    hash_bits: 384,
                    ..rsa(names)
                },
                CertificateBlueprint {
                    key_bits: 4096,
                    ..rsa(names)
                },
            ),
            (
                CertificateBlueprint {
                    key_bits: 4096,
                    ..rsa(names)
                },
                CertificateBlueprint {
                    not_after: 3 * NOW,
                    ..rsa(names)
                },
            ),
            (
                CertificateBlueprint {
                    not_after: 3 * NOW,
                    ..rsa(names)
                },
                rsa(names),
            ),
        ];
        for (good, worse) in better {
            for (order, expected) in [(vec![&good, &worse], 1), (vec![&worse, &good], 2)] {
                let mut all = vec![rsa(&["default.test"])];
                all.extend(order.into_iter().cloned());
                assert_eq!(
                    choice(all).of(Some("a.test"), NOW, |_| true),
                    Some(expected),
                    "{good:?} {worse:?}"
                );
            }
        }
    }

    #[test]
    fn what_a_client_cannot_check_is_not_shown() {
        let choice = choice(vec![
            rsa(&["default.test"]),
            ecdsa(&["a.test"]),
            rsa(&["a.test"]),
            rsa(&["*.b.test"]),
            ecdsa(&["x.b.test"]),
        ]);
        let kinds: Vec<KeyKind> = choice.certificates.iter().map(|one| one.kind).collect();
        let of = |name: &str, kind: KeyKind| choice.of(Some(name), NOW, |index| kinds[index] == kind);
        assert_eq!(of("a.test", KeyKind::Ecdsa), Some(1));
        assert_eq!(of("a.test", KeyKind::Rsa), Some(2));
        assert_eq!(of("x.b.test", KeyKind::Ecdsa), Some(4));
        assert_eq!(of("x.b.test", KeyKind::Rsa), Some(3));
        assert_eq!(choice.of(Some("a.test"), NOW, |_| false), Some(0));
    }

    fn any_certificate() -> impl Strategy<Value = CertificateBlueprint> {
        let name = prop::sample::select(vec!["a.test", "b.test", "*.test", "x.a.test", "*.a.test"]);
        let names = proptest::collection::vec(name, 1..4);
        (names, any::<bool>(), 0..3_u32, 0..3_u32, 0..4_i64).prop_map(|(names, rsa, key, hash, end)| {
            let kind = if rsa { KeyKind::Rsa } else { KeyKind::Ecdsa };
            CertificateBlueprint {
                key_bits: 256 << key,
                hash_bits: 256 + 128 * hash,
                not_after: end * NOW / 2,
                ..certificate(&names, kind)
            }
        })
    }

    proptest! {
        #[test]
        fn a_choice_is_right(
            certificates in proptest::collection::vec(any_certificate(), 1..8),
            name in prop::sample::select(vec!["a.test", "b.test", "x.a.test", "y.a.test", "z.x.a.test", "test", "A.Test"]),
            rsa in any::<bool>(), ecdsa in any::<bool>(),
        ) {
            let checks = |kind| match kind { KeyKind::Rsa => rsa, KeyKind::Ecdsa => ecdsa };
            let lower = name.to_ascii_lowercase();
            let fits = |certificate: &CertificateBlueprint, wildcards: bool| certificate.names.iter().any(|held| match held.strip_prefix("*.") {
                Some(parent) => wildcards && lower.split_once('.').is_some_and(|(_, rest)| rest == parent),
                None => *held == lower,
            });
            let kinds: Vec<KeyKind> = certificates.iter().map(|one| one.kind).collect();
            let chosen = choice(certificates.clone()).of(Some(name), NOW, |index| checks(kinds[index])).unwrap();
            let shown = &certificates[chosen];
            let running = |other: &&CertificateBlueprint| checks(other.kind) && fits(other, true);
            let list = &certificates[1..];
            if chosen == 0 {
                prop_assert!(!list.iter().any(|other| running(&other)));
            } else {
                prop_assert!(running(&shown));
                // No exact match was skipped for a wildcard, and none that is better in ALB's order.
                let exact = fits(shown, false);
                prop_assert!(exact || !list.iter().any(|other| checks(other.kind) && fits(other, false)));
                for other in list.iter().filter(|other| checks(other.kind) && fits(other, !exact)) {
                    let rank = |one: &CertificateBlueprint| (one.kind == KeyKind::Ecdsa, one.not_after >= NOW, one.hash_bits, one.key_bits, one.not_after);
                    prop_assert!(rank(other) <= rank(shown));
                }
            }
        }
    }
}
