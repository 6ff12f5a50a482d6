//! What the gate and its users say to each other.

use crate::gradient::GradientSettings;
use crate::permits::WorkId;
use core::time::Duration;
use forebay_units::Mono;

/// A target.
pub type Key = u64;

/// How many requests a target takes at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// As many as an agent at the target grants, one permit for each request.
    Permits,
    /// So many for each target, counted here.
    Fixed(u32),
    /// Learned for each target from how long its answers take.
    Auto(GradientSettings),
    /// Any number: requests wait only while there is no target at all.
    Open,
}

/// What a gate goes by.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// Slots of each target.
    pub limit: Limit,
    /// So many may wait; 0 refuses whoever finds no slot.
    pub length: usize,
    /// So long a request usually waits at most. Each arrival brings its own deadline; this bounds what refusals promise.
    pub wait: Duration,
    /// The free target with the least in flight over its limit first, instead of round robin.
    pub balanced: bool,
}

/// A target that may be picked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member<T> {
    /// Which.
    pub key: Key,
    /// Only for arrivals of this zone; none: for all.
    pub zone: Option<u64>,
    /// How often it has the limit that all have ([`Limit::Fixed`]): 1 unless targets are of different sizes.
    pub weight: u32,
    /// What a slot of it hands out.
    pub target: T,
}

/// A request that wants a slot.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// It may use members of this zone and of none.
    pub zone: u64,
    /// Requests of a class share; classes share with each other by weight.
    pub class: u64,
    /// What its class gets, relative to others; at least 1. The last arrival's weight holds for its class.
    pub weight: u32,
    /// When the request first arrived: waits are counted from here.
    pub since: Mono,
    /// From then on a slot is of no use to it.
    pub deadline: Mono,
    /// It had a slot and comes back: before all others, and never refused for the queue's length.
    pub front: bool,
    /// Passed over at arrival while another free target exists.
    pub avoid: &'a [Key],
    /// Taken if it has a free slot.
    pub prefers: Option<Key>,
}

/// A request that waits for a slot, or is to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// It may use members of this zone and of none.
    pub zone: u64,
    /// Its class.
    pub class: u64,
    /// What its class gets, relative to others.
    pub weight: u32,
    /// When it first arrived.
    pub since: Mono,
    /// From then on a slot is of no use to it.
    pub deadline: Mono,
    /// It had a slot before: it goes before all others.
    pub front: bool,
    /// Taken if it has a free slot.
    pub prefers: Option<Key>,
}

impl Arrival<'_> {
    /// What is left of it once it waits.
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
    /// Whose.
    pub key: Key,
    /// As its member was arranged.
    pub target: T,
    /// The permit to send along, with `Limit::Permits`.
    pub permit: Option<WorkId>,
}

/// Why a request was refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// No slot is free, and none may wait.
    #[default]
    NoSlot,
    /// The queue is full.
    Full,
    /// By what was drained of late, it would wait longer than it may.
    TooLong,
    /// Its deadline came while it waited.
    Late,
    /// Its class held more than its share of a full queue, and another class needed a place.
    Displaced,
}

impl Why {
    /// All of them, in the order of `Figures::refused`.
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
    /// Its reason.
    pub why: Why,
    /// When to come again: the wait that a request of its class would meet now. At least a second, at most five minutes.
    pub retry_after: Duration,
}

/// Why a waiter leaves by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaving {
    /// Its client is gone.
    Gone,
    /// Its deadline came.
    Late,
}

/// Where a request waits. Never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub(crate) index: u32,
    pub(crate) number: u64,
}

/// What becomes of an arrival.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict<T> {
    /// It has a slot.
    Admitted(Slot<T>),
    /// It waits; `Gate::poll` will return its waiter unless it leaves first.
    Waits(Place),
    /// It has none and does not wait.
    Refused(Refusal),
}

/// Someone whose wait is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Released<T, W> {
    /// Who.
    pub waiter: W,
    /// Since it first arrived.
    pub waited: Duration,
    /// Its slot, or why it gets none.
    pub outcome: Result<Slot<T>, Refusal>,
}

/// Slots of one target as this gate sees them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slots {
    /// Requests that have a slot.
    pub busy: u32,
    /// Slots that the next request may take; 0 for an open gate, which does not count them.
    pub free: u32,
    /// Slots lost to push-back for now.
    pub paused: u32,
}
