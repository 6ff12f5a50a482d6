//! Checks that the target groups that a rule forwards to exist and fit its load balancer.

use crate::api::context::View;
use crate::api::errors::configuration;
use crate::elbv2::records::{BalancerKind, LoadBalancer, StatedAction, TargetGroup};
use crate::state::Dialect;
use forebay_awswire::ApiError;
use forebay_model::{Action, Forward, limits};
use std::collections::BTreeSet;

/// Checks a rule's forward actions. `replaced` is the rule that is being replaced, if there is one.
pub(crate) fn check_forwards(
    view: &View<'_>,
    balancer: &LoadBalancer,
    protocol: Option<&str>,
    actions: &[StatedAction],
    replaced: Option<&str>,
) -> Result<(), ApiError> {
    let forwards = actions.iter().filter_map(|stated| match &stated.action {
        Action::Forward(forward) => Some(forward),
        _ => None,
    });
    for forward in forwards {
        for share in &forward.groups {
            let Some(group) = view.region().target_groups.get(&share.group_arn) else {
                let text = format!("Target group '{}' not found", share.group_arn);
                return Err(ApiError::sender("TargetGroupNotFound", text));
            };
            check_group(view, balancer, protocol, group)?;
        }
        check_stickiness(view, forward)?;
    }
    check_counts(view, balancer, actions, replaced)
}

fn check_group(
    view: &View<'_>,
    balancer: &LoadBalancer,
    protocol: Option<&str>,
    group: &TargetGroup,
) -> Result<(), ApiError> {
    let fits = match balancer.kind {
        BalancerKind::Application => group.fits_application(),
        BalancerKind::Network | BalancerKind::Gateway => !group.fits_application(),
    };
    if !fits {
        let spoken = group.protocol.as_deref().unwrap_or("none");
        let text = format!(
            "The protocol '{spoken}' of target group '{}' does not fit the listener's",
            group.arn
        );
        return Err(ApiError::sender("IncompatibleProtocols", text));
    }
    let users = view.region().users_of(&group.arn);
    if users.iter().any(|user| user.arn != balancer.arn) {
        let text = format!(
            "The following target groups cannot be associated with more than one load balancer: {}",
            group.arn
        );
        return Err(ApiError::sender("TargetGroupAssociationLimit", text));
    }
    if view.dialect() == Dialect::Moto {
        return Ok(());
    }
    if let Some(vpc) = &group.vpc_id
        && *vpc != balancer.vpc_id
    {
        return Err(configuration(format!(
            "The following target groups are not in the load balancer's VPC '{}': {}",
            balancer.vpc_id, group.arn
        )));
    }
    let version = group.protocol_version.as_deref().unwrap_or("HTTP1");
    if version != "HTTP1" && protocol == Some("HTTP") {
        return Err(configuration(format!(
            "Listener protocol 'HTTP' is not supported with a target group with the protocol-version '{version}'"
        )));
    }
    if group.ip_address_type == "ipv6" && balancer.ip_address_type == "ipv4" {
        return Err(configuration(format!(
            "The following target groups with IP address type 'ipv6' cannot be used by an ipv4 load balancer: {}",
            group.arn
        )));
    }
    Ok(())
}

/// If one of several groups is sticky, the rule must have group stickiness enabled.
fn check_stickiness(view: &View<'_>, forward: &Forward) -> Result<(), ApiError> {
    let sticky = |arn: &str| {
        let group = view.region().target_groups.get(arn);
        group.is_some_and(|group| {
            group
                .attributes
                .get("stickiness.enabled")
                .is_some_and(|set| set == "true")
        })
    };
    if forward.groups.len() > 1
        && !forward.stickiness.enabled
        && forward.groups.iter().any(|share| sticky(&share.group_arn))
    {
        return Err(configuration(
            "You must enable group stickiness on a rule if you enabled target stickiness on one of its target groups",
        ));
    }
    Ok(())
}

fn check_counts(
    view: &View<'_>,
    balancer: &LoadBalancer,
    actions: &[StatedAction],
    replaced: Option<&str>,
) -> Result<(), ApiError> {
    let region = view.region();
    let others = region
        .rules_of_balancer(&balancer.arn)
        .filter(|rule| Some(rule.arn.as_str()) != replaced);
    let mut groups: BTreeSet<&str> = others.flat_map(|rule| rule.groups()).collect();
    let before = groups.len();
    groups.extend(actions.iter().flat_map(|stated| {
        match &stated.action {
            Action::Forward(forward) => forward
                .groups
                .iter()
                .map(|share| share.group_arn.as_str())
                .collect(),
            _ => Vec::new(),
        }
    }));
    if groups.len() > before && groups.len() > view.state.quota(limits::GROUPS_PER_BALANCER) {
        let text = "The maximum number of unique target groups for this load balancer has been reached";
        return Err(ApiError::sender("TooManyUniqueTargetGroupsPerLoadBalancer", text));
    }
    let targets: usize = groups.iter().map(|group| region.targets_of(group).count()).sum();
    if groups.len() > before && targets > view.state.quota(limits::TARGETS_PER_BALANCER) {
        let text = "The maximum number of targets for this load balancer has been reached";
        return Err(ApiError::sender("TooManyTargets", text));
    }
    Ok(())
}
