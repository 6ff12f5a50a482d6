//! ARNs of load balancers, listeners, rules and target groups: how they are built, and which resource owns which.

use crate::api::arns::{own_arn, parts};
use crate::api::context::Tx;
use crate::elbv2::records::BalancerKind;

/// The service in these ARNs.
const SERVICE: &str = "elasticloadbalancing";

/// The kind of resource that an ARN names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Noun {
    Balancer,
    Listener,
    Rule,
    Group,
}

/// The kind of resource that an ARN names, if it is one of Elastic Load Balancing's.
pub(crate) fn noun(arn: &str) -> Option<Noun> {
    match parts(arn).resource?.split('/').next()? {
        "loadbalancer" => Some(Noun::Balancer),
        "listener" => Some(Noun::Listener),
        "listener-rule" => Some(Noun::Rule),
        "targetgroup" => Some(Noun::Group),
        _ => None,
    }
}

impl BalancerKind {
    fn path(self) -> &'static str {
        match self {
            BalancerKind::Application => "app",
            BalancerKind::Network => "net",
            BalancerKind::Gateway => "gwy",
        }
    }
}

pub(crate) fn new_balancer_arn(tx: &mut Tx<'_>, kind: BalancerKind, name: &str) -> String {
    let id = tx.rng.hex(16);
    let resource = format!("loadbalancer/{}/{name}/{id}", kind.path());
    own_arn(tx, SERVICE, &resource)
}

pub(crate) fn new_listener_arn(tx: &mut Tx<'_>, balancer_arn: &str) -> String {
    format!("{}{}", listener_prefix(balancer_arn), tx.rng.hex(16))
}

pub(crate) fn new_rule_arn(tx: &mut Tx<'_>, listener_arn: &str) -> String {
    format!("{}{}", rule_prefix(listener_arn), tx.rng.hex(16))
}

pub(crate) fn new_group_arn(tx: &mut Tx<'_>, name: &str) -> String {
    let id = tx.rng.hex(16);
    own_arn(tx, SERVICE, &format!("targetgroup/{name}/{id}"))
}

/// The prefix of the ARNs of a load balancer's listeners.
pub(crate) fn listener_prefix(balancer_arn: &str) -> String {
    format!("{}/", balancer_arn.replacen(":loadbalancer/", ":listener/", 1))
}

/// The ARN of the load balancer that a listener's or rule's ARN belongs to.
pub(crate) fn balancer_of(arn: &str) -> Option<String> {
    let (below, ids) = match noun(arn)? {
        Noun::Listener => (":listener/", 1),
        Noun::Rule => (":listener-rule/", 2),
        Noun::Balancer | Noun::Group => return None,
    };
    let stem = arn.rsplitn(ids + 1, '/').nth(ids)?;
    Some(stem.replacen(below, ":loadbalancer/", 1))
}

/// The prefix of the ARNs of a listener's rules.
pub(crate) fn rule_prefix(listener_arn: &str) -> String {
    format!("{}/", listener_arn.replacen(":listener/", ":listener-rule/", 1))
}
