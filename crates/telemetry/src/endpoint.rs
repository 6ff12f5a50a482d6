//! Addresses of receivers, parsed from flags.

use hyper::Uri;

/// The error of an address that is not a collector's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoEndpoint;

impl core::fmt::Display for NoEndpoint {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.write_str(
            "an endpoint is a collector's address, http://HOST:PORT or https://HOST:PORT, such as http://127.0.0.1:4318",
        )
    }
}

impl std::error::Error for NoEndpoint {}

fn http(text: &str) -> Result<Uri, NoEndpoint> {
    let uri: Uri = text.parse().map_err(|_| NoEndpoint)?;
    // A user name or password in the address would not be sent.
    let is_bare = uri
        .authority()
        .is_some_and(|authority| !authority.as_str().contains('@'));
    if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none_or(str::is_empty) || !is_bare
    {
        return Err(NoEndpoint);
    }
    Ok(uri)
}

/// Parses `http://HOST:PORT`, perhaps with a path, and adds the signal's own path, as OpenTelemetry does for an endpoint of
/// all signals.
pub(crate) fn of_signal(text: &str, path: &str) -> Result<Uri, NoEndpoint> {
    if http(text)?.query().is_some() {
        return Err(NoEndpoint);
    }
    let whole = format!("{}{path}", text.trim_end_matches('/'));
    whole.parse().map_err(|_| NoEndpoint)
}

/// The address for Prometheus' remote-write, `http://HOST:PORT/PATH`, used as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteWriteUrl(pub(crate) Uri);

/// The error of an address that cannot be used for remote-write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRemoteWriteUrl;

impl core::fmt::Display for NoRemoteWriteUrl {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.write_str(
            "remote-write goes to http://HOST:PORT/PATH or https://HOST/PATH, such as http://127.0.0.1:9090/api/v1/write, without a user name or password",
        )
    }
}

impl std::error::Error for NoRemoteWriteUrl {}

impl core::str::FromStr for RemoteWriteUrl {
    type Err = NoRemoteWriteUrl;

    fn from_str(text: &str) -> Result<RemoteWriteUrl, NoRemoteWriteUrl> {
        http(text).map(RemoteWriteUrl).map_err(|_| NoRemoteWriteUrl)
    }
}

/// The address for metrics by OTLP: a collector's, to which `/v1/metrics` is added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricsEndpoint(pub(crate) Uri);

impl core::str::FromStr for MetricsEndpoint {
    type Err = NoEndpoint;

    fn from_str(text: &str) -> Result<MetricsEndpoint, NoEndpoint> {
        of_signal(text, "/v1/metrics").map(MetricsEndpoint)
    }
}

/// A webhook's address: `https://HOST/PATH`, or `http` for networks where that is safe enough.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookUrl(Uri);

impl WebhookUrl {
    /// The address.
    pub fn uri(&self) -> Uri {
        self.0.clone()
    }
}

impl core::fmt::Debug for WebhookUrl {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        // A webhook's path is often a secret.
        out.write_str(self.0.host().unwrap_or_default())
    }
}

/// The error of an address that is not a webhook's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoWebhookUrl;

impl core::fmt::Display for NoWebhookUrl {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.write_str(
            "a webhook is http://HOST:PORT/PATH or https://HOST/PATH, without a user name or password",
        )
    }
}

impl std::error::Error for NoWebhookUrl {}

impl core::str::FromStr for WebhookUrl {
    type Err = NoWebhookUrl;

    fn from_str(text: &str) -> Result<WebhookUrl, NoWebhookUrl> {
        http(text).map(WebhookUrl).map_err(|_| NoWebhookUrl)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let write = |text: &str| text.parse::<RemoteWriteUrl>().map(|url| url.0.to_string());
        for good in [
            "http://127.0.0.1:9090/api/v1/write",
            "http://[::1]:9090/api/v1/push?tenant=a",
            "https://metrics.example/write",
        ] {
            assert_eq!(write(good).as_deref(), Ok(good));
        }
        for bad in [
            "",
            "127.0.0.1:9090",
            "ftp://a/b",
            "http://",
            "http://me:secret@a/b",
            "http:///x",
        ] {
            assert_eq!(write(bad), Err(NoRemoteWriteUrl), "{bad}");
        }
        let metrics = |text: &str| {
            text.parse::<MetricsEndpoint>()
                .map(|endpoint| endpoint.0.to_string())
        };
        assert_eq!(
            metrics("http://otel:4318/").as_deref(),
            Ok("http://otel:4318/v1/metrics")
        );
        assert_eq!(metrics("http://otel:4318/?a"), Err(NoEndpoint));
    }
}
