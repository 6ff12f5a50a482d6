//! Users who arrive at a rate, whatever becomes of those before them, and what each of their requests met.

use bytes::Bytes;
use forebay_units::Rng;
use http_body_util::{BodyExt as _, Empty};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// What each user asks for, one after the other.
const VISIT: [Method; 4] = [Method::GET, Method::GET, Method::GET, Method::POST];
/// An answer that takes longer counts as failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// How users come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Arrivals {
    /// One every so often
    Even,
    /// Independently of each other
    Poisson,
}

impl Arrivals {
    /// From one user to the next at this rate.
    pub(crate) fn gap(self, rate: f64, rng: &mut Rng) -> Duration {
        let mean = 1.0 / rate;
        Duration::from_secs_f64(match self {
            Arrivals::Even => mean,
            // 53 bits make every float from 0 to 1 that has them; 1 is left out, as its logarithm is none.
            Arrivals::Poisson => {
                let uniform = (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
                -mean * (1.0 - uniform).ln()
            }
        })
    }
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// From when it was sent to the answer's end.
    pub(crate) took: Duration,
    /// The target's name; empty if none answered.
    pub(crate) target: String,
    /// It holds the target's thread.
    pub(crate) blocks: bool,
    /// The status; none if there was no answer.
    pub(crate) status: Option<u16>,
}

impl Seen {
    /// Whether it was a success.
    pub(crate) fn is_good(&self) -> bool {
        self.status.is_some_and(|status| status < 500)
    }
}

/// A crowd.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crowd {
    pub(crate) rate: f64,
    pub(crate) arrivals: Arrivals,
    pub(crate) time: Duration,
    pub(crate) seed: u64,
}

/// Sends the crowd to `address`; returns all requests once the last has its answer. `tick` is called about ten times a
/// second with the time that has passed.
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
        // Whoever is late because this loop was is sent at once: the rate holds on average.
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
