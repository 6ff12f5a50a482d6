//! A model of EC2 Auto Scaling's target tracking.

use super::alarm::Alarm;
use super::target::TARGET;
use crate::fleet::{Controller, FleetSeen};
use core::time::Duration;
use forebay_scaling::{Group, TargetTracking};
use forebay_signals::alarm::Comparison;
use forebay_units::Mono;

/// Consecutive points above the target that add instances.
const HIGH_POINTS: usize = 3;
/// Consecutive points below the low threshold that remove instances.
const LOW_POINTS: usize = 15;
/// The low threshold as a share of the target.
const LOW: f64 = 0.9;
/// Interval at which in-flight requests are sampled.
const SAMPLE: Duration = Duration::from_secs(1);

/// A target tracking policy on the share of busy slots.
///
/// Source: EC2 Auto Scaling user guide, "Target tracking scaling policies", and the alarms that it creates, as observed on
/// AWS: 3 of 3 points above the target, 15 of 15 below nine tenths of it, each of a period of 60 s, or of 10 s as `Period`
/// allows. While an alarm is in ALARM it acts at each period.
///
/// A model. It leaves out the delay with which CloudWatch shows points, AWS's tuning of alarms by a group's history, and
/// the smaller steps in which AWS is observed to scale in. The warm-up of instances is their start-up time.
#[derive(Clone, Debug)]
pub struct AwsTargetTracking {
    name: &'static str,
    period: Duration,
    policy: TargetTracking,
    high: Alarm,
    low: Alarm,
    meter: Meter,
    ends: Option<Mono>,
}

impl AwsTargetTracking {
    /// With points of one minute.
    pub fn every_minute() -> AwsTargetTracking {
        AwsTargetTracking::new("aws-tracking-60s", Duration::from_secs(60))
    }

    /// With points of ten seconds.
    pub fn every_ten_seconds() -> AwsTargetTracking {
        AwsTargetTracking::new("aws-tracking-10s", Duration::from_secs(10))
    }

    fn new(name: &'static str, period: Duration) -> AwsTargetTracking {
        let alarm = |comparison, threshold, points| Alarm::new(comparison, threshold, points, period);
        AwsTargetTracking {
            name,
            period,
            policy: TargetTracking {
                target: TARGET,
                disable_scale_in: false,
            },
            high: alarm(Comparison::GreaterThanThreshold, TARGET, HIGH_POINTS),
            low: alarm(Comparison::LessThanThreshold, TARGET * LOW, LOW_POINTS),
            meter: Meter::default(),
            ends: None,
        }
    }
}

impl Controller for AwsTargetTracking {
    fn name(&self) -> &'static str {
        self.name
    }

    fn interval(&self) -> Duration {
        SAMPLE
    }

    fn decide(&mut self, now: Mono, seen: &FleetSeen) -> u32 {
        self.meter.sample(seen);
        let ends = *self.ends.get_or_insert(now + self.period);
        if now < ends {
            return seen.desired;
        }
        self.ends = Some(ends + self.period);
        let point = self.meter.take();
        let (high, low) = (self.high.put(point), self.low.put(point));
        let group = group(seen);
        match point {
            Some(point) if high => self.policy.scale_out(&group, point).desired,
            Some(point) if low => self.policy.scale_in(&group, point).desired,
            _ => seen.desired,
        }
    }
}

/// The group as a policy sees it.
pub(super) fn group(seen: &FleetSeen) -> Group {
    Group {
        minimum: seen.minimum,
        maximum: seen.maximum,
        desired: seen.desired,
        in_service: seen.ready,
        warming: seen.pending.len() as u32,
    }
}

/// Measures the share of busy slots over a period.
#[derive(Clone, Debug, Default)]
pub(super) struct Meter {
    last: f64,
    busy: f64,
    slots: f64,
}

impl Meter {
    /// Samples the last second.
    pub(super) fn sample(&mut self, seen: &FleetSeen) {
        self.busy += seen.in_flight_seconds - self.last;
        self.last = seen.in_flight_seconds;
        self.slots += f64::from(seen.ready * seen.slots) * SAMPLE.as_secs_f64();
    }

    /// Ends the period and returns its point, if there were slots.
    pub(super) fn take(&mut self) -> Option<f64> {
        let point = (self.slots > 0.0).then(|| self.busy / self.slots);
        (self.busy, self.slots) = (0.0, 0.0);
        point
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::seen;
    use super::*;

    /// The seconds at whose end the desired number changes, with that number, while this share of four instances' slots is
    /// busy.
    fn changes(mut controller: AwsTargetTracking, share: f64, seconds: u64) -> Vec<(u64, u32)> {
        let mut changes = Vec::new();
        let mut sum = 0.0;
        for second in 0..=seconds {
            let look = FleetSeen {
                in_flight_seconds: sum,
                ..seen(4, 0)
            };
            let desired = controller.decide(Mono::from_millis(second * 1000), &look);
            if desired != 4 {
                changes.push((second, desired));
            }
            sum += share * 40.0;
        }
        changes
    }

    #[test]
    fn three_points_above_the_target_and_then_each_point() {
        let minute = changes(AwsTargetTracking::every_minute(), 1.0, 250);
        assert_eq!(minute, [(180, 6), (240, 6)]);
        assert_eq!(
            changes(AwsTargetTracking::every_ten_seconds(), 1.0, 35),
            [(30, 6)]
        );
        assert_eq!(changes(AwsTargetTracking::every_ten_seconds(), 0.65, 400), []);
    }

    #[test]
    fn fifteen_points_below_the_low_threshold() {
        let found = changes(AwsTargetTracking::every_ten_seconds(), 0.3, 155);
        assert_eq!(found, [(150, 2)]);
    }
}
