//! The file descriptors of connections: one budget for clients and targets of all workers, so that neither side can use up
//! what the other needs, or what the API, probes, logs and the store need.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// One part in this many is out of reach for either side alone: clients that are connected can always be answered, and new
/// ones can always be accepted.
const SHARE: usize = 8;

/// Most descriptors kept back for everything that is not a connection of a client or to a target: API calls, probes, logs,
/// the store.
const RESERVE: usize = 1536;
/// Fewest descriptors kept back: even an idle process needs some.
const LEAST_RESERVE: usize = 64;
/// Most connections of API callers.
const API: usize = 192;
/// Most API calls that wait for messages; each costs about 20 KiB.
const POLLS: usize = 4096;

/// How the limit on open files is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Affordable {
    /// For client connections, target connections and listening sockets.
    pub traffic: usize,
    /// For connections of API callers.
    pub api: usize,
    /// For API calls that wait for messages, in addition to `api`.
    pub polls: usize,
    /// For probes in progress at the same time.
    pub probes: usize,
}

impl Affordable {
    /// What this process's limit on open files allows.
    pub fn now() -> Affordable {
        use rustix::process::{Resource, getrlimit};
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        Affordable::of(usize::try_from(limit).unwrap_or(usize::MAX))
    }

    /// What a limit of `limit` open files allows. A quarter is kept back, within bounds: three eighths of that for the API,
    /// an eighth for probes, the rest for admin addresses, logs and the store. A sixteenth of the limit is for calls that
    /// wait.
    pub fn of(limit: usize) -> Affordable {
        let reserve = (limit / 4).clamp(LEAST_RESERVE, RESERVE);
        let polls = (limit / 16).min(POLLS);
        Affordable {
            traffic: limit.saturating_sub(reserve + polls).max(16),
            api: (reserve * 3 / 8).min(API),
            polls,
            probes: reserve / 8,
        }
    }
}

/// The connections of all workers, and their limits.
#[derive(Debug)]
pub(crate) struct Descriptors {
    clients: AtomicUsize,
    targets: AtomicUsize,
    /// Clients accepted only to be told that there is no room, see [`Descriptors::take_spare`].
    spare: AtomicUsize,
    /// Listening sockets, and channels to agents.
    fixed: AtomicUsize,
    /// Most clients connected at once.
    most_clients: usize,
    /// Descriptors for both sides and for what is fixed.
    traffic: usize,
}

/// Most clients beyond the limit that are accepted to be told so: over TLS a refusal takes a handshake.
const SPARE: usize = 32;

impl Descriptors {
    pub(crate) fn new(most_clients: usize, traffic: usize) -> Descriptors {
        Descriptors {
            clients: AtomicUsize::new(0),
            targets: AtomicUsize::new(0),
            spare: AtomicUsize::new(0),
            fixed: AtomicUsize::new(0),
            most_clients,
            traffic,
        }
    }

    /// Descriptors that both sides may hold together.
    fn budget(&self) -> usize {
        self.traffic.saturating_sub(self.fixed.load(Relaxed))
    }

    fn held(&self) -> usize {
        self.clients.load(Relaxed) + self.targets.load(Relaxed)
    }

    /// Notes the number of listening sockets and channels.
    pub(crate) fn set_fixed(&self, fixed: usize) {
        self.fixed.store(fixed, Relaxed);
    }

    /// Whether one more client may connect. Workers that check at the same time may exceed the limit by one each.
    pub(crate) fn has_room(&self) -> bool {
        let (clients, budget) = (self.clients.load(Relaxed), self.budget());
        clients < self.most_clients && clients < budget - budget / SHARE && self.held() < budget
    }

    pub(crate) fn take_client(self: &Arc<Self>) -> Held {
        self.clients.fetch_add(1, Relaxed);
        Held {
            of: Arc::clone(self),
            side: Side::Clients,
        }
    }

    /// A descriptor for a client that is only told that there is no room; none if all spare ones are in use.
    pub(crate) fn take_spare(self: &Arc<Self>) -> Option<Held> {
        if self.spare.load(Relaxed) >= SPARE {
            return None;
        }
        self.spare.fetch_add(1, Relaxed);
        Some(Held {
            of: Arc::clone(self),
            side: Side::Spare,
        })
    }

    /// A descriptor for a connection to a target, if there is one left.
    pub(crate) fn try_take_target(self: &Arc<Self>) -> Option<Held> {
        let (targets, budget) = (self.targets.load(Relaxed), self.budget());
        if targets >= budget - budget / SHARE || self.held() >= budget {
            return None;
        }
        self.targets.fetch_add(1, Relaxed);
        Some(Held {
            of: Arc::clone(self),
            side: Side::Targets,
        })
    }

    /// Whether idle connections should be closed, because others may need their descriptors.
    pub(crate) fn is_scarce(&self) -> bool {
        let budget = self.budget();
        self.held() >= budget - budget / 4
    }
}

#[derive(Clone, Copy, Debug)]
enum Side {
    Clients,
    Targets,
    Spare,
}

/// A descriptor that counts as held until dropped.
#[derive(Debug)]
pub(crate) struct Held {
    of: Arc<Descriptors>,
    side: Side,
}

impl Drop for Held {
    fn drop(&mut self) {
        let count = match self.side {
            Side::Clients => &self.of.clients,
            Side::Targets => &self.of.targets,
            Side::Spare => &self.of.spare,
        };
        count.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_side_takes_all() {
        let descriptors = Arc::new(Descriptors::new(usize::MAX, 90));
        descriptors.set_fixed(10);
        let mut clients = Vec::new();
        while descriptors.has_room() {
            clients.push(descriptors.take_client());
        }
        assert_eq!(clients.len(), 70);
        let mut targets = Vec::new();
        targets.extend(std::iter::from_fn(|| descriptors.try_take_target()));
        assert_eq!(targets.len(), 10);
        assert!(descriptors.is_scarce());
        clients.clear();
        targets.extend(std::iter::from_fn(|| descriptors.try_take_target()));
        assert_eq!(targets.len(), 70);
        while descriptors.has_room() {
            clients.push(descriptors.take_client());
        }
        assert_eq!(clients.len(), 10);
        let spare: Vec<_> = std::iter::from_fn(|| descriptors.take_spare()).collect();
        assert_eq!(spare.len(), SPARE);
        drop((clients, targets, spare));
        assert!(descriptors.has_room() && !descriptors.is_scarce());
        assert_eq!(descriptors.held() + descriptors.spare.load(Relaxed), 0);
    }

    #[test]
    fn a_limit_is_divided() {
        let of = |limit| Affordable::of(limit);
        assert_eq!(
            of(1024),
            Affordable {
                traffic: 704,
                api: 96,
                polls: 64,
                probes: 32
            }
        );
        assert_eq!(
            of(1 << 20),
            Affordable {
                traffic: (1 << 20) - 1536 - 4096,
                api: 192,
                polls: 4096,
                probes: 192
            }
        );
        assert_eq!(of(64).traffic, 16);
        assert_eq!(of(64).polls, 4);
        assert!(of(usize::MAX).traffic > 1 << 40);
    }
}
