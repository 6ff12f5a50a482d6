//! The table of groups with their targets, slots and queues, from two readings of the metrics.

use super::backlogs::Backlogs;
use super::planners::Planners;
use super::text::{Sample, samples};
use forebay_telemetry::metrics::{Dimension, names};
use std::collections::BTreeMap;
use std::time::Duration;

/// A target, as of one reading.
#[derive(Clone, Debug, Default)]
struct Target {
    healthy: bool,
    in_flight: f64,
    requests: f64,
    errors: f64,
    successes: f64,
    /// Sum over its successes, in seconds.
    latency: f64,
    weight: f64,
}

/// A group, as of one reading.
#[derive(Clone, Debug, Default)]
struct Group {
    targets: BTreeMap<String, Target>,
    waiting: f64,
    busy: f64,
    free: f64,
    /// Whether it has slots or a queue.
    limited: bool,
    queued: f64,
    left: f64,
    /// Refused requests by reason.
    refused: BTreeMap<String, f64>,
    /// Waits: upper bound in seconds, and how many waits up to it, in ascending order.
    waits: Vec<(f64, f64)>,
    channels: Option<f64>,
}

/// One reading of the metrics page.
#[derive(Clone, Debug, Default)]
pub(super) struct Reading {
    groups: BTreeMap<String, Group>,
    planners: Planners,
    backlogs: Backlogs,
}

/// What is read from the page: a metric, the suffix of its samples' names, and where a sample's value goes.
struct Reads<T> {
    metric: &'static str,
    suffix: &'static str,
    take: fn(&mut T, &Sample),
}

impl<T> Reads<T> {
    /// Adds the sample, if it belongs to this metric.
    fn look(&self, into: &mut T, sample: &Sample) {
        if sample.name.strip_prefix(self.metric) == Some(self.suffix) {
            (self.take)(into, sample);
        }
    }
}

const fn reads<T>(metric: &'static str, suffix: &'static str, take: fn(&mut T, &Sample)) -> Reads<T> {
    Reads { metric, suffix, take }
}

const OF_A_TARGET: &[Reads<Target>] = &[
    reads(names::TARGET_HEALTHY, "", |of, sample| {
        of.healthy = sample.value > 0.0
    }),
    reads(names::TARGET_IN_FLIGHT, "", |of, sample| {
        of.in_flight = sample.value
    }),
    reads(names::TARGET_REQUESTS, "_total", |of, sample| {
        of.requests = sample.value
    }),
    reads(names::TARGET_ANSWERS, "_total", |of, sample| {
        if sample.label(Dimension::Code.label()) == "5xx" {
            of.errors += sample.value;
        }
    }),
    reads(names::TARGET_CONNECTION_ERRORS, "_total", |of, sample| {
        of.errors += sample.value
    }),
    reads(names::TARGET_RESPONSE_SECONDS, "_count", |of, sample| {
        of.successes = sample.value
    }),
    reads(names::TARGET_RESPONSE_SECONDS, "_sum", |of, sample| {
        of.latency = sample.value
    }),
    reads(names::TARGET_WEIGHT, "", |of, sample| of.weight = sample.value),
];

const OF_A_GROUP: &[Reads<Group>] = &[
    reads(names::SURGE_QUEUE_LENGTH, "", |of, sample| {
        (of.waiting, of.limited) = (sample.value, true)
    }),
    reads(names::SLOTS, "", |of, sample| {
        match sample.label(Dimension::State.label()) {
            "busy" => of.busy = sample.value,
            _ => of.free = sample.value,
        }
    }),
    reads(names::QUEUED, "_total", |of, sample| of.queued = sample.value),
    reads(names::QUEUE_LEFT, "_total", |of, sample| of.left = sample.value),
    reads(names::SPILLOVER, "_total", |of, sample| {
        let why = sample.label(Dimension::Why.label()).to_owned();
        *of.refused.entry(why).or_default() += sample.value;
    }),
    reads(names::QUEUE_WAIT_SECONDS, "_bucket", |of, sample| {
        let bound = sample.label("le").parse().unwrap_or(f64::INFINITY);
        of.waits.push((bound, sample.value));
    }),
    reads(names::TARGET_CONTROL_ACTIVE_CHANNELS, "", |of, sample| {
        of.channels = Some(sample.value)
    }),
];

impl Reading {
    pub(super) fn of(text: &str) -> Reading {
        let mut reading = Reading::default();
        for sample in samples(text).filter(|sample| sample.name.starts_with("forebay_")) {
            let group = sample.label(Dimension::TargetGroup.label());
            if reading.backlogs.take(&sample) || reading.planners.take(&sample) || group.is_empty() {
                continue;
            }
            let group = reading.groups.entry(group.to_owned()).or_default();
            let target = sample.label(Dimension::Target.label());
            if target.is_empty() {
                OF_A_GROUP.iter().for_each(|one| one.look(group, &sample));
            } else {
                let target = group.targets.entry(target.to_owned()).or_default();
                OF_A_TARGET.iter().for_each(|one| one.look(target, &sample));
            }
        }
        reading
    }

    /// Lines that show this reading, with rates since `before`, taken `past` ago. Groups whose requests wait or are refused
    /// come first.
    pub(super) fn lines(&self, before: &Reading, past: Duration) -> Vec<String> {
        let mut lines = vec![format!(
            "{:<24} {:>8} {:>8} {:>5} {:>5} {:>5} {:>4} {:>7} {:>7} {:>8} {:>9}",
            "GROUP, target",
            "req/s",
            "latency",
            "slots",
            "busy",
            "free",
            "used",
            "WAITING",
            "p50",
            "p99 wait",
            "refused/s",
        )];
        let mut groups: Vec<_> = self.groups.iter().collect();
        groups.sort_by(|a, b| b.1.waiting.total_cmp(&a.1.waiting).then(a.0.cmp(b.0)));
        let none = Group::default();
        for (name, group) in groups {
            let before = before.groups.get(name).unwrap_or(&none);
            lines.push(group.line(name, before, past));
            lines.extend(group.more(before, past));
            for (name, target) in &group.targets {
                lines.push(target.line(name, before.targets.get(name), past));
            }
        }
        if self.groups.is_empty() {
            lines.push("no target groups".to_owned());
        }
        lines.extend(self.planners.lines());
        lines.extend(self.backlogs.lines());
        lines
    }
}

/// The rate a second, from a counter's two values. A counter that started anew has no rate. Zero is 0, not -0.
fn rate(now: f64, before: f64, past: Duration) -> f64 {
    plain(((now - before) / past.as_secs_f64().max(1e-3)).max(0.0))
}

/// Removes the sign of a zero, which an empty sum has.
fn plain(value: f64) -> f64 {
    if value == 0.0 { 0.0 } else { value }
}

/// A name cut to fit, from the front: names differ at their ends.
fn fit(name: &str, width: usize) -> String {
    let length = name.chars().count();
    if length <= width {
        return name.to_owned();
    }
    let end: String = name.chars().skip(length - (width - 1)).collect();
    format!("~{end}")
}

/// Mean seconds, formatted for people.
fn mean(seconds: f64, count: f64) -> String {
    if count <= 0.0 {
        return "-".to_owned();
    }
    match seconds.max(0.0) / count {
        each if each < 0.01 => format!("{:.2} ms", each * 1000.0),
        each if each < 10.0 => format!("{:.0} ms", each * 1000.0),
        each => format!("{each:.0} s"),
    }
}

impl Group {
    fn sum(&self, read: fn(&Target) -> f64) -> f64 {
        plain(self.targets.values().map(read).sum())
    }

    fn line(&self, name: &str, before: &Group, past: Duration) -> String {
        let short = fit(name.strip_prefix("targetgroup/").unwrap_or(name), 24);
        let since = |read: fn(&Target) -> f64| self.sum(read) - before.sum(read);
        let requests = rate(since(|target| target.requests), 0.0, past);
        let latency = mean(since(|target| target.latency), since(|target| target.successes));
        if !self.limited {
            return format!("{short:<24} {requests:>8.1} {latency:>8}  no limits");
        }
        let slots = self.busy + self.free;
        let used = if slots > 0.0 {
            format!("{:.0}%", 100.0 * self.busy / slots)
        } else {
            "-".to_owned()
        };
        format!(
            "{short:<24} {requests:>8.1} {latency:>8} {slots:>5} {:>5} {:>5} {used:>4} {:>7} {:>7} {:>8} {:>9.1}",
            self.busy,
            self.free,
            self.waiting,
            self.wait(before, 0.5),
            self.wait(before, 0.99),
            plain(
                self.refusals(before, past)
                    .iter()
                    .map(|(_, rate)| rate)
                    .sum::<f64>()
            ),
        )
    }

    /// Why requests were refused since `before`, with rates a second.
    fn refusals(&self, before: &Group, past: Duration) -> Vec<(&str, f64)> {
        let rates = self.refused.iter().map(|(why, &now)| {
            let before = before.refused.get(why).copied().unwrap_or_default();
            (why.as_str(), rate(now, before, past))
        });
        rates.filter(|(_, rate)| *rate > 0.0).collect()
    }

    /// A further line about a group, only when there is something to report.
    fn more(&self, before: &Group, past: Duration) -> Option<String> {
        let mut said = Vec::new();
        if let Some(channels) = self.channels {
            said.push(format!("{channels} channels"));
        }
        for (what, now, before) in [
            ("queued", self.queued, before.queued),
            ("left", self.left, before.left),
        ] {
            let rate = rate(now, before, past);
            if rate > 0.0 {
                said.push(format!("{what} {rate:.1}/s"));
            }
        }
        for (why, rate) in self.refusals(before, past) {
            said.push(format!("refused: {why} {rate:.1}/s"));
        }
        (!said.is_empty()).then(|| format!("  ({})", said.join(", ")))
    }

    /// The wait that this share of the requests released since `before` did not exceed, to the precision of the histogram;
    /// over all requests if none were released since.
    fn wait(&self, before: &Group, share: f64) -> String {
        let old = |at: usize| before.waits.get(at).map_or(0.0, |bucket| bucket.1);
        let all = self.waits.last().map_or(0.0, |last| last.1);
        let since = all - old(self.waits.len().saturating_sub(1));
        let fresh = since > 0.0;
        let wanted = share * if fresh { since } else { all };
        if wanted <= 0.0 {
            return "-".to_owned();
        }
        let up_to = |(at, bucket): (usize, &(f64, f64))| {
            let count = if fresh { bucket.1 - old(at) } else { bucket.1 };
            (count >= wanted).then_some(bucket.0)
        };
        match self.waits.iter().enumerate().find_map(up_to) {
            Some(seconds) if seconds < 1.0 => format!("<{:.0} ms", seconds * 1000.0),
            Some(seconds) if seconds < 1e6 => format!("<{seconds} s"),
            _ => ">300 s".to_owned(),
        }
    }
}

impl Target {
    fn line(&self, name: &str, before: Option<&Target>, past: Duration) -> String {
        let none = Target::default();
        let before = before.unwrap_or(&none);
        let weight = if self.weight < 1.0 {
            format!(", weight {:.2}", self.weight)
        } else {
            String::new()
        };
        format!(
            "  {:<22} {:>8.1} {:>8} {:>5} {:>5}  {}{weight}, {:.1} errors/s",
            fit(name, 22),
            rate(self.requests, before.requests, past),
            mean(self.latency - before.latency, self.successes - before.successes),
            "",
            self.in_flight,
            if self.healthy { "healthy" } else { "not healthy" },
            rate(self.errors, before.errors, past),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use forebay_telemetry::metrics::Metric;

    fn text(waiting: u32, requests: u32, late: u32, fast: u32, slow: u32) -> String {
        let group = "target_group=\"targetgroup/shop/12\"";
        format!(
            "# TYPE forebay_slots gauge
forebay_surge_queue_length{{{group}}} {waiting}
forebay_slots{{{group},state=\"busy\"}} 3
forebay_slots{{{group},state=\"free\"}} 1
forebay_queued_total{{{group}}} 7
forebay_spillover_total{{{group},why=\"late\"}} {late}
forebay_spillover_total{{{group},why=\"full\"}} 2
forebay_queue_wait_seconds_bucket{{{group},le=\"0.25\"}} {fast}
forebay_queue_wait_seconds_bucket{{{group},le=\"5.0\"}} {slow}
forebay_queue_wait_seconds_bucket{{{group},le=\"+Inf\"}} {slow}
forebay_target_healthy{{{group},target=\"10.0.0.1:80\"}} 1
forebay_target_in_flight{{{group},target=\"10.0.0.1:80\"}} 3
forebay_target_weight{{{group},target=\"10.0.0.1:80\"}} 1.0
forebay_target_requests_total{{{group},target=\"10.0.0.1:80\"}} {requests}
forebay_target_response_seconds_count{{{group},target=\"10.0.0.1:80\"}} {requests}
forebay_target_response_seconds_sum{{{group},target=\"10.0.0.1:80\"}} {}
forebay_target_requests_total{{target_group=\"targetgroup/plain/3\",target=\"10.0.0.2:80\"}} 5
# EOF\n",
            f64::from(requests) * 0.25
        )
    }

    #[test]
    fn table_has_rates_slots_and_reasons() {
        let (before, now) = (
            Reading::of(&text(0, 100, 0, 5, 5)),
            Reading::of(&text(12, 140, 3, 8, 10)),
        );
        let lines = now.lines(&before, Duration::from_secs(2));
        let first: Vec<&str> = lines
            .iter()
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        let wanted = [
            "GROUP,",
            "shop/12",
            "(refused:",
            "10.0.0.1:80",
            "plain/3",
            "10.0.0.2:80",
        ];
        assert_eq!(first, wanted);
        assert!(lines[0].contains("WAITING"));
        let words: Vec<&str> = lines[1].split_whitespace().collect();
        let wanted = ["shop/12", "20.0", "250", "ms", "4", "3", "1", "75%", "12"];
        assert_eq!(words[..9], wanted);
        // Of the five released since then, three waited less than a quarter of a second.
        assert!(
            lines[1].contains("<250 ms") && lines[1].contains("<5 s"),
            "{}",
            lines[1]
        );
        assert_eq!(lines[2], "  (refused: late 1.5/s)");
        assert!(lines[3].starts_with("  10.0.0.1:80") && lines[3].contains("healthy"));
        assert!(lines[4].starts_with("plain/3") && lines[4].contains("no limits"));
    }

    /// A metric that was renamed would otherwise be read as 0 for ever.
    #[test]
    fn what_is_read_is_in_the_table() {
        fn unknown<T>(all: &[Reads<T>], wanted: &[Dimension]) -> Vec<String> {
            let is_known = |one: &Reads<T>| {
                forebay_telemetry::metrics::all().any(|metric| {
                    let dimensions: Vec<Dimension> = metric.dimensions().collect();
                    metric.name == one.metric
                        && metric.kind.suffixes().contains(&one.suffix)
                        && dimensions.starts_with(wanted)
                })
            };
            let unknown = all.iter().filter(|one| !is_known(one));
            unknown
                .map(|one| format!("{}{}", one.metric, one.suffix))
                .collect()
        }
        let none = Vec::<String>::new();
        assert_eq!(unknown(OF_A_GROUP, &[Dimension::TargetGroup]), none);
        let of_a_target = [Dimension::TargetGroup, Dimension::Target];
        assert_eq!(unknown(OF_A_TARGET, &of_a_target), none);
        for (name, label) in [
            (names::TARGET_ANSWERS, Dimension::Code),
            (names::SLOTS, Dimension::State),
            (names::SPILLOVER, Dimension::Why),
        ] {
            let divided = |metric: &Metric| metric.name == name && metric.labels == [label];
            assert!(
                forebay_telemetry::metrics::all().any(divided),
                "{name} by {label:?}"
            );
        }
    }

    #[test]
    fn nothing_to_show_is_said() {
        let empty = Reading::of("# EOF\n");
        assert_eq!(empty.lines(&empty, Duration::from_secs(1))[1], "no target groups");
    }

    /// A regression: the table took 124 columns and more, showed no latency, and a group without requests had "-0.0" a
    /// second.
    #[test]
    fn a_table_fits_a_hundred_columns_and_has_no_minus_zero() {
        let long = "a-name-of-thirty-two-letters-long";
        let text = |count: u64| {
            format!(
                "forebay_surge_queue_length{{target_group=\"targetgroup/{long}/0123456789abcdef\"}} {count}
forebay_slots{{target_group=\"targetgroup/{long}/0123456789abcdef\",state=\"busy\"}} 1000
forebay_spillover_total{{target_group=\"targetgroup/{long}/0123456789abcdef\",why=\"late\"}} 0
forebay_target_weight{{target_group=\"targetgroup/{long}/0123456789abcdef\",target=\"i-0123456789abcdef0:65535\"}} 0.5
forebay_target_requests_total{{target_group=\"targetgroup/{long}/0123456789abcdef\",target=\"i-0123456789abcdef0:65535\"}} {count}
forebay_surge_queue_length{{target_group=\"targetgroup/empty/1\"}} 0
forebay_target_control_active_channels{{target_group=\"targetgroup/plain/1\"}} 0\n"
            )
        };
        let (before, now) = (Reading::of(&text(0)), Reading::of(&text(99_999)));
        for line in now.lines(&before, Duration::from_secs(1)) {
            assert!(line.chars().count() <= 100, "{line}");
            assert!(!line.contains("-0.0"), "{line}");
        }
    }
}
