//! Decides one request's life (which rule, which target, retry or give up, which answer) and a node's slow path
//! (when to probe, who is out, when a drain is over). Never touches a socket or a clock: shells obey and report back.
#![cfg_attr(test, allow(clippy::too_many_lines, clippy::unwrap_used))]

mod answer;
mod exchange;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod gate;
mod ids;
mod in_flight;
pub mod journal;
mod load;
mod lock;
mod marks;
mod mind;
mod picture;
mod reason;
mod request;
mod reuse;
mod roster;
mod shared_load;
mod slow;
mod stats;
mod target;
mod trace;
mod turnstile;
mod waiting;

pub use answer::{Answer, page, phrase};
pub use exchange::{
    Candidate, ConnectError, CookieValue, Cookies, Death, Exchange, Outcome, Record, Rewritten, Sent, Step,
    Taken, cookie,
};
pub use forebay_admission::permits::WorkId;
pub use forebay_admission::{Figures, Why};
pub use forebay_balance::COOKIE_LENGTH;
pub use forebay_balance::{Weight, anomaly::Change};
pub use forebay_health::ProbeResult;
pub use forebay_routing::{Facts, Headers, TransformError, strict_path};
pub use gate::{ChannelOrder, ChannelStats, Channels, GroupGate, Ticket};
pub use ids::{GroupId, ListenerId, TargetId, ZoneId};
pub use in_flight::InFlight;
pub use mind::Mind;
pub use picture::{BalancerView, Eligible, GroupView, ListenerView, Named, NodeView, Picture};
pub use reason::Reason;
pub use request::{Request, Speaks};
pub use reuse::{KeepAlive, Reuse};
pub use roster::Roster;
pub use slow::{Event, Node, Output, ProbeOrder};
pub use stats::{BalancerStats, ListenerStats, Shards, TargetStats, TargetTotals};
pub use target::TargetView;
pub use trace::{Sampling, SpanContext, TraceParent};
pub use turnstile::{Turnstile, WORK_ID, Working};
