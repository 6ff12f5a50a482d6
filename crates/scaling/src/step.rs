//! Step scaling: the size of the change depends on how far a metric is beyond its alarm's threshold.

use crate::adjustment::Adjustment;
use crate::group::{Group, Proposal, Why};
use core::cmp::Ordering;

/// Maximum number of steps of a policy (AWS's quota).
const LIMIT: usize = 20;

/// One step. Bounds are relative to the threshold; a missing one is infinite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The lower bound.
    pub lower: Option<f64>,
    /// The upper bound.
    pub upper: Option<f64>,
    /// The adjustment.
    pub by: i32,
}

impl Step {
    fn from(&self) -> f64 {
        self.lower.unwrap_or(f64::NEG_INFINITY)
    }

    fn to(&self) -> f64 {
        self.upper.unwrap_or(f64::INFINITY)
    }

    /// At or above the threshold a step includes its lower bound, below the threshold its upper one.
    fn covers(&self, beyond: f64) -> bool {
        if beyond >= 0.0 {
            self.from() <= beyond && self.upper.is_none_or(|upper| beyond < upper)
        } else {
            self.lower.is_none_or(|lower| lower < beyond) && beyond <= self.to()
        }
    }
}

/// Why a list of steps is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// There are none.
    #[error("a step scaling policy needs at least one step adjustment")]
    None,
    /// There are more than a policy may have.
    #[error("a policy can have {LIMIT} step adjustments at most")]
    TooMany,
    /// A step has no bound although there are others, or its bounds are the wrong way round.
    #[error(
        "a step adjustment needs a lower or an upper bound, and the lower one must be below the upper one"
    )]
    Bounds,
    /// Two steps overlap, or there is a gap between two.
    #[error("step adjustment intervals must neither overlap nor have a gap between them")]
    Intervals,
    /// Steps begin below the threshold, and none is open downwards.
    #[error("if one step adjustment has a negative lower bound, one must have no lower bound")]
    NoLowest,
    /// Steps end above the threshold, and none is open upwards.
    #[error("if one step adjustment has a positive upper bound, one must have no upper bound")]
    NoHighest,
}

/// The steps of a policy, ascending.
#[derive(Clone, Debug, PartialEq)]
pub struct Steps(Vec<Step>);

impl Steps {
    /// Validates steps as AWS does.
    ///
    /// # Errors
    /// If steps overlap, leave gaps, or are not open at the ends.
    pub fn new(mut steps: Vec<Step>) -> Result<Steps, StepError> {
        match steps.len() {
            0 => return Err(StepError::None),
            1..=LIMIT => {}
            _ => return Err(StepError::TooMany),
        }
        let is_wrong = |step: &Step| {
            (step.lower.is_none() && step.upper.is_none())
                || step.from().partial_cmp(&step.to()) != Some(Ordering::Less)
        };
        if steps.iter().any(is_wrong) {
            return Err(StepError::Bounds);
        }
        steps.sort_by(|one, other| one.from().total_cmp(&other.from()));
        // A gap at the threshold itself is a gap between scaling in and scaling out.
        let meets = |pair: &[Step]| pair[0].to() == pair[1].from();
        if !steps.windows(2).all(meets) {
            return Err(StepError::Intervals);
        }
        if steps[0].lower.is_some_and(|lower| lower < 0.0) {
            return Err(StepError::NoLowest);
        }
        if steps[steps.len() - 1].upper.is_some_and(|upper| upper > 0.0) {
            return Err(StepError::NoHighest);
        }
        Ok(Steps(steps))
    }

    /// The proposal for a metric `beyond` its threshold (negative if below it). Warming capacity counts, so the same
    /// breach adds nothing twice.
    pub fn propose(&self, group: &Group, adjustment: Adjustment, beyond: f64) -> Proposal {
        let stays = |why| Proposal {
            desired: group.desired,
            why,
        };
        if beyond.is_nan() {
            return stays(Why::NoMetric);
        }
        let Some(step) = self.0.iter().find(|step| step.covers(beyond)) else {
            return stays(Why::NoStep);
        };
        // Computed from the capacity that has warmed up: what is ordered already is part of the result.
        let settled = group.desired.saturating_sub(group.warming);
        let wanted = adjustment.of(settled, step.by);
        match wanted.cmp(&settled) {
            Ordering::Greater if wanted <= group.desired => stays(Why::Enough),
            Ordering::Equal => stays(Why::Enough),
            Ordering::Less if group.warming > 0 => stays(Why::Warming),
            _ => group.propose(wanted, Why::Adjusted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adjustment::AdjustmentType::{ChangeInCapacity, PercentChangeInCapacity};

    fn step(lower: Option<f64>, upper: Option<f64>, by: i32) -> Step {
        Step { lower, upper, by }
    }

    fn group(desired: u32, warming: u32) -> Group {
        Group {
            minimum: 0,
            maximum: 100,
            desired,
            in_service: desired - warming,
            warming,
        }
    }

    const BY_PERCENT: Adjustment = Adjustment {
        kind: PercentChangeInCapacity,
        minimum_magnitude: None,
    };

    /// The documentation's example around a threshold of 50, with ten instances.
    #[test]
    fn bounds_belong_to_the_step_that_aws_says() {
        let out = Steps::new(vec![
            step(Some(0.0), Some(10.0), 0),
            step(Some(10.0), Some(20.0), 10),
            step(Some(20.0), None, 30),
        ]);
        let steps_in = Steps::new(vec![
            step(Some(-10.0), Some(0.0), 0),
            step(Some(-20.0), Some(-10.0), -10),
            step(None, Some(-20.0), -30),
        ]);
        let (out, steps_in) = (out.unwrap(), steps_in.unwrap());
        for (steps, metric, wanted) in [
            (&out, 50.0, 10),
            (&out, 59.9, 10),
            (&out, 60.0, 11),
            (&out, 69.9, 11),
            (&out, 70.0, 13),
            (&out, 1e9, 13),
            (&out, f64::INFINITY, 13),
            (&steps_in, 40.1, 10),
            (&steps_in, 40.0, 9),
            (&steps_in, 30.1, 9),
            (&steps_in, 30.0, 7),
            (&steps_in, 0.0, 7),
        ] {
            let proposal = steps.propose(&group(10, 0), BY_PERCENT, metric - 50.0);
            assert_eq!(proposal.desired, wanted, "{metric}");
        }
        assert_eq!(out.propose(&group(10, 0), BY_PERCENT, -1.0).why, Why::NoStep);
        assert_eq!(
            out.propose(&group(10, 0), BY_PERCENT, f64::NAN).why,
            Why::NoMetric
        );
    }

    #[test]
    fn what_warms_up_counts_and_holds_up_scaling_in() {
        let out = Steps::new(vec![step(Some(0.0), Some(10.0), 1), step(Some(10.0), None, 4)]).unwrap();
        let adjustment = Adjustment {
            kind: ChangeInCapacity,
            minimum_magnitude: None,
        };
        let propose = |desired, warming, beyond| out.propose(&group(desired, warming), adjustment, beyond);
        assert_eq!(propose(10, 0, 0.0).desired, 11);
        // The ordered instance warms up: the same breach asks for nothing more, a worse one for the rest of its step.
        assert_eq!(
            (propose(11, 1, 5.0).desired, propose(11, 1, 5.0).why),
            (11, Why::Enough)
        );
        assert_eq!(propose(11, 1, 10.0).desired, 14);
        let away = Steps::new(vec![step(None, Some(0.0), -2)]).unwrap();
        assert_eq!(away.propose(&group(10, 0), adjustment, -1.0).desired, 8);
        assert_eq!(away.propose(&group(10, 3), adjustment, -1.0).why, Why::Warming);
    }

    #[test]
    fn steps_that_are_no_policy() {
        for (steps, error) in [
            (vec![], StepError::None),
            (vec![step(Some(0.0), None, 1); 21], StepError::TooMany),
            (vec![step(None, None, 1)], StepError::Bounds),
            (vec![step(Some(5.0), Some(5.0), 1)], StepError::Bounds),
            (vec![step(Some(5.0), Some(f64::NAN), 1)], StepError::Bounds),
            (
                vec![step(Some(0.0), Some(5.0), 1), step(Some(6.0), None, 2)],
                StepError::Intervals,
            ),
            (
                vec![step(Some(0.0), Some(7.0), 1), step(Some(6.0), None, 2)],
                StepError::Intervals,
            ),
            (
                vec![step(Some(0.0), None, 1), step(Some(5.0), None, 2)],
                StepError::Intervals,
            ),
            (
                vec![step(None, Some(0.0), 1), step(None, Some(5.0), 2)],
                StepError::Intervals,
            ),
            (vec![step(Some(-5.0), Some(0.0), -1)], StepError::NoLowest),
            (vec![step(Some(0.0), Some(5.0), 1)], StepError::NoHighest),
        ] {
            assert_eq!(Steps::new(steps.clone()), Err(error), "{steps:?}");
        }
    }
}
