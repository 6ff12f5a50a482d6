//! Decides one request's life (which rule, which target, retry or give up, which answer) and the slow path of a node
//! (when to probe, which targets are out, when a drain is over). Never touches a socket or a clock: the code around it
//! carries out its steps and reports back.
//!
//! In reading order:
//! - `snapshot`: what workers decide by; `target` is a part of it, `ids` and `marks` name things.
//! - `stats`: the counters, in `shards` of the workers; `summed`, `distribution` and `response_times` read them.
//! - `exchange`: one request from routing to its end; `request` is what it asks, `answer`, `reason` and `lambda_error` what
//!   the client gets and why, `reuse` which pooled connection may carry it.
//! - `load`, `load_index`, `shared_load`, `worker_state`: how load is counted and a target is chosen.
//! - `gate`: a limited group's slots and surge queue, shared by all workers; `waiting`, `ticket` and `in_flight` are
//!   the values that a request holds there, `pressure` tells the planner; `lending` and `slot_authority` are for a take-over.
//! - `permit_issuer`: the same at an agent.
//! - `slow`: probes (`probe_order`), drains and new snapshots; `kept_health` and `group_demand` are what it tells others.
//! - `logging`, `trace`, `metrics`: what is said about all this.
//! - `lock`, `sync`: locks and atomics, which `schedules` tests under many thread schedules.
#![cfg_attr(test, allow(clippy::too_many_lines, clippy::unwrap_used))]

mod answer;
mod distribution;
mod exchange;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod gate;
mod group_demand;
mod ids;
mod in_flight;
mod kept_health;
mod lambda_error;
mod lending;
mod load;
mod load_index;
mod lock;
pub mod logging;
mod marks;
mod metrics;
mod permit_issuer;
mod pressure;
mod probe_order;
mod reason;
mod request;
mod response_times;
mod reuse;
#[cfg(all(test, feature = "shuttle"))]
mod schedules;
mod shards;
mod shared_load;
mod slot_authority;
mod slow;
mod snapshot;
mod stats;
mod summed;
mod sync;
mod target;
mod ticket;
mod trace;
mod waiting;
mod worker_state;

pub use answer::{Answer, page, phrase};
pub use distribution::{Bucket, Distribution};
pub use exchange::{
    Candidate, ConnectError, CookieValue, Cookies, Death, Exchange, Outcome, Record, Rewritten, Sent, Step,
    Taken, cookie,
};
pub use forebay_admission::permits::WorkId;
pub use forebay_admission::{Claim, Refusal};
pub use forebay_admission::{Coming, Figures, Why};
pub use forebay_balance::COOKIE_LENGTH;
pub use forebay_balance::{Weight, anomaly::Change};
pub use forebay_health::{Failure, ProbeResult, TrackerRecord};
pub use forebay_routing::{Facts, Headers, TransformError, strict_path};
pub use gate::{ChannelMetrics, ChannelOrder, ChannelStats, Channels, GroupGate};
pub use group_demand::GroupDemand;
pub use ids::{GroupId, ListenerId, TargetId, ZoneId};
pub use in_flight::InFlight;
pub use kept_health::KeptHealth;
pub use lambda_error::LambdaError;
pub use lending::{ForeignClaim, ForeignWait};
pub use load_index::LoadIndex;
pub use metrics::{
    ByZone, CertificateMetrics, GateMetrics, ListenerMetrics, LoadBalancerMetrics, NodeMetrics,
    TargetGroupMetrics, TargetMetrics, ZoneMetrics,
};
pub use permit_issuer::{PermitIssuer, PermitIssuerMetrics, WORK_ID, WorkGuard};
pub use pressure::Pressure;
pub use probe_order::{FunctionProbe, ProbeOrder};
pub use reason::Reason;
pub use request::{Request, Speaks};
pub use response_times::{ResponseTimes, ResponseTimesByCode};
pub use reuse::{KeepAlive, Reuse};
pub use shards::{Shards, Zoned};
pub use slot_authority::SlotAuthority;
pub use slow::{Event, Node, Output};
pub use snapshot::{BalancerView, Eligible, GroupView, ListenerView, Named, NodeView, Snapshot};
pub use stats::{
    BalancerStats, ERRORS, GroupCounts, GroupStats, ListenerCounts, ListenerStats, LoadBalancerCounts,
    TargetCounts, TargetStats, TargetTotals,
};
pub use summed::Summed;
pub use target::TargetView;
pub use ticket::Ticket;
pub use trace::{Sampling, SpanContext, TraceParent};
pub use worker_state::WorkerState;
