use super::*;
use crate::planner::Fleet;
use proptest::prelude::*;

fn at(seconds: f64) -> Mono {
    Mono::ZERO + Duration::from_secs_f64(seconds)
}

fn workers(ready: u32) -> Workers {
    Workers {
        fleet: Fleet {
            desired: ready,
            ready,
            maximum: 1000,
            start_up: Some(Duration::from_millis(1900)),
            ..Fleet::default()
        },
        ..Workers::default()
    }
}

fn settings(latency: u64, processing: f64) -> Settings {
    Settings {
        latency: Duration::from_secs(latency),
        processing: Some(processing),
        ..Settings::default()
    }
}

fn work(visible: u64, in_flight: u64, oldest: f64) -> Work {
    Work {
        visible,
        in_flight,
        delayed: 0,
        oldest: Some(Duration::from_secs_f64(oldest)),
    }
}

/// The plan of a planner that has seen nothing before.
fn first(work: Work, workers: &Workers, settings: &Settings) -> Plan {
    Planner::new().plan(at(0.0), &work, &[], workers, settings)
}

/// The published experiment: what a start-up leaves of 300 s is enough for eleven rounds of 25 s, or five of 50 s.
#[test]
fn rounds_are_what_the_start_up_leaves() {
    for (messages, latency, processing, rounds, needed) in [
        (50, 300, 25.0, 11, 5),
        (50, 300, 50.0, 5, 10),
        (1000, 100, 1.0, 98, 11),
        (1000, 100, 2.0, 49, 21),
        (1, 300, 25.0, 11, 1),
        (0, 300, 25.0, 11, 0),
    ] {
        let plan = first(
            work(messages, 0, 0.0),
            &workers(0),
            &settings(latency, processing),
        );
        assert_eq!((plan.rounds, plan.needed), (rounds, needed), "{}", plan.explain());
        assert_eq!(plan.desired, needed);
        assert_eq!(plan.shortfall(), None);
    }
    let two = Settings {
        concurrency: 2,
        ..settings(300, 25.0)
    };
    assert_eq!(first(work(50, 0, 0.0), &workers(0), &two).needed, 3);
}

#[test]
fn a_latency_that_cannot_be_met_is_said_with_what_can() {
    let plan = first(work(8, 0, 0.0), &workers(0), &settings(26, 25.0));
    assert_eq!((plan.rounds, plan.is_too_short, plan.needed), (1, true, 8));
    let text = plan.shortfall().unwrap();
    for wanted in [
        "a latency of 26.0 s can't be met",
        "Allow 27.0 s at least",
        "within 1.0 s of their order",
    ] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    let text = first(work(8, 0, 0.0), &workers(0), &settings(20, 25.0))
        .shortfall()
        .unwrap();
    assert!(text.contains("no number of instances mends that"), "{text}");
}

/// Ten existing instances do a thousand messages of a second in 100 s; one ordered now works after 120.
#[test]
fn nothing_is_ordered_that_comes_too_late_to_help() {
    let mut there = workers(10);
    there.fleet.start_up = Some(Duration::from_secs(120));
    let plan = first(work(990, 10, 0.0), &there, &settings(100, 1.0));
    assert_eq!(
        (plan.is_too_short, plan.needed, plan.desired),
        (true, 10, 10),
        "{}",
        plan.explain()
    );
    // Of two thousand, 790 are left by then, and each gets an instance of its own.
    let plan = first(work(1990, 10, 0.0), &there, &settings(100, 1.0));
    assert_eq!(plan.needed, 800, "{}", plan.explain());
}

#[test]
fn nothing_is_ordered_twice_and_bounds_hold() {
    let mut there = workers(0);
    there.fleet.desired = 5;
    there.fleet.pending = vec![Duration::from_secs(1); 5];
    let plan = first(work(50, 0, 1.0), &there, &settings(300, 25.0));
    assert_eq!(
        (plan.verdict, plan.desired),
        (Verdict::Keep, 5),
        "{}",
        plan.explain()
    );
    there.fleet.maximum = 5;
    let plan = first(work(90, 0, 1.0), &there, &settings(300, 25.0));
    assert_eq!(
        (plan.verdict, plan.desired, plan.needed),
        (Verdict::AtMaximum, 5, 9)
    );
}

/// Forty messages of 25 s, 200 s old, at four instances: four rounds in 100 s do only sixteen of them.
#[test]
fn the_oldest_messages_age_is_a_guard() {
    let plan = first(work(40, 0, 200.0), &workers(4), &settings(300, 25.0));
    assert_eq!(plan.by_backlog, 4);
    // The other 24 need three rounds of eight more, which begin 2 s from now.
    assert_eq!((plan.guard.needed, plan.desired), (12, 12), "{}", plan.explain());
    assert!(
        plan.cause()
            .contains("and 12 for messages that have 100.0 s left"),
        "{}",
        plan.cause()
    );
    // Messages that are late already are reported, and nothing is ordered for them alone.
    let plan = first(work(40, 0, 290.0), &workers(4), &settings(300, 25.0));
    assert_eq!(
        (plan.guard.late, plan.needed, plan.guard.left),
        (40, 4, None),
        "{}",
        plan.explain()
    );
}

/// Messages that arrived late do not count as being as old as the oldest.
#[test]
fn messages_are_as_old_as_they_are() {
    let mut planner = Planner::new();
    let settings = settings(300, 25.0);
    planner.plan(at(0.0), &work(4, 0, 0.0), &[], &workers(4), &settings);
    planner.plan(at(1.0), &work(0, 4, 1.0), &[], &workers(4), &settings);
    let plan = planner.plan(at(20.0), &work(40, 4, 20.0), &[], &workers(4), &settings);
    assert_eq!((plan.by_backlog, plan.guard.needed), (4, 0), "{}", plan.explain());
}

#[test]
fn the_target_moves_with_what_is_learnt() {
    let mut planner = Planner::new();
    let settings = settings(100, 1.0);
    let look = |planner: &mut Planner, second: f64, deleted: &[f64]| {
        let deleted: Vec<Duration> = deleted
            .iter()
            .map(|&took| Duration::from_secs_f64(took))
            .collect();
        planner.plan(
            at(second),
            &work(990, 10, second),
            &deleted,
            &workers(10),
            &settings,
        )
    };
    assert_eq!(look(&mut planner, 0.0, &[]).rounds, 98);
    assert_eq!(look(&mut planner, 1.0, &[1.0; 10]).rounds, 98);
    let plan = look(&mut planner, 3.0, &[2.0; 3]);
    assert_eq!((plan.rounds, plan.known), (49, Known::Learnt(13)));
    // A metric takes precedence.
    let by_metric = Settings {
        measured: Some(4.0),
        ..settings.clone()
    };
    let plan = planner.plan(at(4.0), &work(990, 10, 4.0), &[], &workers(10), &by_metric);
    assert_eq!((plan.rounds, plan.known), (24, Known::Metric));
}

/// Ten messages have been in flight for 40 s, while all that were done took 25 s.
#[test]
fn those_in_flight_say_that_messages_take_longer() {
    let mut planner = Planner::new();
    let settings = settings(300, 25.0);
    planner.plan(at(0.0), &work(40, 10, 0.0), &[], &workers(10), &settings);
    let plan = planner.plan(at(40.0), &work(40, 10, 40.0), &[], &workers(10), &settings);
    assert_eq!(plan.known, Known::InFlight);
    assert!((plan.processing - 40.0).abs() < 1e-6);
}

#[test]
fn without_a_time_one_instance_finds_out() {
    let unknown = Settings {
        processing: None,
        ..settings(300, 25.0)
    };
    let mut planner = Planner::new();
    let plan = planner.plan(at(0.0), &work(50, 0, 0.0), &[], &workers(0), &unknown);
    assert_eq!((plan.known, plan.desired), (Known::Nothing, 1));
    assert!(plan.explain().contains("forebay:backlog-processing-seconds"));
    planner.plan(at(2.0), &work(49, 1, 2.0), &[], &workers(1), &unknown);
    // It has been at the first one for 23 s: twelve rounds of that.
    let plan = planner.plan(at(25.0), &work(49, 1, 25.0), &[], &workers(1), &unknown);
    assert_eq!(
        (plan.known, plan.rounds, plan.by_backlog),
        (Known::InFlight, 12, 5)
    );
}

/// Continues for `seconds` with this work, carrying out each plan at once. Returns the last plan.
fn goes_on(
    planner: &mut Planner,
    workers: &mut Workers,
    from: u64,
    seconds: u64,
    work: Work,
    settings: &Settings,
) -> Plan {
    let mut plan = None;
    for second in from..from + seconds {
        let made = planner.plan(at(second as f64), &work, &[], workers, settings);
        (workers.fleet.desired, workers.fleet.ready) = (made.desired, made.desired);
        plan = Some(made);
    }
    plan.unwrap()
}

#[test]
fn what_is_too_much_goes_after_a_while_and_never_from_under_a_message() {
    let settings = settings(300, 25.0);
    for (in_flight, protected, may_finish, scale_in, rest, verdict) in [
        (0, 0, false, ScaleIn::Safe, 1, Verdict::Idle),
        (2, 0, false, ScaleIn::Safe, 5, Verdict::AtWork),
        (2, 1, false, ScaleIn::Safe, 5, Verdict::AtWork),
        (2, 2, false, ScaleIn::Safe, 2, Verdict::Keep),
        (2, 0, true, ScaleIn::Safe, 2, Verdict::Keep),
        (2, 0, false, ScaleIn::Any, 2, Verdict::Keep),
    ] {
        let (mut planner, mut workers) = (Planner::new(), workers(5));
        (workers.protected, workers.may_finish) = (protected, may_finish);
        let settings = Settings {
            scale_in,
            ..settings.clone()
        };
        let plan = goes_on(
            &mut planner,
            &mut workers,
            0,
            60,
            work(0, in_flight, 0.0),
            &settings,
        );
        assert_eq!((plan.verdict, workers.fleet.ready), (Verdict::Hold, 5));
        let plan = goes_on(
            &mut planner,
            &mut workers,
            60,
            2,
            work(0, in_flight, 0.0),
            &settings,
        );
        assert_eq!(
            (plan.verdict, workers.fleet.ready),
            (verdict, rest),
            "{}",
            plan.explain()
        );
    }
}

#[test]
fn the_last_one_goes_when_nothing_has_been_to_do_for_long() {
    let settings = settings(300, 25.0);
    let (mut planner, mut workers) = (Planner::new(), workers(3));
    goes_on(&mut planner, &mut workers, 0, 2, work(0, 1, 0.0), &settings);
    goes_on(&mut planner, &mut workers, 2, 299, work(0, 0, 0.0), &settings);
    assert_eq!(workers.fleet.ready, 1);
    goes_on(&mut planner, &mut workers, 301, 1, work(0, 0, 0.0), &settings);
    assert_eq!(workers.fleet.ready, 0);
    let plan = goes_on(&mut planner, &mut workers, 302, 1, work(1, 0, 0.0), &settings);
    assert_eq!((plan.verdict, plan.desired), (Verdict::Order, 1));
}

/// Workers that each take the oldest message, in virtual time: the ages of messages when they were done.
fn play(settings: &Settings, real: f64, start_up: f64, arrivals: &[f64]) -> (Vec<f64>, u32) {
    let (ages, sizes) = play_protected(settings, real, start_up, arrivals, false);
    (ages, sizes.into_iter().map(|(_, size)| size).max().unwrap_or(0))
}

/// Like `play`, with each size of the group and when it began. Workers that `protect` themselves while they work let
/// the others go.
fn play_protected(
    settings: &Settings,
    real: f64,
    start_up: f64,
    arrivals: &[f64],
    protect: bool,
) -> (Vec<f64>, Vec<(f64, u32)>) {
    let step = 0.1;
    let (mut planner, mut queue, mut next) = (Planner::new(), std::collections::VecDeque::new(), 0);
    // For each instance, when it starts to work, and until when it works on a message that arrived when.
    let mut instances: Vec<(f64, Option<(f64, f64)>)> = Vec::new();
    let (mut ages, mut sizes) = (Vec::new(), Vec::new());
    let mut now = 0.0;
    while ages.len() < arrivals.len() && now < 5000.0 {
        let mut deleted = Vec::new();
        while arrivals.get(next).is_some_and(|&came| came <= now) {
            queue.push_back(arrivals[next]);
            next += 1;
        }
        for instance in &mut instances {
            if let Some((until, came)) = instance.1.filter(|job| job.0 <= now) {
                deleted.push(Duration::from_secs_f64(real));
                ages.push(until - came);
                instance.1 = None;
            }
            if instance.0 <= now && instance.1.is_none() {
                instance.1 = queue.pop_front().map(|came| (now + real, came));
            }
        }
        let ready = instances.iter().filter(|instance| instance.0 <= now).count() as u32;
        let oldest = queue.front().copied();
        let seen = Work {
            visible: queue.len() as u64,
            in_flight: instances.iter().filter(|instance| instance.1.is_some()).count() as u64,
            delayed: 0,
            oldest: oldest.map(|came| Duration::from_secs_f64(now - came)),
        };
        let fleet = Fleet {
            desired: instances.len() as u32,
            ready,
            pending: instances
                .iter()
                .filter(|instance| instance.0 > now)
                .map(|instance| Duration::from_secs_f64((start_up - (instance.0 - now)).max(0.0)))
                .collect(),
            maximum: 1000,
            start_up: Some(Duration::from_secs_f64(start_up)),
            ..Fleet::default()
        };
        let there = Workers {
            fleet,
            protected: if protect { seen.in_flight as u32 } else { 0 },
            ..Workers::default()
        };
        let plan = planner.plan(at(now), &seen, &deleted, &there, settings);
        for _ in instances.len()..plan.desired as usize {
            instances.push((now + start_up, None));
        }
        if plan.desired < instances.len() as u32 {
            assert!(plan.desired >= seen.in_flight as u32 && (protect || seen.in_flight == 0));
            instances.sort_by_key(|instance| instance.1.is_none());
            instances.truncate(plan.desired as usize);
        }
        if sizes
            .last()
            .is_none_or(|&(_, size)| size != instances.len() as u32)
        {
            sizes.push((now, instances.len() as u32));
        }
        now += step;
    }
    assert_eq!(ages.len(), arrivals.len(), "not done");
    (ages, sizes)
}

#[test]
fn a_stream_is_done_within_its_latency() {
    // Two messages a second of ten seconds each, for ten minutes: enough work for twenty instances.
    let arrivals: Vec<f64> = (0..1200).map(|place| f64::from(place) / 2.0).collect();
    let (ages, largest) = play(&settings(60, 10.0), 10.0, 5.0, &arrivals);
    let oldest = ages.iter().copied().fold(0.0, f64::max);
    assert!(
        oldest <= 60.0 && (20..=30).contains(&largest),
        "{oldest} {largest}"
    );
}

/// Half an hour of two messages a second, evenly and at random, with workers that protect themselves, so that the
/// others may go at any time.
#[test]
fn a_steady_stream_is_not_answered_by_a_restless_group() {
    let even = (0..3600).map(|place| f64::from(place) / 2.0).collect();
    let mut rng = forebay_units::Rng::named(1, "arrivals");
    let mut now = 0.0;
    let random = (0..3600).map(|_| {
        now -= (1.0 - rng.below(1 << 32) as f64 / 2.0_f64.powi(32)).ln() / 2.0;
        now
    });
    for (arrivals, changes) in [(even, 2), (random.collect::<Vec<f64>>(), 2)] {
        let (ages, sizes) = play_protected(&settings(60, 10.0), 10.0, 5.0, &arrivals, true);
        let oldest = ages.iter().copied().fold(0.0, f64::max);
        let later = sizes.iter().filter(|size| (300.0..1750.0).contains(&size.0));
        assert!(oldest <= 60.0, "{oldest}");
        assert!(
            later.clone().count() <= changes,
            "{:?}",
            later.collect::<Vec<_>>()
        );
    }
}

/// The setting says 25 s and messages take 50 s: those in flight show it before one is done.
#[test]
fn a_time_that_was_told_wrong_is_found_out_in_time() {
    let (ages, largest) = play(&settings(300, 25.0), 50.0, 2.0, &[0.0; 50]);
    let oldest = ages.iter().copied().fold(0.0, f64::max);
    assert!(oldest <= 300.0 && largest <= 15, "{oldest} {largest}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    /// However messages come in bursts, each is done in time if there is time for an instance and a message.
    #[test]
    fn each_message_is_done_within_the_latency(
        processing in 1.0_f64..20.0, start_up in 0.5_f64..20.0, spare in 1.3_f64..6.0,
        bursts in prop::collection::vec((0_u32..300, 1_usize..40), 1..6),
    ) {
        let latency = ((start_up + processing) * spare + 1.0).ceil();
        let mut arrivals: Vec<f64> = bursts.iter().flat_map(|&(at, count)| vec![f64::from(at); count]).collect();
        arrivals.sort_by(f64::total_cmp);
        let (ages, largest) = play(&settings(latency as u64, processing), processing, start_up, &arrivals);
        let oldest = ages.iter().copied().fold(0.0, f64::max);
        // Time moves in tenths of a second here, and one is lost with each message.
        let lost = 0.1 * (latency / processing + 2.0);
        prop_assert!(oldest <= latency + lost, "{} > {} with {}", oldest, latency, largest);
        prop_assert!(largest as usize <= arrivals.len());
    }

    /// Whatever is seen: bounds hold, and an order is never less than what the backlog needs.
    #[test]
    fn orders_are_within_bounds(
        visible in 0_u64..100_000, in_flight in 0_u64..1000, oldest in 0.0_f64..1000.0, ready in 0_u32..50,
        minimum in 0_u32..5, maximum in 5_u32..100, processing in 0.001_f64..1000.0, concurrency in 1_u32..20,
    ) {
        let settings = Settings { concurrency, ..settings(100, processing) };
        let mut there = workers(ready.clamp(minimum, maximum));
        (there.fleet.minimum, there.fleet.maximum) = (minimum, maximum);
        let plan = first(work(visible, in_flight, oldest), &there, &settings);
        prop_assert!((minimum..=maximum).contains(&plan.desired));
        prop_assert!(plan.desired >= plan.by_backlog.min(maximum));
        prop_assert!(plan.desired >= there.fleet.desired);
        prop_assert!(!plan.explain().is_empty() && !plan.cause().is_empty());
    }
}
