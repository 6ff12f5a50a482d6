//! The alarm experiment in virtual time: `forebay-sim` refuses, CloudWatch's rule evaluates the sums, and the step policy
//! decides what is added.

use super::refusals::Refusals;
use super::reject_alarm_args::RejectAlarmArgs;
use super::users::Arrivals;
use forebay_model::{Algorithm, Concurrency, QueueSettings};
use forebay_scaling::{Adjustment, AdjustmentType, Group, Step, Steps};
use forebay_signals::alarm::{Comparison, MissingData, Rule, State};
use forebay_sim::{self as sim, Act, Behaviour, Kind, PAUSE, Scene, Seen, Span};
use std::sync::Arc;
use std::time::Duration;

/// One refused request in a period is enough.
const RULE: Rule = Rule {
    comparison: Comparison::GreaterThanThreshold,
    threshold: 0.0,
    evaluation_periods: 1,
    datapoints_to_alarm: 1,
    missing_data: MissingData::NotBreaching,
};

/// Orders: when, and how many instances.
type Orders = Vec<(Duration, u16)>;

/// Plays the load again after each order, which does not affect anything before it, until nothing more is ordered.
pub(crate) fn simulate(args: &RejectAlarmArgs) -> anyhow::Result<Refusals> {
    let policy = Steps::new(vec![Step {
        lower: Some(0.0),
        upper: None,
        by: args.more.into(),
    }])?;
    let mut orders = Orders::new();
    loop {
        let seen = play(args, &orders);
        let (alarm, next) = look(args, &policy, &seen, &orders);
        if let Some(order) = next {
            orders.push(order);
            continue;
        }
        let mut run = Refusals::new(args.time());
        for seen in &seen {
            run.count(seen.at, Some(seen.status));
        }
        let mut instances = args.instances;
        run.in_service(Duration::ZERO, instances);
        for &(at, count) in &orders {
            instances += count;
            run.in_service(at + boot(args), instances);
        }
        run.alarm = alarm;
        run.scaled = orders.first().map(|order| order.0);
        run.serving = run.scaled.map(|at| at + boot(args));
        return Ok(run);
    }
}

fn boot(args: &RejectAlarmArgs) -> Duration {
    Duration::from_secs_f64(args.boot)
}

fn play(args: &RejectAlarmArgs, orders: &Orders) -> Vec<Seen> {
    let behaviour = Behaviour {
        get: Span::Fixed(args.service()),
        ..Behaviour::single_threaded()
    };
    let mut scene = Scene::new(args.seed, args.instances, behaviour, Algorithm::RoundRobin);
    scene.settings.queue = Some(Arc::new(QueueSettings {
        length: 0,
        ..QueueSettings::of(Concurrency::Fixed(1))
    }));
    scene.crowds = vec![sim::Crowd {
        rate: args.rate(),
        arrivals: match args.arrivals {
            Arrivals::Even => sim::Arrivals::Even,
            Arrivals::Poisson => sim::Arrivals::Poisson,
        },
        visit: &[Kind::Get],
        pause: PAUSE,
        from: Duration::ZERO,
        until: args.time(),
    }];
    let mut next = args.instances;
    for &(at, count) in orders {
        for _ in 0..count {
            scene.acts.push((at + boot(args), Act::Join(next, behaviour)));
            next += 1;
        }
    }
    scene.play().seen
}

/// When the alarm was first in ALARM, and what is ordered after these orders.
fn look(
    args: &RejectAlarmArgs,
    policy: &Steps,
    seen: &[Seen],
    orders: &Orders,
) -> (Option<Duration>, Option<(Duration, u16)>) {
    let period = Duration::from_secs(args.period.into());
    let periods = args.time().div_duration_f64(period) as usize;
    let mut sums = vec![None; periods + 1];
    for seen in seen.iter().filter(|seen| seen.status == 503) {
        if let Some(sum) = sums.get_mut(seen.at.div_duration_f64(period) as usize) {
            *sum = Some(sum.unwrap_or(0.0) + 1.0);
        }
    }
    let (mut state, mut first) = (State::InsufficientData, None);
    for over in 1..=periods {
        let at = period * over as u32;
        let newest = over.saturating_sub(RULE.range(args.period))..over;
        let range = &sums[newest];
        let evaluated = RULE.evaluate(range, state);
        state = evaluated.state;
        let value = evaluated.evaluated.last().and_then(|&place| range[place]);
        let (State::Alarm, Some(value)) = (state, value) else {
            continue;
        };
        first.get_or_insert(at);
        if orders.last().is_some_and(|order| at <= order.0) {
            continue;
        }
        let adjustment = Adjustment {
            kind: AdjustmentType::ChangeInCapacity,
            minimum_magnitude: None,
        };
        let group = group(args, orders, at);
        let wanted = policy.propose(&group, adjustment, value - RULE.threshold).desired;
        if wanted > group.desired {
            let count = u16::try_from(wanted - group.desired).unwrap_or(u16::MAX);
            return (first, Some((at, count)));
        }
    }
    (first, None)
}

/// The group as the policy sees it at this time.
fn group(args: &RejectAlarmArgs, orders: &Orders, at: Duration) -> Group {
    let warm = boot(args) + Duration::from_secs(args.warm_up());
    let (mut desired, mut warming) = (u32::from(args.instances), 0);
    for &(ordered, count) in orders {
        desired += u32::from(count);
        if at < ordered + warm {
            warming += u32::from(count);
        }
    }
    Group {
        minimum: 1,
        maximum: args.most.into(),
        desired,
        in_service: desired - warming,
        warming,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        args: RejectAlarmArgs,
    }

    fn played(flags: &[&str]) -> Refusals {
        let usual = ["reject-alarm", "--simulated"].iter().chain(flags);
        simulate(&Cli::parse_from(usual).args).unwrap()
    }

    fn instances(run: &Refusals) -> Vec<u16> {
        let mut instances: Vec<u16> = run.seconds.iter().map(|second| second.instances).collect();
        instances.dedup();
        instances
    }

    #[test]
    fn rejects_end_when_what_the_alarm_ordered_serves() {
        for (period, over) in [("10", 10), ("60", 60)] {
            let run = played(&["--period", period]);
            assert_eq!(instances(&run), [3, 6]);
            assert_eq!(run.alarm, Some(Duration::from_secs(over)));
            assert_eq!(run.serving, Some(Duration::from_secs(over + 2)));
            let last = run.refused.last().copied().unwrap();
            assert!(
                run.scaled.unwrap() < last && last < run.serving.unwrap(),
                "{last:?}"
            );
        }
    }

    #[test]
    fn what_warms_up_is_not_ordered_twice() {
        // The second period has refusals as well, from before the new instances are in service.
        assert_eq!(
            instances(&played(&["--period", "10", "--warm-up", "0"])),
            [3, 6, 9]
        );
        assert_eq!(
            instances(&played(&["--period", "10", "--warm-up", "0", "--most", "7"])),
            [3, 6, 7]
        );
    }

    #[test]
    fn nothing_happens_if_nobody_is_refused() {
        let run = played(&["--period", "10", "--load", "90"]);
        assert_eq!(
            (instances(&run), run.alarm, run.refused.len()),
            (vec![3], None, 0)
        );
    }
}
