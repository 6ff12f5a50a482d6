//! The published set-up: target tracking on the backlog per instance, whose target a function moves or not.

use super::controller::{BacklogController, BacklogSeen, Shown};
use crate::controllers::alarm::Alarm;
use core::time::Duration;
use forebay_scaling::{Group, TargetTracking};
use forebay_signals::alarm::Comparison;
use forebay_units::{Mono, Rng};

/// Alarms of a target tracking policy: this many points above the target for more instances, this many below nine tenths of
/// it for fewer.
const HIGH_POINTS: usize = 3;
const LOW_POINTS: usize = 15;
const LOW: f64 = 0.9;
const MINUTE: Duration = Duration::from_secs(60);
/// Default warm-up of an instance in service (DefaultCooldown); policies do not count instances that warm up.
const WARM_UP: Duration = Duration::from_secs(300);
const SECOND: Duration = Duration::from_secs(1);

/// Target tracking on the backlog per instance, BPI: visible messages over instances in service.
///
/// Source: the AWS blog "Scaling an ASG using target tracking with a dynamic SQS target" and its three functions. A metric
/// publisher puts BPI once a minute. A target setter, once a minute, sets the target to int(latency / the newest duration
/// that a worker put). The policy's alarms need 3 of 3 points of a minute above the target, or 15 of 15 below nine tenths
/// of it. The seed decides where in the minute each of the three runs.
///
/// A model. It leaves out the delay with which CloudWatch shows points, and AWS's tuning of alarms by a group's history.
#[derive(Clone, Debug)]
pub struct TrackedBacklog {
    name: &'static str,
    latency: Duration,
    policy: TargetTracking,
    processing: f64,
    moves: bool,
    course: Course,
    warming: Warming,
}

#[derive(Clone, Debug)]
enum Course {
    /// Once a minute each, as published.
    Minutes(Box<Minutes>),
    /// All at each second, as if none of it took any time.
    AtOnce,
}

#[derive(Clone, Debug)]
struct Minutes {
    publishes: Duration,
    sets: Duration,
    ends: Duration,
    points: Vec<f64>,
    high: Alarm,
    low: Alarm,
}

impl TrackedBacklog {
    /// As published, with points of a minute. `processing` is the time that a message was assumed to take before the first
    /// report.
    pub fn published(
        name: &'static str,
        seed: u64,
        latency: Duration,
        processing: f64,
        moves: bool,
    ) -> TrackedBacklog {
        let mut rng = Rng::named(seed, "minutes");
        let mut phase = || Duration::from_millis(1 + rng.below(MINUTE.as_millis() as u64 - 1));
        let target = target(latency, processing);
        let alarm = |comparison, threshold, points| {
            let mut alarm = Alarm::new(comparison, threshold, points, MINUTE);
            // Before the scene the queue was empty.
            for _ in 0..LOW_POINTS {
                alarm.put(Some(0.0));
            }
            alarm
        };
        let minutes = Minutes {
            publishes: phase(),
            sets: phase(),
            ends: phase(),
            points: Vec::new(),
            high: alarm(Comparison::GreaterThanThreshold, target, HIGH_POINTS),
            low: alarm(Comparison::LessThanThreshold, target * LOW, LOW_POINTS),
        };
        TrackedBacklog::new(
            name,
            latency,
            processing,
            moves,
            Course::Minutes(Box::new(minutes)),
        )
    }

    /// Only the law: BPI, target and policy at each second, without alarms. It never removes instances.
    pub fn at_once(name: &'static str, latency: Duration, processing: f64, moves: bool) -> TrackedBacklog {
        TrackedBacklog::new(name, latency, processing, moves, Course::AtOnce)
    }

    fn new(
        name: &'static str,
        latency: Duration,
        processing: f64,
        moves: bool,
        course: Course,
    ) -> TrackedBacklog {
        TrackedBacklog {
            name,
            latency,
            policy: TargetTracking {
                target: target(latency, processing),
                disable_scale_in: false,
            },
            processing,
            moves,
            course,
            warming: Warming::default(),
        }
    }
}

/// The group if nothing warms up.
fn at_once(seen: &BacklogSeen) -> Group {
    Group {
        minimum: seen.minimum,
        maximum: seen.maximum,
        desired: seen.desired,
        in_service: seen.ready,
        warming: seen.pending.len() as u32,
    }
}

/// Python's `int(latency / duration)`, or one if that is zero.
fn target(latency: Duration, processing: f64) -> f64 {
    (latency.as_secs_f64() / processing).floor().max(1.0)
}

/// Instances that came into service recently.
#[derive(Clone, Debug, Default)]
struct Warming {
    /// Instances in service at the last look; none before the first.
    ready: Option<u32>,
    came: Vec<(Duration, u32)>,
}

impl Warming {
    /// The group as a policy sees it.
    fn group(&mut self, now: Duration, seen: &BacklogSeen) -> Group {
        let before = self.ready.replace(seen.ready).unwrap_or(seen.ready);
        if seen.ready > before {
            self.came.push((now, seen.ready - before));
        }
        self.came.retain(|&(came, _)| now < came + WARM_UP);
        let fresh: u32 = self.came.iter().map(|&(_, count)| count).sum();
        let fresh = fresh.min(seen.ready);
        Group {
            minimum: seen.minimum,
            maximum: seen.maximum,
            desired: seen.desired,
            in_service: seen.ready - fresh,
            warming: seen.pending.len() as u32 + fresh,
        }
    }
}

/// Whether a minute has passed since the last time; if so the next one begins.
fn is_due(now: Duration, due: &mut Duration) -> bool {
    let is_due = now >= *due;
    if is_due {
        *due += MINUTE;
    }
    is_due
}

impl BacklogController for TrackedBacklog {
    fn name(&self) -> &'static str {
        self.name
    }

    fn decide(&mut self, now: Mono, seen: &BacklogSeen) -> u32 {
        let now = now.since(Mono::ZERO);
        let group = self.warming.group(now, seen);
        // The published function divides by the number of instances: without instances it puts nothing.
        let backlog = (seen.ready > 0).then(|| seen.visible as f64 / f64::from(seen.ready));
        let sets = match &mut self.course {
            Course::Minutes(minutes) => is_due(now, &mut minutes.sets),
            Course::AtOnce => true,
        };
        if let (true, true, Some(reported)) = (self.moves, sets, seen.reported) {
            self.processing = reported;
            self.policy.target = target(self.latency, reported);
        }
        let minutes = match &mut self.course {
            Course::Minutes(minutes) => minutes,
            Course::AtOnce => {
                return backlog.map_or(seen.desired, |backlog| {
                    self.policy.scale_out(&at_once(seen), backlog).desired
                });
            }
        };
        minutes.high.aim(self.policy.target);
        minutes.low.aim(self.policy.target * LOW);
        if is_due(now, &mut minutes.publishes) {
            minutes.points.extend(backlog);
        }
        if !is_due(now, &mut minutes.ends) {
            return seen.desired;
        }
        let points = core::mem::take(&mut minutes.points);
        let point = (!points.is_empty()).then(|| points.iter().sum::<f64>() / points.len() as f64);
        let (high, low) = (minutes.high.put(point), minutes.low.put(point));
        match point {
            Some(point) if high => self.policy.scale_out(&group, point).desired,
            Some(point) if low => self.policy.scale_in(&group, point).desired,
            _ => seen.desired,
        }
    }

    fn interval(&self) -> Duration {
        SECOND
    }

    fn wakes_on_change(&self) -> bool {
        false
    }

    fn shown(&self) -> Shown {
        Shown {
            processing: self.processing,
            target: self.policy.target,
        }
    }
}
