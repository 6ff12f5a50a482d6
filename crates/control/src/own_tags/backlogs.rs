//! Tags that size an Auto Scaling group of workers by the backlog of their queue.

use crate::own_tags::planners::{HIGHEST_COST, LONGEST_IDLE, LONGEST_START_UP, MODES, SCALING};
use crate::settings::setting::{Setting, apply_all, put};
use crate::settings::values::Values::{Form, Number, OneOf, Whole};
use forebay_scaling::backlog::{ScaleIn, Settings};

/// The longest latency, in seconds: SQS's longest retention, 14 days.
const LONGEST_LATENCY: f64 = 1_209_600.0;
/// The longest processing time, in seconds: SQS's longest visibility timeout, 12 hours.
const LONGEST_PROCESSING: f64 = 43_200.0;

/// A metric whose newest value is the processing time of a message, in seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessingMetric {
    /// CloudWatch's namespace.
    pub namespace: String,
    /// The metric's name.
    pub name: String,
    /// Dimensions as names and values, sorted by name.
    pub dimensions: Vec<(String, String)>,
}

/// What a group's tags say about its queue.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BacklogTags {
    /// Whether the group is sized by a backlog, once it has a queue.
    is_on: bool,
    /// The queue's name or ARN; empty if no tag names one.
    pub queue: String,
    /// Whether plans are shown but not carried out.
    pub is_dry_run: bool,
    /// How the group is sized.
    pub settings: Settings,
    /// Whether a tag sets the start-up time to use while none has been measured.
    pub has_start_up: bool,
    /// The metric that reports the processing time of a message, if a tag names one.
    pub metric: Option<ProcessingMetric>,
    /// What the group's instances may cost per hour.
    pub max_hourly_cost: Option<f64>,
}

impl Default for BacklogTags {
    fn default() -> BacklogTags {
        BacklogTags {
            is_on: true,
            queue: String::new(),
            is_dry_run: false,
            settings: Settings::default(),
            has_start_up: false,
            metric: None,
            max_hourly_cost: None,
        }
    }
}

/// The tags of an Auto Scaling group.
pub(crate) const TAGS: &[Setting<BacklogTags>] = &[
    Setting::new(
        "forebay:backlog-queue",
        SCALING,
        (
            Form(
                "a queue's name of up to 80 letters, digits, '-' and '_', or its ARN, such as 'jobs' or \
                 'arn:aws:sqs:us-east-1:000000000000:jobs.fifo'",
            ),
            "none: the group is not sized by a backlog",
        ),
        "the queue whose backlog sizes the group: its name (in the group's region and account) or its ARN",
        |backlog, value| put(&mut backlog.queue, queue(value.text()?).map(str::to_owned)),
    ),
    Setting::new(
        "forebay:backlog-mode",
        SCALING,
        (OneOf(MODES), "on"),
        "`on`: the group gets the capacity that is planned; `dry-run`: plans are shown and not carried out",
        |backlog, value| {
            let mode = value.text()?;
            backlog.is_on = mode != "off";
            backlog.is_dry_run = mode == "dry-run";
            Some(())
        },
    ),
    Setting::new(
        "forebay:backlog-latency",
        SCALING,
        (Number("seconds", 0.1, LONGEST_LATENCY), "300"),
        "seconds within which a message is to be processed",
        |backlog, value| put(&mut backlog.settings.latency, value.seconds()),
    ),
    Setting::new(
        "forebay:backlog-concurrency",
        SCALING,
        (Whole("", 1, 1000), "1"),
        "messages that an instance works on at a time",
        |backlog, value| put(&mut backlog.settings.concurrency, value.whole()),
    ),
    Setting::new(
        "forebay:backlog-processing-seconds",
        SCALING,
        (
            Number("seconds", 0.001, LONGEST_PROCESSING),
            "none: a single instance measures it",
        ),
        "how many seconds a message takes, until it has been measured",
        |backlog, value| put(&mut backlog.settings.processing, value.number().map(Some)),
    ),
    Setting::new(
        "forebay:backlog-processing-metric",
        SCALING,
        (
            Form(
                "a namespace, '/' and a metric's name, and its dimensions as pairs with spaces between them, such as \
                 'ASG-Metrics/MsgProcessingDuration' or 'Shop/Seconds Queue=jobs'",
            ),
            "none",
        ),
        "a metric whose newest value is the processing time of a message in seconds, in place of measuring it",
        |backlog, value| put(&mut backlog.metric, metric(value.text()?).map(Some)),
    ),
    Setting::new(
        "forebay:backlog-start-up-seconds",
        SCALING,
        (
            Number("seconds", 0.0, LONGEST_START_UP),
            "the group's `DefaultInstanceWarmup`, or 30",
        ),
        "how long an instance takes from its start to its first receive, until it has been measured",
        |backlog, value| {
            put(&mut backlog.settings.start_up, value.seconds())?;
            backlog.has_start_up = true;
            Some(())
        },
    ),
    Setting::new(
        "forebay:backlog-idle-seconds",
        SCALING,
        (Number("seconds", 0.0, LONGEST_IDLE), "300"),
        "seconds with nothing to do before the last instance is removed, if the group's minimum is 0",
        |backlog, value| put(&mut backlog.settings.idle, value.seconds()),
    ),
    Setting::new(
        "forebay:backlog-scale-in",
        SCALING,
        (OneOf(&["safe", "any"]), "safe"),
        "`any`: instances are removed whether they are working or not",
        |backlog, value| {
            backlog.settings.scale_in = match value.text()? {
                "any" => ScaleIn::Any,
                _ => ScaleIn::Safe,
            };
            Some(())
        },
    ),
    Setting::new(
        "forebay:backlog-max-hourly-cost",
        SCALING,
        (Number("", 0.0, HIGHEST_COST), "no bound"),
        "what the group's instances may cost in an hour, by the prices of `forebay up --shapes`",
        |backlog, value| put(&mut backlog.max_hourly_cost, value.number().map(Some)),
    ),
];

/// A queue's name or its ARN.
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

/// Parses `Namespace/Name`, followed by dimensions as `Name=Value` separated by spaces. Namespaces may contain slashes;
/// names may not.
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

/// How a group with these tags is sized by a backlog; `None` if it is not.
pub(crate) fn backlog_of<'t>(tag: impl Fn(&str) -> Option<&'t str>) -> Option<BacklogTags> {
    let mut said = BacklogTags::default();
    apply_all(TAGS, &mut said, tag);
    (said.is_on && !said.queue.is_empty()).then_some(said)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::own_tags::names::wrong_tag;
    use core::time::Duration;

    #[test]
    fn values_that_say_nothing_are_refused() {
        for (key, value, good) in [
            ("forebay:backlog-queue", "jobs", true),
            ("forebay:backlog-queue", "ProcessingQueue.fifo", true),
            (
                "forebay:backlog-queue",
                "arn:aws:sqs:us-east-1:000000000000:jobs",
                true,
            ),
            (
                "forebay:backlog-queue",
                "arn:aws:sns:us-east-1:000000000000:jobs",
                false,
            ),
            (
                "forebay:backlog-queue",
                "arn:aws:sqs:us-east-1:000000000000",
                false,
            ),
            (
                "forebay:backlog-queue",
                "http://127.0.0.1/000000000000/jobs",
                false,
            ),
            ("forebay:backlog-queue", ".fifo", false),
            ("forebay:backlog-queue", "", false),
            ("forebay:backlog-mode", "dry-run", true),
            ("forebay:backlog-mode", "yes", false),
            ("forebay:backlog-latency", "300", true),
            ("forebay:backlog-latency", "0", false),
            ("forebay:backlog-latency", "5m", false),
            ("forebay:backlog-concurrency", "0", false),
            ("forebay:backlog-concurrency", "1000", true),
            ("forebay:backlog-processing-seconds", "0", false),
            ("forebay:backlog-processing-seconds", "0.05", true),
            (
                "forebay:backlog-processing-metric",
                "ASG-Metrics/MsgProcessingDuration",
                true,
            ),
            (
                "forebay:backlog-processing-metric",
                "Custom/Shop/Seconds Queue=jobs Type=one",
                true,
            ),
            ("forebay:backlog-processing-metric", "Seconds", false),
            ("forebay:backlog-processing-metric", "Shop/Seconds Queue", false),
            ("forebay:backlog-start-up-seconds", "NaN", false),
            ("forebay:backlog-idle-seconds", "604801", false),
            ("forebay:backlog-scale-in", "safe", true),
            ("forebay:backlog-scale-in", "never", false),
            ("forebay:backlog-max-hourly-cost", "", false),
            ("team", "", true),
        ] {
            assert_eq!(wrong_tag(key, value).is_none(), good, "{key}={value}");
        }
    }

    #[test]
    fn tags_are_read() {
        let read = |tags: &[(&'static str, &'static str)]| {
            let tags = tags.to_vec();
            backlog_of(move |key| tags.iter().find(|tag| tag.0 == key).map(|tag| tag.1))
        };
        assert_eq!(read(&[("forebay:backlog-latency", "5")]), None);
        assert_eq!(
            read(&[("forebay:backlog-queue", "jobs"), ("forebay:backlog-mode", "off")]),
            None
        );
        let found = read(&[
            ("forebay:backlog-queue", "jobs"),
            ("forebay:backlog-latency", "100"),
            (
                "forebay:backlog-processing-metric",
                "A/B/Seconds Type=one Queue=jobs",
            ),
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
        assert!(
            read(&[
                ("forebay:backlog-queue", "jobs"),
                ("forebay:backlog-mode", "dry-run")
            ])
            .unwrap()
            .is_dry_run
        );
    }
}
