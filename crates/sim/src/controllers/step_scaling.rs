//! A model of EC2 Auto Scaling's step scaling, on refused requests.

use super::alarm::Alarm;
use super::target::TARGET;
use super::target_tracking::{Meter, group};
use crate::fleet::{Controller, FleetSeen};
use core::time::Duration;
use forebay_scaling::{Adjustment, AdjustmentType, Step, Steps};
use forebay_signals::alarm::Comparison;
use forebay_units::Mono;

/// The period over which refusals are counted.
const PERIOD: Duration = Duration::from_secs(10);
/// From this many refusals in a period on, this many per cent are added.
const OUT: [(f64, i32); 3] = [(0.0, 20), (20.0, 50), (100.0, 100)];
/// Per cent that are removed at a time.
const IN: i32 = -10;
/// Evaluations per point of the share of busy slots, and the number of consecutive points below the threshold that remove
/// instances.
const LOW_PERIOD: u32 = 6;
const LOW_POINTS: usize = 15;
/// That threshold as a share of the usual target.
const LOW: f64 = 0.9;
const SAMPLE: Duration = Duration::from_secs(1);

/// Step policies: out when requests are refused, in when slots are idle for a quarter of an hour.
///
/// Source: EC2 Auto Scaling user guide, "Step and simple scaling policies", on a metric like
/// TargetControlRequestRejectCount or a count of 503 (`forebay experiment reject-alarm` is the published form). One period
/// of 10 s with a refusal raises the alarm.
///
/// A model. It leaves out the delay with which CloudWatch shows points; the warm-up of instances is their start-up time.
#[derive(Clone, Debug)]
pub struct StepScaling {
    steps: Steps,
    refused: u64,
    low: Alarm,
    meter: Meter,
    periods: u32,
    ends: Option<Mono>,
}

impl Default for StepScaling {
    fn default() -> StepScaling {
        let upper = OUT.iter().skip(1).map(|step| Some(step.0)).chain([None]);
        let steps = OUT.iter().zip(upper).map(|(&(lower, by), upper)| Step {
            lower: Some(lower),
            upper,
            by,
        });
        let low_period = PERIOD * LOW_PERIOD;
        StepScaling {
            steps: Steps::new(steps.collect()).expect("steps meet"),
            refused: 0,
            low: Alarm::new(
                Comparison::LessThanThreshold,
                TARGET * LOW,
                LOW_POINTS,
                low_period,
            ),
            meter: Meter::default(),
            periods: 0,
            ends: None,
        }
    }
}

const BY_PERCENT: Adjustment = Adjustment {
    kind: AdjustmentType::PercentChangeInCapacity,
    minimum_magnitude: Some(1),
};

impl Controller for StepScaling {
    fn name(&self) -> &'static str {
        "aws-steps-refused"
    }

    fn interval(&self) -> Duration {
        SAMPLE
    }

    fn decide(&mut self, now: Mono, seen: &FleetSeen) -> u32 {
        self.meter.sample(seen);
        let ends = *self.ends.get_or_insert(now + PERIOD);
        if now < ends {
            return seen.desired;
        }
        self.ends = Some(ends + PERIOD);
        let refused = seen.refused - self.refused;
        self.refused = seen.refused;
        self.periods += 1;
        let is_low = self.periods.is_multiple_of(LOW_PERIOD) && {
            let point = self.meter.take();
            self.low.put(point)
        };
        let group = group(seen);
        if refused > 0 {
            self.steps.propose(&group, BY_PERCENT, refused as f64).desired
        } else if is_low && group.warming == 0 {
            BY_PERCENT.of(seen.desired, IN)
        } else {
            seen.desired
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::seen;
    use super::*;

    #[test]
    fn more_refusals_add_more_and_idle_slots_go_after_a_quarter_of_an_hour() {
        for (refused, expected) in [(0, 10), (1, 12), (50, 15), (500, 20)] {
            let mut controller = StepScaling::default();
            controller.decide(Mono::ZERO, &seen(10, 0));
            let look = FleetSeen {
                refused,
                ..seen(10, 0)
            };
            assert_eq!(
                controller.decide(Mono::from_millis(10_000), &look),
                expected,
                "{refused}"
            );
        }
        let mut controller = StepScaling::default();
        let decided =
            (0..=905).map(|second| controller.decide(Mono::from_millis(second * 1000), &seen(10, 0)));
        let first = decided
            .collect::<Vec<u32>>()
            .iter()
            .position(|&desired| desired < 10);
        assert_eq!(first, Some(900));
    }
}
