//! Keeps web pages from calls that need no signature. A browser makes calls to loopback on behalf of any page, and a page's
//! own host name can be made to resolve to this address (DNS rebinding).

use http::{HeaderMap, Uri};
use std::net::{IpAddr, SocketAddr};

/// Whether a browser makes this call on behalf of a page. Other programs send none of these headers.
pub fn comes_from_a_page(headers: &HeaderMap) -> bool {
    let fetched = headers.get("sec-fetch-site");
    headers.contains_key("origin") || fetched.is_some_and(|site| site != "none")
}

/// The host names under which requests are answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts {
    /// Names in addition to those that are always allowed.
    pub allowed: Vec<String>,
}

impl Hosts {
    /// Why this request is refused at `local`, the address that it came to; none if it is not. A request without a host
    /// name does not come from a browser.
    pub fn refusal(&self, uri: &Uri, headers: &HeaderMap, local: SocketAddr) -> Option<String> {
        let header = headers.get("host").map(|value| value.as_bytes());
        let authority = uri.authority().map(|authority| authority.as_str().as_bytes());
        let said = authority.or(header)?;
        let taken = std::str::from_utf8(said).is_ok_and(|said| self.takes(said, local.ip()));
        (!taken).then(|| {
            let said = String::from_utf8_lossy(said);
            let own = local.ip().to_canonical();
            format!(
                "The Host '{}' is not answered here, so that no web page can ask by a name of its own. Use {own}, a loopback address or localhost, or allow the name with --allowed-host.",
                said.escape_debug()
            )
        })
    }

    fn takes(&self, said: &str, local: IpAddr) -> bool {
        let host = without_port(said);
        let literal = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = literal.parse::<IpAddr>() {
            let address = address.to_canonical();
            return address.is_loopback() || address == local.to_canonical() || self.is_allowed(literal);
        }
        let host = host.strip_suffix('.').unwrap_or(host);
        let parent = host.rsplit('.').next().unwrap_or(host);
        parent.eq_ignore_ascii_case("localhost") || self.is_allowed(host)
    }

    fn is_allowed(&self, host: &str) -> bool {
        self.allowed
            .iter()
            .any(|allowed| allowed.eq_ignore_ascii_case(host))
    }
}

fn without_port(said: &str) -> &str {
    match said.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') && !host.ends_with(':') => host,
        _ => said,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_others_are_not_answered() {
        let hosts = Hosts {
            allowed: vec!["forebay.test".to_owned()],
        };
        let judge = |said: &str, local: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("host", said.parse().unwrap());
            let local = SocketAddr::new(local.parse().unwrap(), 4566);
            hosts.refusal(&Uri::from_static("/"), &headers, local).is_none()
        };
        for taken in [
            "127.0.0.1",
            "127.0.0.1:4566",
            "127.9.9.9",
            "[::1]:4566",
            "[::1]",
            "[::ffff:127.0.0.1]:1",
            "localhost",
            "LocalHost:4566",
            "localhost.:80",
            "elb.eu-west-1.localhost:4566",
            "10.0.0.7:4566",
            "Forebay.Test:4566",
        ] {
            assert!(judge(taken, "10.0.0.7"), "{taken}");
        }
        for refused in [
            "evil.test",
            "evil.test:4566",
            "localhost.evil.test",
            "notlocalhost",
            "127.0.0.1.evil.test",
            "10.0.0.8",
            "0.0.0.0:4566",
            "",
            ":80",
            "[::2]:4566",
        ] {
            assert!(!judge(refused, "10.0.0.7"), "{refused}");
        }
        assert!(judge("[fd00::7]:4566", "fd00::7"));
        let local = "127.0.0.1:1".parse().unwrap();
        let absolute = Uri::from_static("http://evil.test/");
        assert!(hosts.refusal(&absolute, &HeaderMap::new(), local).is_some());
        assert!(
            hosts
                .refusal(&Uri::from_static("/"), &HeaderMap::new(), local)
                .is_none()
        );
    }
}
