//! A worker's idle connections to targets: last in, first out, so that a few stay in use and the others can expire.

use crate::proxy_protocol::Ends;
use crate::tls::TargetStream;
use foldhash::fast::FixedState;
use forebay_node::{KeepAlive, Reuse, Snapshot, TargetId};
use forebay_units::{BoundedStack, Mono};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

/// Most idle connections of one worker to one target.
const PER_TARGET: usize = 512;

struct Idle {
    stream: TargetStream,
    since: Mono,
    until: Mono,
}

struct TargetPool {
    idle: BoundedStack<Idle>,
    keep_alive: KeepAlive,
}

/// All idle connections of a worker.
#[derive(Default)]
pub(crate) struct Pools {
    by_target: HashMap<TargetId, TargetPool, FixedState>,
}

impl Pools {
    /// An idle connection for a request with the name `name` (targets over TLS) from the client connection `ends` (targets
    /// that are told about clients); none if a fresh one is needed.
    pub(crate) fn take(
        &mut self,
        target: TargetId,
        (name, ends): (Option<&str>, Option<&Rc<Ends>>),
        reuse: Reuse,
        now: Mono,
    ) -> Option<TargetStream> {
        if reuse == Reuse::Never {
            return None;
        }
        let pool = self.by_target.get_mut(&target)?;
        // Over plaintext the topmost will do, over TLS the topmost for this name. One made for another client's PROXY
        // header never fits.
        let fits = |idle: &Idle| idle.stream.is_for(name) && ends.is_none_or(|ends| idle.stream.is_of(ends));
        while let Some(mut idle) = pool.idle.pop_where(fits) {
            let age = now.since(idle.since);
            if idle.stream.is_dead() {
                pool.keep_alive.closed_after(age, now);
            } else if reuse == Reuse::Careful && age >= pool.keep_alive.safe_age(now) {
                // Those below are older still, but may serve a request that can be sent again.
                let _ = pool.idle.push(idle);
                return None;
            } else if now < idle.until {
                return Some(idle.stream);
            }
        }
        None
    }

    /// Keeps a connection whose answer was complete; it may idle for `timeout`.
    pub(crate) fn put(&mut self, target: TargetId, stream: TargetStream, now: Mono, timeout: Duration) {
        let pool = self.by_target.entry(target).or_insert_with(|| TargetPool {
            idle: BoundedStack::new(PER_TARGET),
            keep_alive: KeepAlive::default(),
        });
        // If the pool is full, the connection is dropped, which closes it.
        let _ = pool.idle.push(Idle {
            stream,
            since: now,
            until: now + timeout,
        });
    }

    /// Closes an idle connection whose descriptor is needed elsewhere. False if there is none.
    pub(crate) fn close_one(&mut self) -> bool {
        self.by_target
            .values_mut()
            .any(|pool| pool.idle.pop_where(|_| true).is_some())
    }

    /// Closes connections that targets have closed or that idled too long, and learns from that how long targets keep them.
    /// `scarce`: descriptors are scarce, so all idle ones are closed.
    pub(crate) fn sweep(&mut self, now: Mono, scarce: bool) {
        for pool in self.by_target.values_mut() {
            let TargetPool { idle, keep_alive } = pool;
            idle.retain(|idle| {
                let dead = idle.stream.is_dead();
                if dead {
                    keep_alive.closed_after(now.since(idle.since), now);
                }
                !dead && !scarce && now < idle.until && !idle.stream.is_orphaned()
            });
        }
    }

    /// Closes connections to targets that are gone.
    pub(crate) fn forget(&mut self, snapshot: &Snapshot) {
        let mut known: Vec<TargetId> = snapshot
            .groups
            .iter()
            .flat_map(|group| group.targets.iter().map(|target| target.id))
            .collect();
        known.sort_unstable();
        self.by_target
            .retain(|target, _| known.binary_search(target).is_ok());
    }
}
