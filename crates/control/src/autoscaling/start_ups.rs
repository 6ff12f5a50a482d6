//! Start-up times of instances, from their order until they are ready, by launch class.

use crate::autoscaling::records::{Group, Lifecycle, Member, StartUps};
use crate::tables::Region;
use core::time::Duration;
use forebay_units::Wall;

/// How many start-ups are kept for each launch class.
const KEPT: usize = 100;
/// How many launch classes are kept for each group.
const CLASSES: usize = 20;
/// The suffix of launch classes of instances from the warm pool.
const WARM: &str = " from the warm pool";

/// Records the start-up time of an instance that has become ready.
pub(super) fn record_start_up(group: &mut Group, member: &mut Member, now: Wall) {
    let Some(ordered) = member.ordered.take() else {
        return;
    };
    let class = class_of(member);
    let known = group.start_ups.iter().position(|known| known.class == class);
    let mut times = known.map_or_else(Default::default, |place| group.start_ups.remove(place));
    times.class = class;
    times
        .millis
        .push(u32::try_from(now.since(ordered).as_millis()).unwrap_or(u32::MAX));
    if times.millis.len() > KEPT {
        times.millis.remove(0);
    }
    // The class that was seen last comes last.
    group.start_ups.push(times);
    if group.start_ups.len() > CLASSES {
        group.start_ups.remove(0);
    }
}

/// The launch class of an instance.
fn class_of(member: &Member) -> String {
    let warm = if member.was_warm { WARM } else { "" };
    format!("{} {}{warm}", member.image_id, member.instance_type)
}

/// Records how long after becoming ready an instance first asked a queue for messages.
pub(super) fn record_late(group: &mut Group, member: &Member, late: Duration) {
    let class = class_of(member);
    let Some(times) = group.start_ups.iter_mut().find(|times| times.class == class) else {
        return;
    };
    times
        .late
        .push(u32::try_from(late.as_millis()).unwrap_or(u32::MAX));
    if times.late.len() > KEPT {
        times.late.remove(0);
    }
}

/// The 99th percentile of start-ups like the next one: from the warm pool if an instance is ready there.
pub(super) fn start_up(region: &Region, group: &Group) -> Option<Duration> {
    percentile(&like_next(region, group)?.millis)
}

/// The 99th percentile of the time after that until workers of a queue asked for messages.
pub(super) fn late(region: &Region, group: &Group) -> Option<Duration> {
    percentile(&like_next(region, group)?.late)
}

fn like_next<'g>(region: &Region, group: &'g Group) -> Option<&'g StartUps> {
    let mut members = region.members_of(&group.name);
    let is_warm = members.any(|member| {
        matches!(
            member.state,
            Lifecycle::WarmedStopped | Lifecycle::WarmedRunning | Lifecycle::WarmedHibernated
        )
    });
    let mut classes = group.start_ups.iter().rev();
    classes.find(|times| times.class.ends_with(WARM) == is_warm)
}

/// The 99th percentile.
fn percentile(millis: &[u32]) -> Option<Duration> {
    let mut sorted = millis.to_vec();
    sorted.sort_unstable();
    let place = (sorted.len() * 99).div_ceil(100);
    let millis = sorted.get(place.checked_sub(1)?)?;
    Some(Duration::from_millis((*millis).into()))
}
