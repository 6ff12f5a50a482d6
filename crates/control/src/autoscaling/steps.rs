//! Steps that several parts of an instance's life have in common.

use crate::api::context::View;
use crate::autoscaling::pass::Pass;
use crate::autoscaling::records::{Lifecycle, Member};
use crate::elbv2::targets::register_targets;
use forebay_awswire::Service;
use forebay_scaling::Backoff;
use serde_json::json;
use std::sync::Arc;

/// Its EC2 state; `terminated` if it is no more.
pub(super) fn ec2_state<'v>(view: &'v View<'_>, id: &str) -> &'v str {
    let instance = view.region().instances.get(id);
    instance.map_or("terminated", |instance| &instance.state)
}

/// Puts a member into another state.
pub(super) fn enter(pass: &mut Pass<'_, '_>, member: &mut Member, state: Lifecycle) {
    member.state = state;
    member.since = pass.now();
    pass.put(member.clone());
}

/// The next launch waits, longer each time.
pub(super) fn launch_failed(pass: &mut Pass<'_, '_>) {
    pass.group.failures = pass.group.failures.saturating_add(1);
    pass.group.not_before = pass.now() + Backoff::default().delay(pass.group.failures);
}

/// Registers an instance with all of the group's target groups. One that is no more is left out: its group tells.
pub(super) fn register(pass: &mut Pass<'_, '_>, id: &str) {
    for arn in pass.group.target_groups.clone() {
        let input = json!({"TargetGroupArn": arn, "Targets": [{"Id": id}]});
        let _ = pass.call(Service::Elbv2, "RegisterTargets", input, register_targets);
    }
}

/// Has a launcher hold an instance, or let it go on.
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
