//! The protocol of EC2's metadata service, version 2: a token by PUT, then values by GET.

use crate::metadata::Metadata;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use forebay_control::fleet::WantedInstance;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue, SERVER};
use hyper::{Method, Response, StatusCode};

const TOKEN: &str = "x-aws-ec2-metadata-token";
const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";
/// Longest validity of a token: six hours.
const LONGEST_SECONDS: i64 = 21_600;

/// Signs tokens. A new key makes old tokens invalid; clients then fetch new ones.
pub(crate) struct Tokens(hmac::Key);

impl Tokens {
    /// With a new key.
    pub(crate) fn new() -> Result<Tokens, String> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)
            .map_err(|error| format!("the system's random number generator failed: {error}"))?;
        Ok(Tokens(hmac::Key::new(hmac::HMAC_SHA256, &key)))
    }

    fn make(&self, id: &str, until: i64) -> String {
        let tag = hmac::sign(&self.0, format!("{id} {until}").as_bytes());
        URL_SAFE_NO_PAD.encode([&until.to_be_bytes()[..], tag.as_ref()].concat())
    }

    fn is_good(&self, token: &str, id: &str, now: i64) -> bool {
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(token) else {
            return false;
        };
        let Some((until, tag)) = bytes.split_first_chunk::<8>() else {
            return false;
        };
        let until = i64::from_be_bytes(*until);
        now < until && hmac::verify(&self.0, format!("{id} {until}").as_bytes(), tag).is_ok()
    }
}

/// The answer to a request of an instance.
pub(crate) fn answer(
    (method, path, headers): (&Method, &str, &HeaderMap),
    instance: &WantedInstance,
    tokens: &Tokens,
    now: i64,
    metadata: impl FnOnce() -> Metadata,
) -> Response<Full<Bytes>> {
    let path = path.split('?').next().unwrap_or_default();
    if *method == Method::PUT {
        return token(path, headers, instance, tokens, now);
    }
    if *method != Method::GET && *method != Method::HEAD {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "405 - Method Not Allowed");
    }
    let token = headers.get(TOKEN).and_then(|token| token.to_str().ok());
    if !token.is_some_and(|token| tokens.is_good(token, &instance.id, now)) {
        return plain(StatusCode::UNAUTHORIZED, "401 - Unauthorized");
    }
    let path = path.trim_start_matches('/');
    let (version, rest) = path.split_once('/').unwrap_or((path, ""));
    if version.is_empty() {
        return plain(StatusCode::OK, "latest");
    }
    if !is_version(version) {
        return plain(StatusCode::NOT_FOUND, "404 - Not Found");
    }
    if rest.trim_end_matches('/') == "user-data" {
        let data = instance
            .user_data
            .as_deref()
            .and_then(|data| STANDARD.decode(data.trim()).ok());
        return match data {
            Some(data) => respond(StatusCode::OK, data.into(), "application/octet-stream"),
            None => plain(StatusCode::NOT_FOUND, "404 - Not Found"),
        };
    }
    match metadata().find(rest) {
        Some(value) => respond(StatusCode::OK, value.into(), "text/plain"),
        None => plain(StatusCode::NOT_FOUND, "404 - Not Found"),
    }
}

fn token(
    path: &str,
    headers: &HeaderMap,
    instance: &WantedInstance,
    tokens: &Tokens,
    now: i64,
) -> Response<Full<Bytes>> {
    if path != "/latest/api/token" {
        return plain(StatusCode::NOT_FOUND, "404 - Not Found");
    }
    // As in EC2: a request through a proxy does not come from the instance.
    if headers.contains_key("x-forwarded-for") {
        return plain(StatusCode::FORBIDDEN, "403 - Forbidden");
    }
    let asked = headers
        .get(TTL)
        .and_then(|ttl| ttl.to_str().ok()?.parse::<i64>().ok());
    let Some(seconds) = asked.filter(|seconds| (1..=LONGEST_SECONDS).contains(seconds)) else {
        return plain(StatusCode::BAD_REQUEST, "400 - Bad Request");
    };
    let mut response = plain(StatusCode::OK, &tokens.make(&instance.id, now + seconds));
    response.headers_mut().insert(TTL, HeaderValue::from(seconds));
    response
}

/// Whether it is `latest` or a date, like EC2's versions.
fn is_version(word: &str) -> bool {
    let is_date = || {
        let parts: Vec<&str> = word.split('-').collect();
        let lens: Vec<usize> = parts.iter().map(|part| part.len()).collect();
        lens == [4, 2, 2] && parts.concat().bytes().all(|byte| byte.is_ascii_digit())
    };
    word == "latest" || is_date()
}

fn plain(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    respond(status, Bytes::from(text.to_owned()), "text/plain")
}

fn respond(status: StatusCode, body: Bytes, kind: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(SERVER, HeaderValue::from_static("EC2ws"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::tests::instance;

    fn ask(
        method: Method,
        path: &str,
        header: Option<(&'static str, &str)>,
        tokens: &Tokens,
        now: i64,
    ) -> Response<Full<Bytes>> {
        let mut headers = HeaderMap::new();
        if let Some((name, value)) = header {
            headers.insert(name, HeaderValue::from_str(value).unwrap());
        }
        let instance = instance();
        answer((&method, path, &headers), &instance, tokens, now, || {
            Metadata::new(&instance, "123456789012", None, now)
        })
    }

    #[test]
    fn nothing_is_told_without_a_token_that_is_good() {
        let tokens = Tokens::new().unwrap();
        let status =
            |header, now| ask(Method::GET, "/latest/meta-data/instance-id", header, &tokens, now).status();
        assert_eq!(status(None, 0), StatusCode::UNAUTHORIZED);
        assert_eq!(status(Some((TOKEN, "AAAA")), 0), StatusCode::UNAUTHORIZED);
        let good = tokens.make("i-0123456789abcdef0", 60);
        assert_eq!(status(Some((TOKEN, &good)), 59), StatusCode::OK);
        assert_eq!(status(Some((TOKEN, &good)), 60), StatusCode::UNAUTHORIZED);
        let others = tokens.make("i-1", 60);
        assert_eq!(status(Some((TOKEN, &others)), 0), StatusCode::UNAUTHORIZED);
    }

    #[test]
    fn a_token_is_good_for_as_long_as_was_asked() {
        let tokens = Tokens::new().unwrap();
        let status = |ttl| ask(Method::PUT, "/latest/api/token", ttl, &tokens, 0).status();
        assert_eq!(status(Some((TTL, "21600"))), StatusCode::OK);
        for wrong in [None, Some((TTL, "0")), Some((TTL, "21601")), Some((TTL, "x"))] {
            assert_eq!(status(wrong), StatusCode::BAD_REQUEST);
        }
    }

    #[test]
    fn versions_are_dates() {
        let tokens = Tokens::new().unwrap();
        let good = tokens.make("i-0123456789abcdef0", 60);
        let status = |path| ask(Method::GET, path, Some((TOKEN, &good)), &tokens, 0).status();
        assert_eq!(status("/2021-03-23/meta-data/"), StatusCode::OK);
        assert_eq!(status("/"), StatusCode::OK);
        assert_eq!(status("/newest/meta-data/"), StatusCode::NOT_FOUND);
        assert_eq!(status("/latest/user-data"), StatusCode::NOT_FOUND);
    }
}
