//! What is exchanged with the launcher: the instances that should run, and the instances as they were last seen.
//! Operations only write to the state; the launcher follows the state and reports; `tick` brings the reports into the
//! state.

use core::net::Ipv4Addr;
use core::time::Duration;
use forebay_units::Wall;
use std::collections::BTreeMap;

/// What a launcher should do with an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WantedPhase {
    /// Run it.
    Running,
    /// Start it and then suspend it: it waits in a warm pool, and resumes within milliseconds.
    Paused,
    /// End it gracefully and keep its files: it may be started again.
    Stopped,
    /// End it and remove everything that it has left.
    Gone,
}

/// An instance as it should be. A launcher ends and removes instances that are no longer listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedInstance {
    /// The id, `i-...`, unique among all regions.
    pub id: String,
    /// The number of this start, from 1. No run is started twice: an instance that has ended stays ended until a higher
    /// number is requested.
    pub run: u32,
    /// What the launcher should do.
    pub phase: WantedPhase,
    /// Its region.
    pub region: String,
    /// Its zone.
    pub zone: String,
    /// The instance's own address.
    pub address: Ipv4Addr,
    /// The id of its image.
    pub image_id: String,
    /// The name of its shape.
    pub instance_type: String,
    /// User data, base64-encoded as given; run before the image's command.
    pub user_data: Option<String>,
    /// The name of its instance profile, whose role it has.
    pub profile: Option<String>,
    /// Whether it is a Spot Instance.
    pub is_spot: bool,
    /// The name of its Auto Scaling group.
    pub group_name: Option<String>,
    /// The lifecycle state that it is moving to in its group, such as `InService`; the metadata service's
    /// `target-lifecycle-state`.
    pub target_lifecycle_state: Option<String>,
    /// When it will be interrupted, if that was announced.
    pub interrupted_at: Option<Wall>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// When it was launched.
    pub launched: Wall,
}

/// What an instance was last seen doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SeenPhase {
    /// It is being started.
    Starting,
    /// It runs.
    Running,
    /// It is started and suspended.
    Paused,
    /// It was asked to end and has not ended yet.
    Stopping,
    /// It ran, and has ended.
    Stopped {
        /// Why, for people: its exit status and the end of its output.
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
    /// The number of the start that was seen.
    pub run: u32,
    /// What the instance was doing.
    pub phase: SeenPhase,
}

/// What an instance has used since it was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time; `None` if it is not measured.
    pub processor: Option<Duration>,
    /// Bytes received and bytes sent; `None` if they are not measured.
    pub network: Option<(u64, u64)>,
}

/// What instances are started from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The id, `ami-...`.
    pub id: String,
    /// The name, unique among images.
    pub name: String,
    /// A description for people.
    pub description: String,
    /// When it was created.
    pub created: Wall,
}

/// A size of instance that this machine, or the launcher's program, offers: what AWS calls an instance type.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// The name, such as `c6i.large`.
    pub name: String,
    /// The number of processors.
    pub vcpus: u32,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// `x86_64` or `arm64`.
    pub architecture: String,
    /// The on-demand price per hour.
    pub on_demand_price: f64,
    /// The spot price per hour; `None` if there are no Spot Instances of this shape.
    pub spot_price: Option<f64>,
    /// How many instances each zone has room for. A zone that is not listed has none; an empty map means no limit.
    pub on_demand_capacity: BTreeMap<String, u32>,
    /// How many Spot Instances each zone has room for, likewise.
    pub spot_capacity: BTreeMap<String, u32>,
    /// The share of Spot Instances that are interrupted within a month, from 0 to 1.
    pub interruption_rate: f64,
}
