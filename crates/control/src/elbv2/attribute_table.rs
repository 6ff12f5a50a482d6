//! Attributes by holder and key, and the configurations that they result in.

use crate::elbv2::records::{BalancerKind, LoadBalancer, TargetGroup};
use crate::elbv2::{balancer_attributes, group_attributes, listener_attributes};
use crate::settings::holder::Holder::{
    self, Application, Gateway, GeneveGroup, HttpGroup, LambdaGroup, Network, TcpGroup,
};
use crate::settings::setting::{Row, Setting, apply_all};
use core::time::Duration;
use forebay_model::{BalancerSettings, GroupSettings, ListenerSettings};
use std::collections::BTreeMap;

/// Attributes that were set, by key.
pub(crate) type Set = BTreeMap<String, String>;

/// All attributes.
pub fn attributes() -> impl Iterator<Item = &'static Row> {
    fn rows<T>(table: &'static [Setting<T>]) -> impl Iterator<Item = &'static Row> {
        table.iter().map(Setting::row)
    }
    rows(balancer_attributes::ATTRIBUTES)
        .chain(rows(listener_attributes::ATTRIBUTES))
        .chain(rows(group_attributes::ATTRIBUTES))
}

/// The attributes that `holder` has, in order.
pub fn attributes_of(holder: Holder) -> impl Iterator<Item = &'static Row> {
    attributes().filter(move |row| row.holders.contains(&holder))
}

/// An attribute's value: the one that was set, or its default.
pub(crate) fn effective<'s>(set: &'s Set, holder: Holder, key: &str) -> &'s str {
    match set.get(key) {
        Some(value) => value,
        None => attributes_of(holder)
            .find(|row| row.key == key)
            .map_or("", |row| row.default),
    }
}

/// The configuration that a load balancer's attributes result in.
pub(crate) fn balancer_settings(set: &Set) -> BalancerSettings {
    configuration(balancer_attributes::ATTRIBUTES, set)
}

/// The configuration that a listener's attributes result in.
pub(crate) fn listener_settings(set: &Set) -> ListenerSettings {
    configuration(listener_attributes::ATTRIBUTES, set)
}

/// The configuration that a target group's attributes result in.
pub(crate) fn group_settings(set: &Set) -> GroupSettings {
    configuration(group_attributes::ATTRIBUTES, set)
}

/// How long requests in flight at a deregistered target may take. Zero for functions: requests in flight fail with 5XX
/// errors when one is deregistered (user guide for Application Load Balancers, "Use Lambda functions as targets of an
/// Application Load Balancer").
pub(crate) fn deregistration_delay(group: &TargetGroup) -> Duration {
    if group.is_of_functions() {
        return Duration::ZERO;
    }
    group_settings(&group.attributes).deregistration_delay
}

/// The data plane has the same defaults as the attributes (a test below), so only what was set is applied.
fn configuration<T: Default>(table: &[Setting<T>], set: &Set) -> T {
    let mut configuration = T::default();
    apply_all(table, &mut configuration, |key| set.get(key).map(String::as_str));
    configuration
}

/// The kind of holder that a load balancer is.
pub(crate) fn balancer_holder(balancer: &LoadBalancer) -> Holder {
    match balancer.kind {
        BalancerKind::Application => Application,
        BalancerKind::Network => Network,
        BalancerKind::Gateway => Gateway,
    }
}

/// The kind of holder that a target group is.
pub(crate) fn group_holder(group: &TargetGroup) -> Holder {
    match (group.target_type.as_str(), group.protocol.as_deref()) {
        ("lambda", _) => LambdaGroup,
        (_, Some("HTTP" | "HTTPS")) => HttpGroup,
        (_, Some("GENEVE")) => GeneveGroup,
        _ => TcpGroup,
    }
}

#[cfg(test)]
mod tests {
    use super::Holder::{Listener, PlainListener, SecureListener};
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_holder_has_each_key_once() {
        for holder in [
            Application,
            Network,
            Gateway,
            Listener,
            SecureListener,
            PlainListener,
            HttpGroup,
            LambdaGroup,
            TcpGroup,
            GeneveGroup,
        ] {
            let keys: Vec<&str> = attributes_of(holder).map(|row| row.key).collect();
            let unique: BTreeSet<&str> = keys.iter().copied().collect();
            assert_eq!(keys.len(), unique.len(), "{holder:?}");
        }
    }

    #[test]
    fn every_default_is_a_value_that_is_taken() {
        for row in attributes() {
            assert!(row.values.read(row.default).is_some(), "{}", row.key);
        }
    }

    /// An attribute that nobody has set must not change what the data plane does.
    #[test]
    fn defaults_are_those_of_the_data_plane() {
        fn check<T: Default + PartialEq + core::fmt::Debug>(table: &'static [Setting<T>], holder: Holder) {
            let of_holder = table
                .iter()
                .filter(|setting| setting.row().holders.contains(&holder));
            let mut configuration = T::default();
            for setting in of_holder {
                setting.apply(&mut configuration, setting.row().default);
                assert_eq!(configuration, T::default(), "{}", setting.row().key);
            }
        }
        check(balancer_attributes::ATTRIBUTES, Application);
        check(listener_attributes::ATTRIBUTES, SecureListener);
        check(group_attributes::ATTRIBUTES, HttpGroup);
        check(group_attributes::ATTRIBUTES, LambdaGroup);
    }
}
