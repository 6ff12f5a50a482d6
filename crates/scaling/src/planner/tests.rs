use super::*;
use proptest::prelude::*;

/// A group in virtual time whose requests take a fixed time, however many slots there are.
struct Scene {
    planner: Planner,
    demand: Demand,
    fleet: Fleet,
    settings: Settings,
    now: Duration,
}

impl Scene {
    fn new(slots: f64) -> Scene {
        Scene {
            planner: Planner::new(),
            demand: Demand {
                name: "group".to_owned(),
                slots: Some(slots),
                wait: Duration::from_secs(10),
                length: 1000,
                ..Demand::default()
            },
            fleet: Fleet {
                maximum: 1000,
                start_up: Some(Duration::from_secs(3)),
                ..Fleet::default()
            },
            settings: Settings::default(),
            now: Duration::ZERO,
        }
    }

    fn look(&mut self) -> Plan {
        let now = Mono::ZERO + self.now;
        self.planner.plan(
            now,
            std::slice::from_ref(&self.demand),
            &self.fleet,
            &self.settings,
        )
    }

    /// Continues for `looks` tenths of a second with `requests` requests in each, of a second each. What is ordered is
    /// there at once.
    fn go(&mut self, looks: u32, requests: u64) -> Plan {
        let mut plan = None;
        for _ in 0..looks {
            self.now += Duration::from_millis(100);
            self.demand.arrivals += requests;
            self.demand.completed += requests;
            self.demand.held += Duration::from_secs(requests);
            let made = self.look();
            (self.fleet.desired, self.fleet.ready) = (made.desired, made.desired);
            plan = Some(made);
        }
        plan.unwrap()
    }
}

#[test]
fn what_is_needed_is_the_load_and_the_square_root_of_it() {
    let mut scene = Scene::new(8.0);
    let plan = scene.go(600, 10);
    // 100 a second of one second each, and 10 for chance: 110 slots.
    assert_eq!(plan.needed, 14, "{}", plan.explain());
    assert_eq!(plan.verdict, Verdict::Keep);
    assert!(plan.cause().contains("100.0 requests that take 1.000 s a second"));
    // Twice the headroom where requests may not wait.
    scene.demand.wait = Duration::ZERO;
    assert_eq!(scene.go(1, 10).needed, 15);
}

#[test]
fn nothing_is_ordered_twice() {
    let mut scene = Scene::new(1.0);
    scene.demand.arrivals = 1;
    scene.demand.waiting = 1;
    let plan = scene.look();
    assert_eq!((plan.verdict, plan.desired), (Verdict::Order, 1));
    assert_eq!(plan.coming(), Some((plan.lead, 1)));
    scene.fleet.desired = 1;
    scene.fleet.pending = vec![Duration::ZERO];
    for _ in 0..20 {
        scene.now += Duration::from_millis(100);
        let plan = scene.look();
        assert_eq!(plan.desired, 1, "{}", plan.explain());
    }
}

#[test]
fn a_group_may_have_nothing_and_does_after_a_while() {
    let mut scene = Scene::new(4.0);
    scene.go(600, 1);
    assert!(scene.fleet.desired >= 1);
    let plan = scene.go(2900, 0);
    assert_eq!(plan.desired, 1, "{}", plan.explain());
    let plan = scene.go(400, 0);
    assert_eq!((plan.desired, plan.fleet.desired), (0, 0), "{}", plan.explain());
}

#[test]
fn what_is_too_much_goes_after_a_while_and_by_parts() {
    let mut scene = Scene::new(1.0);
    scene.go(700, 10);
    let most = scene.fleet.desired;
    let plan = scene.go(500, 1);
    assert_eq!(
        (plan.verdict, plan.desired),
        (Verdict::Hold, most),
        "{}",
        plan.explain()
    );
    scene.go(130, 1);
    assert!(scene.fleet.desired < most && scene.fleet.desired > most / 2);
    let plan = scene.go(3000, 1);
    assert!(plan.desired < 22, "{}", plan.explain());
}

#[test]
fn bounds_are_kept_and_told() {
    let mut scene = Scene::new(1.0);
    (scene.fleet.minimum, scene.fleet.maximum, scene.fleet.desired) = (2, 5, 2);
    assert_eq!(scene.go(10, 0).desired, 2);
    let plan = scene.go(100, 10);
    assert_eq!((plan.verdict, plan.desired), (Verdict::AtMaximum, 5));
    assert!(plan.flows[0].margins.slots < 0.0);
    assert!(plan.explain().contains("maximum allows"));
}

#[test]
fn without_slots_nothing_is_done_and_it_is_said_what_is_missing() {
    let mut scene = Scene::new(1.0);
    scene.demand.slots = None;
    scene.fleet.desired = 3;
    let plan = scene.go(100, 10);
    assert_eq!((plan.verdict, plan.desired), (Verdict::NoSlots, 3));
    assert!(plan.explain().contains("forebay:planner-in-flight"));
}

#[test]
fn the_target_group_that_needs_most_counts() {
    let mut scene = Scene::new(8.0);
    scene.go(300, 10);
    let quiet = Demand {
        name: "quiet".to_owned(),
        slots: Some(1.0),
        ..Demand::default()
    };
    let now = Mono::ZERO + scene.now;
    let plan = scene
        .planner
        .plan(now, &[quiet, scene.demand.clone()], &scene.fleet, &scene.settings);
    assert_eq!(plan.flows[0].name, "group");
    assert_eq!(plan.needed, 14);
}

#[test]
fn spare_capacity_and_growth_are_held_ready() {
    let mut scene = Scene::new(8.0);
    scene.settings.spare = 2;
    assert_eq!(scene.go(600, 10).needed, 16);
    // T2: 10 slots a second for 3.2 s, and headroom for them: 132 + 11.5.
    (scene.settings.spare, scene.settings.growth) = (0, 10.0);
    assert_eq!(scene.go(600, 10).needed, 18);
}

proptest! {
    /// Whatever arrives, a plan stays within the bounds and never orders and releases at once.
    #[test]
    fn plans_stay_within_bounds(
        requests in prop::collection::vec((0_u64..50, 0_u64..40, 0_u64..40), 1..200),
        slots in prop::option::of(0.5..64.0_f64), minimum in 0_u32..5, more in 0_u32..50,
    ) {
        let mut scene = Scene::new(1.0);
        scene.demand.slots = slots;
        (scene.fleet.minimum, scene.fleet.maximum) = (minimum, minimum + more);
        scene.fleet.desired = minimum;
        for (arrivals, in_flight, waiting) in requests {
            scene.now += Duration::from_millis(100);
            scene.demand.arrivals += arrivals;
            (scene.demand.in_flight, scene.demand.waiting) = (in_flight, waiting);
            let plan = scene.look();
            prop_assert!(plan.desired >= minimum && plan.desired <= minimum + more);
            prop_assert_eq!(plan.verdict == Verdict::Order, plan.desired > scene.fleet.desired);
            prop_assert!(plan.flows.iter().all(|flow| flow.needed_slots.is_finite() && flow.longest_wait >= 0.0));
            scene.fleet.desired = plan.desired;
        }
    }
}
