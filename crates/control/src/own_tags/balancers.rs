//! Tags by which a load balancer asks for what ALB does not have.

use crate::own_tags::switch::switch;
use crate::records::Tags;
use core::net::IpAddr;
use core::time::Duration;
use forebay_model::{BalancerSettings, DesyncMode, PathMode};
use ipnet::IpNet;

/// Seconds for a request's head, from its first byte; the idle timeout bounds it too.
const HEAD_TIMEOUT: &str = "forebay:request-head-timeout";
/// Bytes of its body that a client must send in a second, averaged over five.
const REQUEST_RATE: &str = "forebay:minimum-request-rate";

/// Names by which it is reached at exposed addresses, with spaces between them; a full stop at the beginning stands for any labels (AWS
/// allows no asterisk in tags).
const NAMED: &str = "forebay:names";

/// Networks, with spaces between them, whose connections begin with a PROXY header that says whose they are.
const PROXIES: &str = "forebay:proxy-protocol-from";

/// `on`: lines of the access log end with two more fields, the wait for a slot and the reason of an answer of ours.
const LOG_EXTENSIONS: &str = "forebay:access-log-extensions";

/// `off`: where Host headers go on untouched, those that are none do, too, as with ALB.
const CHECK_HOST: &str = "forebay:check-host";
/// `on`: rules see slashes that are escaped or doubled as targets may, and what stays ambiguous is refused. `off`: they don't. Without
/// the tag it is on where the desync mitigation mode is strictest.
const STRICT_PATHS: &str = "forebay:strict-paths";

/// The tags of a load balancer.
pub(crate) const NAMES: &[&str] = &[
    HEAD_TIMEOUT,
    REQUEST_RATE,
    LOG_EXTENSIONS,
    CHECK_HOST,
    STRICT_PATHS,
    NAMED,
    PROXIES,
];

/// The longest head timeout, as the idle timeout's.
const LONGEST_HEAD: u64 = 4000;

fn head_timeout(value: &str) -> Option<Duration> {
    let seconds = value
        .parse()
        .ok()
        .filter(|seconds| (1..=LONGEST_HEAD).contains(seconds))?;
    Some(Duration::from_secs(seconds))
}

fn request_rate(value: &str) -> Option<u32> {
    value.parse().ok()
}

/// What the value of a tag of ours must be, if it is not.
pub(crate) fn wanted(key: &str, value: &str) -> Option<&'static str> {
    match key {
        HEAD_TIMEOUT if head_timeout(value).is_none() => Some("a number of seconds from 1 to 4000"),
        REQUEST_RATE if request_rate(value).is_none() => {
            Some("a number of bytes per second from 0 to 4294967295")
        }
        NAMED if names(value).is_none() => Some(
            "host names of letters, digits and hyphens, with spaces between them, such as 'shop.example .shop.example'",
        ),
        PROXIES if proxies(value).is_none() => Some(
            "networks or addresses with spaces between them, such as '10.0.0.0/8 192.0.2.7 2001:db8::/32'",
        ),
        LOG_EXTENSIONS | CHECK_HOST | STRICT_PATHS if switch(value).is_none() => Some("'on' or 'off'"),
        _ => None,
    }
}

/// Networks; none if one of them is none. An address is a network of its own.
fn proxies(value: &str) -> Option<Vec<IpNet>> {
    let network = |word: &str| -> Option<IpNet> {
        let alone = || word.parse().ok().map(|address: IpAddr| IpNet::from(address));
        word.parse().ok().or_else(alone)
    };
    let networks: Option<Vec<IpNet>> = value.split_ascii_whitespace().map(network).collect();
    networks.filter(|networks| !networks.is_empty())
}

/// Host names, in lower case; none if one of them is none.
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

/// The names that a load balancer's tags give it.
pub(crate) fn names_of(tags: Option<&Tags>) -> Vec<String> {
    let value = tags.and_then(|tags| tags.get(NAMED));
    value.and_then(|value| names(value)).unwrap_or_default()
}

/// What a load balancer's tags say beyond its attributes. A value that is none says nothing.
pub(crate) fn extend_balancer(settings: &mut BalancerSettings, tags: Option<&Tags>) {
    let tag = |key: &str| tags?.get(key).map(String::as_str);
    if let Some(timeout) = tag(HEAD_TIMEOUT).and_then(head_timeout) {
        settings.head_timeout = timeout;
    }
    if let Some(rate) = tag(REQUEST_RATE).and_then(request_rate) {
        settings.minimum_request_rate = rate;
    }
    settings.check_host = tag(CHECK_HOST).and_then(switch).unwrap_or(true);
    let strictest = settings.desync == DesyncMode::Strictest;
    settings.paths = if tag(STRICT_PATHS).and_then(switch).unwrap_or(strictest) {
        PathMode::Strict
    } else {
        PathMode::Normal
    };
    settings.proxies = tag(PROXIES).and_then(proxies).unwrap_or_default();
    settings.log_extensions = tag(LOG_EXTENSIONS).and_then(switch).unwrap_or(false);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_a_balancer() {
        for (key, value, good) in [
            (HEAD_TIMEOUT, "1", true),
            (HEAD_TIMEOUT, "4000", true),
            (HEAD_TIMEOUT, "0", false),
            (HEAD_TIMEOUT, "4001", false),
            (HEAD_TIMEOUT, "5s", false),
            (NAMED, "shop.example  .Shop.example", true),
            (NAMED, "*", false),
            (NAMED, "a..b", false),
            (NAMED, "-a.b", false),
            (NAMED, "", false),
            (PROXIES, "10.0.0.0/8  192.0.2.7 2001:db8::/32 ::1", true),
            (PROXIES, "0.0.0.0/0 ::/0", true),
            (PROXIES, "10.0.0.0/33", false),
            (PROXIES, "10.0.0.0/8,192.0.2.7", false),
            (PROXIES, "haproxy.example", false),
            (PROXIES, "", false),
            (REQUEST_RATE, "0", true),
            (REQUEST_RATE, "240", true),
            (REQUEST_RATE, "-1", false),
            (REQUEST_RATE, "", false),
            (CHECK_HOST, "off", true),
            (CHECK_HOST, "no", false),
            (STRICT_PATHS, "on", true),
            (STRICT_PATHS, "", false),
            (LOG_EXTENSIONS, "on", true),
            (LOG_EXTENSIONS, "yes", false),
            ("team", "", true),
        ] {
            assert_eq!(wanted(key, value).is_none(), good, "{key}={value}");
        }
        let tags = [
            (HEAD_TIMEOUT, "5"),
            (REQUEST_RATE, "nonsense"),
            (PROXIES, "192.0.2.7 ::/0"),
        ];
        let tags = tags.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let mut settings = BalancerSettings::default();
        extend_balancer(&mut settings, Some(&tags.into_iter().collect()));
        let expected = BalancerSettings {
            head_timeout: Duration::from_secs(5),
            proxies: vec!["192.0.2.7/32".parse().unwrap(), "::/0".parse().unwrap()],
            ..BalancerSettings::default()
        };
        assert_eq!(settings, expected);
        let tags = |value: &str| {
            [(STRICT_PATHS.to_owned(), value.to_owned())]
                .into_iter()
                .collect::<Tags>()
        };
        for (desync, tag, paths) in [
            (DesyncMode::Defensive, None, PathMode::Normal),
            (DesyncMode::Strictest, None, PathMode::Strict),
            (DesyncMode::Strictest, Some("off"), PathMode::Normal),
            (DesyncMode::Monitor, Some("on"), PathMode::Strict),
        ] {
            let mut settings = BalancerSettings {
                desync,
                ..BalancerSettings::default()
            };
            extend_balancer(&mut settings, tag.map(tags).as_ref());
            assert_eq!(settings.paths, paths, "{desync:?} {tag:?}");
        }
    }
}
