//! A limited group's gate, as all workers share it: its slots and its surge queue behind one short lock, and the port through
//! which agents' permits come in.
//!
//! Groups without limits have none. Whoever changes something drains the gate before the lock is let go, so that no slot
//! stays free while a request that may use it waits; wakers are called after that.

use crate::load::InFlight;
use crate::lock::lock;
use crate::picture::{TargetId, TargetView};
use core::net::SocketAddr;
use core::sync::atomic::Ordering::{Relaxed, SeqCst};
use core::sync::atomic::{AtomicU64, AtomicUsize};
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use forebay_admission::permits::WorkId;
use forebay_admission::{Arrival, Figures, Gate, Leaving, Limit, Member, Place, Refusal, Rules, Verdict};
use forebay_units::{Mono, Stream};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

type Inner = Gate<Arc<TargetView>, Arc<Ticket>>;

/// What came of waiting: a slot with its permit, or a refusal.
type Released = Result<(InFlight, Option<WorkId>), Refusal>;

/// A waiting request's hold on its verdict. Poll it until it is ready.
#[derive(Debug, Default)]
pub struct Ticket(Mutex<Waits>);

#[derive(Debug, Default)]
struct Waits {
    waker: Option<Waker>,
    over: Option<(Duration, Released)>,
    taken: bool,
}

impl Ticket {
    /// Ready once the wait is over.
    pub fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        let mut waits = lock(&self.0);
        if waits.over.is_some() || waits.taken {
            return Poll::Ready(());
        }
        match &mut waits.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    fn deliver(&self, waited: Duration, outcome: Released) -> Option<Waker> {
        let mut waits = lock(&self.0);
        waits.over = Some((waited, outcome));
        waits.waker.take()
    }

    fn take(&self) -> Option<(Duration, Released)> {
        let mut waits = lock(&self.0);
        let over = waits.over.take();
        waits.taken |= over.is_some();
        over
    }
}

struct Timed {
    gate: Inner,
    /// The latest time that anyone has told. What ends without a clock at hand ends then.
    now: Mono,
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

/// The gate of a limited group. Outlives pictures.
pub struct GroupGate {
    timed: Mutex<Timed>,
    waiting: AtomicUsize,
    /// Permits whose requests never reached their agent, or perhaps not.
    unused: Mutex<BTreeMap<TargetId, Vec<WorkId>>>,
    demand: OnceLock<Box<dyn Fn() + Send + Sync>>,
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
    pub(crate) fn new(rules: Rules) -> GroupGate {
        GroupGate {
            timed: Mutex::new(Timed {
                gate: Gate::new(rules),
                now: Mono::ZERO,
            }),
            waiting: AtomicUsize::new(0),
            unused: Mutex::default(),
            demand: OnceLock::new(),
            channels: ChannelStats::default(),
        }
    }

    /// Does something at the gate, and lets through who may pass then.
    fn with<T>(&self, now: Option<Mono>, act: impl FnOnce(&mut Inner, Mono) -> T) -> T {
        let mut wakers = Vec::new();
        let mut timed = lock(&self.timed);
        timed.now = now.map_or(timed.now, |now| timed.now.max(now));
        let Timed { gate, now } = &mut *timed;
        let result = act(gate, *now);
        while let Some(released) = gate.poll(*now) {
            // In flight before the lock is let go: whoever takes a target out after this sees that it is not idle, though its
            // worker has yet to fetch the slot.
            let outcome = released
                .outcome
                .map(|slot| (InFlight::new(slot.target), slot.permit));
            wakers.extend(released.waiter.deliver(released.waited, outcome));
        }
        let waiting = gate.waiting();
        let changed = self.waiting.swap(waiting, SeqCst) != waiting;
        drop(timed);
        wakers.into_iter().for_each(Waker::wake);
        if changed {
            self.tell();
        }
        result
    }

    fn tell(&self) {
        if let Some(demand) = self.demand.get() {
            demand();
        }
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

    /// A request has come.
    pub(crate) fn arrive(self: &Arc<Self>, now: Mono, arrival: &Arrival<'_>, draws: &mut Stream) -> Arrived {
        let mut ticket = None;
        let verdict = self.with(Some(now), |gate, now| {
            gate.arrive(now, arrival, draws, || {
                Arc::clone(ticket.insert(Arc::new(Ticket::default())))
            })
        });
        match verdict {
            Verdict::Admitted(slot) => {
                Arrived::Admitted(Pass::admit(self, InFlight::new(slot.target), slot.permit))
            }
            Verdict::Waits(place) => Arrived::Waits(Waiting {
                gate: Arc::clone(self),
                place: Some(place),
                // A gate that lets someone wait has asked for the ticket.
                ticket: ticket.unwrap_or_default(),
            }),
            Verdict::Refused(refusal) => Arrived::Refused(refusal),
        }
    }

    /// The target says that it has no slot: one less is used until then.
    pub(crate) fn pause(&self, now: Mono, target: TargetId, until: Mono) {
        self.with(Some(now), |gate, now| gate.pause(now, target.0, until));
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

    /// Whether agents count its slots.
    pub fn is_controlled(&self) -> bool {
        lock(&self.timed).gate.rules().limit == Limit::Permits
    }

    /// Its figures now.
    pub fn figures(&self) -> Figures {
        lock(&self.timed).gate.figures()
    }
}

/// What came of asking for a slot.
pub(crate) enum Arrived {
    Admitted(InFlight),
    Waits(Waiting),
    Refused(Refusal),
}

/// A place in the queue; given up when dropped.
#[derive(Debug)]
pub(crate) struct Waiting {
    gate: Arc<GroupGate>,
    place: Option<Place>,
    ticket: Arc<Ticket>,
}

impl Waiting {
    pub(crate) fn ticket(&self) -> Arc<Ticket> {
        Arc::clone(&self.ticket)
    }

    /// What came of it, once the ticket is ready.
    pub(crate) fn over(&mut self) -> Option<(Duration, Result<InFlight, Refusal>)> {
        let (waited, released) = self.ticket.take()?;
        self.place = None;
        let admit = |(slot, permit)| Pass::admit(&self.gate, slot, permit);
        Some((waited, released.map(admit)))
    }

    /// The deadline has come. None if the wait was over before.
    pub(crate) fn late(&mut self, now: Mono) -> Option<Refusal> {
        let place = self.place.take()?;
        let left = self
            .gate
            .with(Some(now), |gate, now| gate.leave(now, place, Leaving::Late))?;
        Some(left.1)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            self.gate
                .with(None, |gate, now| gate.leave(now, place, Leaving::Gone));
        }
        // What was handed out and not fetched goes to the next.
        drop(self.over());
    }
}

/// A slot in use. Free again when dropped.
#[derive(Debug)]
pub(crate) struct Pass {
    gate: Arc<GroupGate>,
    target: TargetId,
    permit: Option<WorkId>,
    sent: bool,
    /// The agent has seen the permit: it counts the slot from there on.
    seen: bool,
    took: Option<Duration>,
    /// When it ended, if that was said.
    ended: Option<Mono>,
}

impl Pass {
    fn admit(gate: &Arc<GroupGate>, slot: InFlight, permit: Option<WorkId>) -> InFlight {
        let pass = Pass {
            gate: Arc::clone(gate),
            target: slot.target().id,
            permit,
            sent: false,
            seen: false,
            took: None,
            ended: None,
        };
        slot.with_pass(Box::new(pass))
    }

    pub(crate) fn permit(&self) -> Option<WorkId> {
        self.permit
    }

    /// The request is about to be sent.
    pub(crate) fn sending(&mut self) {
        if self.permit.is_some() && !self.sent {
            self.sent = true;
            self.gate.channels.requests.fetch_add(1, Relaxed);
        }
    }

    /// An answer has come: the agent knows of the permit.
    pub(crate) fn seen(&mut self) {
        self.seen = true;
    }

    /// It ends now; `took` how long a success took.
    pub(crate) fn ends(&mut self, now: Mono, took: Option<Duration>) {
        self.ended = Some(now);
        self.took = took;
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let (target, took) = (self.target.0, self.took);
        self.gate
            .with(self.ended, |gate, now| gate.release(now, target, took));
        if let Some(id) = self.permit.filter(|_| !self.seen) {
            lock(&self.gate.unused).entry(self.target).or_default().push(id);
            self.gate.tell();
        }
    }
}
