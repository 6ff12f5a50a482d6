//! A small AWS client for the demo, the experiments and the sample worker: signed calls of our own public API, as any
//! client makes them.

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use forebay_awswire::{Service, sigv4};
use forebay_process::values::variable;
use forebay_proxy::Clock;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use std::net::SocketAddr;
use std::path::Path;

/// The version of each Query API.
fn version(service: Service) -> &'static str {
    match service {
        Service::Ec2 => "2016-11-15",
        Service::AutoScaling => "2011-01-01",
        Service::CloudWatch => "2010-08-01",
        Service::Iam => "2010-05-08",
        _ => "2015-12-01",
    }
}

/// The encoding of a call's body.
#[derive(Clone, Copy)]
enum Body {
    Query,
    /// JSON of this version.
    Json(&'static str),
}

/// A client that signs with a key.
pub(crate) struct AwsClient {
    api: SocketAddr,
    region: String,
    access_key: String,
    secret: String,
    /// The session token of an instance's keys.
    token: Option<String>,
    client: Client<HttpConnector, Full<Bytes>>,
    clock: Clock,
}

impl AwsClient {
    /// Uses the first profile of a credentials file.
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
            token: None,
            client: Client::builder(TokioExecutor::new()).build_http(),
            clock: Clock::start(),
        })
    }

    /// Uses the environment variables from which every AWS client reads endpoint, region and keys. Instances with a profile
    /// have them.
    pub(crate) fn from_environment() -> anyhow::Result<AwsClient> {
        let value = |name: &str| variable(name).with_context(|| format!("{name} is not set"));
        let url = value("AWS_ENDPOINT_URL")?;
        let api = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
        let api = api.and_then(|api| api.parse().ok());
        Ok(AwsClient {
            api: api.with_context(|| {
                format!("AWS_ENDPOINT_URL is {url}; it must be http:// with an IP address and a port")
            })?,
            region: variable("AWS_REGION").map_or_else(|| value("AWS_DEFAULT_REGION"), Ok)?,
            access_key: value("AWS_ACCESS_KEY_ID")?,
            secret: value("AWS_SECRET_ACCESS_KEY")?,
            token: variable("AWS_SESSION_TOKEN"),
            client: Client::builder(TokioExecutor::new()).build_http(),
            clock: Clock::start(),
        })
    }

    /// Calls an operation of an AWS Query or EC2 API; returns the answer's XML.
    pub(crate) async fn call(
        &self,
        service: Service,
        action: &str,
        input: &[(&str, &str)],
    ) -> anyhow::Result<String> {
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("Action", action)
            .append_pair("Version", version(service))
            .extend_pairs(input)
            .finish();
        self.send(service, action, Body::Query, body).await
    }

    /// Calls an operation of SQS or SSM in JSON.
    pub(crate) async fn call_json(
        &self,
        service: Service,
        action: &str,
        input: &Value,
    ) -> anyhow::Result<Value> {
        let version = match service {
            Service::Sqs => "1.0",
            _ => "1.1",
        };
        let text = self
            .send(service, action, Body::Json(version), input.to_string())
            .await?;
        // Some operations have an empty answer.
        match &*text {
            "" => Ok(Value::Null),
            text => serde_json::from_str(text).with_context(|| format!("{action} was not answered in JSON")),
        }
    }

    async fn send(&self, service: Service, action: &str, kind: Body, body: String) -> anyhow::Result<String> {
        let url = format!("http://{}/", self.api);
        let signer = sigv4::Signer {
            access_key: &self.access_key,
            secret: &self.secret,
            region: &self.region,
            service,
        };
        let (host, mut headers) = (self.api.to_string(), Vec::new());
        match kind {
            Body::Query => headers.push(("content-type", "application/x-www-form-urlencoded".to_owned())),
            Body::Json(version) => {
                let prefix = match service {
                    Service::Sqs => "AmazonSQS",
                    Service::Ssm => "AmazonSSM",
                    _ => bail!("{action} is not called in JSON here"),
                };
                headers.push(("content-type", format!("application/x-amz-json-{version}")));
                headers.push(("x-amz-target", format!("{prefix}.{action}")));
            }
        }
        headers.extend(
            self.token
                .iter()
                .map(|token| ("x-amz-security-token", token.clone())),
        );
        let mut to_sign = vec![("host", &*host)];
        to_sign.extend(headers.iter().map(|(name, value)| (*name, &**value)));
        let signed = sigv4::sign(signer, "POST", &url, &to_sign, body.as_bytes(), self.clock.wall())?;
        let mut request = Request::post(&url);
        for (name, value) in &headers {
            request = request.header(*name, value);
        }
        for (name, value) in signed {
            request = request.header(name, value);
        }
        let answer = self
            .client
            .request(request.body(Full::new(Bytes::from(body)))?)
            .await?;
        let status = answer.status();
        let text = String::from_utf8_lossy(&answer.into_body().collect().await?.to_bytes()).into_owned();
        ensure!(
            status.is_success(),
            "{action} was answered with {status}: {}",
            element(&text, "Message").unwrap_or(&text)
        );
        Ok(text)
    }

    /// The body of a page that needs no signature, such as one of the admin address.
    pub(crate) async fn page(&self, at: SocketAddr, path: &str) -> anyhow::Result<Bytes> {
        let request = Request::get(format!("http://{at}{path}")).body(Full::default())?;
        let answer = self.client.request(request).await?;
        ensure!(
            answer.status().is_success(),
            "{path} was answered with {}",
            answer.status()
        );
        Ok(answer.into_body().collect().await?.to_bytes())
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
