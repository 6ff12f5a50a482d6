use super::*;
use proptest::prelude::*;

const START: Wall = Wall::from_seconds(1_000_000);

fn after(seconds: u64) -> Wall {
    START + Duration::from_secs(seconds)
}

/// An instance from before the refresh.
fn old() -> Instance {
    Instance {
        launched: Wall::from_seconds(0),
        in_service: Some(Wall::from_seconds(10)),
        is_healthy: true,
        matches: false,
        is_protected: false,
        is_standby: false,
        is_leaving: false,
    }
}

/// An instance launched at this second of the refresh and in service since.
fn new(launched: u64) -> Instance {
    Instance {
        launched: after(launched),
        in_service: Some(after(launched)),
        ..old()
    }
}

fn pending() -> Instance {
    Instance {
        in_service: None,
        ..new(1)
    }
}

fn bounds(least: u32, most: Option<u32>) -> Preferences {
    Preferences {
        min_healthy_percentage: least,
        max_healthy_percentage: most,
        ..Preferences::default()
    }
}

fn replace(launch: u32, terminate: &[usize]) -> Verdict {
    Verdict::Replace {
        launch,
        terminate: terminate.to_vec(),
    }
}

fn began(preferences: &Preferences, count: usize) -> Progress {
    Progress::new(&vec![old(); count], preferences, START)
}

#[test]
fn batches_are_what_both_bounds_allow() {
    // Minimum, maximum, instances; the numbers launched and terminated at once.
    for (least, most, count, launch, terminate) in [
        // The default: a tenth is terminated, and replaced meanwhile.
        (90, None, 10, 1, 1),
        (90, None, 20, 2, 2),
        (90, Some(100), 20, 2, 2),
        // Rounding leaves no room: one at a time.
        (90, None, 4, 1, 1),
        (90, Some(100), 4, 1, 0),
        (100, None, 10, 1, 1),
        (100, Some(100), 10, 1, 0),
        // New ones come first.
        (100, Some(110), 10, 1, 0),
        (100, Some(200), 10, 10, 0),
        (100, Some(150), 5, 2, 0),
        // Both at once.
        (90, Some(110), 10, 2, 1),
        (50, Some(150), 10, 10, 5),
        // All at once.
        (0, None, 10, 10, 10),
        (0, Some(100), 10, 10, 10),
        (90, None, 1, 1, 1),
        (100, Some(110), 1, 1, 0),
    ] {
        let preferences = bounds(least, most);
        let instances = vec![old(); count];
        let plan = look(
            &began(&preferences, count),
            &preferences,
            &instances,
            count as u32,
            false,
            after(1),
        );
        let gone: Vec<usize> = (0..terminate).collect();
        assert_eq!(plan.verdict, replace(launch, &gone), "{least} {most:?} {count}");
        assert_eq!((plan.percentage, plan.remaining), (0, count as u32));
    }
}

#[test]
fn one_batch_is_over_before_the_next_begins() {
    let preferences = Preferences {
        instance_warmup: Duration::from_secs(60),
        ..bounds(90, None)
    };
    let leaving = || Instance {
        is_leaving: true,
        ..old()
    };
    let progress = began(&preferences, 3);
    let waits = |why, until| Verdict::Wait { why, until };
    for (instances, now, wanted, percentage) in [
        (
            vec![leaving(), old(), old(), pending()],
            5,
            waits(Waits::Warming, None),
            0,
        ),
        (
            vec![old(), old(), new(10)],
            20,
            waits(Waits::Warming, Some(after(70))),
            0,
        ),
        // It has warmed up and is not healthy.
        (
            vec![
                old(),
                old(),
                Instance {
                    is_healthy: false,
                    ..new(10)
                },
            ],
            80,
            waits(Waits::Warming, None),
            0,
        ),
        (
            vec![leaving(), old(), old(), new(10)],
            80,
            waits(Waits::Terminating, None),
            33,
        ),
        (vec![old(), old(), new(10)], 70, replace(1, &[0]), 33),
        (vec![new(10), old(), new(20)], 80, replace(1, &[1]), 66),
        (vec![new(10), new(20), new(30)], 90, Verdict::Successful, 100),
        // The last one is still terminating.
        (
            vec![new(10), new(20), new(30), leaving()],
            90,
            waits(Waits::Terminating, None),
            100,
        ),
        // The group is one short: that one has no replacement yet.
        (vec![new(10), new(20)], 90, replace(1, &[]), 66),
    ] {
        let plan = look(&progress, &preferences, &instances, 3, false, after(now));
        assert_eq!(
            (plan.verdict, plan.percentage),
            (wanted, percentage),
            "{instances:?}"
        );
    }
}

#[test]
fn unhealthy_instances_go_first_and_cost_nothing() {
    let preferences = bounds(75, None);
    let mut instances = vec![old(); 4];
    instances[2].is_healthy = false;
    let progress = began(&preferences, 4);
    let plan = look(&progress, &preferences, &instances, 4, false, after(1));
    // Three of four must stay healthy, and three are.
    assert_eq!(plan.verdict, replace(1, &[2]));
}

#[test]
fn matching_instances_stay_if_that_is_wanted() {
    let mut instances = vec![old(); 3];
    instances[0].matches = true;
    let skips = Preferences {
        skip_matching: true,
        ..bounds(0, None)
    };
    for (preferences, wanted) in [(skips.clone(), vec![1, 2]), (bounds(0, None), vec![0, 1, 2])] {
        let progress = Progress::new(&instances, &preferences, START);
        assert_eq!(progress.to_update, wanted.len() as u32);
        let plan = look(&progress, &preferences, &instances, 3, false, after(1));
        assert_eq!(plan.verdict, replace(wanted.len() as u32, &wanted));
    }
    // All match: there is nothing to do.
    let all: Vec<Instance> = instances
        .into_iter()
        .map(|instance| Instance {
            matches: true,
            ..instance
        })
        .collect();
    let progress = Progress::new(&all, &skips, START);
    let plan = look(&progress, &skips, &all, 3, false, after(1));
    assert_eq!((plan.verdict, plan.percentage), (Verdict::Successful, 100));
}

#[test]
fn protected_and_standby_instances_are_waited_for_replaced_or_left() {
    use Verdict::Wait;
    let protected = Instance {
        is_protected: true,
        ..old()
    };
    let standby = Instance {
        is_standby: true,
        ..old()
    };
    let with = |protected_instances, standby_instances| Preferences {
        protected_instances,
        standby_instances,
        ..bounds(0, None)
    };
    use {ProtectedInstances as P, StandbyInstances as S};
    let until = Some(after(1 + 3_600));
    for (preferences, instance, desired, wanted) in [
        (
            with(P::Wait, S::Ignore),
            &protected,
            1,
            Wait {
                why: Waits::Protected,
                until,
            },
        ),
        (with(P::Refresh, S::Ignore), &protected, 1, replace(1, &[0])),
        (with(P::Ignore, S::Ignore), &protected, 1, Verdict::Successful),
        (
            with(P::Ignore, S::Wait),
            &standby,
            0,
            Wait {
                why: Waits::Standby,
                until,
            },
        ),
        // Nothing replaces it, because it was not part of the capacity.
        (with(P::Wait, S::Terminate), &standby, 0, replace(0, &[0])),
        (with(P::Wait, S::Ignore), &standby, 0, Verdict::Successful),
    ] {
        let instances = [instance.clone()];
        let progress = Progress::new(&instances, &preferences, START);
        let plan = look(&progress, &preferences, &instances, desired, false, after(1));
        assert_eq!(plan.verdict, wanted, "{preferences:?}");
        // An hour later the wait has failed.
        let progress = progress.after(&plan.verdict, after(1));
        let late = look(&progress, &preferences, &instances, desired, false, after(3_601));
        if let Wait { why, .. } = plan.verdict {
            let failure = match why {
                Waits::Standby => Failure::Standby,
                _ => Failure::Protected,
            };
            let failed = Verdict::Failed {
                why: failure,
                rolls_back: false,
            };
            assert_eq!(late.verdict, failed);
        }
    }
}

#[test]
fn others_are_replaced_before_it_waits_for_protected_ones() {
    let preferences = bounds(0, None);
    let protected = Instance {
        is_protected: true,
        ..old()
    };
    let instances = [protected, old()];
    let progress = Progress::new(&instances, &preferences, START);
    let plan = look(&progress, &preferences, &instances, 2, false, after(1));
    assert_eq!(plan.verdict, replace(1, &[1]));
    assert_eq!(progress.after(&plan.verdict, after(1)).blocked, None);
}

#[test]
fn it_pauses_at_checkpoints_and_ends_at_the_last() {
    let preferences = Preferences {
        checkpoint_percentages: vec![20, 50],
        checkpoint_delay: Duration::from_secs(100),
        ..bounds(0, None)
    };
    let group = |replaced: usize| -> Vec<Instance> {
        let news = (0..replaced).map(|_| new(1));
        news.chain((replaced..10).map(|_| old())).collect()
    };
    let mut progress = began(&preferences, 10);
    let see = |progress: &Progress, replaced, now| {
        look(progress, &preferences, &group(replaced), 10, false, after(now)).verdict
    };
    assert_eq!(see(&progress, 0, 1), replace(2, &[0, 1]));
    let pause = Verdict::Checkpoint {
        place: 0,
        until: after(110),
    };
    assert_eq!(see(&progress, 2, 10), pause);
    progress = progress.after(&pause, after(10));
    assert_eq!(see(&progress, 2, 109), pause);
    // Another look does not restart the pause.
    progress = progress.after(&pause, after(109));
    assert_eq!(see(&progress, 2, 110), replace(3, &[2, 3, 4]));
    assert_eq!(see(&progress, 5, 120), Verdict::Successful);
}

#[test]
fn alarms_and_age_fail_it_and_baking_waits_for_alarms() {
    let preferences = Preferences {
        auto_rollback: true,
        bake_time: Duration::from_secs(50),
        ..bounds(0, None)
    };
    let progress = began(&preferences, 1);
    let see = |progress: &Progress, instance, alarmed, now| {
        look(progress, &preferences, &[instance], 1, alarmed, now).verdict
    };
    let failed = |why| Verdict::Failed {
        why,
        rolls_back: true,
    };
    assert_eq!(see(&progress, old(), true, after(1)), failed(Failure::Alarm));
    let fortnight = 14 * 86_400;
    assert_eq!(
        see(&progress, old(), false, after(fortnight)),
        failed(Failure::Expired)
    );
    assert_eq!(
        see(&progress, old(), false, after(fortnight - 1)),
        replace(1, &[0])
    );
    let baking = Verdict::Baking { until: after(60) };
    assert_eq!(see(&progress, new(1), false, after(10)), baking);
    let progress = progress.after(&baking, after(10));
    assert_eq!(see(&progress, new(1), false, after(59)), baking);
    assert_eq!(see(&progress, new(1), true, after(59)), failed(Failure::Alarm));
    assert_eq!(see(&progress, new(1), false, after(60)), Verdict::Successful);
}

/// A group whose instances take time to start and to end.
struct Group {
    instances: Vec<Instance>,
    /// When terminating instances are gone, by index.
    gone: Vec<Option<u64>>,
    now: u64,
}

impl Group {
    fn step(&mut self, verdict: &Verdict, takes: (u64, u64)) {
        if let Verdict::Replace { launch, terminate } = verdict {
            for &place in terminate {
                self.instances[place].is_leaving = true;
                self.gone[place] = Some(self.now + takes.1);
            }
            for _ in 0..*launch {
                self.instances.push(Instance {
                    launched: after(self.now),
                    in_service: None,
                    ..old()
                });
                self.gone.push(None);
            }
        }
        self.now += 1;
        for instance in &mut self.instances {
            let up = instance.launched + Duration::from_secs(takes.0);
            if instance.in_service.is_none() && after(self.now) >= up {
                instance.in_service = Some(after(self.now));
            }
        }
        let mut place = 0;
        while place < self.instances.len() {
            if self.gone[place].is_some_and(|at| at <= self.now) {
                self.instances.remove(place);
                self.gone.remove(place);
            } else {
                place += 1;
            }
        }
    }

    fn count(&self, of: impl Fn(&Instance) -> bool) -> u32 {
        self.instances.iter().filter(|instance| of(instance)).count() as u32
    }
}

proptest! {
    /// Whatever the bounds and however long instances take: all are replaced in the end, the group has its desired
    /// capacity, and no bound was exceeded by more than the one instance that AWS allows where there is no other way.
    #[test]
    fn refreshes_end_within_their_bounds(
        count in 1_u32..12, least in 0_u32..=100, more in prop::option::of(0_u32..=100), takes in (0_u64..4, 0_u64..4),
        warmup in 0_u64..4, checkpoints in prop::collection::btree_set(1_u32..100, 0..3),
    ) {
        // Bounds differ by at most 100.
        let most = more.map(|more| 100 + more.min(least));
        let checkpoint_percentages = match checkpoints.is_empty() {
            true => Vec::new(),
            false => checkpoints.into_iter().chain([100]).collect(),
        };
        let preferences = Preferences {
            instance_warmup: Duration::from_secs(warmup),
            checkpoint_percentages,
            checkpoint_delay: Duration::from_secs(3),
            ..bounds(least, most)
        };
        let mut group = Group {
            instances: vec![old(); count as usize],
            gone: vec![None; count as usize],
            now: 1,
        };
        let mut progress = began(&preferences, count as usize);
        let floor = (count * least).div_ceil(100);
        let ceiling = count * most.unwrap_or(100) / 100;
        let forced_down = u32::from(most.is_none());
        let forced_up = u32::from(most.is_some());
        let mut percentage = 0;
        loop {
            let plan = look(&progress, &preferences, &group.instances, count, false, after(group.now));
            prop_assert!(plan.percentage >= percentage, "{plan:?}");
            percentage = plan.percentage;
            if plan.verdict == Verdict::Successful {
                break;
            }
            progress = progress.after(&plan.verdict, after(group.now));
            group.step(&plan.verdict, takes);
            let all = group.count(|instance| !instance.is_leaving);
            let serving = group.count(|instance| !instance.is_leaving && instance.in_service.is_some());
            prop_assert!(all <= ceiling.max(count) + forced_up, "{all} {plan:?}");
            prop_assert!(all >= count, "{all} {plan:?}");
            prop_assert!(serving >= floor.saturating_sub(forced_down), "{serving} {plan:?}");
            prop_assert!(group.now < 1_000, "{plan:?} {:?}", group.instances);
        }
        prop_assert_eq!(percentage, 100);
        prop_assert_eq!(group.instances.len() as u32, count);
        prop_assert!(group.instances.iter().all(|instance| instance.launched >= START));
    }
}
