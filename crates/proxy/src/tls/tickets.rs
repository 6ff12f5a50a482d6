//! Keys of session tickets. They can be passed to another process, where clients then resume their sessions.

use crate::clock::Clock;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use forebay_units::Mono;
use forebay_units::lock::lock;
use rustls::server::ProducesTickets;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

/// How long a key issues tickets; it accepts them for as long again. This limits what a stolen key can decrypt.
const ROTATION: Duration = Duration::from_secs(6 * 60 * 60);
const NAME: usize = 16;
const NONCE: usize = 12;
const KEY: usize = 32;

/// A key, in the form passed to another process.
#[derive(Clone, PartialEq, Eq)]
pub struct TicketKey {
    /// The first bytes of tickets made with it.
    pub name: [u8; NAME],
    /// The secret.
    pub secret: [u8; KEY],
    /// Its age.
    pub age: Duration,
}

impl core::fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("TicketKey")
            .field("age", &self.age)
            .finish_non_exhaustive()
    }
}

struct Key {
    name: [u8; NAME],
    secret: [u8; KEY],
    cipher: LessSafeKey,
    /// When this process got it, and its age then.
    since: Mono,
    age: Duration,
}

impl Key {
    fn new(name: [u8; NAME], secret: [u8; KEY], since: Mono, age: Duration) -> Option<Key> {
        let cipher = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &secret).ok()?);
        Some(Key {
            name,
            secret,
            cipher,
            since,
            age,
        })
    }

    fn age(&self, now: Mono) -> Duration {
        now.since(self.since).saturating_add(self.age)
    }

    fn drawn(now: Mono) -> Option<Key> {
        let (mut name, mut secret) = ([0; NAME], [0; KEY]);
        aws_lc_rs::rand::fill(&mut name).ok()?;
        aws_lc_rs::rand::fill(&mut secret).ok()?;
        Key::new(name, secret, now, Duration::ZERO)
    }
}

/// The keys of one listener: the one that issues tickets, and its predecessor.
pub(crate) struct Tickets {
    clock: Clock,
    /// The newest first.
    keys: Mutex<Vec<Key>>,
}

impl core::fmt::Debug for Tickets {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Tickets").finish_non_exhaustive()
    }
}

impl Tickets {
    pub(crate) fn new(clock: Clock) -> Tickets {
        Tickets {
            clock,
            keys: Mutex::default(),
        }
    }

    /// Adopts the keys of another process.
    pub(crate) fn take(&self, keys: &[TicketKey]) {
        let now = self.clock.now();
        let mut taken: Vec<Key> = keys
            .iter()
            .filter_map(|key| Key::new(key.name, key.secret, now, key.age))
            .collect();
        let mut held = self.lock();
        taken.append(&mut held);
        *held = taken;
        held.truncate(2);
    }

    /// The keys, for another process.
    pub(crate) fn give(&self) -> Vec<TicketKey> {
        let now = self.clock.now();
        let keys = self.lock();
        keys.iter()
            .map(|key| TicketKey {
                name: key.name,
                secret: key.secret,
                age: key.age(now),
            })
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Key>> {
        lock(&self.keys)
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        // A key that is about to be replaced still accepts its tickets for this long.
        ROTATION.as_secs() as u32
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let now = self.clock.now();
        let mut keys = self.lock();
        if keys.first().is_none_or(|key| key.age(now) >= ROTATION) {
            keys.insert(0, Key::drawn(now)?);
            keys.truncate(2);
        }
        let key = keys.first()?;
        let mut nonce = [0; NONCE];
        aws_lc_rs::rand::fill(&mut nonce).ok()?;
        let mut ticket = Vec::with_capacity(NAME + NONCE + plain.len() + AES_256_GCM.tag_len());
        ticket.extend_from_slice(&key.name);
        ticket.extend_from_slice(&nonce);
        ticket.extend_from_slice(plain);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = key
            .cipher
            .seal_in_place_separate_tag(nonce, Aad::from(key.name), &mut ticket[NAME + NONCE..])
            .ok()?;
        ticket.extend_from_slice(tag.as_ref());
        Some(ticket)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_at_checked(NAME)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE)?;
        let now = self.clock.now();
        let keys = self.lock();
        let key = keys.iter().find(|key| key.name == name)?;
        if key.age(now) >= 2 * ROTATION {
            return None;
        }
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut opened = sealed.to_vec();
        let plain = key
            .cipher
            .open_in_place(nonce, Aad::from(key.name), &mut opened)
            .ok()?
            .len();
        opened.truncate(plain);
        Some(opened)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_process_opens_tickets_with_keys_it_was_given() {
        let clock = Clock::start();
        let (first, second) = (Tickets::new(clock), Tickets::new(clock));
        let ticket = first.encrypt(b"session").unwrap();
        assert_eq!(first.decrypt(&ticket).as_deref(), Some(&b"session"[..]));
        assert_eq!(second.decrypt(&ticket), None);
        second.take(&first.give());
        assert_eq!(second.decrypt(&ticket).as_deref(), Some(&b"session"[..]));
        // It issues tickets with the same key, so the first process accepts them too.
        let other = second.encrypt(b"other").unwrap();
        assert_eq!(first.decrypt(&other).as_deref(), Some(&b"other"[..]));
    }

    #[test]
    fn what_was_tampered_with_opens_nothing() {
        let tickets = Tickets::new(Clock::start());
        let ticket = tickets.encrypt(b"session").unwrap();
        for at in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert_eq!(tickets.decrypt(&changed), None);
            assert_eq!(tickets.decrypt(&ticket[..at]), None);
        }
        assert_eq!(tickets.encrypt(b"session").unwrap().len(), ticket.len());
        assert_ne!(tickets.encrypt(b"session").unwrap(), ticket);
    }
}
