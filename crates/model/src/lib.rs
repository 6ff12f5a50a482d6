//! The nouns of a load balancer, valid by construction: balancers, listeners, rules, groups, targets, health.
//! Never decides anything: it says what a thing is, its defaults and its limits.
#![cfg_attr(test, allow(clippy::unwrap_used))]

/// What the session token of an instance's keys begins with; its id follows. By it the APIs know which instance calls. The keys prove
/// who calls, and the token is signed with the rest of a request.
pub const INSTANCE_TOKEN: &str = "forebay-instance/";

mod algorithm;
mod blueprint;
#[cfg(feature = "fixtures")]
pub mod fixtures;
mod health;
pub mod limits;
mod logs;
mod queue;
mod rule;
mod stickiness;
mod tls;
mod tls_policy;

pub use algorithm::{Algorithm, Needs};
pub use blueprint::{
    BalancerBlueprint, BalancerSettings, Blueprint, GroupBlueprint, GroupSettings, ListenerBlueprint,
    ListenerSettings, NodeBlueprint, PathMode, Protocol, ProtocolVersion, RuleBlueprint, TargetBlueprint,
    XffMode,
};
pub use health::{
    Anomaly, HealthCheck, HealthPort, HealthReason, HealthState, Matcher, MatcherError, ProbeKind,
    TargetHealth,
};
pub use logs::{DesyncMode, LogPlace};
pub use queue::{Concurrency, QueueSettings};
pub use rule::{
    Action, Condition, FixedResponse, Forward, ForwardStickiness, Priority, QueryMatch, Redirect, Rewrite,
    TextMatch, Transform, WeightedGroup,
};
pub use stickiness::{Secret, Stickiness};
pub use tls::{CertificateBlueprint, KeyForm, KeyKind, PrivateKey, TargetTls, TlsBlueprint};
pub use tls_policy::{POLICIES, Policy, policy};
