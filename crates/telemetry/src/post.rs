//! Posts over HTTP to a receiver: one attempt within a limited time, whose answer is read up to a limit.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::{HeaderMap, RETRY_AFTER};
use hyper::{Request, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// Longest time for one post (OpenTelemetry's default).
const PATIENCE: Duration = Duration::from_secs(10);
/// Most bytes of an answer that are read.
const ANSWER_BYTES: usize = 64 * 1024;
/// The longest wait that a receiver may ask for: a longer one would amount to giving up.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Least interval between warnings of losses.
const TELLING: Duration = Duration::from_secs(60);

/// Why a post failed.
#[derive(Debug)]
pub struct Failed {
    /// The reason in words.
    pub why: String,
    /// Whether the same post may succeed later.
    pub again: bool,
    /// The wait before the next attempt that the receiver asked for.
    pub after: Option<Duration>,
}

/// Posts to one address, over HTTP or HTTPS.
pub struct Poster {
    uri: Uri,
    headers: HeaderMap,
    /// Which answers mean that the same post may succeed later.
    again: fn(StatusCode) -> bool,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl Poster {
    /// A poster to `uri`. `headers` are part of each post; `again` decides which answers mean that it may succeed later.
    pub fn new(uri: Uri, headers: HeaderMap, again: fn(StatusCode) -> bool) -> Poster {
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(trusting_the_system())
            .https_or_http()
            .enable_http1()
            .build();
        Poster {
            uri,
            headers,
            again,
            client: Client::builder(TokioExecutor::new()).build(connector),
        }
    }

    pub(crate) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The address without what may be secret: a webhook's path and query often are.
    pub fn shown(&self) -> String {
        let scheme = self.uri.scheme_str().unwrap_or_default();
        let authority = self.uri.authority().map_or("", |authority| authority.as_str());
        format!("{scheme}://{authority}")
    }

    /// Posts once; returns the body of a successful answer.
    ///
    /// # Errors
    /// If no answer comes in time, or it is not a success.
    pub async fn post(&self, body: Bytes) -> Result<Bytes, Failed> {
        self.post_with(&HeaderMap::new(), body).await
    }

    /// Posts once, with additional headers.
    ///
    /// # Errors
    /// Like [`Poster::post`].
    pub async fn post_with(&self, headers: &HeaderMap, body: Bytes) -> Result<Bytes, Failed> {
        let again = |why: String| Failed {
            why,
            again: true,
            after: None,
        };
        let mut request = Request::post(self.uri.clone())
            .body(Full::new(body))
            .map_err(|error| again(error.to_string()))?;
        *request.headers_mut() = self.headers.clone();
        request
            .headers_mut()
            .extend(headers.iter().map(|(name, value)| (name.clone(), value.clone())));
        let answered = async {
            let response = self
                .client
                .request(request)
                .await
                .map_err(|error| error.to_string())?;
            let (status, after) = (response.status(), retry_after(response.headers()));
            let body = Limited::new(response.into_body(), ANSWER_BYTES).collect().await;
            // An answer whose body breaks off or is too long still counts by its status.
            let body = body.map(|body| body.to_bytes()).unwrap_or_default();
            Ok::<_, String>((status, after, body))
        };
        let (status, after, body) = match tokio::time::timeout(PATIENCE, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(again(error)),
            Err(_) => return Err(again("no answer in time".to_owned())),
        };
        if status.is_success() {
            return Ok(body);
        }
        Err(Failed {
            why: format!("the answer was {status}"),
            again: (self.again)(status),
            after,
        })
    }
}

/// A TLS configuration that trusts the system's certificate authorities. On a system without any, no HTTPS receiver is
/// trusted, and plain HTTP still works.
fn trusting_the_system() -> rustls::ClientConfig {
    let mut authorities = rustls::RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    authorities.add_parsable_certificates(found.certs);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap_or_else(|error| unreachable!("the provider speaks no version of TLS: {error}"));
    versions.with_root_certificates(authorities).with_no_client_auth()
}

/// The wait that a receiver asks for (RFC 9110, section 10.2.3), up to [`LONGEST_WAIT`].
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let at = httpdate::parse_http_date(text).ok()?;
            at.duration_since(SystemTime::now()).unwrap_or_default()
        }
    };
    Some(wait.min(LONGEST_WAIT))
}

/// Logs losses, at an interval.
#[derive(Debug, Default)]
pub(crate) struct Complaint {
    told: Option<Instant>,
}

impl Complaint {
    /// Logs that `what` is lost. `counter` names the metric that counts it.
    pub(crate) fn tell(&mut self, what: &str, uri: &Uri, why: &str, counter: &str) {
        let now = Instant::now();
        if self.told.is_none_or(|told| now.duration_since(told) >= TELLING) {
            self.told = Some(now);
            tracing::warn!("{what} are lost: {uri}: {why} ({counter} counts them)");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_that_receivers_ask_for() {
        let wait = |text: &str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
            retry_after(&headers)
        };
        assert_eq!(wait("3"), Some(Duration::from_secs(3)));
        assert_eq!(wait("86400"), Some(LONGEST_WAIT));
        assert_eq!(wait("99999999999999999999"), None);
        assert_eq!(wait("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        let soon = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(30));
        assert!(
            wait(&soon).is_some_and(|wait| wait > Duration::from_secs(20) && wait <= Duration::from_secs(30))
        );
        assert_eq!((wait("soon"), wait("-1")), (None, None));
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }
}
