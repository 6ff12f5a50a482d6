//! What an attribute is: its key, default, values, where it counts, and whether its effect is built.
//! Validation, defaults, echo and the generated page of the documentation all come from the one list of them.

use crate::elbv2::records::{BalancerKind, LoadBalancer, TargetGroup};
use Holder::{Application, Gateway, GeneveGroup, HttpGroup, LambdaGroup, Network, TcpGroup};
use Values::{AlwaysTrue, Bool, HeaderName, HeaderValue, OffOr, OneOf, Range, Text, ZeroOr};

/// What has the attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Application load balancers.
    Application,
    /// Network load balancers (stored; carry no traffic).
    Network,
    /// Gateway load balancers (stored; carry no traffic).
    Gateway,
    /// Listeners of application load balancers, HTTP or HTTPS.
    Listener,
    /// Listeners of application load balancers, HTTPS only.
    SecureListener,
    /// Listeners of network and gateway load balancers (stored; carry no traffic).
    PlainListener,
    /// Target groups of instances or addresses with HTTP or HTTPS.
    HttpGroup,
    /// Target groups of functions (stored; carry no traffic yet).
    LambdaGroup,
    /// Target groups with TCP, TLS, UDP... (stored; carry no traffic).
    TcpGroup,
    /// Target groups with GENEVE (stored; carry no traffic).
    GeneveGroup,
}

/// Which values an attribute takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// `true` or `false`.
    Bool,
    /// `true`, and it cannot be changed.
    AlwaysTrue,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// A whole number in this range.
    Range(u32, u32),
    /// `off`, or a whole number in this range.
    OffOr(u32, u32),
    /// `0`, or a whole number in this range.
    ZeroOr(u32, u32),
    /// Text of up to so many characters.
    Text(usize),
    /// A header's name or nothing.
    HeaderName,
    /// A header's value or nothing: up to 1 KB of the characters that AWS allows.
    HeaderValue,
}

/// An attribute.
#[derive(Clone, Copy, Debug)]
pub struct Attribute {
    /// Its key.
    pub key: &'static str,
    /// What has it.
    pub holders: &'static [Holder],
    /// Its value until it is set.
    pub default: &'static str,
    /// Which values it takes.
    pub values: Values,
    /// Whether it already does what it says; else it is stored and told only.
    pub effect: bool,
}

/// Whether it is a target group.
pub(crate) fn is_group(holder: Holder) -> bool {
    matches!(holder, HttpGroup | LambdaGroup | TcpGroup | GeneveGroup)
}

/// The API's word for a load balancer's type.
pub(crate) fn balancer_word(holder: Holder) -> Option<&'static str> {
    match holder {
        Application => Some("application"),
        Network => Some("network"),
        Gateway => Some("gateway"),
        _ => None,
    }
}

impl Attribute {
    /// Which values it takes, for people.
    pub fn allowed(&self) -> String {
        match self.values {
            Bool => "true, false".to_owned(),
            AlwaysTrue => "true (cannot be changed)".to_owned(),
            OneOf(words) => words.join(", "),
            Range(low, high) => format!("{low} to {high}"),
            OffOr(low, high) => format!("off, or {low} to {high}"),
            ZeroOr(low, high) => format!("0, or {low} to {high}"),
            Text(most) => format!("text of up to {most} characters"),
            HeaderName => "a header name, or empty".to_owned(),
            HeaderValue => "a header value of up to 1 KB, or empty".to_owned(),
        }
    }
}

/// Which attributes a load balancer has.
pub(crate) fn balancer_holder(balancer: &LoadBalancer) -> Holder {
    match balancer.kind {
        BalancerKind::Application => Application,
        BalancerKind::Network => Network,
        BalancerKind::Gateway => Gateway,
    }
}

/// Which attributes a target group has.
pub(crate) fn group_holder(group: &TargetGroup) -> Holder {
    match (group.target_type.as_str(), group.protocol.as_deref()) {
        ("lambda", _) => LambdaGroup,
        (_, Some("HTTP" | "HTTPS")) => HttpGroup,
        (_, Some("GENEVE")) => GeneveGroup,
        _ => TcpGroup,
    }
}
