//! The agent's turnstile as its workers and its control channels share it: who may start a request at this target now.
//!
//! A listener that has one stands beside its target: requests need a permit, and what goes on is as it came.

use crate::reason::Reason;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;
use forebay_admission::permits::{self, Work, WorkId};
use forebay_routing::Headers;
use forebay_units::Mono;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// The header that carries a request's permit.
pub const WORK_ID: &str = "x-amzn-target-control-work-id";
/// The User-Agent of health checks: they pass without a permit and hold no slot.
const PROBE: &[u8] = b"ELB-HealthChecker/2.0";

struct Timed {
    permits: permits::Turnstile,
    /// When whoever tells nodes will look by itself for what is to be granted.
    looks: Mono,
}

/// Who may start now, behind one short lock.
pub struct Turnstile {
    timed: Mutex<Timed>,
    changed: OnceLock<Box<dyn Fn() + Send + Sync>>,
    /// Requests refused for want of an id.
    pub missing: AtomicU64,
    /// Health checks let through.
    pub probes: AtomicU64,
}

impl core::fmt::Debug for Turnstile {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Turnstile").finish_non_exhaustive()
    }
}

impl Turnstile {
    /// One that lets at most `limit` requests in at a time; `incarnation` tells this run of the agent from others.
    pub fn new(limit: u32, incarnation: u64) -> Turnstile {
        Turnstile {
            timed: Mutex::new(Timed {
                permits: permits::Turnstile::new(limit, incarnation),
                looks: Mono::NEVER,
            }),
            changed: OnceLock::new(),
            missing: AtomicU64::new(0),
            probes: AtomicU64::new(0),
        }
    }

    /// Calls this whenever nodes are to be told of something earlier than [`Turnstile::next_deadline`] has said. Once only.
    /// It must not come back here from the same call.
    pub fn on_change(&self, tell: Box<dyn Fn() + Send + Sync>) {
        let _ = self.changed.set(tell);
    }

    /// When `handle_deadline` wants to be called. Whoever tells nodes asks for it when it has told them all there is; from
    /// then on it is woken for what is earlier.
    pub fn next_deadline(&self) -> Mono {
        let mut timed = self.lock();
        timed.looks = timed.permits.grants_at();
        timed.permits.next_deadline()
    }

    /// Does something with the permits.
    pub fn with<T>(&self, act: impl FnOnce(&mut permits::Turnstile) -> T) -> T {
        act(&mut self.lock().permits)
    }

    /// The same, for what may free slots or begin a recall: whoever tells nodes looks at once.
    pub fn change<T>(&self, act: impl FnOnce(&mut permits::Turnstile) -> T) -> T {
        let result = self.with(act);
        self.tell();
        result
    }

    /// The same for a request that begins or ends: a message for each would cost half as much as the request.
    fn pass<T>(&self, act: impl FnOnce(&mut permits::Turnstile) -> T) -> T {
        let mut timed = self.lock();
        let result = act(&mut timed.permits);
        let grants = timed.permits.grants_at();
        if grants < timed.looks {
            timed.looks = grants;
            drop(timed);
            self.tell();
        }
        result
    }

    fn tell(&self) {
        if let Some(tell) = self.changed.get() {
            tell();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Timed> {
        self.timed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a request with these headers may start; none holds no slot.
    pub(crate) fn admit(
        self: &Arc<Self>,
        now: Mono,
        headers: &dyn Headers,
    ) -> Result<Option<Working>, Reason> {
        let (mut ids, mut id) = (0, None);
        headers.any(WORK_ID, &mut |value| {
            (ids, id) = (ids + 1, WorkId::parse(value));
            false
        });
        if ids == 0 {
            if headers.any("user-agent", &mut |value| value == PROBE) {
                self.probes.fetch_add(1, Relaxed);
                return Ok(None);
            }
            self.missing.fetch_add(1, Relaxed);
            return Err(Reason::WorkIdMissing);
        }
        // Two ids are one too many: a second one could be hidden behind a good one.
        let id = id.filter(|_| ids == 1).ok_or(Reason::WorkIdUnknown)?;
        let begun = self.pass(|permits| permits.begin(now, id));
        let work = begun.map_err(|_| Reason::WorkIdUnknown)?;
        Ok(Some(Working {
            turnstile: Arc::clone(self),
            work: Some(work),
        }))
    }
}

/// A request in flight at the target: its slot is free again when this is dropped.
#[derive(Debug)]
pub struct Working {
    turnstile: Arc<Turnstile>,
    work: Option<Work>,
}

impl Drop for Working {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            // No clock at hand: the time that was told last will do, at worst nodes are told early.
            self.turnstile.pass(|permits| permits.end(Mono::ZERO, work));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use forebay_admission::permits::Output;
    use std::sync::atomic::AtomicUsize;

    struct Lines(Vec<(&'static str, Vec<u8>)>);

    impl Headers for Lines {
        fn any(&self, name: &str, visit: &mut dyn FnMut(&[u8]) -> bool) -> bool {
            self.0
                .iter()
                .filter(|line| line.0 == name)
                .any(|line| visit(&line.1))
        }
    }

    fn granted(turnstile: &Turnstile) -> Vec<WorkId> {
        turnstile.with(|permits| {
            permits.join(Mono(1));
            let mut next = 100_u128;
            let mut ids = Vec::new();
            while let Some(output) = permits.poll_output(&mut || {
                next += 1;
                next
            }) {
                if let Output::Grant { ids: more, .. } = output {
                    ids.extend(more);
                }
            }
            ids
        })
    }

    #[test]
    fn ids_let_in_once_and_slots_come_back() {
        let turnstile = Arc::new(Turnstile::new(2, 7));
        let told = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&told);
        turnstile.on_change(Box::new(move || {
            counted.fetch_add(1, Relaxed);
        }));
        let ids = granted(&turnstile);
        let with = |ids: &[WorkId]| {
            Lines(
                ids.iter()
                    .map(|id| (WORK_ID, id.to_string().into_bytes()))
                    .collect(),
            )
        };
        assert!(matches!(
            turnstile.admit(Mono(2), &with(&ids)),
            Err(Reason::WorkIdUnknown)
        ));
        let working = turnstile.admit(Mono(2), &with(&ids[..1])).unwrap();
        assert!(working.is_some());
        assert!(matches!(
            turnstile.admit(Mono(3), &with(&ids[..1])),
            Err(Reason::WorkIdUnknown)
        ));
        assert_eq!(turnstile.with(|permits| permits.figures().in_flight), 1);
        drop(working);
        assert_eq!(turnstile.with(|permits| permits.figures().in_flight), 0);
        assert_eq!(told.load(Relaxed), 1);
        let soon = turnstile.next_deadline();
        assert!(
            soon > Mono(3) && soon < Mono::NEVER,
            "another permit is left: no hurry"
        );
        // The node's last one is used, and a slot is free: now.
        let working = turnstile.admit(Mono(4), &with(&ids[1..])).unwrap();
        assert_eq!((told.load(Relaxed), turnstile.next_deadline()), (2, Mono(4)));
        drop(working);
        assert_eq!(told.load(Relaxed), 2, "it looks now anyway");
        assert!(turnstile.admit(Mono(5), &with(&ids[1..])).is_err());
    }

    #[test]
    fn probes_pass_and_others_need_an_id() {
        let turnstile = Arc::new(Turnstile::new(1, 7));
        let probe = Lines(vec![("user-agent", PROBE.to_vec())]);
        assert!(turnstile.admit(Mono(1), &probe).unwrap().is_none());
        assert!(matches!(
            turnstile.admit(Mono(1), &Lines(vec![])),
            Err(Reason::WorkIdMissing)
        ));
        let wrong = Lines(vec![(WORK_ID, b"no".to_vec())]);
        assert!(matches!(
            turnstile.admit(Mono(1), &wrong),
            Err(Reason::WorkIdUnknown)
        ));
    }
}
