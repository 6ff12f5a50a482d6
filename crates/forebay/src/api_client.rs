//! Signed calls of a running Forebay's AWS APIs, with a key from its data directory.

use crate::ask::admin;
use crate::env::key;
use anyhow::{Context as _, bail};
use bytes::Bytes;
use clap::Args;
use forebay_awswire::Service;
use forebay_awswire::sigv4::{Signer, sign};
use forebay_gateway::credentials::Key;
use forebay_server::{DataDir, region};
use forebay_units::Wall;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Most bytes of an answer.
const MOST_BYTES: usize = 64 << 20;
/// Longest time that an answer may take: a function may run for 15 minutes.
const PATIENCE: Duration = Duration::from_secs(930);

/// Flags that name the API to call and the profile whose key signs calls.
#[derive(Args, Debug, Clone)]
pub(crate) struct ApiAddress {
    #[command(flatten)]
    pub(crate) data: DataDir,
    /// Address of the API, as `forebay up` prints it
    #[arg(
        long,
        env = "FOREBAY_API",
        default_value = "127.0.0.1:4566",
        value_name = "ADDR:PORT",
        value_parser = admin,
        global = true
    )]
    api: SocketAddr,
    /// Region of calls
    #[arg(long, env = "FOREBAY_REGION", default_value = "local-1", value_parser = region, global = true)]
    region: String,
    /// Profile whose keys sign calls
    #[arg(long, default_value = "default", value_name = "NAME", global = true)]
    profile: String,
}

/// A client of the API.
pub(crate) struct ApiClient {
    api: SocketAddr,
    region: String,
    key: Key,
}

/// An answer.
pub(crate) struct Told {
    pub(crate) status: u16,
    /// The error's code, if the answer is an error.
    pub(crate) code: String,
    pub(crate) headers: hyper::HeaderMap,
    pub(crate) body: Bytes,
}

impl Told {
    /// The answer's error, for people.
    pub(crate) fn error(&self) -> anyhow::Error {
        let body = String::from_utf8_lossy(&self.body);
        let told: Option<serde_json::Value> = serde_json::from_str(&body).ok();
        let message = told
            .as_ref()
            .and_then(|told| told["Message"].as_str().or_else(|| told["message"].as_str()));
        anyhow::anyhow!("{}: {}", self.code, message.unwrap_or(&body))
    }
}

impl ApiClient {
    /// A client that signs with a profile's key.
    pub(crate) fn new(address: &ApiAddress) -> anyhow::Result<ApiClient> {
        Ok(ApiClient {
            api: address.api,
            region: address.region.clone(),
            key: key(&address.data.data_dir, &address.profile)?,
        })
    }

    /// Makes a call. All of its headers are signed.
    pub(crate) async fn call(
        &self,
        service: Service,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> anyhow::Result<Told> {
        let answered = self.once(service, method, target, headers, body);
        match tokio::time::timeout(PATIENCE, answered).await {
            Ok(told) => told
                .with_context(|| format!("cannot call http://{}: is it running, with this --api?", self.api)),
            Err(_) => bail!("no answer within {} s", PATIENCE.as_secs()),
        }
    }

    async fn once(
        &self,
        service: Service,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> anyhow::Result<Told> {
        let host = self.api.to_string();
        let mut all = vec![("host", host.as_str())];
        all.extend(headers);
        let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let now = Wall(i64::try_from(since.as_micros())?);
        let signer = Signer {
            access_key: &self.key.access_key,
            secret: &self.key.secret,
            region: &self.region,
            service,
        };
        let signed = sign(
            signer,
            method,
            &format!("http://{host}{target}"),
            &all,
            &body,
            now,
        )?;
        let stream = tokio::net::TcpStream::connect(self.api).await?;
        let (mut sender, driver) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(driver);
        let mut request = hyper::Request::builder().method(method).uri(target);
        for (name, value) in &all {
            request = request.header(*name, *value);
        }
        for (name, value) in &signed {
            request = request.header(name, value);
        }
        let answer = sender
            .send_request(request.body(Full::new(Bytes::from(body)))?)
            .await?;
        let (parts, body) = answer.into_parts();
        let body = Limited::new(body, MOST_BYTES).collect().await;
        let body = body
            .map_err(|error| anyhow::anyhow!("the answer broke off: {error}"))?
            .to_bytes();
        let code = parts
            .headers
            .get("x-amzn-errortype")
            .and_then(|code| code.to_str().ok());
        let code = code.map_or_else(|| parts.status.to_string(), str::to_owned);
        Ok(Told {
            status: parts.status.as_u16(),
            code,
            headers: parts.headers,
            body,
        })
    }
}
