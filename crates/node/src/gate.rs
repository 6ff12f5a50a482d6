//! A limited group's gate, shared by all workers: its slots and its surge queue behind one short lock, and the entrance
//! for agents' permits.
//!
//! Groups without limits have no gate. Every change drains the gate before the lock is released, so that no slot stays
//! free while a request that may use it waits. Wakers are called after that.

use crate::ids::TargetId;
use crate::load::Counted;
use crate::lock::lock;
use crate::pressure::Pressure;
use crate::slot_authority::Remote;
use crate::sync::{AtomicU64, AtomicUsize, Mutex};
use crate::target::TargetView;
use crate::ticket::Ticket;
use core::net::SocketAddr;
use core::sync::atomic::Ordering::{Relaxed, SeqCst};
use core::task::Waker;
use core::time::Duration;
use forebay_admission::permits::WorkId;
use forebay_admission::{Coming, Figures, Gate, Limit, Member, Rules};
use forebay_units::Mono;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

pub(crate) type Inner = Gate<Arc<TargetView>, Arc<Ticket>>;

pub(crate) struct Timed {
    pub(crate) gate: Inner,
    /// The latest time that any caller passed. Requests that end without a clock at hand end at this time.
    pub(crate) now: Mono,
    /// Set while another process decides over the slots and this gate only counts.
    pub(crate) remote: Option<Box<Remote>>,
}

/// Counters of a gate's control channels.
#[derive(Debug, Default)]
pub struct ChannelStats {
    /// Channels that are established.
    pub active: AtomicUsize,
    /// Channels established since the start.
    pub opened: AtomicU64,
    /// Channels that broke or could not be established.
    pub errors: AtomicU64,
    /// Requests sent with a permit.
    pub requests: AtomicU64,
    /// Bytes of those requests and their answers.
    pub bytes: AtomicU64,
}

/// Counters of a gate's control channels, read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelMetrics {
    /// Channels that are established.
    pub active: usize,
    /// Channels established since the start.
    pub opened: u64,
    /// Channels that broke or could not be established.
    pub errors: u64,
    /// Requests sent with a permit.
    pub requests: u64,
    /// Requests refused because no agent had a slot for them.
    pub rejects: u64,
    /// Bytes of those requests and their answers.
    pub bytes: u64,
    /// Unused permits.
    pub permits: u64,
}

/// The gate of a limited group. Outlives snapshots.
pub struct GroupGate {
    timed: Mutex<Timed>,
    waiting: AtomicUsize,
    /// Permits to return: their requests did not reach the agent, or may not have.
    unused: Mutex<BTreeMap<TargetId, Vec<WorkId>>>,
    demand: OnceLock<Box<dyn Fn() + Send + Sync>>,
    /// Reports that a request had to wait or was refused.
    pub(crate) pressure: Pressure,
    /// Counters of its control channels.
    pub channels: ChannelStats,
}

impl core::fmt::Debug for GroupGate {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("GroupGate")
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}

/// A control channel to keep open, from this node to the agent beside a target.
#[derive(Clone, Debug)]
pub struct ChannelOrder {
    /// The target.
    pub target: TargetId,
    /// The address where the agent accepts channels.
    pub address: SocketAddr,
    /// The gate that its permits are for.
    pub gate: Arc<GroupGate>,
}

/// Keeps control channels to agents open; implemented where sockets are.
pub trait Channels: Send + Sync {
    /// Keeps these channels from now on, and closes all others.
    fn keep(&self, wanted: Vec<ChannelOrder>);
}

impl GroupGate {
    pub(crate) fn new(rules: Rules, pressure: Pressure) -> GroupGate {
        GroupGate {
            timed: Mutex::new(Timed {
                gate: Gate::new(rules),
                now: Mono::ZERO,
                remote: None,
            }),
            waiting: AtomicUsize::new(0),
            unused: Mutex::default(),
            demand: OnceLock::new(),
            pressure,
            channels: ChannelStats::default(),
        }
    }

    /// Runs `act` at the gate, and releases the waiting requests that can start then.
    pub(crate) fn with<T>(&self, now: Option<Mono>, act: impl FnOnce(&mut Inner, Mono) -> T) -> T {
        self.with_timed(now, |timed| act(&mut timed.gate, timed.now))
    }

    /// Like `with`, but `act` also sees the slot authority.
    pub(crate) fn with_timed<T>(&self, now: Option<Mono>, act: impl FnOnce(&mut Timed) -> T) -> T {
        let mut wakers = Vec::new();
        let mut timed = lock(&self.timed);
        timed.now = now.map_or(timed.now, |now| timed.now.max(now));
        let result = act(&mut timed);
        let Timed { gate, now, remote } = &mut *timed;
        while let Some(released) = gate.poll(*now) {
            // Counted as in flight before the lock is released. Otherwise a target could be taken out as idle before
            // the worker has fetched the slot.
            let outcome = released
                .outcome
                .map(|slot| (Counted::new(slot.target), slot.permit));
            wakers.extend(released.waiter.deliver(released.waited, outcome));
        }
        let waiting = gate.waiting() + remote.as_ref().map_or(0, |remote| remote.claims.len());
        // Under the lock, so that the value stored last is the latest count.
        let changed = self.waiting.swap(waiting, SeqCst) != waiting;
        drop(timed);
        // Outside the lock: a waker may run its task at once, and that task calls the gate again.
        wakers.into_iter().for_each(Waker::wake);
        if changed {
            self.tell();
        }
        result
    }

    pub(crate) fn tell(&self) {
        if let Some(demand) = self.demand.get() {
            demand();
        }
    }

    /// Queues a permit for return: its request did not reach the agent, or may not have.
    pub(crate) fn give_back(&self, target: TargetId, id: WorkId) {
        lock(&self.unused).entry(target).or_default().push(id);
        self.tell();
    }

    pub(crate) fn set_rules(&self, now: Mono, rules: Rules) {
        self.with(Some(now), |gate, now| gate.set_rules(now, rules));
    }

    /// Refuses all waiting and future requests, because the gate is no longer needed or its group is gone.
    pub(crate) fn dissolve(&self, now: Mono) {
        self.with(Some(now), |gate, now| gate.close(now));
    }

    pub(crate) fn arrange(&self, now: Mono, members: Vec<Member<Arc<TargetView>>>) {
        self.with(Some(now), |gate, now| gate.arrange(now, members));
        // The number of waiting requests is the same, but the targets they may use may have changed.
        self.tell();
    }

    /// The target pushed back: one slot less is used until `until`.
    pub(crate) fn pause(&self, now: Mono, target: TargetId, until: Mono) {
        self.with_timed(Some(now), |timed| {
            timed.gate.pause(timed.now, target.0, until);
            if let Some(remote) = &timed.remote {
                remote.pause(timed.now, target, until);
            }
        });
    }

    /// A request that had a slot is over.
    pub(crate) fn release(&self, now: Option<Mono>, target: TargetId, took: Option<Duration>) {
        self.with_timed(now, |timed| {
            timed.gate.release(timed.now, target.0, took);
            // Under the lock, so that the authority hears of claims and releases in their order.
            if let Some(remote) = &timed.remote {
                remote.authority.release(target, took);
            }
        });
    }

    /// Handles what becomes due by itself: pauses that end, limits being learned.
    pub(crate) fn tick(&self, now: Mono) {
        self.with(Some(now), |gate, now| gate.measure(now));
    }

    /// Adds permits that an agent granted.
    pub fn grant(&self, now: Mono, target: TargetId, ids: &[WorkId]) {
        self.with(Some(now), |gate, now| gate.grant(now, target.0, ids));
    }

    /// Records the limit that a target's agent announced.
    pub fn announce(&self, target: TargetId, limit: u32) {
        self.with(None, |gate, _| gate.announce(target.0, limit));
    }

    /// Takes back up to `count` unused permits for an agent that recalls them.
    pub fn recall(&self, now: Mono, target: TargetId, count: usize) -> Vec<WorkId> {
        self.with(Some(now), |gate, _| gate.take_back(target.0, count))
    }

    /// Records that a channel to a target's agent is established.
    pub fn channel_up(&self) {
        self.channels.active.fetch_add(1, Relaxed);
        self.channels.opened.fetch_add(1, Relaxed);
    }

    /// Records that an established channel was lost: the permits of its agent are void.
    pub fn channel_lost(&self, now: Mono, target: TargetId) {
        self.channels.active.fetch_sub(1, Relaxed);
        // Void with their channel, so there is nothing to return.
        lock(&self.unused).remove(&target);
        self.with(Some(now), |gate, _| gate.lost(target.0));
    }

    /// Number of requests that wait.
    pub fn waiting(&self) -> usize {
        self.waiting.load(SeqCst)
    }

    /// Number of waiting requests that may go to this target: with cross-zone off, those of its zone.
    pub fn waiting_for(&self, target: TargetId) -> usize {
        // The usual case, and it spares the lock.
        if self.waiting() == 0 {
            return 0;
        }
        lock(&self.timed).gate.waiting_for(target.0)
    }

    /// Takes the permits to return to this target's agent: their requests did not reach it, or may not have.
    pub fn take_unused(&self, target: TargetId) -> Vec<WorkId> {
        lock(&self.unused).remove(&target).unwrap_or_default()
    }

    /// Calls `tell` whenever the number of waiting requests, or the permits to return, have changed. Only the first
    /// call counts.
    pub fn on_demand(&self, tell: Box<dyn Fn() + Send + Sync>) {
        let _ = self.demand.set(tell);
    }

    /// Counters of the control channels, if agents count the slots. `figures` are this gate's.
    pub(crate) fn channel_metrics(&self, figures: &Figures) -> Option<ChannelMetrics> {
        let channels = &self.channels;
        self.is_controlled().then(|| ChannelMetrics {
            active: channels.active.load(Relaxed),
            opened: channels.opened.load(Relaxed),
            errors: channels.errors.load(Relaxed),
            requests: channels.requests.load(Relaxed),
            rejects: figures.refused.iter().sum(),
            bytes: channels.bytes.load(Relaxed),
            permits: figures.free,
        })
    }

    /// Whether agents count the slots.
    pub(crate) fn is_controlled(&self) -> bool {
        lock(&self.timed).gate.rules().limit == Limit::Permits
    }

    /// Announces slots that are being started.
    pub(crate) fn expect(&self, coming: Option<Coming>) {
        lock(&self.timed).gate.expect(coming);
    }

    /// Number of slots of these targets.
    pub(crate) fn slots_of(&self, targets: impl Iterator<Item = TargetId>) -> u64 {
        let timed = lock(&self.timed);
        targets
            .map(|target| u64::from(timed.gate.slots(target.0).total()))
            .sum()
    }

    /// The gate's counters now.
    pub fn figures(&self) -> Figures {
        lock(&self.timed).gate.figures()
    }
}
