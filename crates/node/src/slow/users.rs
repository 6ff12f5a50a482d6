//! The load balancers that log a target's probes.

use super::Node;
use crate::ids::TargetId;
use crate::logging::ProbedTarget;
use crate::snapshot::NodeView;
use forebay_model::{Action, BalancerBlueprint};
use std::sync::Arc;

impl Node {
    /// The load balancers that log this target's probes: those that forward to its group and have such a log. `None` if
    /// there are none, unless `always`. Remembered until the next blueprint; the first call walks all rules.
    pub fn watch(&mut self, target: TargetId, always: bool) -> Option<Arc<ProbedTarget>> {
        let (arn, _) = self.by_id.get(&target)?;
        if let Some(known) = self.watches.get(arn) {
            return (always || !known.balancers.is_empty()).then(|| Arc::clone(known));
        }
        let group = self.groups.get(arn)?;
        // An ARN ends in `targetgroup/NAME/ID`.
        let name = arn.rsplit('/').nth(1).unwrap_or(arn);
        let mut watch = ProbedTarget {
            group: name.to_owned(),
            matcher: group.blueprint.health.matcher.clone(),
            balancers: Vec::new(),
        };
        let arn = arn.clone();
        let users: Vec<_> = self
            .order
            .iter()
            .map(|(balancer, _)| Arc::clone(balancer))
            .filter(|balancer| balancer.settings.health_log.is_some() && forwards_to(balancer, &arn))
            .collect();
        for user in users {
            let Some(node) = user.nodes.first() else { continue };
            let node = NodeView {
                zone: self.zone(&node.zone),
                address: node.address,
                exposed: false,
            };
            if let Some(known) = self.balancers.get(&user.arn) {
                watch.balancers.push((Arc::clone(&known.view), node));
            }
        }
        let watch = Arc::new(watch);
        self.watches.insert(arn, Arc::clone(&watch));
        (always || !watch.balancers.is_empty()).then_some(watch)
    }
}

fn forwards_to(balancer: &BalancerBlueprint, arn: &str) -> bool {
    let rules = balancer.listeners.iter().flat_map(|listener| &listener.rules);
    rules
        .filter_map(|rule| match &rule.action {
            Action::Forward(forward) => Some(forward),
            _ => None,
        })
        .any(|forward| forward.groups.iter().any(|group| group.group_arn == arn))
}
