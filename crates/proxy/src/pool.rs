//! A worker's idle connections to targets: last in, first out, so that few stay warm.

use foldhash::fast::FixedState;
use forebay_node::{KeepAlive, Picture, Reuse, TargetId};
use forebay_units::{BoundedStack, Mono};
use std::collections::HashMap;
use std::task::{Context, Waker};
use std::time::Duration;
use tokio::net::TcpStream;

/// Idle connections kept for one target by one worker.
const PER_TARGET: usize = 512;

#[derive(Debug)]
struct Idle {
    stream: TcpStream,
    since: Mono,
    until: Mono,
}

impl Idle {
    /// A readable idle connection was closed by the target, or it sends what nobody asked for.
    fn is_dead(&self) -> bool {
        self.stream
            .poll_read_ready(&mut Context::from_waker(Waker::noop()))
            .is_ready()
    }
}

#[derive(Debug)]
struct TargetPool {
    idle: BoundedStack<Idle>,
    keep_alive: KeepAlive,
}

/// All idle connections of a worker.
#[derive(Debug, Default)]
pub(crate) struct Pools {
    by_target: HashMap<TargetId, TargetPool, FixedState>,
}

impl Pools {
    /// An idle connection that may carry a request; none if a fresh one is needed.
    pub(crate) fn take(&mut self, target: TargetId, reuse: Reuse, now: Mono) -> Option<TcpStream> {
        if reuse == Reuse::Never {
            return None;
        }
        let pool = self.by_target.get_mut(&target)?;
        while let Some(idle) = pool.idle.pop() {
            let age = now.since(idle.since);
            if idle.is_dead() {
                pool.keep_alive.closed_after(age, now);
            } else if reuse == Reuse::Careful && age >= pool.keep_alive.safe_age(now) {
                // What lies below it is older still, but fit for a request that may be sent again.
                let _ = pool.idle.push(idle);
                return None;
            } else if now < idle.until {
                return Some(idle.stream);
            }
        }
        None
    }

    /// Keeps a connection whose answer was whole; it may wait for `timeout`.
    pub(crate) fn put(&mut self, target: TargetId, stream: TcpStream, now: Mono, timeout: Duration) {
        let pool = self.by_target.entry(target).or_insert_with(|| TargetPool {
            idle: BoundedStack::new(PER_TARGET),
            keep_alive: KeepAlive::default(),
        });
        // A full pool closes the connection: dropping it is all there is to do.
        let _ = pool.idle.push(Idle {
            stream,
            since: now,
            until: now + timeout,
        });
    }

    /// Closes what targets closed and what waited too long, and learns from it.
    pub(crate) fn sweep(&mut self, now: Mono) {
        for pool in self.by_target.values_mut() {
            let TargetPool { idle, keep_alive } = pool;
            idle.retain(|idle| {
                let dead = idle.is_dead();
                if dead {
                    keep_alive.closed_after(now.since(idle.since), now);
                }
                !dead && now < idle.until
            });
        }
    }

    /// Closes connections to targets that are gone.
    pub(crate) fn forget(&mut self, picture: &Picture) {
        let mut known: Vec<TargetId> = picture
            .groups
            .iter()
            .flat_map(|group| group.targets.iter().map(|target| target.id))
            .collect();
        known.sort_unstable();
        self.by_target
            .retain(|target, _| known.binary_search(target).is_ok());
    }
}
