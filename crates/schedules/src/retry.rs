//! What happens after a run failed: another attempt, and when, or the dead-letter queue, and why.

use core::fmt;
use core::time::Duration;
use forebay_units::{Rng, Wall};
use serde::{Deserialize, Serialize};

/// The most retries, which is the default too (API reference: `MaximumRetryAttempts`, 0 to 185).
const RETRIES_MAX: u32 = 185;
/// The shortest life of a run (API reference: `MaximumEventAgeInSeconds`, 60 to 86400).
const AGE_MIN_S: u32 = 60;
/// The longest life of a run, which is the default too.
const AGE_MAX_S: u32 = 86_400;

/// Before the first retry at most this is waited; before each further one twice as long.
const BACKOFF_FIRST: Duration = Duration::from_secs(1);
/// And never longer than this. AWS gives no figures; with this one, 185 retries take about the day that they have at most.
const BACKOFF_MAX: Duration = Duration::from_secs(600);

/// Why a retry policy is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RetryError {
    /// Too many retries, or fewer than none.
    #[error("MaximumRetryAttempts is from 0 to {RETRIES_MAX}")]
    Attempts,
    /// Too long or too short a life.
    #[error("MaximumEventAgeInSeconds is from {AGE_MIN_S} to {AGE_MAX_S}")]
    Age,
}

/// How often, and for how long, a failed run is tried again.
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

/// Whether a failure may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The same attempt may succeed later: too many requests, no answer, an error of the server.
    Passing,
    /// It will fail again: no such target, no right, a wrong input.
    Lasting,
}

/// An attempt that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Retries before it; zero for the first attempt.
    pub retries: u32,
    /// When the run began: its age counts from here.
    pub begun: Wall,
    /// Whether another attempt makes sense.
    pub kind: FailureKind,
}

/// Why there is no further attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exhausted {
    /// All retries were made.
    Attempts,
    /// The next one would come after the end of the run's life.
    Age,
    /// None would help.
    Lasting,
}

impl Exhausted {
    /// The dead letter's attribute `EXHAUSTED_RETRY_CONDITION`, which one that was never tried again does not have.
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

/// What comes after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextStep {
    /// Another attempt, then.
    Retry {
        /// When.
        at: Wall,
        /// Its number: one for the first retry.
        retry: u32,
    },
    /// The run has failed: it goes to the dead-letter queue, if there is one.
    DeadLetter(Exhausted),
}

impl RetryPolicy {
    /// Reads a policy; what is not given has its default.
    ///
    /// # Errors
    /// If a figure is out of its range.
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

    /// What comes after an attempt that failed just now. The wait is between half of its bound and the whole, drawn from `rng`.
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
