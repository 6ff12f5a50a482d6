//! Users who arrive at a rate, whatever happens to earlier ones, and the results of their requests.

use bytes::Bytes;
use forebay_units::Rng;
use http_body_util::{BodyExt as _, Empty};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// The requests of each user, one after another.
const VISIT: [Method; 4] = [Method::GET, Method::GET, Method::GET, Method::POST];
/// An answer that takes longer counts as failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// How users arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Arrivals {
    /// At equal intervals
    Even,
    /// Independently of each other
    Poisson,
}

impl Arrivals {
    /// The time from one user to the next at this rate.
    pub(crate) fn gap(self, rate: f64, rng: &mut Rng) -> Duration {
        let mean = 1.0 / rate;
        Duration::from_secs_f64(match self {
            Arrivals::Even => mean,
            // 53 random bits make a float from 0 up to but not including 1, for which the logarithm would be infinite.
            Arrivals::Poisson => {
                let uniform = (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
                -mean * (1.0 - uniform).ln()
            }
        })
    }
}

/// The result of a request.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Time from sending to the answer's end.
    pub(crate) took: Duration,
    /// The target's name; empty if none answered.
    pub(crate) target: String,
    /// Whether it holds the target's thread.
    pub(crate) blocks: bool,
    /// The status; none if there was no answer.
    pub(crate) status: Option<u16>,
}

impl Seen {
    /// Whether it succeeded.
    pub(crate) fn is_good(&self) -> bool {
        self.status.is_some_and(|status| status < 500)
    }
}

/// A crowd of users.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crowd {
    pub(crate) rate: f64,
    pub(crate) arrivals: Arrivals,
    pub(crate) time: Duration,
    pub(crate) seed: u64,
}

/// Sends the crowd's requests to `address`; returns all results once the last is answered. `tick` is called about ten times
/// a second with the time that has passed.
pub(crate) async fn send(address: SocketAddr, crowd: Crowd, mut tick: impl FnMut(Duration)) -> Vec<Seen> {
    let mut rng = Rng::named(crowd.seed, "users");
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let began = Instant::now();
    let mut due = Duration::ZERO;
    let mut told = Duration::ZERO;
    loop {
        due += crowd.arrivals.gap(crowd.rate, &mut rng);
        if due >= crowd.time {
            break;
        }
        // A user who is late because this loop was is started at once, so that the mean rate holds.
        tokio::time::sleep_until((began + due).into()).await;
        tokio::spawn(visit(address, sender.clone()));
        if due - told >= Duration::from_millis(100) {
            told = due;
            tick(due);
        }
    }
    drop(sender);
    let mut seen = Vec::new();
    while let Some(one) = receiver.recv().await {
        seen.push(one);
    }
    tick(crowd.time);
    seen
}

async fn visit(address: SocketAddr, seen: mpsc::UnboundedSender<Seen>) {
    let mut connection = None;
    for method in VISIT {
        let (sent, blocks) = (Instant::now(), method == Method::POST);
        let answer = tokio::time::timeout(PATIENCE, ask(address, method, &mut connection)).await;
        let (status, target) = match answer {
            Ok(Ok((status, target))) => (Some(status), target),
            _ => {
                connection = None;
                (None, String::new())
            }
        };
        let _ = seen.send(Seen {
            took: sent.elapsed(),
            target,
            blocks,
            status,
        });
    }
}

type Sender = hyper::client::conn::http1::SendRequest<Empty<Bytes>>;

async fn ask(
    address: SocketAddr,
    method: Method,
    connection: &mut Option<Sender>,
) -> anyhow::Result<(u16, String)> {
    let mut sender = match connection.take() {
        Some(sender) => sender,
        None => {
            let stream = tokio::net::TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let (sender, driver) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
            tokio::spawn(driver);
            sender
        }
    };
    sender.ready().await?;
    let mut request = Request::builder()
        .method(&method)
        .uri("/")
        .header("host", "experiment.test");
    if method == Method::POST {
        request = request.header("content-length", "0");
    }
    let answer = sender.send_request(request.body(Empty::new())?).await?;
    let status = answer.status().as_u16();
    let name = answer
        .headers()
        .get("x-target")
        .and_then(|name| name.to_str().ok());
    let target = name.unwrap_or_default().to_owned();
    answer.into_body().collect().await?;
    *connection = Some(sender);
    Ok((status, target))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_have_their_mean() {
        let mut rng = Rng::named(1, "t");
        let mut mean = |arrivals: Arrivals| {
            let sum: Duration = (0..20_000).map(|_| arrivals.gap(100.0, &mut rng)).sum();
            sum.as_secs_f64() / 20_000.0
        };
        assert!((mean(Arrivals::Even) - 0.01).abs() < 1e-9);
        assert!((mean(Arrivals::Poisson) - 0.01).abs() < 3e-4);
    }
}
