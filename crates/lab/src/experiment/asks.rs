//! Single requests at planned times, each on its own connection, whatever happens to earlier ones.

use super::users::Arrivals;
use bytes::Bytes;
use forebay_units::Rng;
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// An answer that takes longer counts as failed.
const PATIENCE: Duration = Duration::from_secs(300);

/// A planned request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ask {
    /// When it is sent, since the beginning.
    pub(crate) at: Duration,
    /// How long the target works on it.
    pub(crate) service: Duration,
}

/// The distribution of service times: between `low` and `high`, the closer to `low` the larger `shape` is; constant if both
/// are equal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Services {
    pub(crate) low: Duration,
    pub(crate) high: Duration,
    /// The exponent of a bounded Pareto distribution; not 1.
    pub(crate) shape: f64,
}

fn uniform(rng: &mut Rng) -> f64 {
    // 53 random bits make a float from 0 up to but not including 1.
    (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

impl Services {
    fn draw(self, rng: &mut Rng) -> Duration {
        if self.low == self.high {
            return self.low;
        }
        let (low, ratio) = (
            self.low.as_secs_f64(),
            self.low.as_secs_f64() / self.high.as_secs_f64(),
        );
        let rest = 1.0 - uniform(rng) * (1.0 - ratio.powf(self.shape));
        Duration::from_secs_f64(low / rest.powf(1.0 / self.shape))
    }

    /// Mean seconds.
    pub(crate) fn mean(self) -> f64 {
        let (low, high, shape) = (self.low.as_secs_f64(), self.high.as_secs_f64(), self.shape);
        if self.low == self.high {
            return low;
        }
        let whole = low.powf(shape) / (1.0 - (low / high).powf(shape));
        whole * shape / (shape - 1.0) * (low.powf(1.0 - shape) - high.powf(1.0 - shape))
    }
}

/// Requests at random times (Poisson) at this rate a second.
pub(crate) fn plan(rate: f64, time: Duration, services: Services, seed: u64) -> Vec<Ask> {
    plan_by(Arrivals::Poisson, rate, time, services, seed)
}

/// Requests that arrive in this way, at this rate a second.
pub(crate) fn plan_by(
    arrivals: Arrivals,
    rate: f64,
    time: Duration,
    services: Services,
    seed: u64,
) -> Vec<Ask> {
    let mut rng = Rng::named(seed, "asks");
    let mut asks = Vec::new();
    let mut at = Duration::ZERO;
    loop {
        at += arrivals.gap(rate, &mut rng);
        if at >= time {
            return asks;
        }
        let service = services.draw(&mut rng);
        asks.push(Ask { at, service });
    }
}

/// The result of a request.
#[derive(Clone, Debug)]
pub(crate) struct Met {
    /// When it was planned to be sent, since the beginning.
    pub(crate) at: Duration,
    pub(crate) service: Duration,
    /// Time to the answer's head: targets answer at once and take their time for the body.
    pub(crate) wait: Duration,
    /// Time to the answer's end.
    pub(crate) took: Duration,
    /// The status; none if the answer was incomplete.
    pub(crate) status: Option<u16>,
}

impl Met {
    pub(crate) fn is_served(&self) -> bool {
        self.status == Some(200)
    }
}

/// Sends all requests, spread over the addresses; returns once the last is answered. `tick` is called with the time that
/// has passed.
pub(crate) async fn ask_all(
    addresses: &[SocketAddr],
    asks: &[Ask],
    mut tick: impl FnMut(Duration),
) -> Vec<Met> {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let began = Instant::now();
    for (ask, &address) in asks.iter().copied().zip(addresses.iter().cycle()) {
        tokio::time::sleep_until((began + ask.at).into()).await;
        tick(ask.at);
        let sender = sender.clone();
        tokio::spawn(async move {
            let met = one(address, ask).await;
            let _ = sender.send(met);
        });
    }
    drop(sender);
    let mut all = Vec::new();
    while let Some(met) = receiver.recv().await {
        all.push(met);
    }
    all
}

async fn one(address: SocketAddr, ask: Ask) -> Met {
    let sent = Instant::now();
    let mut met = Met {
        at: ask.at,
        service: ask.service,
        wait: Duration::ZERO,
        took: Duration::ZERO,
        status: None,
    };
    let asked = async {
        let stream = tokio::net::TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (mut sender, driver) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(driver);
        let request = Request::builder()
            .uri(format!("/?stream=1&delay={}", ask.service.as_millis()))
            .header("host", "experiment.test")
            .header("connection", "close");
        let answer = sender.send_request(request.body(Empty::<Bytes>::new())?).await?;
        met.wait = sent.elapsed();
        let status = answer.status().as_u16();
        answer.into_body().collect().await?;
        anyhow::Ok(status)
    };
    met.status = match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(status)) => Some(status),
        _ => None,
    };
    met.took = sent.elapsed();
    met
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_have_their_range_and_mean() {
        let services = Services {
            low: Duration::from_millis(200),
            high: Duration::from_secs(20),
            shape: 1.1,
        };
        let asks = plan(100.0, Duration::from_secs(2000), services, 1);
        assert!((asks.len() as f64 / 200_000.0 - 1.0).abs() < 0.02);
        assert!(
            asks.iter()
                .all(|ask| services.low <= ask.service && ask.service <= services.high)
        );
        let sum: f64 = asks.iter().map(|ask| ask.service.as_secs_f64()).sum();
        let mean = sum / asks.len() as f64;
        assert!(
            (mean / services.mean() - 1.0).abs() < 0.05,
            "{mean} {}",
            services.mean()
        );
    }
}
