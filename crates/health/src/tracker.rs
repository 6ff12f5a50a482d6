//! The health of one target over time.

use core::time::Duration;
use forebay_model::{HealthCheck, HealthReason, HealthState, TargetHealth};

/// How often a target is probed while it is out because a connection was refused: after a restart it should not be out
/// for a whole interval.
const REFUSED_INTERVAL: Duration = Duration::from_secs(1);

/// How often a target that has never passed is probed besides its regular checks, by how long it has been there.
/// Requests that wait for it wait no longer than that.
const FIRST_LOOKS: [(Duration, Duration); 3] = [
    (Duration::from_secs(10), Duration::from_millis(50)),
    (Duration::from_secs(60), Duration::from_millis(250)),
    (Duration::MAX, Duration::from_secs(1)),
];

/// The result of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeResult {
    /// It was answered with this status.
    Answered(u16),
    /// It was not answered within the timeout.
    TimedOut,
    /// The connection failed, or the answer was not HTTP.
    Failed,
}

/// Why a target's last probe or connection failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The probe was answered with this status.
    Answered(u16),
    /// The probe was not answered within the timeout.
    TimedOut,
    /// The connection failed, or the answer was not HTTP.
    Failed,
    /// A request's connection was refused.
    Refused,
}

/// The state of a tracker as plain values, from which another process continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrackerRecord {
    /// Whether it is healthy; `None` while that is not known.
    pub healthy: Option<bool>,
    /// Why it is not healthy.
    pub failure: Option<Failure>,
    /// Successes in a row.
    pub successes: u32,
    /// Failures in a row.
    pub failures: u32,
    /// Whether a probe has ever succeeded.
    pub has_passed: bool,
}

/// A target's health, from successes and failures in a row.
#[derive(Clone, Debug)]
pub struct Tracker {
    state: HealthState,
    reason: Option<HealthReason>,
    successes: u32,
    failures: u32,
    /// Whether a probe has ever succeeded.
    has_passed: bool,
}

impl Default for Tracker {
    fn default() -> Self {
        Tracker {
            state: HealthState::Initial,
            reason: Some(HealthReason::RegistrationInProgress),
            successes: 0,
            failures: 0,
            has_passed: false,
        }
    }
}

impl Tracker {
    /// The present health.
    pub fn health(&self) -> TargetHealth {
        TargetHealth {
            state: self.state,
            reason: self.reason.clone(),
        }
    }

    /// The state as plain values.
    pub fn record(&self) -> TrackerRecord {
        let failure = self.reason.as_ref().and_then(|reason| match reason {
            HealthReason::ResponseCodeMismatch(code) => Some(Failure::Answered(*code)),
            HealthReason::Timeout => Some(Failure::TimedOut),
            HealthReason::FailedHealthChecks => Some(Failure::Failed),
            HealthReason::ConnectionRefused => Some(Failure::Refused),
            _ => None,
        });
        TrackerRecord {
            healthy: match self.state {
                HealthState::Healthy => Some(true),
                HealthState::Unhealthy => Some(false),
                _ => None,
            },
            failure,
            successes: self.successes,
            failures: self.failures,
            has_passed: self.has_passed,
        }
    }

    /// Continues from another tracker's state.
    pub fn from_record(record: &TrackerRecord) -> Tracker {
        let failure = record.failure.map(|failure| match failure {
            Failure::Answered(code) => HealthReason::ResponseCodeMismatch(code),
            Failure::TimedOut => HealthReason::Timeout,
            Failure::Failed => HealthReason::FailedHealthChecks,
            Failure::Refused => HealthReason::ConnectionRefused,
        });
        let (state, reason) = match record.healthy {
            Some(true) => (HealthState::Healthy, None),
            Some(false) => (
                HealthState::Unhealthy,
                Some(failure.unwrap_or(HealthReason::FailedHealthChecks)),
            ),
            None => (HealthState::Initial, Some(HealthReason::InitialHealthChecking)),
        };
        Tracker {
            state,
            reason,
            successes: record.successes,
            failures: record.failures,
            has_passed: record.has_passed,
        }
    }

    /// Whether it is healthy.
    pub fn is_healthy(&self) -> bool {
        self.state == HealthState::Healthy
    }

    /// Whether a probe has ever succeeded.
    pub fn has_passed(&self) -> bool {
        self.has_passed
    }

    /// Records that a probe is on its way.
    pub fn probing(&mut self) {
        if self.state == HealthState::Initial {
            self.reason = Some(HealthReason::InitialHealthChecking);
        }
    }

    /// Records a probe's result; returns whether the state changed.
    ///
    /// A target that has never passed becomes healthy at its first success. So does one that is out because a
    /// connection was refused, since that was not a verdict of the health checks. Otherwise the thresholds decide.
    pub fn probed(&mut self, result: ProbeResult, check: &HealthCheck) -> bool {
        let before = self.state;
        let failure = match result {
            ProbeResult::Answered(code) if check.matcher.accepts(code) => None,
            ProbeResult::Answered(code) => Some(HealthReason::ResponseCodeMismatch(code)),
            ProbeResult::TimedOut => Some(HealthReason::Timeout),
            ProbeResult::Failed => Some(HealthReason::FailedHealthChecks),
        };
        match failure {
            None => {
                self.failures = 0;
                self.successes = self.successes.saturating_add(1);
                let at_once = !self.has_passed || self.is_refused();
                self.has_passed = true;
                if at_once || self.successes >= check.healthy_threshold {
                    (self.state, self.reason) = (HealthState::Healthy, None);
                }
            }
            Some(reason) => {
                self.successes = 0;
                self.failures = self.failures.saturating_add(1);
                let judged = self.state == HealthState::Unhealthy;
                if judged || self.failures >= check.unhealthy_threshold {
                    // A refused target whose probes fail too has been judged by health checks once the threshold is
                    // reached.
                    if !self.is_refused() || self.failures >= check.unhealthy_threshold {
                        self.reason = Some(reason);
                    }
                    self.state = HealthState::Unhealthy;
                }
            }
        }
        before != self.state
    }

    /// A request's connection was refused: the target is out at once. Returns whether the state changed.
    pub fn refused(&mut self) -> bool {
        if self.state == HealthState::Unhealthy {
            return false;
        }
        (self.state, self.reason) = (HealthState::Unhealthy, Some(HealthReason::ConnectionRefused));
        // From here on the thresholds count only probes made after the refusal.
        (self.successes, self.failures) = (0, 0);
        true
    }

    /// Whether it is out because a connection was refused.
    pub fn is_refused(&self) -> bool {
        self.reason == Some(HealthReason::ConnectionRefused)
    }

    /// How soon a target that has never passed should be probed again, `since` being how long it has been there; `None`
    /// once it has passed.
    pub fn first_look(&self, since: Duration, check: &HealthCheck) -> Option<Duration> {
        let looks = FIRST_LOOKS.into_iter().find(|(until, _)| since < *until);
        let (_, often) = looks.filter(|_| !self.has_passed)?;
        Some(often.min(check.interval))
    }

    /// Time from one probe's start to the next one's.
    pub fn interval(&self, check: &HealthCheck) -> Duration {
        if self.is_refused() {
            REFUSED_INTERVAL.min(check.interval)
        } else {
            check.interval
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use forebay_model::fixtures;
    use proptest::prelude::*;

    fn check() -> HealthCheck {
        HealthCheck {
            healthy_threshold: 3,
            ..fixtures::health_check()
        }
    }

    #[test]
    fn goes_on_from_a_record_as_if_nothing_had_been_between() {
        use ProbeResult::{Answered, Failed, TimedOut};
        let probes = [Answered(200), Answered(500), TimedOut, Failed, Answered(204)];
        let probe = (0..probes.len() + 1).prop_map(move |at| probes.get(at).copied());
        let courses = proptest::collection::vec(probe, 0..12);
        proptest!(|(before in courses.clone(), after in courses)| {
            let mut tracker = Tracker::default();
            tracker.probing();
            let take = |tracker: &mut Tracker, probe: Option<ProbeResult>| match probe {
                Some(result) => tracker.probed(result, &check()),
                None => tracker.refused(),
            };
            for probe in before {
                take(&mut tracker, probe);
            }
            let mut other = Tracker::from_record(&tracker.record());
            prop_assert_eq!(tracker.health(), other.health());
            for probe in after {
                prop_assert_eq!(take(&mut tracker, probe), take(&mut other, probe));
                prop_assert_eq!(tracker.health(), other.health());
            }
        });
    }

    #[test]
    fn first_success_makes_a_new_target_healthy() {
        let mut tracker = Tracker::default();
        assert_eq!(
            tracker.health().reason,
            Some(HealthReason::RegistrationInProgress)
        );
        tracker.probing();
        assert_eq!(tracker.health().reason, Some(HealthReason::InitialHealthChecking));
        assert!(tracker.probed(ProbeResult::Answered(200), &check()));
        assert_eq!(
            tracker.health(),
            TargetHealth {
                state: HealthState::Healthy,
                reason: None
            }
        );
    }

    #[test]
    fn thresholds_govern_afterwards() {
        let mut tracker = Tracker::default();
        tracker.probed(ProbeResult::Answered(200), &check());
        assert!(!tracker.probed(ProbeResult::Answered(500), &check()));
        assert!(tracker.probed(ProbeResult::TimedOut, &check()));
        assert_eq!(tracker.health().reason, Some(HealthReason::Timeout));
        tracker.probed(ProbeResult::Answered(200), &check());
        tracker.probed(ProbeResult::Answered(404), &check());
        assert_eq!(
            tracker.health().reason,
            Some(HealthReason::ResponseCodeMismatch(404))
        );
        for healthy in [false, false, true] {
            assert_eq!(tracker.probed(ProbeResult::Answered(200), &check()), healthy);
        }
    }

    #[test]
    fn refused_is_out_at_once_and_back_with_one_success() {
        let mut tracker = Tracker::default();
        tracker.probed(ProbeResult::Answered(200), &check());
        assert!(tracker.refused());
        assert!(!tracker.refused());
        assert_eq!(tracker.interval(&check()), REFUSED_INTERVAL);
        assert!(!tracker.probed(ProbeResult::Failed, &check()));
        assert!(tracker.is_refused());
        assert!(tracker.probed(ProbeResult::Answered(200), &check()));
        assert!(tracker.is_healthy());
        tracker.refused();
        tracker.probed(ProbeResult::Failed, &check());
        tracker.probed(ProbeResult::Failed, &check());
        assert!(!tracker.is_refused());
        assert_eq!(tracker.interval(&check()), Duration::from_secs(30));
    }

    proptest! {
        #[test]
        fn a_healthy_target_falls_only_by_enough_failures_in_a_row(results in proptest::collection::vec(any::<bool>(), 0..40)) {
            let mut tracker = Tracker::default();
            tracker.probed(ProbeResult::Answered(200), &check());
            let mut row = 0;
            for good in results {
                let was = tracker.is_healthy();
                row = if good { 0 } else { row + 1 };
                tracker.probed(if good { ProbeResult::Answered(200) } else { ProbeResult::Failed }, &check());
                if was && !tracker.is_healthy() {
                    prop_assert!(row >= 2);
                }
            }
        }
    }
}
