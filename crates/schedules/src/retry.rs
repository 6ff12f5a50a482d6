//! The step after a failed run: another attempt and when, or the dead-letter queue and why.

use core::fmt;
use core::time::Duration;
use forebay_units::{Rng, Wall};
use serde::{Deserialize, Serialize};

/// Maximum number of retries, and the default (API reference, `MaximumRetryAttempts`: 0 to 185).
const RETRIES_MAX: u32 = 185;
/// Minimum of a run's maximum age (API reference, `MaximumEventAgeInSeconds`: 60 to 86400).
const AGE_MIN_S: u32 = 60;
/// Maximum of a run's maximum age, and the default.
const AGE_MAX_S: u32 = 86_400;

/// The longest wait before the first retry; it doubles with each further one.
const BACKOFF_FIRST: Duration = Duration::from_secs(1);
/// The upper bound of the wait. AWS gives no figures; with this one, 185 retries take about the day that they have at
/// most.
const BACKOFF_MAX: Duration = Duration::from_secs(600);

/// Why a retry policy is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RetryError {
    /// The number of retries is out of range.
    #[error("MaximumRetryAttempts must be from 0 to {RETRIES_MAX}")]
    Attempts,
    /// The maximum age is out of range.
    #[error("MaximumEventAgeInSeconds must be from {AGE_MIN_S} to {AGE_MAX_S}")]
    Age,
}

/// How often and for how long a failed run is retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryPolicy {
    retries: u32,
    age_s: u32,
}

impl Default for RetryPolicy {
    fn default() -> RetryPolicy {
        RetryPolicy {
            retries: RETRIES_MAX,
            age_s: AGE_MAX_S,
        }
    }
}

/// Whether a failure is temporary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The same attempt may succeed later: throttled, no answer, a server error.
    Passing,
    /// It will fail again: no such target, no permission, invalid input.
    Lasting,
}

/// A failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Number of retries before it; zero for the first attempt.
    pub retries: u32,
    /// When the run began; its age counts from here.
    pub begun: Wall,
    /// Whether another attempt could succeed.
    pub kind: FailureKind,
}

/// Why there is no further attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exhausted {
    /// All retries were made.
    Attempts,
    /// The next one would exceed the run's maximum age.
    Age,
    /// None would succeed.
    Lasting,
}

impl Exhausted {
    /// The dead letter's attribute `EXHAUSTED_RETRY_CONDITION`, which is absent if the run was never retried.
    pub const fn condition(self) -> Option<&'static str> {
        match self {
            Exhausted::Attempts => Some("MaximumRetryAttempts"),
            Exhausted::Age => Some("MaximumEventAgeInSeconds"),
            Exhausted::Lasting => None,
        }
    }
}

impl fmt::Display for Exhausted {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Exhausted::Attempts => "it was tried again as often as it may be",
            Exhausted::Age => "the next attempt would come after the run's maximum age",
            Exhausted::Lasting => "the failure is not one that passes",
        })
    }
}

/// The step after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextStep {
    /// Another attempt.
    Retry {
        /// When it is made.
        at: Wall,
        /// Its number: one for the first retry.
        retry: u32,
    },
    /// The run has failed and goes to the dead-letter queue, if there is one.
    DeadLetter(Exhausted),
}

impl RetryPolicy {
    /// Validates a policy; missing values get their defaults.
    ///
    /// # Errors
    /// If a value is out of range.
    pub fn new(retries: Option<i64>, age_s: Option<i64>) -> Result<RetryPolicy, RetryError> {
        let usual = RetryPolicy::default();
        let within = |given: Option<i64>, usual: u32, least: u32, most: u32| match given {
            None => Some(usual),
            Some(given) => u32::try_from(given)
                .ok()
                .filter(|given| (least..=most).contains(given)),
        };
        Ok(RetryPolicy {
            retries: within(retries, usual.retries, 0, RETRIES_MAX).ok_or(RetryError::Attempts)?,
            age_s: within(age_s, usual.age_s, AGE_MIN_S, AGE_MAX_S).ok_or(RetryError::Age)?,
        })
    }

    /// The step after an attempt that failed just now. The wait is drawn from `rng`, between half of its bound and the
    /// whole.
    pub fn after_failure(&self, attempt: Attempt, now: Wall, rng: &mut Rng) -> NextStep {
        if attempt.kind == FailureKind::Lasting {
            return NextStep::DeadLetter(Exhausted::Lasting);
        }
        if attempt.retries >= self.retries {
            return NextStep::DeadLetter(Exhausted::Attempts);
        }
        let bound = BACKOFF_FIRST
            .saturating_mul(1 << attempt.retries.min(16))
            .min(BACKOFF_MAX);
        let half_ms = u64::try_from(bound.as_millis() / 2).unwrap_or(u64::MAX);
        let at = now + Duration::from_millis(half_ms + rng.below(half_ms + 1));
        if at > attempt.begun + Duration::from_secs(u64::from(self.age_s)) {
            return NextStep::DeadLetter(Exhausted::Age);
        }
        NextStep::Retry {
            at,
            retry: attempt.retries + 1,
        }
    }
}
