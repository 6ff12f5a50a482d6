//! Tags by which an Auto Scaling group has its capacity planned from what comes to its target groups.

use crate::own_tags::switch::switch;
use core::time::Duration;
use forebay_scaling::planner::Settings;
use std::borrow::Cow;

/// `on`: capacity is ordered and taken away. `dry-run`: it is only said what would be.
const PLANNER: &str = "forebay:planner";
/// Requests that an instance may have in flight, where no agent and no `forebay:concurrency` says it.
const IN_FLIGHT: &str = "forebay:planner-in-flight";
/// Standard deviations of chance that are held ready.
const HEADROOM: &str = "forebay:planner-headroom";
/// Capacity beyond what is needed.
const SPARE: &str = "forebay:planner-spare";
/// Slots a second by which the load may grow without anyone waiting.
const GROWTH: &str = "forebay:planner-growth";
/// Seconds of a start-up, before one was measured.
const START_UP: &str = "forebay:planner-start-up-seconds";
/// Seconds without a request before the last instance goes.
const IDLE: &str = "forebay:planner-idle-seconds";
/// What the group's instances may cost in an hour.
const COST: &str = "forebay:planner-max-hourly-cost";

/// The tags of an Auto Scaling group.
pub(crate) const NAMES: &[&str] = &[PLANNER, IN_FLIGHT, HEADROOM, SPARE, GROWTH, START_UP, IDLE, COST];

/// What a group's tags say of its planner.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PlannerTags {
    /// It only says what it would do.
    pub is_dry_run: bool,
    /// How it plans.
    pub settings: Settings,
    /// Whether a start-up's time is given for when none was measured.
    pub has_start_up: bool,
    /// Requests that an instance may have in flight; what is measured counts if it is not given.
    pub in_flight: Option<f64>,
    /// What the group's instances may cost in an hour.
    pub max_hourly_cost: Option<f64>,
}

fn number(value: &str, least: f64, most: f64) -> Option<f64> {
    let number: f64 = value.parse().ok()?;
    (least..=most).contains(&number).then_some(number)
}

/// On, and whether it is a dry run; none if it is off.
fn mode(value: &str) -> Option<Option<bool>> {
    match value {
        "dry-run" => Some(Some(true)),
        value => switch(value).map(|is_on| is_on.then_some(false)),
    }
}

fn whole(value: &str, most: u32) -> Option<u32> {
    value.parse().ok().filter(|number| *number <= most)
}

/// What the value of a tag of ours must be, if it is not.
pub(crate) fn wanted(key: &str, value: &str) -> Option<Cow<'static, str>> {
    let (good, wanted) = match key {
        PLANNER => (mode(value).is_some(), "'on', 'off' or 'dry-run'"),
        IN_FLIGHT => (
            number(value, 0.01, 1e6).is_some(),
            "a number from 0.01 to 1000000",
        ),
        HEADROOM => (number(value, 0.0, 10.0).is_some(), "a number from 0 to 10"),
        SPARE => (whole(value, 1000).is_some(), "a whole number from 0 to 1000"),
        GROWTH => (
            number(value, 0.0, 1e6).is_some(),
            "slots a second, a number from 0 to 1000000",
        ),
        START_UP => (
            number(value, 0.0, 86_400.0).is_some(),
            "a number of seconds from 0 to 86400",
        ),
        IDLE => (
            number(value, 0.0, 604_800.0).is_some(),
            "a number of seconds from 0 to 604800",
        ),
        COST => (number(value, 0.0, 1e9).is_some(), "a number from 0 to 1000000000"),
        _ => (true, ""),
    };
    (!good).then_some(wanted.into())
}

/// How a group with these tags is planned; none if it is not. A value that is none says nothing.
pub(crate) fn planner_of<'t>(tag: impl Fn(&str) -> Option<&'t str>) -> Option<PlannerTags> {
    let is_dry_run = tag(PLANNER).and_then(mode).flatten()?;
    let figure = |key: &str, least, most| tag(key).and_then(|value| number(value, least, most));
    let usual = Settings::default();
    let start_up = figure(START_UP, 0.0, 86_400.0).map(Duration::from_secs_f64);
    Some(PlannerTags {
        is_dry_run,
        settings: Settings {
            headroom: figure(HEADROOM, 0.0, 10.0),
            spare: tag(SPARE)
                .and_then(|value| whole(value, 1000))
                .unwrap_or(usual.spare),
            growth: figure(GROWTH, 0.0, 1e6).unwrap_or(usual.growth),
            start_up: start_up.unwrap_or(usual.start_up),
            idle: figure(IDLE, 0.0, 604_800.0).map_or(usual.idle, Duration::from_secs_f64),
        },
        has_start_up: start_up.is_some(),
        in_flight: figure(IN_FLIGHT, 0.01, 1e6),
        max_hourly_cost: figure(COST, 0.0, 1e9),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_and_what_says_nothing_is_told() {
        let tags = [("forebay:planner", "on"), ("forebay:planner-idle-seconds", "5")];
        let tag = |key: &str| tags.iter().find(|known| known.0 == key).map(|known| known.1);
        let found = planner_of(tag).unwrap();
        assert_eq!(
            (found.is_dry_run, found.settings.idle),
            (false, Duration::from_secs(5))
        );
        assert_eq!(planner_of(|_| None), None);
        assert_eq!(planner_of(|key| (key == PLANNER).then_some("off")), None);
        for (key, value) in [
            (PLANNER, "yes"),
            (IN_FLIGHT, "0"),
            (HEADROOM, "-1"),
            (SPARE, "0.5"),
            (GROWTH, "fast"),
            (START_UP, "NaN"),
            (IDLE, "604801"),
            (COST, ""),
        ] {
            assert!(wanted(key, value).is_some(), "{key} {value}");
        }
        assert_eq!(wanted(PLANNER, "dry-run"), None);
    }
}
