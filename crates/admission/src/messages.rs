//! The types that the gate and its callers exchange.

use crate::gradient::GradientSettings;
use crate::permits::WorkId;
use core::time::Duration;
use forebay_units::Mono;

/// Identifies a target.
pub type Key = u64;

/// How many requests a target takes at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// As many as an agent at the target grants, one permit for each request.
    Permits,
    /// A fixed number for each target, counted here.
    Fixed(u32),
    /// Learned for each target from how long its answers take.
    Auto(GradientSettings),
    /// Any number: requests wait only while there is no target at all.
    Open,
}

/// A gate's settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// How the number of slots of each target is found.
    pub limit: Limit,
    /// Requests that may wait; with 0 a request that finds no slot is refused.
    pub length: usize,
    /// The usual upper bound of a wait. Each arrival brings its own deadline; this bounds what refusals promise.
    pub wait: Duration,
    /// Take the free target with the fewest requests in flight relative to its limit first, instead of round robin.
    pub balanced: bool,
}

/// A target that may be picked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member<T> {
    /// Identifies the target.
    pub key: Key,
    /// The zone whose arrivals may use it, or `None` for all zones.
    pub zone: Option<u64>,
    /// Multiplies the common limit ([`Limit::Fixed`]): 1 unless targets are of different sizes.
    pub weight: u32,
    /// The value that a slot of this target hands out.
    pub target: T,
}

/// A request that wants a slot.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// Its zone: it may use members of this zone and members without one.
    pub zone: u64,
    /// Its class. Requests of a class share what the class gets; classes share with each other by weight.
    pub class: u64,
    /// The share of its class relative to others, at least 1. The last arrival's weight holds for its class.
    pub weight: u32,
    /// When the request first arrived; waits are counted from here.
    pub since: Mono,
    /// From this time on a slot is of no use to the request.
    pub deadline: Mono,
    /// The request had a slot and comes back: it is served before all others and is never refused for the queue's
    /// length.
    pub front: bool,
    /// Targets to pass over at arrival while another one has a free slot.
    pub avoid: &'a [Key],
    /// The target to take if it has a free slot, as for a sticky session.
    pub prefers: Option<Key>,
}

/// A request that waits for a slot, or is about to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Its zone: it may use members of this zone and members without one.
    pub zone: u64,
    /// Its class.
    pub class: u64,
    /// The share of its class relative to others.
    pub weight: u32,
    /// When the request first arrived.
    pub since: Mono,
    /// From this time on a slot is of no use to the request.
    pub deadline: Mono,
    /// The request had a slot before, and is served before all others.
    pub front: bool,
    /// The target to take if it has a free slot.
    pub prefers: Option<Key>,
}

impl Arrival<'_> {
    /// The part of the arrival that is kept while it waits.
    pub fn claim(&self) -> Claim {
        Claim {
            zone: self.zone,
            class: self.class,
            weight: self.weight,
            since: self.since,
            deadline: self.deadline,
            front: self.front,
            prefers: self.prefers,
        }
    }
}

/// A right to send one request to a target. Give it back with `Gate::release`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot<T> {
    /// The target's key.
    pub key: Key,
    /// The target, as given to `Gate::arrange`.
    pub target: T,
    /// The permit to send with the request, under `Limit::Permits`.
    pub permit: Option<WorkId>,
}

/// Why a request was refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// No slot is free, and requests may not wait.
    #[default]
    NoSlot,
    /// The queue is full.
    Full,
    /// The predicted wait is longer than the request may wait.
    TooLong,
    /// Its deadline passed while it waited.
    Late,
    /// Its class held more than its share of a full queue, and another class needed a place.
    Displaced,
}

impl Why {
    /// All reasons, in the order of `Figures::refused`.
    pub const ALL: [Why; 5] = [Why::NoSlot, Why::Full, Why::TooLong, Why::Late, Why::Displaced];

    /// The word for logs, metrics and answers.
    pub const fn word(self) -> &'static str {
        match self {
            Why::NoSlot => "no-slot",
            Why::Full => "queue-full",
            Why::TooLong => "predicted-wait",
            Why::Late => "queue-wait",
            Why::Displaced => "displaced",
        }
    }
}

/// A refusal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// The reason.
    pub why: Why,
    /// How long the client should wait before it tries again: the wait that a request of its class would meet now, from
    /// a second to five minutes.
    pub retry_after: Duration,
}

/// Why a waiting request leaves by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaving {
    /// Its client left.
    Gone,
    /// Its deadline passed.
    Late,
}

/// A waiting request's place in the queue. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub(crate) index: u32,
    pub(crate) number: u64,
}

/// The gate's decision on an arrival.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict<T> {
    /// The request has a slot.
    Admitted(Slot<T>),
    /// The request waits. `Gate::poll` will return its waiter unless it leaves first.
    Waits(Place),
    /// The request has no slot and does not wait.
    Refused(Refusal),
}

/// A request whose wait is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Released<T, W> {
    /// The waiter given to `Gate::arrive`.
    pub waiter: W,
    /// Time since the request first arrived.
    pub waited: Duration,
    /// The slot, or the reason why there is none.
    pub outcome: Result<Slot<T>, Refusal>,
}

/// Slots of one target, as this gate counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slots {
    /// Requests that have a slot.
    pub busy: u32,
    /// Slots that the next requests may take; 0 for an open gate, which does not count them.
    pub free: u32,
    /// Slots lost for now because the target pushed back.
    pub paused: u32,
    /// The limit that the target's agent announced.
    pub limit: Option<u32>,
}

impl Slots {
    /// Number of slots that the target has. A permit may come before the answer whose slot it grants again, so that
    /// one slot counts as busy and as free for a moment: an agent's limit bounds the sum.
    pub fn total(&self) -> u32 {
        (self.busy + self.free).min(self.limit.unwrap_or(u32::MAX))
    }
}
