//! A closed loop of HTTP requests, and its results.

use hdrhistogram::Histogram;
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper_util::rt::TokioIo;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The results of a load.
pub(crate) struct Outcome {
    /// Answers, by the name of the target that sent them.
    pub(crate) by_target: BTreeMap<String, u64>,
    /// Failed requests, by error.
    pub(crate) errors: BTreeMap<String, u64>,
    /// Latencies in microseconds.
    pub(crate) latency: Histogram<u64>,
}

impl Outcome {
    fn new() -> anyhow::Result<Outcome> {
        Ok(Outcome {
            by_target: BTreeMap::new(),
            errors: BTreeMap::new(),
            latency: Histogram::new_with_max(60_000_000, 3)?,
        })
    }

    fn merge(&mut self, other: Outcome) {
        other
            .by_target
            .into_iter()
            .for_each(|(name, count)| *self.by_target.entry(name).or_default() += count);
        other
            .errors
            .into_iter()
            .for_each(|(what, count)| *self.errors.entry(what).or_default() += count);
        // Fails only if the bounds differ, which they do not.
        let _ = self.latency.add(other.latency);
    }

    /// Requests that were answered.
    pub(crate) fn answered(&self) -> u64 {
        self.by_target.values().sum()
    }

    /// Requests that failed.
    pub(crate) fn failed(&self) -> u64 {
        self.errors.values().sum()
    }
}

/// Sends requests over each of `connections` connections, one after another, spread over the addresses, for this long.
/// `done` counts them as they are answered.
pub(crate) async fn run(
    addresses: &[SocketAddr],
    connections: usize,
    time: Duration,
    done: &Arc<AtomicU64>,
) -> anyhow::Result<Outcome> {
    let until = Instant::now() + time;
    let clients: Vec<_> = (0..connections)
        .map(|index| {
            let (address, done) = (addresses[index % addresses.len()], Arc::clone(done));
            tokio::spawn(async move { client(address, until, &done).await })
        })
        .collect();
    let mut outcome = Outcome::new()?;
    for client in clients {
        outcome.merge(client.await??);
    }
    Ok(outcome)
}

async fn client(address: SocketAddr, until: Instant, done: &AtomicU64) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::new()?;
    while Instant::now() < until {
        if let Err(error) = connection(address, until, done, &mut outcome).await {
            *outcome.errors.entry(error.to_string()).or_default() += 1;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    Ok(outcome)
}

async fn connection(
    address: SocketAddr,
    until: Instant,
    done: &AtomicU64,
    outcome: &mut Outcome,
) -> anyhow::Result<()> {
    let stream = tokio::net::TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    while Instant::now() < until {
        let request = Request::get("/")
            .header("host", address.to_string())
            .body(Empty::<bytes::Bytes>::new())?;
        let began = Instant::now();
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let target = answer
            .headers()
            .get("x-target")
            .and_then(|name| name.to_str().ok())
            .unwrap_or("?")
            .to_owned();
        answer.into_body().collect().await?;
        done.fetch_add(1, Relaxed);
        let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        outcome.latency.saturating_record(micros);
        if status.is_success() {
            *outcome.by_target.entry(target).or_default() += 1;
        } else {
            *outcome.errors.entry(format!("status {status}")).or_default() += 1;
        }
        sender.ready().await?;
    }
    driver.abort();
    Ok(())
}
