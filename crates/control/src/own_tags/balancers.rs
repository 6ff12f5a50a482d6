//! Tags that give a load balancer features that AWS does not have.

use crate::records::Tags;
use crate::settings::holder::Holder;
use crate::settings::setting::{Setting, apply_all, put};
use crate::settings::values::Values::{Form, Switch, Whole};
use core::net::IpAddr;
use forebay_model::{BalancerSettings, PathMode};
use ipnet::IpNet;

const APPLICATION: &[Holder] = &[Holder::Application];

/// What a load balancer's attributes and tags say together.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Extended {
    /// How it treats clients and their requests.
    pub settings: BalancerSettings,
    /// Names by which it is reached at exposed addresses, besides its DNS name.
    pub names: Vec<String>,
}

/// The tags of a load balancer.
pub(crate) const TAGS: &[Setting<Extended>] = &[
    Setting::new(
        "forebay:request-head-timeout",
        APPLICATION,
        (Whole("seconds", 1, 4000), "the idle timeout"),
        "seconds for a request's head, from its first byte; the idle timeout bounds it too",
        |balancer, value| put(&mut balancer.settings.head_timeout, value.seconds()),
    ),
    Setting::new(
        "forebay:minimum-request-rate",
        APPLICATION,
        (Whole("bytes per second", 0, u32::MAX), "0"),
        "bytes of its body that a client must send in a second, averaged over five seconds; 0 for no bound",
        |balancer, value| put(&mut balancer.settings.minimum_request_rate, value.whole()),
    ),
    Setting::new(
        "forebay:access-log-extensions",
        APPLICATION,
        (Switch, "off"),
        "lines of the access log end with two more fields: the wait for a slot, and the reason of a response made by Forebay",
        |balancer, value| put(&mut balancer.settings.log_extensions, value.flag()),
    ),
    Setting::new(
        "forebay:check-host",
        APPLICATION,
        (Switch, "on"),
        "`off`: where Host headers are passed on untouched, invalid ones are passed on too, as ALB does",
        |balancer, value| put(&mut balancer.settings.check_host, value.flag()),
    ),
    Setting::new(
        "forebay:strict-paths",
        APPLICATION,
        (Switch, "on if the desync mitigation mode is `strictest`"),
        "rules see escaped and doubled slashes as targets may see them, and requests that remain ambiguous are refused",
        |balancer, value| {
            balancer.settings.paths = if value.flag()? {
                PathMode::Strict
            } else {
                PathMode::Normal
            };
            Some(())
        },
    ),
    Setting::new(
        "forebay:names",
        APPLICATION,
        (
            Form(
                "host names of letters, digits and hyphens, with spaces between them, such as 'shop.example .shop.example'",
            ),
            "none",
        ),
        "names by which the load balancer is reached at exposed addresses; a leading dot matches any labels",
        |balancer, value| put(&mut balancer.names, names(value.text()?)),
    ),
    Setting::new(
        "forebay:proxy-protocol-from",
        APPLICATION,
        (
            Form(
                "networks or addresses with spaces between them, such as '10.0.0.0/8 192.0.2.7 2001:db8::/32'",
            ),
            "none",
        ),
        "networks whose connections begin with a PROXY header that names the client",
        |balancer, value| put(&mut balancer.settings.proxies, proxies(value.text()?)),
    ),
];

/// Parses networks; `None` if one of them is invalid. A bare address is a network of one address.
fn proxies(value: &str) -> Option<Vec<IpNet>> {
    let network = |word: &str| -> Option<IpNet> {
        let alone = || word.parse().ok().map(|address: IpAddr| IpNet::from(address));
        word.parse().ok().or_else(alone)
    };
    let networks: Option<Vec<IpNet>> = value.split_ascii_whitespace().map(network).collect();
    networks.filter(|networks| !networks.is_empty())
}

/// Parses host names, in lower case; `None` if one of them is invalid.
fn names(value: &str) -> Option<Vec<String>> {
    let names = value.split_ascii_whitespace();
    let names: Vec<String> = names.map(str::to_ascii_lowercase).collect();
    let is_label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        (1..=63).contains(&label.len())
            && label.bytes().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_name = |name: &String| {
        let plain = name.strip_prefix('.').unwrap_or(name);
        name.len() <= 253 && plain.split('.').all(is_label)
    };
    (!names.is_empty() && names.iter().all(is_name)).then_some(names)
}

/// Applies a load balancer's tags on top of its attributes.
pub(crate) fn extend_balancer(settings: BalancerSettings, tags: Option<&Tags>) -> Extended {
    let mut extended = Extended {
        settings,
        names: Vec::new(),
    };
    apply_all(TAGS, &mut extended, |key| tags?.get(key).map(String::as_str));
    extended
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elbv2::attribute_table::balancer_settings;
    use crate::own_tags::names::wrong_tag;
    use core::time::Duration;

    #[test]
    fn tags_of_a_balancer() {
        for (key, value, good) in [
            ("forebay:request-head-timeout", "1", true),
            ("forebay:request-head-timeout", "4000", true),
            ("forebay:request-head-timeout", "0", false),
            ("forebay:request-head-timeout", "4001", false),
            ("forebay:request-head-timeout", "5s", false),
            ("forebay:names", "shop.example  .Shop.example", true),
            ("forebay:names", "*", false),
            ("forebay:names", "a..b", false),
            ("forebay:names", "-a.b", false),
            ("forebay:names", "", false),
            (
                "forebay:proxy-protocol-from",
                "10.0.0.0/8  192.0.2.7 2001:db8::/32 ::1",
                true,
            ),
            ("forebay:proxy-protocol-from", "0.0.0.0/0 ::/0", true),
            ("forebay:proxy-protocol-from", "10.0.0.0/33", false),
            ("forebay:proxy-protocol-from", "10.0.0.0/8,192.0.2.7", false),
            ("forebay:proxy-protocol-from", "haproxy.example", false),
            ("forebay:proxy-protocol-from", "", false),
            ("forebay:minimum-request-rate", "0", true),
            ("forebay:minimum-request-rate", "240", true),
            ("forebay:minimum-request-rate", "-1", false),
            ("forebay:minimum-request-rate", "", false),
            ("forebay:check-host", "off", true),
            ("forebay:check-host", "no", false),
            ("forebay:strict-paths", "on", true),
            ("forebay:strict-paths", "", false),
            ("forebay:access-log-extensions", "on", true),
            ("forebay:access-log-extensions", "yes", false),
            ("team", "", true),
        ] {
            assert_eq!(wrong_tag(key, value).is_none(), good, "{key}={value}");
        }
        let tags = [
            ("forebay:request-head-timeout", "5"),
            ("forebay:minimum-request-rate", "nonsense"),
            ("forebay:proxy-protocol-from", "192.0.2.7 ::/0"),
        ];
        let tags = tags.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let extended = extend_balancer(BalancerSettings::default(), Some(&tags.into_iter().collect()));
        let expected = BalancerSettings {
            head_timeout: Duration::from_secs(5),
            proxies: vec!["192.0.2.7/32".parse().unwrap(), "::/0".parse().unwrap()],
            ..BalancerSettings::default()
        };
        assert_eq!(extended.settings, expected);
        let tags = |value: &str| {
            [("forebay:strict-paths".to_owned(), value.to_owned())]
                .into_iter()
                .collect::<Tags>()
        };
        for (mode, tag, paths) in [
            ("defensive", None, PathMode::Normal),
            ("strictest", None, PathMode::Strict),
            ("strictest", Some("off"), PathMode::Normal),
            ("monitor", Some("on"), PathMode::Strict),
        ] {
            let key = "routing.http.desync_mitigation_mode".to_owned();
            let attributes = balancer_settings(&[(key, mode.to_owned())].into_iter().collect());
            let extended = extend_balancer(attributes, tag.map(tags).as_ref());
            assert_eq!(extended.settings.paths, paths, "{mode} {tag:?}");
        }
    }
}
