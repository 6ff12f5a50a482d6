//! Warm-up: which of a group's instances count for policies.

use crate::group::Group;
use core::time::Duration;
use forebay_units::Wall;

/// The cooldown of a group without one of its own (AWS's default).
pub const DEFAULT_COOLDOWN: Duration = Duration::from_secs(300);

/// How long an instance warms up for a policy: the policy's own time, else the group's, else the group's cooldown.
pub fn warm_up(
    estimated_instance_warmup: Option<Duration>,
    default_instance_warmup: Option<Duration>,
    default_cooldown: Option<Duration>,
) -> Duration {
    estimated_instance_warmup
        .or(default_instance_warmup)
        .or(default_cooldown)
        .unwrap_or(DEFAULT_COOLDOWN)
}

/// An instance that counts towards a group's capacity: in service or on its way. Instances in standby or terminating do
/// not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Since when it is in service; `None` if it is on its way.
    pub in_service: Option<Wall>,
    /// Its units of capacity: 1 without weights.
    pub weight: u32,
}

impl Member {
    /// When it has warmed up; `None` if it is not in service yet. Instances that were in service before the group was
    /// made are no exception.
    pub fn warmed_at(&self, warm_up: Duration) -> Option<Wall> {
        self.in_service.map(|since| since + warm_up)
    }
}

/// A group's bounds and desired capacity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// The minimum.
    pub minimum: u32,
    /// The maximum.
    pub maximum: u32,
    /// The desired capacity.
    pub desired: u32,
}

impl Capacity {
    /// The group as a policy with this warm-up sees it.
    pub fn seen(&self, members: &[Member], warm_up: Duration, now: Wall) -> Group {
        let (mut in_service, mut warming) = (0_u32, 0_u32);
        for member in members {
            let has_warmed = member.warmed_at(warm_up).is_some_and(|at| at <= now);
            let counted = if has_warmed { &mut in_service } else { &mut warming };
            *counted = counted.saturating_add(member.weight);
        }
        Group {
            minimum: self.minimum,
            maximum: self.maximum,
            desired: self.desired,
            in_service,
            warming,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CAPACITY: Capacity = Capacity {
        minimum: 1,
        maximum: 10,
        desired: 4,
    };

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn the_nearest_warm_up_holds() {
        let some = |count| Some(seconds(count));
        for (policy, group, cooldown, wanted) in [
            (some(10), some(20), some(30), 10),
            (None, some(20), some(30), 20),
            (None, None, some(30), 30),
            (None, None, None, 300),
            // Zero is a valid time too.
            (some(0), some(20), some(30), 0),
            (None, some(0), some(30), 0),
        ] {
            assert_eq!(warm_up(policy, group, cooldown), seconds(wanted));
        }
    }

    #[test]
    fn an_instance_warms_from_its_launch_until_its_time_is_over() {
        let member = |in_service: Option<i64>, weight| Member {
            in_service: in_service.map(Wall::from_seconds),
            weight,
        };
        let members = [
            member(None, 1),
            member(Some(0), 2),
            member(Some(100), 4),
            member(Some(101), 8),
        ];
        let now = Wall::from_seconds(400);
        let group = CAPACITY.seen(&members, seconds(300), now);
        assert_eq!((group.in_service, group.warming), (6, 9));
        assert_eq!((group.minimum, group.maximum, group.desired), (1, 10, 4));
        // An instance on its way counts as warming even if no time is needed.
        let group = CAPACITY.seen(&members, seconds(0), now);
        assert_eq!((group.in_service, group.warming), (14, 1));
    }

    proptest! {
        /// Each instance counts once, and until the next one has warmed up nothing changes.
        #[test]
        fn everyone_counts_once(
            given in prop::collection::vec((prop::option::of(0_i64..1_000), 1_u32..5), 0..20), span in 0_u64..600, now in 0_i64..1_500,
        ) {
            let members: Vec<Member> = given.iter().map(|&(since, weight)| Member {
                in_service: since.map(Wall::from_seconds), weight,
            }).collect();
            let now = Wall::from_seconds(now);
            let group = CAPACITY.seen(&members, seconds(span), now);
            let all: u32 = members.iter().map(|member| member.weight).sum();
            prop_assert_eq!(group.in_service + group.warming, all);
            let times = members.iter().filter_map(|member| member.warmed_at(seconds(span)));
            if let Some(next) = times.filter(|&at| at > now).min() {
                let before = CAPACITY.seen(&members, seconds(span), Wall(next.0 - 1));
                prop_assert_eq!(before, group);
                prop_assert!(CAPACITY.seen(&members, seconds(span), next).in_service > group.in_service);
            }
        }
    }
}
