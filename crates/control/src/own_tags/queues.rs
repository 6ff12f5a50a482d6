//! Tags that limit a target group's targets and let requests wait, and the tag that gives a rule's requests a class.

use crate::records::Tags;
use crate::settings::holder::Holder;
use crate::settings::setting::{Setting, apply_all, put};
use crate::settings::values::Given;
use crate::settings::values::Values::{AutoOr, Form, Number, Whole};
use core::time::Duration;
use forebay_model::{Concurrency, QueueSettings};
use std::sync::Arc;

/// Target groups that serve load balancers.
const SERVING: &[Holder] = &[Holder::HttpGroup, Holder::LambdaGroup];

/// What a target group's tags say about its limits and its queue. `None` where no tag is set.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct QueueTags {
    concurrency: Option<Concurrency>,
    length: Option<u32>,
    wait: Option<Duration>,
    class_header: Option<Arc<str>>,
    weights: Arc<[(String, u32)]>,
}

/// The tags of a target group.
pub(crate) const TAGS: &[Setting<QueueTags>] = &[
    Setting::new(
        "forebay:concurrency",
        SERVING,
        // The range that AWS's target control agent has.
        (AutoOr(1, 1000), "no limit"),
        "the most requests in flight at each target without an agent; `auto` learns the number",
        |queue, value| {
            queue.concurrency = Some(match value {
                Given::Whole(limit) => Concurrency::Fixed(limit),
                _ => Concurrency::Auto,
            });
            Some(())
        },
    ),
    Setting::new(
        "forebay:queue-length",
        SERVING,
        (Whole("", 0, 1_000_000), "1024 with a limit, else 0"),
        "requests that may wait for a slot; 0 for none",
        |queue, value| put(&mut queue.length, value.whole().map(Some)),
    ),
    Setting::new(
        "forebay:queue-wait",
        SERVING,
        (Number("seconds", 0.001, 3600.0), "10"),
        "how many seconds a request may wait",
        |queue, value| put(&mut queue.wait, value.seconds().map(Some)),
    ),
    Setting::new(
        "forebay:queue-class-header",
        SERVING,
        (Form("the name of a header"), "none"),
        "the header whose value is a request's class",
        |queue, value| put(&mut queue.class_header, token(value.text()?).map(Some)),
    ),
    Setting::new(
        "forebay:queue-weights",
        SERVING,
        (
            Form("pairs such as 'gold=4 silver=2', with weights from 1 to 1000"),
            "1 for every class",
        ),
        "shares of classes; a class that is not named has 1",
        |queue, value| put(&mut queue.weights, weights(value.text()?)),
    ),
];

/// The tag of a rule.
pub(crate) const RULE_TAGS: &[Setting<Option<Arc<str>>>] = &[Setting::new(
    "forebay:queue-class",
    &[Holder::Rule],
    (Form("a name of letters, digits, '-', '_', '.' and '+'"), "none"),
    "the class of the rule's requests; takes precedence over the header",
    |class, value| put(class, token(value.text()?).map(Some)),
)];

/// The greatest share that a class can have.
const GREATEST_WEIGHT: u32 = 1000;

/// The name of a header or a class: an HTTP token (RFC 9110, section 5.6.2) of characters that tags may contain.
fn token(value: &str) -> Option<Arc<str>> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'+');
    (!value.is_empty() && value.bytes().all(good)).then(|| Arc::from(value))
}

fn weights(value: &str) -> Option<Arc<[(String, u32)]>> {
    value
        .split_whitespace()
        .map(|pair| {
            let (name, weight) = pair.split_once('=')?;
            let weight = weight.parse().ok()?;
            let fits = (1..=GREATEST_WEIGHT).contains(&weight);
            fits.then(|| Some((token(name)?.to_string(), weight)))?
        })
        .collect()
}

/// How a group's targets are limited and which requests wait. `None` if neither the control port nor a tag asks for it.
pub(crate) fn queue_of(controlled: bool, tags: Option<&Tags>) -> Option<QueueSettings> {
    let mut said = QueueTags::default();
    apply_all(TAGS, &mut said, |key| tags?.get(key).map(String::as_str));
    let limit = if controlled {
        Concurrency::Agent
    } else {
        match said.concurrency {
            Some(limit) => limit,
            None if said.length.is_some_and(|length| length > 0) => Concurrency::Open,
            None => return None,
        }
    };
    let plain = QueueSettings::of(limit);
    Some(QueueSettings {
        length: said.length.unwrap_or(plain.length),
        wait: said.wait.unwrap_or(plain.wait),
        class_header: said.class_header,
        weights: said.weights,
        ..plain
    })
}

/// The class that a rule gives its requests.
pub(crate) fn class_of(tags: Option<&Tags>) -> Option<Arc<str>> {
    let mut class = None;
    apply_all(RULE_TAGS, &mut class, |key| tags?.get(key).map(String::as_str));
    class
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::own_tags::names::wrong_tag;

    fn tags(pairs: &[(&str, &str)]) -> Tags {
        pairs
            .iter()
            .map(|&(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }

    #[test]
    fn values_that_say_nothing_are_refused() {
        let cases = [
            ("forebay:concurrency", "1", true),
            ("forebay:concurrency", "1000", true),
            ("forebay:concurrency", "auto", true),
            ("forebay:concurrency", "0", false),
            ("forebay:concurrency", "1001", false),
            ("forebay:concurrency", "Auto", false),
            ("forebay:queue-length", "0", true),
            ("forebay:queue-length", "1000000", true),
            ("forebay:queue-length", "1000001", false),
            ("forebay:queue-length", "-1", false),
            ("forebay:queue-wait", "0.25", true),
            ("forebay:queue-wait", "3600", true),
            ("forebay:queue-wait", "0", false),
            ("forebay:queue-wait", "NaN", false),
            ("forebay:queue-wait", "10s", false),
            ("forebay:queue-class-header", "X-Tenant", true),
            ("forebay:queue-class-header", "X Tenant", false),
            ("forebay:queue-class-header", "", false),
            ("forebay:queue-weights", "gold=4 silver=2", true),
            ("forebay:queue-weights", "gold=0", false),
            ("forebay:queue-weights", "gold", false),
            ("forebay:queue-class", "gold", true),
            ("forebay:queue-class", "", false),
            ("team", "", true),
        ];
        for (key, value, good) in cases {
            assert_eq!(wrong_tag(key, value).is_none(), good, "{key}={value}");
        }
    }

    #[test]
    fn who_has_a_queue() {
        assert_eq!(queue_of(false, None), None);
        assert_eq!(
            queue_of(
                false,
                Some(&tags(&[
                    ("forebay:queue-wait", "5"),
                    ("forebay:queue-length", "0")
                ]))
            ),
            None
        );
        assert_eq!(queue_of(true, None), Some(QueueSettings::of(Concurrency::Agent)));
        let open = queue_of(false, Some(&tags(&[("forebay:queue-length", "5")]))).unwrap();
        assert_eq!((open.concurrency, open.length), (Concurrency::Open, 5));
        let all = [
            ("forebay:concurrency", "3"),
            ("forebay:queue-length", "0"),
            ("forebay:queue-wait", "0.5"),
            ("forebay:queue-weights", "a=2"),
        ];
        let fixed = queue_of(false, Some(&tags(&all))).unwrap();
        assert_eq!((fixed.concurrency, fixed.length), (Concurrency::Fixed(3), 0));
        assert_eq!(fixed.wait, Duration::from_millis(500));
        assert_eq!(&*fixed.weights, &[("a".to_owned(), 2)]);
        // The agent knows its target's limit best.
        let both = queue_of(true, Some(&tags(&all))).unwrap();
        assert_eq!(both.concurrency, Concurrency::Agent);
    }
}
