//! The agent's turnstile as its workers and its control channels share it: who may start a request at this target now.
//!
//! A listener that has one stands beside its target: requests need a permit, and what goes on is as it came.

use crate::reason::Reason;
use core::sync::atomic::Ordering::{Relaxed, SeqCst};
use core::sync::atomic::{AtomicBool, AtomicU64};
use forebay_admission::permits::{self, Work, WorkId};
use forebay_routing::Headers;
use forebay_units::Mono;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// The header that carries a request's permit.
pub const WORK_ID: &str = "x-amzn-target-control-work-id";
/// The User-Agent of health checks: they pass without a permit and hold no slot.
const PROBE: &[u8] = b"ELB-HealthChecker/2.0";

/// When nodes want to be told of what has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// Somebody waits.
    Now,
    /// Nobody is in need: together with what follows within a moment.
    Soon,
}

/// Who may start now, behind one short lock.
pub struct Turnstile {
    permits: Mutex<permits::Turnstile>,
    changed: OnceLock<Box<dyn Fn(Urgency) + Send + Sync>>,
    /// Whoever tells nodes knows that it shall look some time.
    told: AtomicBool,
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
            permits: Mutex::new(permits::Turnstile::new(limit, incarnation)),
            changed: OnceLock::new(),
            told: AtomicBool::new(false),
            missing: AtomicU64::new(0),
            probes: AtomicU64::new(0),
        }
    }

    /// Calls this whenever a slot has become free; of those that are not urgent, for the first since [`Turnstile::settles`].
    /// Once only. It must not come back here from the same call.
    pub fn on_change(&self, tell: Box<dyn Fn(Urgency) + Send + Sync>) {
        let _ = self.changed.set(tell);
    }

    /// Nodes are about to be told of all that has changed.
    pub fn settles(&self) {
        self.told.store(false, SeqCst);
    }

    /// Does something with the permits.
    pub fn with<T>(&self, act: impl FnOnce(&mut permits::Turnstile) -> T) -> T {
        act(&mut self.lock())
    }

    /// The same, for what may free slots or begin a recall: whoever tells nodes looks at once.
    pub fn change<T>(&self, act: impl FnOnce(&mut permits::Turnstile) -> T) -> T {
        let result = self.with(act);
        self.tell(Urgency::Now);
        result
    }

    fn tell(&self, urgency: Urgency) {
        if urgency == Urgency::Soon && self.told.swap(true, SeqCst) {
            return;
        }
        if let Some(tell) = self.changed.get() {
            tell(urgency);
        }
    }

    fn lock(&self) -> MutexGuard<'_, permits::Turnstile> {
        self.permits.lock().unwrap_or_else(PoisonError::into_inner)
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
        let work = self.lock().begin(now, id).map_err(|_| Reason::WorkIdUnknown)?;
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
            // No clock at hand: the time that was told last will do, deadlines are not made here.
            let urgent = self.turnstile.lock().end(Mono::ZERO, work);
            // A message for each request would cost as much as half of the request.
            self.turnstile
                .tell(if urgent { Urgency::Now } else { Urgency::Soon });
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
        turnstile.on_change(Box::new(move |urgency| {
            counted.fetch_add(if urgency == Urgency::Soon { 1 } else { 10 }, Relaxed);
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
        assert_eq!(told.load(Relaxed), 1, "another permit is left: no hurry");
        // The node's last one is used, and then there is none.
        drop(turnstile.admit(Mono(4), &with(&ids[1..])).unwrap());
        assert_eq!(told.load(Relaxed), 11);
        turnstile.settles();
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
