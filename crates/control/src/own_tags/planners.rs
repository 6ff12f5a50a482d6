//! Tags that plan an Auto Scaling group's capacity from the requests of its target groups.

use crate::settings::holder::Holder;
use crate::settings::setting::{Setting, apply_all, put};
use crate::settings::values::Values::{Number, OneOf, Whole};
use forebay_scaling::planner::Settings;

/// The resources that have these tags.
pub(super) const SCALING: &[Holder] = &[Holder::ScalingGroup];
/// Whether a group is sized (`on`), not (`off`), or its plans are only shown (`dry-run`).
pub(super) const MODES: &[&str] = &["on", "off", "dry-run"];
/// The longest start-up time that can be set, in seconds: a day.
pub(super) const LONGEST_START_UP: f64 = 86_400.0;
/// The longest idle time that can be set, in seconds: a week.
pub(super) const LONGEST_IDLE: f64 = 604_800.0;
/// The highest cost limit that can be set.
pub(super) const HIGHEST_COST: f64 = 1e9;

/// What a group's tags say about its planner.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct PlannerTags {
    /// Whether the group is planned at all.
    is_on: bool,
    /// Whether plans are shown but not carried out.
    pub is_dry_run: bool,
    /// How the planner works.
    pub settings: Settings,
    /// Whether a tag sets the start-up time to use while none has been measured.
    pub has_start_up: bool,
    /// How many requests an instance may have in flight. If it is not set, the measured value applies.
    pub in_flight: Option<f64>,
    /// What the group's instances may cost per hour.
    pub max_hourly_cost: Option<f64>,
}

/// The tags of an Auto Scaling group.
pub(crate) const TAGS: &[Setting<PlannerTags>] = &[
    Setting::new(
        "forebay:planner",
        SCALING,
        (OneOf(MODES), "off"),
        "`on`: the group gets the capacity that is planned; `dry-run`: plans are shown and not carried out",
        |planner, value| {
            let mode = value.text()?;
            planner.is_on = mode != "off";
            planner.is_dry_run = mode == "dry-run";
            Some(())
        },
    ),
    Setting::new(
        "forebay:planner-in-flight",
        SCALING,
        (
            Number("", 0.01, 1e6),
            "what agents or `forebay:concurrency` say, or what is measured",
        ),
        "how many requests an instance should have in flight",
        |planner, value| put(&mut planner.in_flight, value.number().map(Some)),
    ),
    Setting::new(
        "forebay:planner-headroom",
        SCALING,
        (
            Number("", 0.0, 10.0),
            "1 where requests may wait, 2 where they may not",
        ),
        "how many standard deviations of the load are kept as headroom beyond its mean",
        |planner, value| put(&mut planner.settings.headroom, value.number().map(Some)),
    ),
    Setting::new(
        "forebay:planner-spare",
        SCALING,
        (Whole("", 0, 1000), "0"),
        "spare instances beyond what is needed, in case one fails",
        |planner, value| put(&mut planner.settings.spare, value.whole()),
    ),
    Setting::new(
        "forebay:planner-growth",
        SCALING,
        (Number("slots per second", 0.0, 1e6), "0"),
        "slots per second by which the load may grow at any time without a request waiting",
        |planner, value| put(&mut planner.settings.growth, value.number()),
    ),
    Setting::new(
        "forebay:planner-start-up-seconds",
        SCALING,
        (
            Number("seconds", 0.0, LONGEST_START_UP),
            "the group's `DefaultInstanceWarmup`, or 30",
        ),
        "how long an instance takes to start, until a start-up has been measured",
        |planner, value| {
            put(&mut planner.settings.start_up, value.seconds())?;
            planner.has_start_up = true;
            Some(())
        },
    ),
    Setting::new(
        "forebay:planner-idle-seconds",
        SCALING,
        (Number("seconds", 0.0, LONGEST_IDLE), "300"),
        "seconds without a request before the last instance is removed, if the group's minimum is 0",
        |planner, value| put(&mut planner.settings.idle, value.seconds()),
    ),
    Setting::new(
        "forebay:planner-max-hourly-cost",
        SCALING,
        (Number("", 0.0, HIGHEST_COST), "no bound"),
        "what the group's instances may cost in an hour, by the prices of `forebay up --shapes`",
        |planner, value| put(&mut planner.max_hourly_cost, value.number().map(Some)),
    ),
];

/// How a group with these tags is planned; `None` if it is not.
pub(crate) fn planner_of<'t>(tag: impl Fn(&str) -> Option<&'t str>) -> Option<PlannerTags> {
    let mut said = PlannerTags::default();
    apply_all(TAGS, &mut said, tag);
    said.is_on.then_some(said)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::own_tags::names::wrong_tag;
    use core::time::Duration;

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
        assert_eq!(
            planner_of(|key| (key == "forebay:planner").then_some("off")),
            None
        );
        for (key, value) in [
            ("forebay:planner", "yes"),
            ("forebay:planner-in-flight", "0"),
            ("forebay:planner-headroom", "-1"),
            ("forebay:planner-spare", "0.5"),
            ("forebay:planner-growth", "fast"),
            ("forebay:planner-start-up-seconds", "NaN"),
            ("forebay:planner-idle-seconds", "604801"),
            ("forebay:planner-max-hourly-cost", ""),
        ] {
            assert!(wrong_tag(key, value).is_some(), "{key} {value}");
        }
        assert_eq!(wrong_tag("forebay:planner", "dry-run"), None);
    }
}
