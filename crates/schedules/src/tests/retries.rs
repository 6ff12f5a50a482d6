//! Retry policies.

use super::*;
use crate::{Attempt, Exhausted, FailureKind, NextStep, RetryError, RetryPolicy};
use core::time::Duration;
use forebay_units::Rng;
use proptest::prelude::*;

fn attempt(retries: u32, kind: FailureKind) -> Attempt {
    Attempt {
        retries,
        begun: Wall(0),
        kind,
    }
}

#[test]
fn figures_have_the_ranges_of_the_api_reference() {
    assert_eq!(
        RetryPolicy::new(None, None),
        RetryPolicy::new(Some(185), Some(86_400))
    );
    assert!(RetryPolicy::new(Some(0), Some(60)).is_ok());
    for retries in [-1, 186, i64::MAX] {
        assert_eq!(RetryPolicy::new(Some(retries), None), Err(RetryError::Attempts));
    }
    for age in [-1, 0, 59, 86_401, i64::MAX] {
        assert_eq!(RetryPolicy::new(None, Some(age)), Err(RetryError::Age));
    }
}

#[test]
fn a_failure_that_lasts_is_not_tried_again() {
    let mut rng = Rng::named(1, "retries");
    let step = RetryPolicy::default().after_failure(attempt(0, FailureKind::Lasting), Wall(0), &mut rng);
    assert_eq!(step, NextStep::DeadLetter(Exhausted::Lasting));
}

#[test]
fn dead_letters_name_the_condition_that_aws_names() {
    let conditions = [Exhausted::Attempts, Exhausted::Age, Exhausted::Lasting].map(Exhausted::condition);
    let wanted = [
        Some("MaximumRetryAttempts"),
        Some("MaximumEventAgeInSeconds"),
        None,
    ];
    assert_eq!(conditions, wanted);
}

#[test]
fn no_retries_means_one_attempt() {
    let none = RetryPolicy::new(Some(0), None).unwrap();
    let step = none.after_failure(
        attempt(0, FailureKind::Passing),
        Wall(0),
        &mut Rng::named(1, "retries"),
    );
    assert_eq!(step, NextStep::DeadLetter(Exhausted::Attempts));
}

#[test]
fn the_retries_of_the_default_fill_most_of_a_day() {
    let mut rng = Rng::named(7, "retries");
    let (mut now, mut retries) = (Wall(0), 0);
    let why = loop {
        match RetryPolicy::default().after_failure(attempt(retries, FailureKind::Passing), now, &mut rng) {
            NextStep::Retry { at, retry } => (now, retries) = (at, retry),
            NextStep::DeadLetter(why) => break why,
        }
    };
    assert!(retries > 170, "{retries} retries, {why}");
    assert!(now > Wall::from_seconds(70_000) && now <= Wall::from_seconds(86_400));
}

proptest! {
    /// Retries come later, wait longer up to a bound, never outlive the run, and end with the right reason.
    #[test]
    fn retries_end_by_count_or_by_age(retries in 0_i64..=185, age in 60_i64..=86_400, seed: u64) {
        let policy = RetryPolicy::new(Some(retries), Some(age)).unwrap();
        let mut rng = Rng::named(seed, "retries");
        let (mut now, mut made) = (Wall(0), 0);
        loop {
            match policy.after_failure(attempt(made, FailureKind::Passing), now, &mut rng) {
                NextStep::Retry { at, retry } => {
                    let bound = Duration::from_secs((1 << made.min(16)).min(600));
                    let waited = at.since(now);
                    prop_assert!(waited >= bound / 2 && waited <= bound);
                    prop_assert!(at <= Wall::from_seconds(age));
                    prop_assert_eq!(retry, made + 1);
                    (now, made) = (at, retry);
                }
                NextStep::DeadLetter(Exhausted::Attempts) => {
                    prop_assert_eq!(i64::from(made), retries);
                    break;
                }
                NextStep::DeadLetter(why) => {
                    prop_assert_eq!(why, Exhausted::Age);
                    prop_assert!(i64::from(made) < retries);
                    break;
                }
            }
        }
    }
}
