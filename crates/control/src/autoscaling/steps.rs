//! Steps that several transitions share.

use crate::api::context::View;
use crate::autoscaling::pass::Pass;
use crate::autoscaling::records::{Lifecycle, Member};
use crate::elbv2::targets::register_targets;
use forebay_awswire::Service;
use forebay_scaling::Backoff;
use serde_json::json;
use std::sync::Arc;

/// An instance's EC2 state; `terminated` if it does not exist any more.
pub(super) fn ec2_state<'v>(view: &'v View<'_>, id: &str) -> &'v str {
    let instance = view.region().instances.get(id);
    instance.map_or("terminated", |instance| &instance.state)
}

/// Moves a member to another lifecycle state.
pub(super) fn enter(pass: &mut Pass<'_, '_>, member: &mut Member, state: Lifecycle) {
    member.state = state;
    member.since = pass.now();
    pass.put(member.clone());
}

/// Delays the next launch, longer after each failure.
pub(super) fn launch_failed(pass: &mut Pass<'_, '_>) {
    pass.group.failures = pass.group.failures.saturating_add(1);
    pass.group.not_before = pass.now() + Backoff::default().delay(pass.group.failures);
}

/// Registers an instance with all of the group's target groups. Target groups that do not exist any more are skipped.
pub(super) fn register(pass: &mut Pass<'_, '_>, id: &str) {
    for arn in pass.group.target_groups.clone() {
        let input = json!({"TargetGroupArn": arn, "Targets": [{"Id": id}]});
        let _ = pass.call(Service::Elbv2, "RegisterTargets", input, register_targets);
    }
}

/// Suspends or resumes an instance.
pub(super) fn pause(pass: &mut Pass<'_, '_>, id: &str, paused: bool) {
    let Some(known) = pass.tx.region().instances.get(id) else {
        return;
    };
    if known.run > 0 && known.paused != paused {
        let mut instance = (**known).clone();
        instance.paused = paused;
        let region = pass.tx.region_mut();
        region.instances.insert(id.to_owned(), Arc::new(instance));
    }
}
