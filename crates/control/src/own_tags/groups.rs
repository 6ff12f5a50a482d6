//! Tags by which a target group asks for what ALB does not have. They stay ALB's tags in every other way.

use crate::own_tags::queues::queue_of;
use crate::own_tags::switch::switch;
use crate::records::Tags;
use core::time::Duration;
use forebay_model::{Algorithm, GroupSettings};
use std::borrow::Cow;
use std::sync::Arc;

/// Targets must show a certificate for this name, of an authority that the machine trusts. `off`, or no tag, is ALB's
/// way: any certificate will do.
const VERIFY: &str = "forebay:target-tls-verify";
/// An algorithm that ALB does not have; goes before the attribute.
const ALGORITHM: &str = "forebay:algorithm";
/// Slow start in seconds, with any algorithm; goes before the attribute.
const SLOW_START: &str = "forebay:slow-start";
/// `on`: answers slower than those of peers are anomalous, too.
const ANOMALY_LATENCY: &str = "forebay:anomaly-latency";

/// A sticky target that holds more than this many times the mean of its group is left for another.
const STICKY_CEILING: &str = "forebay:sticky-load-ceiling";

/// A request that its target failed is sent to so many others, one after the other, if that is safe.
const RETRIES: &str = "forebay:retries";
/// `on`: 429 and 503 of a target mean that it had no slot and did nothing.
const PUSH_BACK: &str = "forebay:push-back";
/// `on`: answers say so when the group fails open.
const FAIL_OPEN_HEADER: &str = "forebay:fail-open-header";

/// `v2`: connections to targets begin with a PROXY header of that version.
const PROXY_PROTOCOL: &str = "forebay:proxy-protocol";

/// The tags of a target group.
pub(crate) const NAMES: &[&str] = &[
    VERIFY,
    ALGORITHM,
    SLOW_START,
    ANOMALY_LATENCY,
    STICKY_CEILING,
    RETRIES,
    PUSH_BACK,
    FAIL_OPEN_HEADER,
    PROXY_PROTOCOL,
];

/// The most retries of a request.
const MOST_RETRIES: u8 = 5;
/// The longest slow start, as the attribute's.
const LONGEST_START: u64 = 900;

fn algorithm(value: &str) -> Option<Algorithm> {
    Algorithm::parse(value).filter(|algorithm| !algorithm.is_albs())
}

fn slow_start(value: &str) -> Option<Duration> {
    let seconds = value.parse().ok().filter(|seconds| *seconds <= LONGEST_START)?;
    Some(Duration::from_secs(seconds))
}

/// In percent of the mean.
fn sticky_ceiling(value: &str) -> Option<u32> {
    let times: f64 = value.parse().ok()?;
    (1.0..=1000.0)
        .contains(&times)
        .then_some((times * 100.0).round() as u32)
}

fn retries(value: &str) -> Option<u8> {
    value.parse().ok().filter(|retries| *retries <= MOST_RETRIES)
}

/// Whether connections begin with a PROXY header. Version 1 is read, never written.
fn proxy_protocol(value: &str) -> Option<bool> {
    match value {
        "v2" => Some(true),
        "off" => Some(false),
        _ => None,
    }
}

/// What the value of a tag of ours must be, if it is not.
pub(crate) fn wanted(key: &str, value: &str) -> Option<Cow<'static, str>> {
    let (good, wanted) = match key {
        ALGORITHM => {
            let own = Algorithm::ALL
                .into_iter()
                .filter(|algorithm| !algorithm.is_albs());
            let names: Vec<&str> = own.map(Algorithm::word).collect();
            let wanted = format!("one of [{}]", names.join(", "));
            return algorithm(value).is_none().then_some(wanted.into());
        }
        SLOW_START => (slow_start(value).is_some(), "a number of seconds from 0 to 900"),
        RETRIES => (retries(value).is_some(), "a number from 0 to 5"),
        PUSH_BACK | FAIL_OPEN_HEADER | ANOMALY_LATENCY => (switch(value).is_some(), "'on' or 'off'"),
        PROXY_PROTOCOL => (proxy_protocol(value).is_some(), "'v2' or 'off'"),
        STICKY_CEILING => (sticky_ceiling(value).is_some(), "a number from 1 to 1000"),
        _ => (true, ""),
    };
    (!good).then_some(wanted.into())
}

/// What is wrong with these tags on a target group with agents beside its targets (`controlled`), if something is.
pub(crate) fn wrong_for(controlled: bool, tags: &Tags) -> Option<String> {
    let value = tags.get(PROXY_PROTOCOL)?;
    (controlled && proxy_protocol(value) == Some(true)).then(|| {
        format!(
            "Tag '{PROXY_PROTOCOL}' value '{value}' cannot be set on a target group with a target control port: agents do not read PROXY headers. Leave the tag out, or make the target group without TargetControlPort"
        )
    })
}

/// What a target group's tags say beyond its attributes. A value that is none (from before values were checked) says
/// nothing.
pub(crate) fn extend(settings: &mut GroupSettings, tags: Option<&Tags>) {
    settings.queue = queue_of(settings.control_port.is_some(), tags).map(Arc::new);
    let Some(tags) = tags else { return };
    let tag = |key: &str| tags.get(key).map(String::as_str);
    settings.verified_name = tag(VERIFY).filter(|&name| name != "off").map(Arc::from);
    if let Some(algorithm) = tag(ALGORITHM).and_then(algorithm) {
        settings.algorithm = algorithm;
    }
    if let Some(duration) = tag(SLOW_START).and_then(slow_start) {
        settings.slow_start = duration;
    }
    settings.sticky_ceiling_percent = tag(STICKY_CEILING).and_then(sticky_ceiling).unwrap_or(0);
    settings.retries = tag(RETRIES).and_then(retries).unwrap_or(0);
    settings.push_back = tag(PUSH_BACK).and_then(switch).unwrap_or(false);
    settings.fail_open_header = tag(FAIL_OPEN_HEADER).and_then(switch).unwrap_or(false);
    // A group with agents can't have it: a state that says so nevertheless must not break their connections.
    let wants_clients = tag(PROXY_PROTOCOL).and_then(proxy_protocol);
    settings.proxy_protocol = wants_clients.unwrap_or(false) && settings.control_port.is_none();
    settings.anomaly_latency = tag(ANOMALY_LATENCY).and_then(switch).unwrap_or(false);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_that_say_nothing_are_refused() {
        for (key, value) in [
            ("forebay:algorithm", "prequal"),
            ("forebay:slow-start", "0"),
            ("forebay:slow-start", "900"),
            ("forebay:anomaly-latency", "on"),
            ("forebay:sticky-load-ceiling", "1.5"),
            ("forebay:proxy-protocol", "v2"),
            ("forebay:proxy-protocol", "off"),
            ("forebay:target-tls-verify", "anything"),
            ("team", "anything"),
        ] {
            assert_eq!(wanted(key, value), None, "{key}={value}");
        }
        for (key, value) in [
            // ALB's own are the attribute's business.
            ("forebay:algorithm", "round_robin"),
            ("forebay:algorithm", ""),
            ("forebay:slow-start", "901"),
            ("forebay:slow-start", "30s"),
            ("forebay:anomaly-latency", "true"),
            ("forebay:retries", "6"),
            ("forebay:push-back", "yes"),
            ("forebay:sticky-load-ceiling", "0.5"),
            ("forebay:proxy-protocol", "v1"),
            ("forebay:proxy-protocol", "on"),
            ("forebay:sticky-load-ceiling", "NaN"),
        ] {
            assert!(wanted(key, value).is_some(), "{key}={value}");
        }
    }

    #[test]
    fn agents_read_no_proxy_headers() {
        let tags: Tags = [(PROXY_PROTOCOL.to_owned(), "v2".to_owned())]
            .into_iter()
            .collect();
        assert_eq!(wrong_for(false, &tags), None);
        assert!(
            wrong_for(true, &tags)
                .unwrap()
                .contains("agents do not read PROXY headers")
        );
        assert_eq!(wrong_for(true, &Tags::new()), None);
        for (control_port, expected) in [(None, true), (Some(3000), false)] {
            let mut settings = GroupSettings {
                control_port,
                ..GroupSettings::default()
            };
            extend(&mut settings, Some(&tags));
            assert_eq!(settings.proxy_protocol, expected);
        }
    }

    #[test]
    fn tags_go_before_attributes() {
        let attributes = GroupSettings {
            algorithm: Algorithm::LeastOutstandingRequests,
            ..GroupSettings::default()
        };
        let mut settings = attributes.clone();
        extend(&mut settings, None);
        assert_eq!(settings, attributes);
        let tags = [
            (SLOW_START, "45"),
            (ANOMALY_LATENCY, "on"),
            (ALGORITHM, "nonsense"),
        ];
        let tags = tags.map(|(key, value)| (key.to_owned(), value.to_owned()));
        extend(&mut settings, Some(&tags.into_iter().collect()));
        assert_eq!(
            settings,
            GroupSettings {
                slow_start: Duration::from_secs(45),
                anomaly_latency: true,
                ..attributes
            }
        );
    }
}
