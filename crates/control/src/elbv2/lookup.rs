//! Finds records: by ARN, by owner, and by the load balancers that use them.

use crate::Region;
use crate::api::errors::{balancer_missing, groups_missing, listener_missing};
use crate::elbv2::arns::{listener_prefix, rule_prefix};
use crate::elbv2::records::{BalancerKind, Listener, LoadBalancer, Rule, Target, TargetGroup};
use crate::state::State;
use crate::tables::Table;
use core::ops::Bound;
use forebay_awswire::ApiError;
use forebay_model::Action;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The records whose keys begin with `prefix`.
pub(crate) fn with_prefix<'t, T>(
    table: &'t Table<T>,
    prefix: &str,
) -> impl Iterator<Item = &'t Arc<T>> + use<'t, T> {
    let from = (Bound::Included(prefix), Bound::Unbounded);
    let prefix = prefix.to_owned();
    table
        .range::<_, str>(from)
        .take_while(move |(key, _)| key.starts_with(&prefix))
        .map(|(_, record)| record)
}

impl State {
    /// Load balancers that are stored and described but carry no traffic: all but application load balancers, ordered
    /// by region and ARN.
    pub fn without_traffic(&self) -> impl Iterator<Item = &LoadBalancer> {
        self.regions()
            .flat_map(|(_, region)| region.load_balancers.values())
            .map(|balancer| &**balancer)
            .filter(|balancer| balancer.kind != BalancerKind::Application)
    }
}

impl Region {
    pub(crate) fn balancer(&self, arn: &str) -> Result<&Arc<LoadBalancer>, ApiError> {
        self.load_balancers.get(arn).ok_or_else(|| balancer_missing(arn))
    }

    pub(crate) fn listener(&self, arn: &str) -> Result<&Arc<Listener>, ApiError> {
        self.listeners.get(arn).ok_or_else(listener_missing)
    }

    pub(crate) fn group(&self, arn: &str) -> Result<&Arc<TargetGroup>, ApiError> {
        self.target_groups.get(arn).ok_or_else(groups_missing)
    }

    /// A load balancer's listeners, oldest first.
    pub(crate) fn listeners_of(&self, balancer_arn: &str) -> Vec<&Arc<Listener>> {
        let mut listeners: Vec<_> = with_prefix(&self.listeners, &listener_prefix(balancer_arn)).collect();
        listeners.sort_by_key(|listener| listener.sequence);
        listeners
    }

    /// A listener's rules by priority, the default rule last.
    pub(crate) fn rules_of(&self, listener_arn: &str) -> Vec<&Arc<Rule>> {
        let mut rules: Vec<_> = with_prefix(&self.rules, &rule_prefix(listener_arn)).collect();
        rules.sort_by_key(|rule| rule.priority);
        rules
    }

    /// All rules of a load balancer's listeners.
    pub(crate) fn rules_of_balancer(&self, balancer_arn: &str) -> impl Iterator<Item = &Arc<Rule>> {
        with_prefix(
            &self.rules,
            &rule_prefix(&balancer_arn.replacen(":loadbalancer/", ":listener/", 1)),
        )
    }

    /// A group's targets, including draining ones.
    pub(crate) fn targets_of(&self, group_arn: &str) -> impl Iterator<Item = &Arc<Target>> + use<'_> {
        with_prefix(&self.targets, &format!("{group_arn}|"))
    }

    /// A group's targets that were registered by this id, at any port, including draining ones.
    pub(crate) fn targets_with_id(
        &self,
        group_arn: &str,
        id: &str,
    ) -> impl Iterator<Item = &Arc<Target>> + use<'_> {
        with_prefix(&self.targets, &format!("{group_arn}|{id}|"))
    }

    /// The load balancers that forward to each group, by the group's ARN.
    pub(crate) fn uses(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut uses: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for rule in self.rules.values() {
            let Some(listener) = self.listeners.get(&rule.listener_arn) else {
                continue;
            };
            for group in rule.groups() {
                uses.entry(group).or_default().insert(&listener.balancer_arn);
            }
        }
        uses
    }

    /// The load balancers that forward to a group.
    pub(crate) fn users_of(&self, group_arn: &str) -> Vec<&Arc<LoadBalancer>> {
        let rules = self
            .rules
            .values()
            .filter(|rule| rule.groups().any(|group| group == group_arn));
        let listeners: BTreeSet<&str> = rules.map(|rule| rule.listener_arn.as_str()).collect();
        let listeners = listeners.into_iter().filter_map(|arn| self.listeners.get(arn));
        let arns: BTreeSet<&str> = listeners.map(|listener| listener.balancer_arn.as_str()).collect();
        arns.into_iter()
            .filter_map(|arn| self.load_balancers.get(arn))
            .collect()
    }

    /// Whether a load balancer that is served forwards to a group.
    pub(crate) fn is_served(&self, group_arn: &str) -> bool {
        let is_application = |rule: &Arc<Rule>| {
            let listener = self.listeners.get(&rule.listener_arn);
            let balancer = listener.and_then(|listener| self.load_balancers.get(&listener.balancer_arn));
            balancer.is_some_and(|balancer| balancer.kind == BalancerKind::Application)
        };
        let mut rules = self.rules.values();
        rules.any(|rule| rule.groups().any(|group| group == group_arn) && is_application(rule))
    }
}

impl Rule {
    /// ARNs of the groups that the rule forwards to.
    pub(crate) fn groups(&self) -> impl Iterator<Item = &str> {
        let forwards = self.actions.iter().filter_map(|stated| match &stated.action {
            Action::Forward(forward) => Some(forward),
            _ => None,
        });
        forwards.flat_map(|forward| forward.groups.iter().map(|group| group.group_arn.as_str()))
    }
}
