//! Signed calls of CloudWatch's API, in JSON.

use super::wanted::Wanted;
use crate::ask::admin;
use anyhow::{Context as _, bail};
use bytes::Bytes;
use clap::Args;
use forebay_awswire::{Service, sigv4};
use forebay_gateway::credentials;
use forebay_server::{DataDir, region};
use forebay_units::Wall;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Most bytes of an answer: a page has at most 100,800 points.
const MOST_BYTES: usize = 64 * 1024 * 1024;
const PATIENCE: Duration = Duration::from_secs(30);
const JSON: &str = "application/x-amz-json-1.0";

/// Flags that name the API to call and the profile whose key signs calls.
#[derive(Args, Debug, Clone)]
pub(super) struct ApiArgs {
    #[command(flatten)]
    data: DataDir,
    /// Address of the API, as `forebay up` prints it
    #[arg(long, env = "FOREBAY_API", default_value = "127.0.0.1:4566", value_name = "ADDR:PORT", value_parser = admin, global = true)]
    api: SocketAddr,
    /// Region of the metrics
    #[arg(long, env = "FOREBAY_REGION", default_value = "local-1", value_parser = region, global = true)]
    region: String,
    /// Profile whose keys sign calls
    #[arg(long, default_value = "default", value_name = "NAME", global = true)]
    profile: String,
}

/// A result of GetMetricData: its query's id, its label, and its points by time.
pub(super) type Answered = (String, String, Vec<(i64, f64)>);

pub(super) struct Client {
    api: SocketAddr,
    region: String,
    key: credentials::Key,
}

/// A metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Metric {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) dimensions: Vec<(String, String)>,
}

impl Metric {
    fn of(shown: &Value) -> Metric {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let dimensions = shown["Dimensions"].as_array().into_iter().flatten();
        Metric {
            namespace: text(&shown["Namespace"]),
            name: text(&shown["MetricName"]),
            dimensions: dimensions
                .map(|one| (text(&one["Name"]), text(&one["Value"])))
                .collect(),
        }
    }

    pub(super) fn json(&self) -> Value {
        json!({"Namespace": self.namespace, "MetricName": self.name, "Dimensions": named(&self.dimensions)})
    }

    /// Its dimensions, for people.
    pub(super) fn dimensions(&self) -> String {
        let all = self
            .dimensions
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        all.collect::<Vec<_>>().join(" ")
    }
}

fn named(dimensions: &[(String, String)]) -> Vec<Value> {
    dimensions
        .iter()
        .map(|(name, value)| json!({"Name": name, "Value": value}))
        .collect()
}

impl Client {
    pub(super) fn new(args: &ApiArgs) -> anyhow::Result<Client> {
        let key = crate::env::key(&args.data.data_dir, &args.profile)?;
        Ok(Client {
            api: args.api,
            region: args.region.clone(),
            key,
        })
    }

    /// All metrics that match, of all pages.
    pub(super) async fn metrics(&self, wanted: &Wanted, name: Option<&str>) -> anyhow::Result<Vec<Metric>> {
        let mut input = json!({"Dimensions": named(&wanted.dimensions)});
        if let Some(namespace) = &wanted.namespace {
            input["Namespace"] = json!(namespace);
        }
        if let Some(name) = name {
            input["MetricName"] = json!(name);
        }
        let mut found = Vec::new();
        loop {
            let answer = self.call("ListMetrics", &input).await?;
            found.extend(answer["Metrics"].as_array().into_iter().flatten().map(Metric::of));
            match answer["NextToken"].as_str() {
                Some(token) => input["NextToken"] = json!(token),
                None => return Ok(found),
            }
        }
    }

    /// The points of these queries, at most 500, over all pages: one entry per result.
    pub(super) async fn data(&self, queries: &[Value], from: i64, to: i64) -> anyhow::Result<Vec<Answered>> {
        let mut input = json!({"MetricDataQueries": queries, "StartTime": from, "EndTime": to, "ScanBy": "TimestampAscending"});
        let mut found: Vec<Answered> = Vec::new();
        loop {
            let answer = self.call("GetMetricData", &input).await?;
            for result in answer["MetricDataResults"].as_array().into_iter().flatten() {
                if let Some(message) = result["Messages"][0]["Value"].as_str() {
                    bail!("{message}");
                }
                let text = |name: &str| result[name].as_str().unwrap_or_default().to_owned();
                let times = result["Timestamps"].as_array().into_iter().flatten();
                let times = times.map(|at| at.as_f64().unwrap_or_default() as i64);
                let values = result["Values"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|value| value.as_f64().unwrap_or(f64::NAN));
                let (id, label) = (text("Id"), text("Label"));
                match found.last_mut().filter(|last| last.0 == id && last.1 == label) {
                    Some(last) => last.2.extend(times.zip(values)),
                    None => found.push((id, label, times.zip(values).collect())),
                }
            }
            match answer["NextToken"].as_str() {
                Some(token) => input["NextToken"] = json!(token),
                None => return Ok(found),
            }
        }
    }

    async fn call(&self, operation: &str, input: &Value) -> anyhow::Result<Value> {
        let asked = tokio::time::timeout(PATIENCE, self.ask(operation, input)).await;
        asked.with_context(|| format!("{} gave no answer within {} s", self.api, PATIENCE.as_secs()))?
    }

    async fn ask(&self, operation: &str, input: &Value) -> anyhow::Result<Value> {
        let (url, host) = (format!("http://{}/", self.api), self.api.to_string());
        let target = format!("GraniteServiceVersion20100801.{operation}");
        let headers = [
            ("host", host.as_str()),
            ("content-type", JSON),
            ("x-amz-target", target.as_str()),
        ];
        let body = input.to_string();
        let signer = sigv4::Signer {
            access_key: &self.key.access_key,
            secret: &self.key.secret,
            region: &self.region,
            service: Service::CloudWatch,
        };
        let signed = sigv4::sign(signer, "POST", &url, &headers, body.as_bytes(), now())?;
        let stream = tokio::net::TcpStream::connect(self.api).await;
        let stream = stream.with_context(|| {
            format!(
                "cannot reach http://{}: is `forebay up` running, with this --api?",
                self.api
            )
        })?;
        let (mut sender, driver) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(driver);
        let mut request = hyper::Request::post("/");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        for (name, value) in signed {
            request = request.header(name, value);
        }
        let answer = sender
            .send_request(request.body(Full::new(Bytes::from(body)))?)
            .await?;
        let status = answer.status();
        let bytes = Limited::new(answer.into_body(), MOST_BYTES).collect().await;
        let bytes = bytes
            .map_err(|error| anyhow::anyhow!("the answer broke off: {error}"))?
            .to_bytes();
        let answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if !status.is_success() {
            let message = answer["message"].as_str().or(answer["Message"].as_str());
            bail!("{operation}: {}", message.unwrap_or(status.as_str()));
        }
        Ok(answer)
    }
}

/// The current time.
pub(super) fn now() -> Wall {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Wall(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
