//! A small AWS client for the demo and the experiments: signed AWS Query calls to our own public API, as any client makes them.

use anyhow::{Context as _, bail};
use bytes::Bytes;
use forebay_awswire::{Service, sigv4};
use forebay_proxy::Clock;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::net::SocketAddr;
use std::path::Path;

/// A caller with a key.
pub(crate) struct AwsClient {
    api: SocketAddr,
    region: String,
    access_key: String,
    secret: String,
    client: Client<HttpConnector, Full<Bytes>>,
    clock: Clock,
}

impl AwsClient {
    /// The first profile of a credentials file.
    pub(crate) fn from_file(api: SocketAddr, region: &str, credentials: &Path) -> anyhow::Result<AwsClient> {
        let text = std::fs::read_to_string(credentials).context("cannot read the credentials")?;
        let value = |key: &str| {
            let line = text
                .lines()
                .filter_map(|line| line.split_once('='))
                .find(|line| line.0.trim() == key);
            line.map(|line| line.1.trim().to_owned())
                .with_context(|| format!("the credentials hold no {key}"))
        };
        Ok(AwsClient {
            api,
            region: region.to_owned(),
            access_key: value("aws_access_key_id")?,
            secret: value("aws_secret_access_key")?,
            client: Client::builder(TokioExecutor::new()).build_http(),
            clock: Clock::start(),
        })
    }

    /// Calls an operation of elbv2, ec2, autoscaling or monitoring; returns the answer's XML.
    pub(crate) async fn call(
        &self,
        service: Service,
        action: &str,
        input: &[(&str, &str)],
    ) -> anyhow::Result<String> {
        let version = match service {
            Service::Ec2 => "2016-11-15",
            Service::AutoScaling => "2011-01-01",
            Service::CloudWatch => "2010-08-01",
            _ => "2015-12-01",
        };
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("Action", action)
            .append_pair("Version", version)
            .extend_pairs(input)
            .finish();
        let url = format!("http://{}/", self.api);
        let signer = sigv4::Signer {
            access_key: &self.access_key,
            secret: &self.secret,
            region: &self.region,
            service,
        };
        let host = self.api.to_string();
        let headers = [
            ("host", host.as_str()),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        let signed = sigv4::sign(signer, "POST", &url, &headers, body.as_bytes(), self.clock.wall())?;
        let mut request = Request::post(&url).header("content-type", "application/x-www-form-urlencoded");
        for (name, value) in signed {
            request = request.header(name, value);
        }
        let answer = self
            .client
            .request(request.body(Full::new(Bytes::from(body)))?)
            .await?;
        let status = answer.status();
        let text = String::from_utf8_lossy(&answer.into_body().collect().await?.to_bytes()).into_owned();
        if !status.is_success() {
            bail!(
                "{action} was answered with {status}: {}",
                element(&text, "Message").unwrap_or(&text)
            );
        }
        Ok(text)
    }
}

/// The text of an element's first occurrence.
pub(crate) fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    elements(xml, name).next()
}

/// The text of each occurrence of a leaf element.
pub(crate) fn elements<'a>(xml: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let mut rest = xml;
    std::iter::from_fn(move || {
        let start = rest.find(&open)? + open.len();
        let end = start + rest[start..].find(&close)?;
        let text = &rest[start..end];
        rest = &rest[end..];
        Some(text)
    })
}
