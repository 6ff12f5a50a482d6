//! The agent's permit issuer, shared by its workers and control channels: decides which request may start at this
//! target now.
//!
//! A listener with a permit issuer stands beside its target. Requests need a permit and are otherwise passed on
//! unchanged.

use crate::reason::Reason;
use crate::request::{Request, Speaks};
use crate::sync::{AtomicU32, AtomicU64, Mutex, MutexGuard};
use core::sync::atomic::Ordering::Relaxed;
use forebay_admission::permits::{self, Work, WorkId};
use forebay_units::Mono;
use std::sync::{Arc, OnceLock, PoisonError};

/// The header that carries a request's permit.
pub const WORK_ID: &str = "x-amzn-target-control-work-id";
/// The User-Agent of health checks, which pass without a permit and hold no slot.
const PROBE: &[u8] = b"ELB-HealthChecker/2.0";
/// Maximum number of health checks at the target at once. Anyone can send that User-Agent, so further ones need permits
/// like other requests. Each node sends one at a time, at intervals of seconds.
pub(crate) const PROBES_AT_ONCE: u32 = 4;

struct Timed {
    permits: permits::PermitIssuer,
    /// When the task that messages nodes will next look at grants by itself.
    looks: Mono,
}

/// The counters of a permit issuer, read.
#[derive(Clone, Debug)]
pub struct PermitIssuerMetrics {
    /// Of permits, and of requests that came with one.
    pub permits: permits::Figures,
    /// Requests refused because they carried no permit.
    pub missing: u64,
    /// Health checks let through.
    pub probes: u64,
}

/// Decides which request may start now, behind one short lock.
pub struct PermitIssuer {
    timed: Mutex<Timed>,
    changed: OnceLock<Box<dyn Fn() + Send + Sync>>,
    /// Requests refused because they carried no permit.
    missing: AtomicU64,
    /// Health checks let through.
    probes: AtomicU64,
    /// Health checks that are at the target now.
    probing: AtomicU32,
}

impl core::fmt::Debug for PermitIssuer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("PermitIssuer").finish_non_exhaustive()
    }
}

impl PermitIssuer {
    /// An issuer that admits at most `limit` requests at a time; `incarnation` tells this run of the agent from others.
    pub fn new(limit: u32, incarnation: u64) -> PermitIssuer {
        PermitIssuer {
            timed: Mutex::new(Timed {
                permits: permits::PermitIssuer::new(limit, incarnation),
                looks: Mono::NEVER,
            }),
            changed: OnceLock::new(),
            missing: AtomicU64::new(0),
            probes: AtomicU64::new(0),
            probing: AtomicU32::new(0),
        }
    }

    /// Calls `tell` whenever nodes must be messaged before [`PermitIssuer::next_deadline`]. Only the first call counts.
    /// `tell` must not call back into the issuer.
    pub fn on_change(&self, tell: Box<dyn Fn() + Send + Sync>) {
        let _ = self.changed.set(tell);
    }

    /// When `handle_deadline` must be called. The task that messages nodes asks for it after it has sent all messages;
    /// from then on it is woken for anything earlier.
    pub fn next_deadline(&self) -> Mono {
        let mut timed = self.lock();
        timed.looks = timed.permits.grants_at();
        timed.permits.next_deadline()
    }

    /// Runs `act` on the permits.
    pub fn with<T>(&self, act: impl FnOnce(&mut permits::PermitIssuer) -> T) -> T {
        act(&mut self.lock().permits)
    }

    /// Like `with`, for changes that may free slots or begin a recall: the task that messages nodes is woken at once.
    pub fn change<T>(&self, act: impl FnOnce(&mut permits::PermitIssuer) -> T) -> T {
        let result = self.with(act);
        self.tell();
        result
    }

    /// Like `with`, for a request that begins or ends. Wakes the task only if a grant became due earlier: a message per
    /// request would cost half as much as the request.
    fn guard<T>(&self, act: impl FnOnce(&mut permits::PermitIssuer) -> T) -> T {
        let mut timed = self.lock();
        let result = act(&mut timed.permits);
        let grants = timed.permits.grants_at();
        if grants < timed.looks {
            timed.looks = grants;
            // Outside the lock, because the task that is woken takes it.
            drop(timed);
            self.tell();
        }
        result
    }

    /// The counters and the present state.
    pub fn metrics(&self) -> PermitIssuerMetrics {
        PermitIssuerMetrics {
            permits: self.with(|permits| permits.figures()),
            missing: self.missing.load(Relaxed),
            probes: self.probes.load(Relaxed),
        }
    }

    fn tell(&self) {
        if let Some(tell) = self.changed.get() {
            tell();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Timed> {
        self.timed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this request may start. Dropping the guard frees what it holds at the target.
    pub(crate) fn admit(self: &Arc<Self>, now: Mono, request: &Request<'_>) -> Result<WorkGuard, Reason> {
        let (mut ids, mut id) = (0, None);
        request.facts.headers.any(WORK_ID, &mut |value| {
            (ids, id) = (ids + 1, WorkId::parse(value));
            false
        });
        let holds = if ids == 0 {
            if !(is_probe(request) && self.takes_probe()) {
                self.missing.fetch_add(1, Relaxed);
                return Err(Reason::WorkIdMissing);
            }
            self.probes.fetch_add(1, Relaxed);
            Holds::Probe
        } else {
            // A second id could hide behind a valid one, so two are refused.
            let id = id.filter(|_| ids == 1).ok_or(Reason::WorkIdUnknown)?;
            let begun = self.guard(|permits| permits.begin(now, id));
            Holds::Slot(begun.map_err(|_| Reason::WorkIdUnknown)?)
        };
        Ok(WorkGuard {
            permit_issuer: Arc::clone(self),
            holds: Some(holds),
        })
    }

    /// Counts another health check at the target, if one more is allowed.
    fn takes_probe(&self) -> bool {
        let more = |now: u32| (now < PROBES_AT_ONCE).then_some(now + 1);
        self.probing.fetch_update(Relaxed, Relaxed, more).is_ok()
    }
}

/// Whether this is a health check as load balancers send it: a request without a body. gRPC has no method but POST, and
/// its health checks carry an empty message.
fn is_probe(request: &Request<'_>) -> bool {
    let (facts, headers) = (&request.facts, request.facts.headers);
    let asks = matches!(facts.method, b"GET" | b"HEAD")
        && !headers.any("transfer-encoding", &mut |_| true)
        && !headers.any("content-length", &mut |length| length != b"0");
    let grpc = Speaks::Http2 {
        grpc: true,
        post: true,
    };
    (asks || request.speaks == grpc)
        && !request.upgrade
        && headers.any("user-agent", &mut |value| value == PROBE)
}

/// A request's claim on the target.
#[derive(Debug)]
enum Holds {
    Slot(Work),
    Probe,
}

/// A request in flight at the target. What it holds there is freed when this is dropped.
#[derive(Debug)]
pub struct WorkGuard {
    permit_issuer: Arc<PermitIssuer>,
    holds: Option<Holds>,
}

impl Drop for WorkGuard {
    fn drop(&mut self) {
        match self.holds.take() {
            // There is no clock here. The issuer uses the latest time it knows; at worst nodes are told early.
            Some(Holds::Slot(work)) => self.permit_issuer.guard(|permits| permits.end(Mono::ZERO, work)),
            Some(Holds::Probe) => {
                self.permit_issuer.probing.fetch_sub(1, Relaxed);
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ZoneId;
    use forebay_admission::permits::Output;
    use forebay_routing::{Facts, Headers};
    use forebay_units::Wall;
    use std::net::{IpAddr, Ipv4Addr};
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

    fn request<'a>(method: &'a str, headers: &'a Lines) -> Request<'a> {
        Request {
            rule_path: None,
            facts: Facts {
                method: method.as_bytes(),
                host: b"a",
                path: b"/",
                query: b"",
                source: IpAddr::V4(Ipv4Addr::LOCALHOST),
                headers,
            },
            protocol: "http",
            zone: ZoneId(0),
            speaks: Speaks::Http1,
            wall: Wall(0),
            upgrade: false,
        }
    }

    fn get(permit_issuer: &Arc<PermitIssuer>, now: u64, headers: &Lines) -> Result<WorkGuard, Reason> {
        permit_issuer.admit(Mono(now), &request("GET", headers))
    }

    fn granted(permit_issuer: &PermitIssuer) -> Vec<WorkId> {
        permit_issuer.with(|permits| {
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
        let permit_issuer = Arc::new(PermitIssuer::new(2, 7));
        let told = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&told);
        permit_issuer.on_change(Box::new(move || {
            counted.fetch_add(1, Relaxed);
        }));
        let ids = granted(&permit_issuer);
        let with = |ids: &[WorkId]| {
            Lines(
                ids.iter()
                    .map(|id| (WORK_ID, id.to_string().into_bytes()))
                    .collect(),
            )
        };
        assert!(matches!(
            get(&permit_issuer, 2, &with(&ids)),
            Err(Reason::WorkIdUnknown)
        ));
        let work_guard = get(&permit_issuer, 2, &with(&ids[..1])).unwrap();
        assert!(matches!(
            get(&permit_issuer, 3, &with(&ids[..1])),
            Err(Reason::WorkIdUnknown)
        ));
        assert_eq!(permit_issuer.with(|permits| permits.figures().in_flight), 1);
        drop(work_guard);
        assert_eq!(permit_issuer.with(|permits| permits.figures().in_flight), 0);
        assert_eq!(told.load(Relaxed), 1);
        let soon = permit_issuer.next_deadline();
        assert!(
            soon > Mono(3) && soon < Mono::NEVER,
            "another permit is left: no hurry"
        );
        // The node's last permit is used and a slot is free: grant it now.
        let work_guard = get(&permit_issuer, 4, &with(&ids[1..])).unwrap();
        assert_eq!((told.load(Relaxed), permit_issuer.next_deadline()), (2, Mono(4)));
        drop(work_guard);
        assert_eq!(told.load(Relaxed), 2, "it looks now anyway");
        assert!(get(&permit_issuer, 5, &with(&ids[1..])).is_err());
    }

    #[test]
    fn probes_pass_and_others_need_an_id() {
        let permit_issuer = Arc::new(PermitIssuer::new(1, 7));
        let probe = Lines(vec![("user-agent", PROBE.to_vec())]);
        assert!(get(&permit_issuer, 1, &probe).is_ok());
        assert!(matches!(
            get(&permit_issuer, 1, &Lines(vec![])),
            Err(Reason::WorkIdMissing)
        ));
        let wrong = Lines(vec![(WORK_ID, b"no".to_vec())]);
        assert!(matches!(
            get(&permit_issuer, 1, &wrong),
            Err(Reason::WorkIdUnknown)
        ));
    }

    /// 50 requests at once with the User-Agent of health checks used to pass a limit of 4.
    #[test]
    fn few_probes_pass_at_once() {
        let permit_issuer = Arc::new(PermitIssuer::new(4, 7));
        let probe = Lines(vec![("user-agent", PROBE.to_vec())]);
        let all: Vec<_> = (0..50).map(|_| get(&permit_issuer, 1, &probe)).collect();
        let let_in = all.iter().filter(|one| one.is_ok()).count();
        assert_eq!(let_in, PROBES_AT_ONCE as usize);
        assert!(matches!(all[49], Err(Reason::WorkIdMissing)));
        assert_eq!(
            (
                permit_issuer.probes.load(Relaxed),
                permit_issuer.missing.load(Relaxed)
            ),
            (4, 46)
        );
        // They hold no slots, and their places are freed.
        assert_eq!(permit_issuer.with(|permits| permits.figures().in_flight), 0);
        drop(all);
        assert!(get(&permit_issuer, 2, &probe).is_ok());
        // Another client's request with a permit is not affected.
        let ids = granted(&permit_issuer);
        let with = Lines(vec![
            (WORK_ID, ids[0].to_string().into_bytes()),
            ("user-agent", PROBE.to_vec()),
        ]);
        let full: Vec<_> = (0..4).map(|_| get(&permit_issuer, 3, &probe)).collect();
        assert!(full.iter().all(Result::is_ok));
        assert!(permit_issuer.admit(Mono(3), &request("POST", &with)).is_ok());
    }

    /// A POST, a GET with a body and a WebSocket used to pass without a permit if they called themselves a health
    /// check.
    #[test]
    fn only_what_asks_and_brings_nothing_is_a_probe() {
        let permit_issuer = Arc::new(PermitIssuer::new(1, 7));
        let named = |name, value: &str| {
            Lines(vec![
                ("user-agent", PROBE.to_vec()),
                (name, value.as_bytes().to_vec()),
            ])
        };
        let plain = named("accept", "*/*");
        let passes = |request: &Request<'_>| permit_issuer.admit(Mono(1), request).is_ok();
        for (method, is_let_in) in [
            ("GET", true),
            ("HEAD", true),
            ("POST", false),
            ("OPTIONS", false),
            ("get", false),
        ] {
            assert_eq!(passes(&request(method, &plain)), is_let_in, "{method}");
        }
        for (name, value, is_let_in) in [
            ("content-length", "0", true),
            ("content-length", "5", false),
            ("content-length", "", false),
            ("transfer-encoding", "chunked", false),
        ] {
            let lines = named(name, value);
            assert_eq!(passes(&request("GET", &lines)), is_let_in, "{name}: {value}");
        }
        let mut socket = request("GET", &plain);
        socket.upgrade = true;
        assert!(!passes(&socket));
        let mut grpc = request("POST", &plain);
        grpc.speaks = Speaks::Http2 {
            grpc: true,
            post: true,
        };
        assert!(passes(&grpc), "a health check of gRPC is a POST");
        grpc.speaks = Speaks::Http2 {
            grpc: false,
            post: true,
        };
        assert!(!passes(&grpc));
        let other = Lines(vec![("user-agent", b"ELB-HealthChecker/2.0 x".to_vec())]);
        assert!(!passes(&request("GET", &other)));
    }
}
