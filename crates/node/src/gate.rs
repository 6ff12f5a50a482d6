//! A limited group's gate, as all workers share it: its slots and its surge queue behind one short lock, and the port through
//! which agents' permits come in.
//!
//! Groups without limits have none. Whoever changes something drains the gate before the lock is let go, so that no slot
//! stays free while a request that may use it waits; wakers are called after that.

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
    /// The latest time that anyone has told. What ends without a clock at hand ends then.
    pub(crate) now: Mono,
    /// Another process decides, and the gate only counts.
    pub(crate) remote: Option<Box<Remote>>,
}

/// Counters of a gate's control channels.
#[derive(Debug, Default)]
pub struct ChannelStats {
    /// Channels that stand.
    pub active: AtomicUsize,
    /// Channels that were made.
    pub opened: AtomicU64,
    /// Channels that broke or could not be made.
    pub errors: AtomicU64,
    /// Requests sent with a permit.
    pub requests: AtomicU64,
    /// Bytes of such requests and their answers.
    pub bytes: AtomicU64,
}

/// What the control channels of a gate did, and how many stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelMetrics {
    /// Channels that stand.
    pub active: usize,
    /// Channels that were made.
    pub opened: u64,
    /// Channels that broke or could not be made.
    pub errors: u64,
    /// Requests sent with a permit.
    pub requests: u64,
    /// Requests refused because no agent had a slot for them.
    pub rejects: u64,
    /// Bytes of such requests and their answers.
    pub bytes: u64,
    /// Permits at hand.
    pub permits: u64,
}

/// The gate of a limited group. Outlives snapshots.
pub struct GroupGate {
    timed: Mutex<Timed>,
    waiting: AtomicUsize,
    /// Permits whose requests never reached their agent, or perhaps not.
    unused: Mutex<BTreeMap<TargetId, Vec<WorkId>>>,
    demand: OnceLock<Box<dyn Fn() + Send + Sync>>,
    /// A request had to wait or was refused.
    pub(crate) pressure: Pressure,
    /// What its control channels did.
    pub channels: ChannelStats,
}

impl core::fmt::Debug for GroupGate {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("GroupGate")
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}

/// A channel to keep: from this node to the agent beside a target.
#[derive(Clone, Debug)]
pub struct ChannelOrder {
    /// The target.
    pub target: TargetId,
    /// Where its agent listens for channels.
    pub address: SocketAddr,
    /// What its permits are for.
    pub gate: Arc<GroupGate>,
}

/// Keeps control channels to agents; implemented where sockets are.
pub trait Channels: Send + Sync {
    /// Keeps these channels from now on and no others.
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

    /// Does something at the gate, and lets through who may pass then.
    pub(crate) fn with<T>(&self, now: Option<Mono>, act: impl FnOnce(&mut Inner, Mono) -> T) -> T {
        self.with_timed(now, |timed| act(&mut timed.gate, timed.now))
    }

    /// The same, with who decides.
    pub(crate) fn with_timed<T>(&self, now: Option<Mono>, act: impl FnOnce(&mut Timed) -> T) -> T {
        let mut wakers = Vec::new();
        let mut timed = lock(&self.timed);
        timed.now = now.map_or(timed.now, |now| timed.now.max(now));
        let result = act(&mut timed);
        let Timed { gate, now, remote } = &mut *timed;
        while let Some(released) = gate.poll(*now) {
            // In flight before the lock is let go: whoever takes a target out after this sees that it is not idle, though its
            // worker has yet to fetch the slot.
            let outcome = released
                .outcome
                .map(|slot| (Counted::new(slot.target), slot.permit));
            wakers.extend(released.waiter.deliver(released.waited, outcome));
        }
        let waiting = gate.waiting() + remote.as_ref().map_or(0, |remote| remote.claims.len());
        let changed = self.waiting.swap(waiting, SeqCst) != waiting;
        drop(timed);
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

    /// A permit whose request never reached its agent, or perhaps not: to be returned.
    pub(crate) fn give_back(&self, target: TargetId, id: WorkId) {
        lock(&self.unused).entry(target).or_default().push(id);
        self.tell();
    }

    pub(crate) fn set_rules(&self, now: Mono, rules: Rules) {
        self.with(Some(now), |gate, now| gate.set_rules(now, rules));
    }

    /// It is asked for no longer, or its group is gone: whoever waits is refused, and whoever comes.
    pub(crate) fn dissolve(&self, now: Mono) {
        self.with(Some(now), |gate, now| gate.close(now));
    }

    pub(crate) fn arrange(&self, now: Mono, members: Vec<Member<Arc<TargetView>>>) {
        self.with(Some(now), |gate, now| gate.arrange(now, members));
        // For whom requests wait may have changed, though their number has not.
        self.tell();
    }

    /// The target says that it has no slot: one less is used until then.
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
            if let Some(remote) = &timed.remote {
                remote.authority.release(target, took);
            }
        });
    }

    /// Looks at what is due by itself: slots that were paused, limits that are learned.
    pub(crate) fn tick(&self, now: Mono) {
        self.with(Some(now), |gate, now| gate.measure(now));
    }

    /// An agent lets these requests come.
    pub fn grant(&self, now: Mono, target: TargetId, ids: &[WorkId]) {
        self.with(Some(now), |gate, now| gate.grant(now, target.0, ids));
    }

    /// An agent wants so many permits back; returns those that are not used.
    pub fn recall(&self, now: Mono, target: TargetId, count: usize) -> Vec<WorkId> {
        self.with(Some(now), |gate, now| gate.take_back(now, target.0, count))
    }

    /// A channel to a target's agent stands.
    pub fn channel_up(&self, _target: TargetId) {
        self.channels.active.fetch_add(1, Relaxed);
        self.channels.opened.fetch_add(1, Relaxed);
    }

    /// A channel that stood is gone: what its agent had granted is void.
    pub fn channel_lost(&self, now: Mono, target: TargetId) {
        self.channels.active.fetch_sub(1, Relaxed);
        lock(&self.unused).remove(&target);
        self.with(Some(now), |gate, now| gate.lost(now, target.0));
    }

    /// Requests that wait.
    pub fn waiting(&self) -> usize {
        self.waiting.load(SeqCst)
    }

    /// Requests that wait and may go to this target: with cross-zone off, those of its zone.
    pub fn waiting_for(&self, target: TargetId) -> usize {
        if self.waiting() == 0 {
            return 0;
        }
        lock(&self.timed).gate.waiting_for(target.0)
    }

    /// Permits of this target to return: their requests did not reach its agent, or perhaps not.
    pub fn take_unused(&self, target: TargetId) -> Vec<WorkId> {
        lock(&self.unused).remove(&target).unwrap_or_default()
    }

    /// Calls this whenever the number of waiting requests, or what is to be returned, has changed. Once only.
    pub fn on_demand(&self, tell: Box<dyn Fn() + Send + Sync>) {
        let _ = self.demand.set(tell);
    }

    /// What its control channels did, if agents count its slots; its figures are these.
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

    /// Whether agents count its slots.
    pub(crate) fn is_controlled(&self) -> bool {
        lock(&self.timed).gate.rules().limit == Limit::Permits
    }

    /// Says what is on its way.
    pub(crate) fn expect(&self, coming: Option<Coming>) {
        lock(&self.timed).gate.expect(coming);
    }

    /// Slots of all its targets.
    pub(crate) fn slots(&self) -> u64 {
        lock(&self.timed).gate.all_slots()
    }

    /// Its figures now.
    pub fn figures(&self) -> Figures {
        lock(&self.timed).gate.figures()
    }
}
