//! Whether there is anything to do for a group. This is asked for every group each second, so it copies nothing and
//! changes nothing.
//!
//! A needless yes is fine: the pass then finds nothing to change. A wrong no is a bug: the group would not settle.
//! Tests compare each answer with what a pass does. Hence everything that is not plainly at rest (a refresh, a group
//! being deleted) is a yes.

use crate::api::context::View;
use crate::autoscaling::hooks::{self, Progress};
use crate::autoscaling::records::{Group, Lifecycle, Member};
use crate::autoscaling::steps::ec2_state;
use crate::autoscaling::{capacity, desired, health, leaving, replacing, schedules, warm_pools};

/// Whether there may be something to do for a group now.
pub(super) fn needs_settling(view: &View<'_>, group: &Group) -> bool {
    let (region, now) = (view.region(), view.request.now);
    if group.deleting
        || desired::is_raised(group, now)
        || schedules::has_due(region, &group.name, now)
        || region.active_refresh(&group.name).is_some()
    {
        return true;
    }
    let members: Vec<&Member> = region.members_of(&group.name).map(|member| &**member).collect();
    !members.iter().all(|member| rests(view, group, member))
        || !capacity::is_settled(group, &members, now)
        || !warm_pools::is_settled(view, group, &members)
        || replacing::has_work(view, group, &members)
}

/// Whether an instance stays in its lifecycle state.
fn rests(view: &View<'_>, group: &Group, member: &Member) -> bool {
    match member.state {
        Lifecycle::InService => health::is_settled(view, group, member),
        Lifecycle::Standby
        | Lifecycle::WarmedStopped
        | Lifecycle::WarmedRunning
        | Lifecycle::WarmedHibernated => true,
        Lifecycle::Pending | Lifecycle::WarmedPending => ec2_state(view, &member.id) == "pending",
        Lifecycle::PendingWait | Lifecycle::WarmedPendingWait => {
            matches!(ec2_state(view, &member.id), "running" | "pending") && waits(view, member)
        }
        Lifecycle::TerminatingWait | Lifecycle::WarmedTerminatingWait => {
            ec2_state(view, &member.id) != "terminated" && waits(view, member)
        }
        // A draining instance may be taken back if the capacity is short, but then `capacity::is_settled` says so.
        Lifecycle::Terminating | Lifecycle::WarmedTerminating => leaving::is_draining(view, group, member),
        Lifecycle::PendingProceed
        | Lifecycle::WarmedPendingProceed
        | Lifecycle::TerminatingProceed
        | Lifecycle::WarmedTerminatingProceed
        | Lifecycle::EnteringStandby
        | Lifecycle::Detaching => false,
    }
}

/// Whether the instance keeps waiting for a lifecycle hook.
fn waits(view: &View<'_>, member: &Member) -> bool {
    matches!(hooks::progress(view, member), Progress::Waits)
}
