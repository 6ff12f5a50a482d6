//! Tags by which a target group limits its targets and lets requests wait, and a rule names its requests' class.

use crate::records::Tags;
use core::time::Duration;
use forebay_model::{Concurrency, QueueSettings};
use std::sync::Arc;

/// Requests in flight at each target, at most, for targets without an agent; `auto` learns the number.
const CONCURRENCY: &str = "forebay:concurrency";
/// Requests that may wait for a slot; 0 for none.
const LENGTH: &str = "forebay:queue-length";
/// Seconds for which one may wait.
const WAIT: &str = "forebay:queue-wait";
/// The header whose value is a request's class.
const CLASS_HEADER: &str = "forebay:queue-class-header";
/// Shares of classes: `gold=4 silver=2`; whoever is not named has 1.
const WEIGHTS: &str = "forebay:queue-weights";
/// Of a rule: the class of its requests. Goes before the header.
const CLASS: &str = "forebay:queue-class";

/// The tags of a target group or a rule.
pub(crate) const NAMES: &[&str] = &[CONCURRENCY, LENGTH, WAIT, CLASS_HEADER, WEIGHTS, CLASS];

/// The most requests that may wait in a group.
const LONGEST_LINE: u32 = 1_000_000;
/// The longest wait, in seconds.
const LONGEST_WAIT: f64 = 3600.0;
/// The greatest share of a class.
const GREATEST_WEIGHT: u32 = 1000;
/// As AWS's agent.
const MOST_CONCURRENCY: u32 = 1000;

fn concurrency(value: &str) -> Option<Concurrency> {
    if value == "auto" {
        return Some(Concurrency::Auto);
    }
    let limit = value.parse().ok()?;
    (1..=MOST_CONCURRENCY)
        .contains(&limit)
        .then_some(Concurrency::Fixed(limit))
}

fn length(value: &str) -> Option<u32> {
    value.parse().ok().filter(|length| *length <= LONGEST_LINE)
}

fn wait(value: &str) -> Option<Duration> {
    let seconds: f64 = value.parse().ok()?;
    (0.001..=LONGEST_WAIT)
        .contains(&seconds)
        .then(|| Duration::from_secs_f64(seconds))
}

/// Names of headers and classes: a token of HTTP (RFC 9110 section 5.6.2), as far as tags can hold one.
fn token(value: &str) -> Option<&str> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'+');
    (!value.is_empty() && value.bytes().all(good)).then_some(value)
}

fn weights(value: &str) -> Option<Arc<[(String, u32)]>> {
    value
        .split_whitespace()
        .map(|pair| {
            let (name, weight) = pair.split_once('=')?;
            let weight = weight.parse().ok()?;
            let fits = (1..=GREATEST_WEIGHT).contains(&weight);
            fits.then(|| Some((token(name)?.to_owned(), weight)))?
        })
        .collect()
}

/// What the value of a tag of ours must be, if it is not.
pub(crate) fn wanted(key: &str, value: &str) -> Option<&'static str> {
    let (good, wanted) = match key {
        CONCURRENCY => (concurrency(value).is_some(), "a number from 1 to 1000, or 'auto'"),
        LENGTH => (length(value).is_some(), "a number from 0 to 1000000"),
        WAIT => (wait(value).is_some(), "a number of seconds from 0.001 to 3600"),
        CLASS_HEADER => (token(value).is_some(), "the name of a header"),
        CLASS => (
            token(value).is_some(),
            "a name of letters, digits, '-', '_', '.' and '+'",
        ),
        WEIGHTS => (
            weights(value).is_some(),
            "pairs such as 'gold=4 silver=2', with weights from 1 to 1000",
        ),
        _ => (true, ""),
    };
    (!good).then_some(wanted)
}

/// How a group's targets are limited and who waits; none if neither its control port nor a tag says anything of it.
pub(crate) fn queue_of(controlled: bool, tags: Option<&Tags>) -> Option<QueueSettings> {
    let tag = |key: &str| tags?.get(key).map(String::as_str);
    let length = tag(LENGTH).and_then(length);
    let limit = if controlled {
        Concurrency::Agent
    } else {
        match tag(CONCURRENCY).and_then(concurrency) {
            Some(limit) => limit,
            None if length.is_some_and(|length| length > 0) => Concurrency::Open,
            None => return None,
        }
    };
    let plain = QueueSettings::of(limit);
    Some(QueueSettings {
        length: length.unwrap_or(plain.length),
        wait: tag(WAIT).and_then(wait).unwrap_or(plain.wait),
        class_header: tag(CLASS_HEADER).and_then(token).map(Arc::from),
        weights: tag(WEIGHTS).and_then(weights).unwrap_or_default(),
        ..plain
    })
}

/// The class that a rule gives its requests.
pub(crate) fn class_of(tags: Option<&Tags>) -> Option<Arc<str>> {
    tags?.get(CLASS).and_then(|value| token(value)).map(Arc::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> Tags {
        pairs
            .iter()
            .map(|&(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }

    #[test]
    fn values_that_say_nothing_are_refused() {
        let cases = [
            (CONCURRENCY, "1", true),
            (CONCURRENCY, "1000", true),
            (CONCURRENCY, "auto", true),
            (CONCURRENCY, "0", false),
            (CONCURRENCY, "1001", false),
            (CONCURRENCY, "Auto", false),
            (LENGTH, "0", true),
            (LENGTH, "1000000", true),
            (LENGTH, "1000001", false),
            (LENGTH, "-1", false),
            (WAIT, "0.25", true),
            (WAIT, "3600", true),
            (WAIT, "0", false),
            (WAIT, "NaN", false),
            (WAIT, "10s", false),
            (CLASS_HEADER, "X-Tenant", true),
            (CLASS_HEADER, "X Tenant", false),
            (CLASS_HEADER, "", false),
            (WEIGHTS, "gold=4 silver=2", true),
            (WEIGHTS, "gold=0", false),
            (WEIGHTS, "gold", false),
            (CLASS, "gold", true),
            (CLASS, "", false),
            ("team", "", true),
        ];
        for (key, value, good) in cases {
            assert_eq!(wanted(key, value).is_none(), good, "{key}={value}");
        }
    }

    #[test]
    fn who_has_a_queue() {
        assert_eq!(queue_of(false, None), None);
        assert_eq!(queue_of(false, Some(&tags(&[(WAIT, "5"), (LENGTH, "0")]))), None);
        assert_eq!(queue_of(true, None), Some(QueueSettings::of(Concurrency::Agent)));
        let open = queue_of(false, Some(&tags(&[(LENGTH, "5")]))).unwrap();
        assert_eq!((open.concurrency, open.length), (Concurrency::Open, 5));
        let all = [(CONCURRENCY, "3"), (LENGTH, "0"), (WAIT, "0.5"), (WEIGHTS, "a=2")];
        let fixed = queue_of(false, Some(&tags(&all))).unwrap();
        assert_eq!((fixed.concurrency, fixed.length), (Concurrency::Fixed(3), 0));
        assert_eq!(fixed.wait, Duration::from_millis(500));
        assert_eq!(&*fixed.weights, &[("a".to_owned(), 2)]);
        // The agent is the truth about its target.
        let both = queue_of(true, Some(&tags(&all))).unwrap();
        assert_eq!(both.concurrency, Concurrency::Agent);
    }
}
