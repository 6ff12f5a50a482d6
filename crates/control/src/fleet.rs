//! Instances that a launcher runs: as the state wants them, and as they were seen. Who wants one to run says so in the state; the launcher
//! follows it and reports; `tick` takes what was reported over.

use core::net::Ipv4Addr;
use core::time::Duration;
use forebay_units::Wall;
use std::collections::BTreeMap;

/// What a launcher is to make of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WantedPhase {
    /// It runs.
    Running,
    /// It is started and does nothing: it waits in a warm pool, and goes on within milliseconds.
    Paused,
    /// It has ended in peace, and may be started again: what it has written is kept.
    Stopped,
    /// It has ended, and nothing is left of it.
    Gone,
}

/// An instance as it should be. A launcher ends and removes those that are in no list any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedInstance {
    /// `i-...`, unique among all regions.
    pub id: String,
    /// Which start this is, from 1. No run is ever started twice: one that has ended stays ended until a greater number is asked for.
    pub run: u32,
    /// What it should do.
    pub phase: WantedPhase,
    /// Its region.
    pub region: String,
    /// Its zone.
    pub zone: String,
    /// Its own address.
    pub address: Ipv4Addr,
    /// The image that it is started from.
    pub image_id: String,
    /// Its shape.
    pub instance_type: String,
    /// What is run before its image's command, base64 as it was given.
    pub user_data: Option<String>,
    /// The instance profile whose role it has, by name.
    pub profile: Option<String>,
    /// Whether it is one that may be taken away.
    pub is_spot: bool,
    /// Its Auto Scaling group.
    pub group_name: Option<String>,
    /// What state it is about to have in its group, such as `InService`: what the metadata service calls `target-lifecycle-state`.
    pub target_lifecycle_state: Option<String>,
    /// When it is to be taken away, if that was announced.
    pub interrupted_at: Option<Wall>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// When it was launched.
    pub launched: Wall,
}

/// How an instance was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SeenPhase {
    /// It is being started.
    Starting,
    /// It runs.
    Running,
    /// It is started and does nothing.
    Paused,
    /// It was told to end and has not ended.
    Stopping,
    /// It has ended, though it had run.
    Stopped {
        /// Why, for people: its exit status and its last words.
        why: String,
    },
    /// It could not be started.
    Failed {
        /// Why, for people.
        why: String,
    },
}

/// An instance as it was seen last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenInstance {
    /// Which start it was.
    pub run: u32,
    /// What it did.
    pub phase: SeenPhase,
}

/// What an instance has used since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time; none if nobody counts it.
    pub processor: Option<Duration>,
    /// Bytes that came to it and left it; none if nobody counts them.
    pub network: Option<(u64, u64)>,
}

/// What instances are started from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// `ami-...`
    pub id: String,
    /// Unique.
    pub name: String,
    /// What it is, for people.
    pub description: String,
    /// When it was made.
    pub created: Wall,
}

/// A size of instance that this machine, or whoever runs the instances, offers: what AWS calls an instance type.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// Such as `c6i.large`.
    pub name: String,
    /// Processors.
    pub vcpus: u32,
    /// MiB.
    pub memory_mib: u32,
    /// `x86_64` or `arm64`.
    pub architecture: String,
    /// What an hour costs.
    pub on_demand_price: f64,
    /// What an hour of one that may be taken away costs; none if there are none.
    pub spot_price: Option<f64>,
    /// How many instances each zone has room for, by zone; a zone that is not named has none. Empty if room is not bounded.
    pub on_demand_capacity: BTreeMap<String, u32>,
    /// The same of those that may be taken away.
    pub spot_capacity: BTreeMap<String, u32>,
    /// Which share of those is taken away in a month, from 0 to 1.
    pub interruption_rate: f64,
}
