//! Tags by which an Auto Scaling group of workers is sized by the backlog of their queue.

use crate::own_tags::switch::switch;
use core::time::Duration;
use forebay_scaling::backlog::{ScaleIn, Settings};
use std::borrow::Cow;

/// The queue's name or ARN.
const QUEUE: &str = "forebay:backlog-queue";
/// `on`, without the tag too: capacity is ordered and taken away. `dry-run`: it is only said what would be.
const MODE: &str = "forebay:backlog-mode";
/// Seconds within which a message is to be done.
const LATENCY: &str = "forebay:backlog-latency";
/// Messages that an instance works on at a time.
const CONCURRENCY: &str = "forebay:backlog-concurrency";
/// Seconds that a message takes, before any was done.
const PROCESSING: &str = "forebay:backlog-processing-seconds";
/// The metric that has it.
const METRIC: &str = "forebay:backlog-processing-metric";
/// Seconds of a start-up, before one was measured.
const START_UP: &str = "forebay:backlog-start-up-seconds";
/// Seconds with nothing to do before the last instance goes.
const IDLE: &str = "forebay:backlog-idle-seconds";
/// `safe` or `any`: whether instances that may be at work are taken away.
const SCALE_IN: &str = "forebay:backlog-scale-in";
/// What the group's instances may cost in an hour.
const COST: &str = "forebay:backlog-max-hourly-cost";

/// The tags of an Auto Scaling group.
pub(crate) const NAMES: &[&str] = &[
    QUEUE,
    MODE,
    LATENCY,
    CONCURRENCY,
    PROCESSING,
    METRIC,
    START_UP,
    IDLE,
    SCALE_IN,
    COST,
];

/// The longest a message is kept, in seconds.
const LONGEST_LATENCY: f64 = 1_209_600.0;
/// The longest it may be in flight.
const LONGEST_PROCESSING: f64 = 43_200.0;
const MOST_CONCURRENCY: u32 = 1000;

/// A metric whose newest value is the seconds that a message takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessingMetric {
    /// CloudWatch's namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Names and values, sorted by name.
    pub dimensions: Vec<(String, String)>,
}

/// What a group's tags say of its queue.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BacklogTags {
    /// The queue's name or ARN.
    pub queue: String,
    /// It is only said what would be done.
    pub is_dry_run: bool,
    /// How it is sized.
    pub settings: Settings,
    /// Whether a start-up's time is given for when none was measured.
    pub has_start_up: bool,
    /// The metric that has the time that a message takes, if one does.
    pub metric: Option<ProcessingMetric>,
    /// What the group's instances may cost in an hour.
    pub max_hourly_cost: Option<f64>,
}

fn number(value: &str, least: f64, most: f64) -> Option<f64> {
    let number: f64 = value.parse().ok()?;
    (least..=most).contains(&number).then_some(number)
}

/// A queue's name, or the ARN of one.
fn queue(value: &str) -> Option<&str> {
    let name = match value.strip_prefix("arn:") {
        Some(rest) => {
            let parts: Vec<&str> = rest.split(':').collect();
            let [_, "sqs", region, account, name] = parts[..] else {
                return None;
            };
            (!region.is_empty() && !account.is_empty()).then_some(name)?
        }
        None => value,
    };
    let stem = name.strip_suffix(".fifo").unwrap_or(name);
    let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (!stem.is_empty() && name.len() <= 80 && stem.bytes().all(good)).then_some(value)
}

/// `Namespace/Name`, and dimensions as `Name=Value`, with spaces between them. Namespaces may have slashes, names have none here.
fn metric(value: &str) -> Option<ProcessingMetric> {
    let mut words = value.split_ascii_whitespace();
    let (namespace, name) = words.next()?.rsplit_once('/')?;
    let mut dimensions: Vec<(String, String)> = words
        .map(|word| {
            let (name, value) = word.split_once('=')?;
            (!name.is_empty() && !value.is_empty()).then(|| (name.to_owned(), value.to_owned()))
        })
        .collect::<Option<_>>()?;
    dimensions.sort();
    let is_named = !namespace.is_empty() && !name.is_empty();
    is_named.then(|| ProcessingMetric {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        dimensions,
    })
}

/// On, and whether it is a dry run; none if it is off.
fn mode(value: &str) -> Option<Option<bool>> {
    match value {
        "dry-run" => Some(Some(true)),
        value => switch(value).map(|is_on| is_on.then_some(false)),
    }
}

fn concurrency(value: &str) -> Option<u32> {
    let number = value.parse().ok()?;
    (1..=MOST_CONCURRENCY).contains(&number).then_some(number)
}

fn scale_in(value: &str) -> Option<ScaleIn> {
    match value {
        "safe" => Some(ScaleIn::Safe),
        "any" => Some(ScaleIn::Any),
        _ => None,
    }
}

/// What the value of a tag of ours must be, if it is not.
pub(crate) fn wanted(key: &str, value: &str) -> Option<Cow<'static, str>> {
    let seconds = |least, most| number(value, least, most).is_some();
    let (good, wanted) = match key {
        QUEUE => (
            queue(value).is_some(),
            "a queue's name of up to 80 letters, digits, '-' and '_', or its ARN, such as 'jobs' or \
             'arn:aws:sqs:us-east-1:000000000000:jobs.fifo'",
        ),
        MODE => (mode(value).is_some(), "'on', 'off' or 'dry-run'"),
        LATENCY => (
            seconds(0.1, LONGEST_LATENCY),
            "a number of seconds from 0.1 to 1209600",
        ),
        CONCURRENCY => (concurrency(value).is_some(), "a whole number from 1 to 1000"),
        PROCESSING => (
            seconds(0.001, LONGEST_PROCESSING),
            "a number of seconds from 0.001 to 43200",
        ),
        METRIC => (
            metric(value).is_some(),
            "a namespace, '/' and a metric's name, and its dimensions as pairs with spaces between them, such as \
             'ASG-Metrics/MsgProcessingDuration' or 'Shop/Seconds Queue=jobs'",
        ),
        START_UP => (seconds(0.0, 86_400.0), "a number of seconds from 0 to 86400"),
        IDLE => (seconds(0.0, 604_800.0), "a number of seconds from 0 to 604800"),
        SCALE_IN => (scale_in(value).is_some(), "'safe' or 'any'"),
        COST => (seconds(0.0, 1e9), "a number from 0 to 1000000000"),
        _ => (true, ""),
    };
    (!good).then_some(wanted.into())
}

/// How a group with these tags is sized by a backlog; none if it is not. A value that is none says nothing.
pub(crate) fn backlog_of<'t>(tag: impl Fn(&str) -> Option<&'t str>) -> Option<BacklogTags> {
    let queue = tag(QUEUE).and_then(queue)?;
    let is_dry_run = tag(MODE).and_then(mode).unwrap_or(Some(false))?;
    let figure = |key: &str, least, most| tag(key).and_then(|value| number(value, least, most));
    let time = |key: &str, least, most| figure(key, least, most).map(Duration::from_secs_f64);
    let usual = Settings::default();
    let start_up = time(START_UP, 0.0, 86_400.0);
    Some(BacklogTags {
        queue: queue.to_owned(),
        is_dry_run,
        settings: Settings {
            latency: time(LATENCY, 0.1, LONGEST_LATENCY).unwrap_or(usual.latency),
            concurrency: tag(CONCURRENCY)
                .and_then(concurrency)
                .unwrap_or(usual.concurrency),
            processing: figure(PROCESSING, 0.001, LONGEST_PROCESSING),
            measured: None,
            start_up: start_up.unwrap_or(usual.start_up),
            idle: time(IDLE, 0.0, 604_800.0).unwrap_or(usual.idle),
            scale_in: tag(SCALE_IN).and_then(scale_in).unwrap_or(usual.scale_in),
        },
        has_start_up: start_up.is_some(),
        metric: tag(METRIC).and_then(metric),
        max_hourly_cost: figure(COST, 0.0, 1e9),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_say_nothing_are_refused() {
        for (key, value, good) in [
            (QUEUE, "jobs", true),
            (QUEUE, "ProcessingQueue.fifo", true),
            (QUEUE, "arn:aws:sqs:us-east-1:000000000000:jobs", true),
            (QUEUE, "arn:aws:sns:us-east-1:000000000000:jobs", false),
            (QUEUE, "arn:aws:sqs:us-east-1:000000000000", false),
            (QUEUE, "http://127.0.0.1/000000000000/jobs", false),
            (QUEUE, ".fifo", false),
            (QUEUE, "", false),
            (MODE, "dry-run", true),
            (MODE, "yes", false),
            (LATENCY, "300", true),
            (LATENCY, "0", false),
            (LATENCY, "5m", false),
            (CONCURRENCY, "0", false),
            (CONCURRENCY, "1000", true),
            (PROCESSING, "0", false),
            (PROCESSING, "0.05", true),
            (METRIC, "ASG-Metrics/MsgProcessingDuration", true),
            (METRIC, "Custom/Shop/Seconds Queue=jobs Type=one", true),
            (METRIC, "Seconds", false),
            (METRIC, "Shop/Seconds Queue", false),
            (START_UP, "NaN", false),
            (IDLE, "604801", false),
            (SCALE_IN, "safe", true),
            (SCALE_IN, "never", false),
            (COST, "", false),
            ("team", "", true),
        ] {
            assert_eq!(wanted(key, value).is_none(), good, "{key}={value}");
        }
    }

    #[test]
    fn tags_are_read() {
        let read = |tags: &[(&'static str, &'static str)]| {
            let tags = tags.to_vec();
            backlog_of(move |key| tags.iter().find(|tag| tag.0 == key).map(|tag| tag.1))
        };
        assert_eq!(read(&[(LATENCY, "5")]), None);
        assert_eq!(read(&[(QUEUE, "jobs"), (MODE, "off")]), None);
        let found = read(&[
            (QUEUE, "jobs"),
            (LATENCY, "100"),
            (METRIC, "A/B/Seconds Type=one Queue=jobs"),
        ])
        .unwrap();
        assert_eq!((found.is_dry_run, found.has_start_up), (false, false));
        assert_eq!(found.settings.latency, Duration::from_secs(100));
        let metric = found.metric.unwrap();
        assert_eq!((&*metric.namespace, &*metric.name), ("A/B", "Seconds"));
        assert_eq!(
            metric.dimensions,
            [("Queue", "jobs"), ("Type", "one")].map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        assert!(read(&[(QUEUE, "jobs"), (MODE, "dry-run")]).unwrap().is_dry_run);
    }
}
