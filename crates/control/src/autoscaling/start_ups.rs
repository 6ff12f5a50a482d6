//! How long instances take from their order until they serve, by launch class.

use crate::autoscaling::records::{Group, Lifecycle, Member};
use crate::tables::Region;
use core::time::Duration;
use forebay_units::Wall;

/// Start-ups that are kept of a launch class, and launch classes of a group.
const KEPT: usize = 100;
const CLASSES: usize = 20;
/// What ends the name of the class of instances that waited in a warm pool.
const WARM: &str = " from the warm pool";

/// An instance serves: how long it took.
pub(super) fn record_start_up(group: &mut Group, member: &mut Member, now: Wall) {
    let Some(ordered) = member.ordered.take() else {
        return;
    };
    let warm = if member.was_warm { WARM } else { "" };
    let class = format!("{} {}{warm}", member.image_id, member.instance_type);
    let known = group.start_ups.iter().position(|known| known.class == class);
    let mut times = known.map_or_else(Default::default, |place| group.start_ups.remove(place));
    times.class = class;
    times
        .millis
        .push(u32::try_from(now.since(ordered).as_millis()).unwrap_or(u32::MAX));
    if times.millis.len() > KEPT {
        times.millis.remove(0);
    }
    // The one that was seen last is the last.
    group.start_ups.push(times);
    if group.start_ups.len() > CLASSES {
        group.start_ups.remove(0);
    }
}

/// The 99th percentile of start-ups like the next one: from the warm pool if something is ready there.
pub(super) fn start_up(region: &Region, group: &Group) -> Option<Duration> {
    let mut members = region.members_of(&group.name);
    let is_warm = members.any(|member| {
        matches!(
            member.state,
            Lifecycle::WarmedStopped | Lifecycle::WarmedRunning | Lifecycle::WarmedHibernated
        )
    });
    let mut classes = group.start_ups.iter().rev();
    let times = classes.find(|times| times.class.ends_with(WARM) == is_warm)?;
    let mut sorted = times.millis.clone();
    sorted.sort_unstable();
    let place = (sorted.len() as f64 * 0.99).ceil() as usize;
    let millis = sorted.get(place.checked_sub(1)?)?;
    Some(Duration::from_millis((*millis).into()))
}
