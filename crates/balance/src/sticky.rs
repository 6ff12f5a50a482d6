//! Sealed cookies, which a client returns so that its requests go to the same target or the same group.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | low byte of the day whose key sealed it |
//! | 12 | nonce |
//! | 64 | sealed with AES-256-GCM-SIV: form, when it was issued, what it names |
//! | 16 | tag |
//!
//! In base64 without padding that is 124 characters, like ALB's cookies. The cookie's kind and its group are
//! authenticated too, so that one that is replayed elsewhere does not open. Each day has a key of its own, derived from
//! one secret that all nodes share. Cookies live for seven days, so the keys of the last eight days open them.

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use core::net::{IpAddr, SocketAddr};
use forebay_model::Secret;
use forebay_units::Wall;
use std::collections::BTreeMap;

/// Length of a sealed cookie in bytes.
const SEALED: usize = 93;
/// Length of the plaintext in bytes.
const INNER: usize = 64;
const NONCE: usize = 12;
/// Version of the plaintext's format.
const FORM: u8 = 1;
const DAY: i64 = 86_400;
/// Days after which no key opens a cookie any more.
const DAYS: i64 = 8;

/// Length of a cookie's value in characters.
pub const COOKIE_LENGTH: usize = 124;

/// The purpose of a cookie: one sealed for one scope does not open for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope<'a> {
    /// A target of this group (its ARN), for AWSALB and AWSALBCORS.
    Target(&'a str),
    /// A target of this group, for AWSALBAPP.
    App(&'a str),
    /// A group behind this load balancer (its ARN), for AWSALBTG and AWSALBTGCORS.
    Group(&'a str),
}

impl Scope<'_> {
    fn bytes(self) -> Vec<u8> {
        let (kind, arn) = match self {
            Scope::Target(arn) => (b'T', arn),
            Scope::App(arn) => (b'A', arn),
            Scope::Group(arn) => (b'G', arn),
        };
        let mut bytes = Vec::with_capacity(arn.len() + 1);
        bytes.push(kind);
        bytes.extend_from_slice(arn.as_bytes());
        bytes
    }
}

/// The target or group that a cookie names, in 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark([u8; 32]);

impl Mark {
    /// A target, named by its address, which stays the same when this process restarts.
    pub fn target(address: SocketAddr) -> Mark {
        let mut mark = [0; 32];
        let ip = match address.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        mark[..16].copy_from_slice(&ip.octets());
        mark[16..18].copy_from_slice(&address.port().to_be_bytes());
        Mark(mark)
    }

    /// A function. It is the only target of its group, so its identity does not matter.
    pub fn function() -> Mark {
        Mark([0xff; 32])
    }

    /// A group, named by the end of its ARN, which is a random id.
    pub fn group(arn: &str) -> Mark {
        let mut mark = [0; 32];
        let tail = arn.len().saturating_sub(mark.len());
        for (to, from) in mark.iter_mut().zip(&arn.as_bytes()[tail..]) {
            *to = *from;
        }
        Mark(mark)
    }
}

/// An opened cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The target or group that it names.
    pub mark: Mark,
    /// When it was issued, to the second.
    pub issued: Wall,
}

impl Opened {
    /// Whether it is younger than `seconds`, and not from the future. Clocks of nodes may differ by a minute.
    pub fn is_fresh(&self, now: Wall, seconds: u64) -> bool {
        let age = now.seconds() - self.issued.seconds();
        age >= -60 && age < i64::try_from(seconds).unwrap_or(i64::MAX)
    }
}

/// Keys by day, derived on first use.
#[derive(Debug, Default)]
pub struct Keys {
    secret: Secret,
    by_day: BTreeMap<i64, LessSafeKey>,
}

struct Length;

impl KeyType for Length {
    fn len(&self) -> usize {
        32
    }
}

impl Keys {
    /// Keys derived from this secret.
    pub fn new(secret: Secret) -> Keys {
        Keys {
            secret,
            by_day: BTreeMap::new(),
        }
    }

    /// The secret that the keys are derived from.
    pub fn secret(&self) -> Secret {
        self.secret
    }

    fn key(&mut self, day: i64) -> Option<&LessSafeKey> {
        if !self.by_day.contains_key(&day) {
            // Keys of days long past are not needed any more.
            while self.by_day.len() as i64 > DAYS + 1 {
                self.by_day.pop_first();
            }
            let info = day.to_be_bytes();
            let parts: [&[u8]; 1] = [&info];
            let mut bytes = [0; 32];
            Salt::new(HKDF_SHA256, b"forebay sticky cookies")
                .extract(&self.secret.0)
                .expand(&parts, Length)
                .and_then(|derived| derived.fill(&mut bytes))
                .ok()?;
            let key = UnboundKey::new(&AES_256_GCM_SIV, &bytes).ok()?;
            self.by_day.insert(day, LessSafeKey::new(key));
        }
        self.by_day.get(&day)
    }

    /// A cookie's value that names `mark`; 96 bits of `rng` are used. `None` only if the cipher fails.
    pub fn seal(
        &mut self,
        now: Wall,
        rng: [u64; 2],
        scope: Scope<'_>,
        mark: Mark,
    ) -> Option<[u8; COOKIE_LENGTH]> {
        let day = now.seconds().div_euclid(DAY);
        let mut nonce = [0; NONCE];
        nonce[..8].copy_from_slice(&rng[0].to_be_bytes());
        nonce[8..].copy_from_slice(&rng[1].to_be_bytes()[..4]);
        let mut inner = [0; INNER];
        inner[0] = FORM;
        inner[1..9].copy_from_slice(&now.seconds().to_be_bytes());
        inner[9..41].copy_from_slice(&mark.0);
        let tag = self
            .key(day)?
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(scope.bytes()),
                &mut inner,
            )
            .ok()?;
        let mut sealed = [0; SEALED];
        sealed[0] = day.to_be_bytes()[7];
        sealed[1..=NONCE].copy_from_slice(&nonce);
        sealed[1 + NONCE..1 + NONCE + INNER].copy_from_slice(&inner);
        sealed[1 + NONCE + INNER..].copy_from_slice(tag.as_ref());
        let mut text = [0; COOKIE_LENGTH];
        base64::Engine::encode_slice(&base64::prelude::BASE64_STANDARD_NO_PAD, sealed, &mut text).ok()?;
        Some(text)
    }

    /// Opens a cookie's value; `None` if it was not sealed with this secret for this scope, or too long ago.
    pub fn open(&mut self, now: Wall, scope: Scope<'_>, text: &[u8]) -> Option<Opened> {
        if text.len() != COOKIE_LENGTH {
            return None;
        }
        let mut sealed = [0; SEALED];
        base64::Engine::decode_slice(&base64::prelude::BASE64_STANDARD_NO_PAD, text, &mut sealed).ok()?;
        let today = now.seconds().div_euclid(DAY);
        // Tomorrow's key as well: another node's clock may be ahead.
        let day = (today - DAYS..=today + 1).find(|day| day.to_be_bytes()[7] == sealed[0])?;
        let mut nonce = [0; NONCE];
        nonce.copy_from_slice(&sealed[1..=NONCE]);
        let inner = self
            .key(day)?
            .open_in_place(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(scope.bytes()),
                &mut sealed[1 + NONCE..],
            )
            .ok()?;
        let (issued, mark) = (inner.get(1..9)?, inner.get(9..41)?);
        (inner[0] == FORM).then_some(Opened {
            mark: Mark(mark.try_into().ok()?),
            issued: Wall::from_seconds(i64::from_be_bytes(issued.try_into().ok()?)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GROUP: Scope<'_> =
        Scope::Target("arn:aws:elasticloadbalancing:local-1:0:targetgroup/a/0123456789abcdef");

    fn keys() -> Keys {
        Keys::new(Secret([7; 32]))
    }

    fn mark(port: u16) -> Mark {
        Mark::target(SocketAddr::from(([127, 0, 0, 1], port)))
    }

    #[test]
    fn opens_what_was_sealed_for_the_same_and_nothing_else() {
        let now = Wall::from_seconds(1_800_000_000);
        let sealed = keys().seal(now, [1, 2], GROUP, mark(80)).unwrap();
        assert_eq!(sealed.len(), COOKIE_LENGTH);
        let opened = keys().open(now, GROUP, &sealed).unwrap();
        assert_eq!((opened.mark, opened.issued), (mark(80), now));
        assert_ne!(opened.mark, mark(81));
        let Scope::Target(arn) = GROUP else { panic!() };
        for other in [Scope::Target("b"), Scope::App(arn), Scope::Group(arn)] {
            assert_eq!(keys().open(now, other, &sealed), None);
        }
        assert_eq!(Keys::new(Secret([8; 32])).open(now, GROUP, &sealed), None);
    }

    #[test]
    fn keys_change_daily_and_open_for_seven_days() {
        let now = Wall::from_seconds(1_800_000_000);
        let later = |days: i64| Wall::from_seconds(1_800_000_000 + days * DAY);
        let sealed = keys().seal(now, [1, 2], GROUP, mark(80)).unwrap();
        assert_ne!(
            keys().seal(later(1), [1, 2], GROUP, mark(80)).unwrap()[20..],
            sealed[20..]
        );
        let mut keys = keys();
        assert!((-1..=8).all(|days| keys.open(later(days), GROUP, &sealed).is_some()));
        assert!(
            [9, 10, 255, 256, 257, 300]
                .iter()
                .all(|&days| keys.open(later(days), GROUP, &sealed).is_none())
        );
        let opened = keys.open(later(1), GROUP, &sealed).unwrap();
        assert!(opened.is_fresh(later(1), 86_401) && !opened.is_fresh(later(1), 86_400));
        assert!(opened.is_fresh(Wall::from_seconds(1_799_999_990), 5) && !opened.is_fresh(later(-1), 5));
    }

    proptest! {
        #[test]
        fn a_changed_cookie_does_not_open(at in 0..COOKIE_LENGTH, byte in any::<u8>(), rng in any::<[u64; 2]>()) {
            let now = Wall::from_seconds(1_800_000_000);
            let sealed = keys().seal(now, rng, GROUP, mark(80)).unwrap();
            let mut changed = sealed;
            changed[at] = byte;
            prop_assume!(changed != sealed);
            prop_assert_eq!(keys().open(now, GROUP, &changed), None);
        }

        #[test]
        fn bytes_of_a_stranger_do_not_open(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(keys().open(Wall::from_seconds(1_800_000_000), GROUP, &text), None);
        }
    }
}
