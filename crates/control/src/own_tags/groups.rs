//! Tags that give a target group features that AWS does not have.

use crate::own_tags::queues::queue_of;
use crate::records::Tags;
use crate::settings::holder::Holder;
use crate::settings::setting::{Setting, apply_all, put};
use crate::settings::values::Values::{Number, OneOf, OwnAlgorithm, Switch, Text, Whole};
use forebay_model::{Algorithm, GroupSettings};
use std::sync::Arc;

const HTTP: &[Holder] = &[Holder::HttpGroup];
const PROXY_PROTOCOL: &str = "forebay:proxy-protocol";

/// The tags of a target group that change how its targets are chosen and how requests are sent to them.
pub(crate) const TAGS: &[Setting<GroupSettings>] = &[
    Setting::new(
        "forebay:algorithm",
        HTTP,
        (OwnAlgorithm, "the attribute `load_balancing.algorithm.type`"),
        "how targets are chosen, by an algorithm that ALB does not have; takes precedence over the attribute",
        |group, value| put(&mut group.algorithm, Algorithm::parse(value.text()?)),
    ),
    Setting::new(
        "forebay:slow-start",
        HTTP,
        (
            Whole("seconds", 0, 900),
            "the attribute `slow_start.duration_seconds`",
        ),
        "slow start in seconds, with any algorithm; takes precedence over the attribute",
        |group, value| put(&mut group.slow_start, value.seconds()),
    ),
    Setting::new(
        "forebay:anomaly-latency",
        HTTP,
        (Switch, "off"),
        "targets that answer slower than their peers count as anomalous too",
        |group, value| put(&mut group.anomaly_latency, value.flag()),
    ),
    Setting::new(
        "forebay:sticky-load-ceiling",
        HTTP,
        (Number("", 1.0, 1000.0), "none"),
        "a request leaves its sticky target if that has more than this many times the mean load of its group",
        |group, value| {
            let percent = (value.number()? * 100.0).round() as u32;
            put(&mut group.sticky_ceiling_percent, Some(percent))
        },
    ),
    Setting::new(
        "forebay:retries",
        HTTP,
        (Whole("", 0, 5), "0"),
        "how many other targets a request is tried at, one after another, when its target fails and a retry is safe",
        |group, value| put(&mut group.retries, value.whole()),
    ),
    Setting::new(
        "forebay:push-back",
        HTTP,
        (Switch, "off"),
        "a 429 or 503 from a target means that it had no free slot and did not process the request",
        |group, value| put(&mut group.push_back, value.flag()),
    ),
    Setting::new(
        "forebay:fail-open-header",
        HTTP,
        (Switch, "off"),
        "responses carry `X-Forebay-Fail-Open` with the reason while the group fails open",
        |group, value| put(&mut group.fail_open_header, value.flag()),
    ),
    Setting::new(
        "forebay:proxy-protocol",
        HTTP,
        (OneOf(&["v2", "off"]), "off"),
        "connections to targets begin with a PROXY header of version 2",
        |group, value| put(&mut group.proxy_protocol, value.text().map(|word| word == "v2")),
    ),
    Setting::new(
        "forebay:target-tls-verify",
        HTTP,
        (Text(256), "off"),
        "the name that targets' certificates must be valid for, issued by an authority that the machine trusts; `off` accepts any certificate, as ALB does",
        |group, value| {
            let name = value.text()?;
            group.verified_name = (name != "off").then(|| Arc::from(name));
            Some(())
        },
    ),
];

/// What is wrong with these tags on a target group, if anything. `controlled` says that agents run beside its targets.
pub(crate) fn wrong_for(controlled: bool, tags: &Tags) -> Option<String> {
    let value = tags.get(PROXY_PROTOCOL)?;
    (controlled && value == "v2").then(|| {
        format!(
            "Tag '{PROXY_PROTOCOL}' value '{value}' cannot be set on a target group with a target control port: agents do not read PROXY headers. Leave the tag out, or make the target group without TargetControlPort"
        )
    })
}

/// Applies a target group's tags on top of its attributes.
pub(crate) fn extend(settings: &mut GroupSettings, tags: Option<&Tags>) {
    settings.queue = queue_of(settings.control_port.is_some(), tags).map(Arc::new);
    apply_all(TAGS, settings, |key| tags?.get(key).map(String::as_str));
    // Agents do not read PROXY headers. The API refuses the combination, but a state that already has it must not break
    // connections to agents.
    settings.proxy_protocol &= settings.control_port.is_none();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::own_tags::names::wrong_tag;
    use core::time::Duration;

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
            assert_eq!(wrong_tag(key, value), None, "{key}={value}");
        }
        for (key, value) in [
            // The algorithms that AWS has are set by the attribute.
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
            assert!(wrong_tag(key, value).is_some(), "{key}={value}");
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
            ("forebay:slow-start", "45"),
            ("forebay:anomaly-latency", "on"),
            ("forebay:algorithm", "nonsense"),
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
