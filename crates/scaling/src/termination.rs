//! The choice of instances to terminate when a group has too many.

use std::collections::BTreeMap;

const HOUR: i64 = 3600;

/// A termination policy: AWS's, and one of Forebay's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TerminationPolicy {
    /// `AllocationStrategy`, then the oldest configuration or template, then `ClosestToNextInstanceHour`.
    Default,
    /// Instances that the allocation strategy would not choose.
    AllocationStrategy,
    /// Instances whose next hour begins soonest.
    ClosestToNextInstanceHour,
    /// Instances launched last.
    NewestInstance,
    /// Instances launched first.
    OldestInstance,
    /// Instances with the oldest launch configuration.
    OldestLaunchConfiguration,
    /// Instances with the oldest version of a launch template.
    OldestLaunchTemplate,
    /// Instances with the fewest requests in flight (Forebay's own).
    LeastInflight,
}

impl TerminationPolicy {
    /// All of them, in the order of their names.
    pub const ALL: [TerminationPolicy; 8] = [
        TerminationPolicy::AllocationStrategy,
        TerminationPolicy::ClosestToNextInstanceHour,
        TerminationPolicy::Default,
        TerminationPolicy::LeastInflight,
        TerminationPolicy::NewestInstance,
        TerminationPolicy::OldestInstance,
        TerminationPolicy::OldestLaunchConfiguration,
        TerminationPolicy::OldestLaunchTemplate,
    ];

    /// The name in Auto Scaling's API.
    pub const fn word(self) -> &'static str {
        match self {
            TerminationPolicy::AllocationStrategy => "AllocationStrategy",
            TerminationPolicy::ClosestToNextInstanceHour => "ClosestToNextInstanceHour",
            TerminationPolicy::Default => "Default",
            TerminationPolicy::LeastInflight => "LeastInflight",
            TerminationPolicy::NewestInstance => "NewestInstance",
            TerminationPolicy::OldestInstance => "OldestInstance",
            TerminationPolicy::OldestLaunchConfiguration => "OldestLaunchConfiguration",
            TerminationPolicy::OldestLaunchTemplate => "OldestLaunchTemplate",
        }
    }

    /// The policy of this name.
    pub fn parse(word: &str) -> Option<TerminationPolicy> {
        TerminationPolicy::ALL
            .into_iter()
            .find(|policy| policy.word() == word)
    }
}

/// The configuration or template that an instance was launched from; the lesser one is older.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A launch configuration, by its creation time in seconds.
    Configuration(i64),
    /// A version of a launch template.
    Template(u64),
}

/// An instance that may be terminated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Its availability zone.
    pub zone: String,
    /// Launch time in seconds.
    pub launched: i64,
    /// The launch configuration or template version.
    pub origin: Origin,
    /// Whether it is protected from scale-in.
    pub is_protected: bool,
    /// Whether there are more of its kind than the allocation strategy wants.
    pub is_surplus: bool,
    /// Requests in flight to it. `control` reads it from the data plane only for policies that need it, and for planned groups
    /// (`autoscaling::capacity`); 0 for others.
    pub in_flight: u32,
}

/// Indices of the `count` instances to terminate, in order; fewer if the others are protected. Zones are balanced
/// first. Then each policy narrows the choice, and `draw` decides between equal ones: given their number it returns a
/// smaller index. O(count x instances).
pub fn terminate(
    instances: &[Instance],
    policies: &[TerminationPolicy],
    count: usize,
    now: i64,
    mut draw: impl FnMut(usize) -> usize,
) -> Vec<usize> {
    let mut zones: BTreeMap<&str, usize> = BTreeMap::new();
    for instance in instances {
        *zones.entry(&instance.zone).or_default() += 1;
    }
    let mut left: Vec<usize> = (0..instances.len())
        .filter(|&place| !instances[place].is_protected)
        .collect();
    let mut gone = Vec::new();
    while gone.len() < count && !left.is_empty() {
        let crowd = |place: &usize| zones.get(&*instances[*place].zone).copied().unwrap_or_default();
        let fullest = left.iter().map(crowd).max().unwrap_or_default();
        let mut choice: Vec<usize> = left
            .iter()
            .copied()
            .filter(|place| crowd(place) == fullest)
            .collect();
        for policy in policies {
            policy.narrow(instances, now, &mut choice);
        }
        // A draw out of range must not panic.
        let place = choice[draw(choice.len()).min(choice.len() - 1)];
        if let Some(zone) = zones.get_mut(&*instances[place].zone) {
            *zone -= 1;
        }
        left.retain(|&other| other != place);
        gone.push(place);
    }
    gone
}

impl TerminationPolicy {
    /// Keeps those that this policy would terminate, or all if it does not distinguish them.
    fn narrow(self, instances: &[Instance], now: i64, choice: &mut Vec<usize>) {
        let of = |place: usize| &instances[place];
        match self {
            TerminationPolicy::Default => {
                for policy in [
                    TerminationPolicy::AllocationStrategy,
                    TerminationPolicy::OldestLaunchConfiguration,
                    TerminationPolicy::OldestLaunchTemplate,
                    TerminationPolicy::ClosestToNextInstanceHour,
                ] {
                    policy.narrow(instances, now, choice);
                }
            }
            TerminationPolicy::AllocationStrategy => keep_least(choice, |place| Some(!of(place).is_surplus)),
            TerminationPolicy::ClosestToNextInstanceHour => {
                keep_least(choice, |place| Some((of(place).launched - now).rem_euclid(HOUR)));
            }
            TerminationPolicy::NewestInstance => keep_least(choice, |place| Some(-of(place).launched)),
            TerminationPolicy::OldestInstance => keep_least(choice, |place| Some(of(place).launched)),
            TerminationPolicy::OldestLaunchConfiguration => {
                keep_least(choice, |place| match of(place).origin {
                    Origin::Configuration(made) => Some(made),
                    Origin::Template(_) => None,
                });
            }
            TerminationPolicy::OldestLaunchTemplate => keep_least(choice, |place| match of(place).origin {
                Origin::Template(version) => Some(version),
                Origin::Configuration(_) => None,
            }),
            TerminationPolicy::LeastInflight => keep_least(choice, |place| Some(of(place).in_flight)),
        }
    }
}

/// Keeps those with the least key, or all if none has one.
fn keep_least<T: Ord>(choice: &mut Vec<usize>, key: impl Fn(usize) -> Option<T>) {
    if let Some(least) = choice.iter().filter_map(|&place| key(place)).min() {
        choice.retain(|&place| key(place).as_ref() == Some(&least));
    }
}

#[cfg(test)]
mod tests {
    use super::TerminationPolicy::*;
    use super::*;
    use proptest::prelude::*;

    fn instance(zone: &str, launched: i64) -> Instance {
        Instance {
            zone: zone.to_owned(),
            launched,
            origin: Origin::Template(1),
            is_protected: false,
            is_surplus: false,
            in_flight: 0,
        }
    }

    fn gone(instances: &[Instance], policies: &[TerminationPolicy], count: usize) -> Vec<usize> {
        terminate(instances, policies, count, 10_000, |_| 0)
    }

    #[test]
    fn each_policy_takes_whom_it_says() {
        let mut instances = vec![
            instance("a", 100),
            instance("a", 200),
            instance("a", 300),
            instance("a", 6_500),
        ];
        instances[1].origin = Origin::Configuration(50);
        instances[2].origin = Origin::Configuration(40);
        instances[0].in_flight = 3;
        instances[1].in_flight = 2;
        instances[2].in_flight = 4;
        instances[3].in_flight = 5;
        for (policy, wanted) in [
            (NewestInstance, 3),
            (OldestInstance, 0),
            (OldestLaunchConfiguration, 2),
            (OldestLaunchTemplate, 0),
            (LeastInflight, 1),
            // At 10,000 the next hour of the one launched at 6,500 begins in 100 seconds; that of the others in 900 or
            // more.
            (ClosestToNextInstanceHour, 3),
            // A configuration before a template.
            (Default, 2),
        ] {
            assert_eq!(gone(&instances, &[policy], 1), [wanted], "{policy:?}");
        }
        instances[3].is_surplus = true;
        assert_eq!(gone(&instances, &[AllocationStrategy], 1), [3]);
        assert_eq!(gone(&instances, &[Default], 2), [3, 2]);
    }

    #[test]
    fn the_next_policy_decides_among_those_that_are_alike() {
        let mut instances = vec![instance("a", 300), instance("a", 100), instance("a", 200)];
        instances[1].in_flight = 1;
        assert_eq!(gone(&instances, &[LeastInflight, OldestInstance], 2), [2, 0]);
        assert_eq!(terminate(&instances, &[], 1, 0, |alike| alike - 1), [2]);
    }

    #[test]
    fn zones_are_kept_even_and_protected_instances_stay() {
        let mut instances: Vec<Instance> = ["a", "b", "b", "b", "c", "c"]
            .iter()
            .zip(0..)
            .map(|(zone, at)| instance(zone, at))
            .collect();
        assert_eq!(gone(&instances, &[OldestInstance], 3), [1, 2, 4]);
        // No instance of the fullest zone may go.
        for instance in instances.iter_mut().filter(|instance| instance.zone == "b") {
            instance.is_protected = true;
        }
        assert_eq!(gone(&instances, &[NewestInstance], 9), [5, 4, 0]);
    }

    proptest! {
        /// Every terminated instance exists once and is unprotected, and as many go as may.
        #[test]
        fn as_many_go_as_may(
            kinds in prop::collection::vec((0_u8..3, any::<bool>(), 0_u32..3), 0..20), count in 0_usize..25, seed in any::<usize>(),
        ) {
            let instances: Vec<Instance> = kinds.iter().zip(0..).map(|(&(zone, is_protected, in_flight), launched)| Instance {
                is_protected,
                in_flight,
                ..instance(&zone.to_string(), launched)
            }).collect();
            let gone = terminate(&instances, &[LeastInflight], count, 0, |alike| seed % alike);
            let free = instances.iter().filter(|instance| !instance.is_protected).count();
            prop_assert_eq!(gone.len(), count.min(free));
            let mut once = gone.clone();
            once.sort_unstable();
            once.dedup();
            prop_assert_eq!(once.len(), gone.len());
            prop_assert!(gone.iter().all(|&place| !instances[place].is_protected));
        }
    }
}
