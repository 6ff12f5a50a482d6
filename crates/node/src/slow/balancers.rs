//! Load balancers and listeners of a blueprint. What stays keeps its id, its counters and, if its rules are unchanged,
//! its compiled rules.

use super::{Balancer, Listener, Node};
use crate::ids::{GroupId, ListenerId};
use crate::shards::Zoned;
use crate::snapshot::BalancerView;
use forebay_model::{Blueprint, ListenerBlueprint};
use forebay_routing::Rules;
use std::collections::BTreeMap;
use std::sync::Arc;

impl Node {
    pub(super) fn take_balancers(&mut self, blueprint: &Blueprint) {
        let mut listeners = BTreeMap::new();
        let mut balancers = BTreeMap::new();
        let mut order = Vec::new();
        for balancer in &blueprint.balancers {
            let known = self.balancers.remove(&balancer.arn);
            let stats = known
                .as_ref()
                .map_or_else(|| Arc::new(Zoned::new(self.workers)), |k| Arc::clone(&k.stats));
            for node in &balancer.nodes {
                // Shown in metrics from now on, though nothing was counted yet.
                stats.zone(self.zone(&node.zone));
            }
            let view = match known {
                Some(known) if Arc::ptr_eq(&known.view.blueprint, balancer) => known.view,
                _ => Arc::new(BalancerView {
                    blueprint: Arc::clone(balancer),
                    stats: Arc::clone(&stats),
                }),
            };
            for listener in &balancer.listeners {
                let taken = self.take_listener(listener, Arc::clone(&view));
                for node in &balancer.nodes {
                    taken.stats.zone(self.zone(&node.zone));
                }
                listeners.insert(listener.arn.clone(), taken);
            }
            let arns = balancer
                .listeners
                .iter()
                .map(|listener| listener.arn.clone())
                .collect();
            order.push((Arc::clone(balancer), arns));
            balancers.insert(balancer.arn.clone(), Balancer { view, stats });
        }
        self.listeners = listeners;
        self.balancers = balancers;
        self.order = order;
    }

    fn take_listener(&mut self, blueprint: &Arc<ListenerBlueprint>, balancer: Arc<BalancerView>) -> Listener {
        let known = self.listeners.remove(&blueprint.arn);
        let id = known
            .as_ref()
            .map_or_else(|| ListenerId(self.id()), |known| known.id);
        let stats = known.as_ref().map_or_else(
            || Arc::new(Zoned::new(self.workers)),
            |known| Arc::clone(&known.stats),
        );
        let groups = &self.groups;
        let rules = match known {
            // A deleted group's id is never reused, so compiled rules stay valid while their text is unchanged. A group
            // cannot be made again under the same ARN, because ARNs end in random ids.
            Some(known)
                if known.rules.is_some()
                    && (Arc::ptr_eq(&known.blueprint, blueprint)
                        || known.blueprint.rules == blueprint.rules) =>
            {
                known.rules
            }
            _ => Some(Arc::new(Rules::compile(&blueprint.rules, |arn| {
                groups.get(arn).map_or(GroupId(0), |group| group.id)
            }))),
        };
        Listener {
            id,
            blueprint: Arc::clone(blueprint),
            balancer,
            rules,
            stats,
        }
    }
}
