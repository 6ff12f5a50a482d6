//! The vocabulary of a load balancer, valid by construction: load balancers, listeners, rules, target groups, targets,
//! health. Never decides anything: it defines what things are, their defaults and their limits.
//!
//! In reading order:
//! - `blueprint`: everything that the data plane serves.
//! - `protocol`, `rule`, `algorithm`, `queue`, `stickiness`, `health`, `logs`, `tls`: the parts of a blueprint.
//! - `tls_policy`, `limits`: AWS's security policies and quotas.
//! - `fixtures`: blueprints for tests.
#![cfg_attr(test, allow(clippy::unwrap_used))]

/// The prefix of the session token of an instance's keys; the instance's id follows. The token tells the APIs which
/// instance calls. The keys prove it, because the token is signed with the rest of a request.
pub const INSTANCE_TOKEN: &str = "forebay-instance/";

mod algorithm;
mod blueprint;
#[cfg(feature = "fixtures")]
pub mod fixtures;
mod health;
pub mod limits;
mod logs;
mod protocol;
mod queue;
mod rule;
mod stickiness;
mod tls;
mod tls_policy;

pub use algorithm::{Algorithm, Needs};
pub use blueprint::{
    BalancerBlueprint, BalancerSettings, Blueprint, GroupBlueprint, GroupSettings, ListenerBlueprint,
    ListenerSettings, NodeBlueprint, PathMode, RuleBlueprint, TargetBlueprint, XffMode,
};
pub use health::{
    Anomaly, HealthCheck, HealthPort, HealthReason, HealthState, Matcher, MatcherError, ProbeKind,
    TargetHealth,
};
pub use logs::{DesyncMode, LogPlace};
pub use protocol::{Protocol, ProtocolVersion};
pub use queue::{Concurrency, QueueSettings};
pub use rule::{
    Action, Condition, FixedResponse, Forward, ForwardStickiness, Priority, QueryMatch, Redirect, Rewrite,
    TextMatch, Transform, WeightedGroup,
};
pub use stickiness::{Secret, Stickiness};
pub use tls::{CertificateBlueprint, KeyForm, KeyKind, PrivateKey, TargetTls, TlsBlueprint};
pub use tls_policy::{POLICIES, Policy, policy};
