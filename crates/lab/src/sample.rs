//! `forebay sample-target`: an application to put behind a load balancer. It reports its name, and misbehaves on demand.

use anyhow::Context as _;
use bytes::Bytes;
use clap::Args;
use forebay_process::out;
use forebay_process::values::ratio;
use forebay_units::Rng;
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::http::request::Parts;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::pending;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::str::FromStr;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use trickle::Trickle;

mod trickle;

/// Most bytes of a generated body.
const BODY_BYTES: usize = 64 * 1024 * 1024;
/// Longest delay or block.
const LONGEST: Duration = Duration::from_secs(3600);

/// Milliseconds: fixed (`20`), or drawn from a range (`0-200`) for each request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Millis {
    low: u64,
    high: u64,
}

impl FromStr for Millis {
    type Err = String;
    fn from_str(text: &str) -> Result<Millis, String> {
        let (low, high) = text.split_once('-').unwrap_or((text, text));
        let read = |part: &str| {
            part.trim()
                .parse::<u64>()
                .ok()
                .filter(|&ms| Duration::from_millis(ms) <= LONGEST)
        };
        match (read(low), read(high)) {
            (Some(low), Some(high)) if low <= high => Ok(Millis { low, high }),
            _ => Err(format!(
                "'{text}' is neither milliseconds (20) nor a range of them (0-200), up to one hour"
            )),
        }
    }
}

impl Millis {
    pub(crate) fn bounds(self) -> (Duration, Duration) {
        (Duration::from_millis(self.low), Duration::from_millis(self.high))
    }

    pub(crate) fn draw(self, rng: &mut Rng) -> Duration {
        Duration::from_millis(self.low + rng.below(self.high - self.low + 1))
    }
}

/// Flags of `forebay sample-target`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
All flags but the first three can be set for one request by the query string:
  /?delay=20            answer after 20 ms; other requests are served meanwhile
  /?delay=0-200         a time drawn from that range
  /?delay=500&stream=1  answer at once, and take the time for the body, bit by bit
  /?block=50            hold the only thread for 50 ms: everything waits
  /?failure-rate=0.5    fail half of these requests
  /?status=404          answer with this status
  /?body-size=65536     answer with this many bytes
Paths: /counts returns the number of requests of each method (without probes), as JSON; /headers returns the request's
head; POST /echo returns the request's body; /become?failure-rate=0 changes delay, block or failure-rate from now on; any other
path returns the target's name.

Examples:
  forebay sample-target --name a --listen 127.0.0.1:9001
  forebay sample-target --name slow --listen 127.0.0.1:9002 --delay 50-150
  forebay sample-target --name sick --listen 127.0.0.1:9003 --failure-rate 0.3
  forebay sample-target --name one-thread --listen 127.0.0.1:9004 --block 0-200 --block-method POST")]
pub struct SampleArgs {
    /// Name of the target, which is the default answer, followed by a line break
    #[arg(long, default_value = "sample")]
    pub(crate) name: String,
    /// Address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:9000", value_name = "ADDR:PORT", value_parser = forebay_process::values::address)]
    pub(crate) listen: SocketAddr,
    /// Close connections that were idle for this many milliseconds
    #[arg(long, default_value_t = 75_000, value_name = "MS")]
    pub(crate) keep_alive: u64,
    /// Wait before answering
    #[arg(long, default_value = "0", value_name = "MS|MS-MS")]
    pub(crate) delay: Millis,
    /// Answer at once, and take the delay for the body, bit by bit
    #[arg(long)]
    pub(crate) stream: bool,
    /// Work on this many requests at a time, and let others wait inside; 0 for no limit
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) slots: usize,
    /// Block the only thread before answering
    #[arg(long, default_value = "0", value_name = "MS|MS-MS")]
    pub(crate) block: Millis,
    /// Block only for requests with this method
    #[arg(long, value_name = "METHOD")]
    pub(crate) block_method: Option<String>,
    /// Share of requests that fail, 0 to 1
    #[arg(long, default_value_t = 0.0, value_name = "SHARE", value_parser = ratio)]
    pub(crate) failure_rate: f64,
    /// Never fail health checks by the flags above
    #[arg(long)]
    pub(crate) spare_probes: bool,
    /// For this many seconds after the first request, delays and blocks take three times as long
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    pub(crate) warm_up: u64,
    /// Status of failures
    #[arg(long, default_value_t = 500)]
    pub(crate) failure_status: u16,
    /// Bytes of an answer; 0 answers with the name
    #[arg(long, default_value_t = 0, value_name = "BYTES")]
    pub(crate) body_size: usize,
    /// Seed of random draws
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

struct Sample {
    args: SampleArgs,
    /// The behaviour that `/become` changes.
    behaviour: Cell<Behaviour>,
    /// When the first request came.
    first: Cell<Option<Instant>>,
    rng: RefCell<Rng>,
    counts: RefCell<BTreeMap<String, u64>>,
    /// Requests in flight without probes, and the most at a time.
    in_flight: Cell<u64>,
    peak: Cell<u64>,
    /// The slots of `--slots`.
    slots: Semaphore,
}

/// An answer, sent at once or bit by bit.
type Answer = Response<Either<Full<Bytes>, Trickle<Held>>>;

/// A request that is being worked on, to the end of its answer.
struct InFlight(Rc<Sample>);

impl InFlight {
    fn count(sample: &Rc<Sample>) -> InFlight {
        sample.in_flight.set(sample.in_flight.get() + 1);
        sample.peak.set(sample.peak.get().max(sample.in_flight.get()));
        InFlight(Rc::clone(sample))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.set(self.0.in_flight.get() - 1);
    }
}

/// The behaviour, unless a request asks for another.
#[derive(Clone, Copy)]
struct Behaviour {
    delay: Millis,
    block: Millis,
    failure_rate: f64,
}

/// The factor by which everything takes longer during warm-up.
const COLD: u32 = 3;

/// Runs the target until the process ends. Prints `sample-target ready http://ADDR name=NAME` once it listens.
pub fn run(args: SampleArgs) -> anyhow::Result<()> {
    let listener = std::net::TcpListener::bind(args.listen)
        .with_context(|| format!("cannot listen on {}: choose another --listen", args.listen))?;
    out::line(format_args!(
        "sample-target ready http://{} name={}",
        listener.local_addr()?,
        args.name
    ))?;
    serve(args, listener, pending())
}

/// Serves on this socket, on the calling thread alone, until `stop` completes.
pub(crate) fn serve(
    args: SampleArgs,
    listener: std::net::TcpListener,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async move {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let rng = RefCell::new(Rng::named(args.seed, "sample-target"));
        let behaviour = Behaviour {
            delay: args.delay,
            block: args.block,
            failure_rate: args.failure_rate,
        };
        let slots = match args.slots {
            0 => Semaphore::MAX_PERMITS,
            slots => slots,
        };
        let sample = Rc::new(Sample {
            slots: Semaphore::new(slots),
            args,
            behaviour: Cell::new(behaviour),
            first: Cell::new(None),
            rng,
            counts: RefCell::default(),
            in_flight: Cell::new(0),
            peak: Cell::new(0),
        });
        let mut stop = pin!(stop);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = &mut stop => return Ok(()),
            };
            match accepted {
                Ok((stream, _)) => {
                    let _ = stream.set_nodelay(true);
                    tokio::task::spawn_local(connection(Rc::clone(&sample), stream));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    })
}

async fn connection(sample: Rc<Sample>, stream: tokio::net::TcpStream) {
    let keep_alive = Duration::from_millis(sample.args.keep_alive.max(1));
    let service = service_fn(move |request| {
        let sample = Rc::clone(&sample);
        async move { Ok::<_, Infallible>(answer(&sample, request).await) }
    });
    // Errors of a connection do not matter to the others.
    let _ = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(keep_alive)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// A parameter of a request's query string, which overrides a flag.
fn wish<T: FromStr>(request: &Request<Incoming>, name: &str) -> Option<Result<T, String>> {
    let query = request.uri().query()?;
    let (_, text) = form_urlencoded::parse(query.as_bytes()).find(|pair| pair.0 == name)?;
    Some(
        text.parse()
            .map_err(|_| format!("{name}={text} makes no sense; see --help\n")),
    )
}

async fn answer(sample: &Rc<Sample>, request: Request<Incoming>) -> Answer {
    let probe = request
        .headers()
        .get("user-agent")
        .is_some_and(|agent| agent.as_bytes().starts_with(b"ELB-HealthChecker"));
    if request.uri().path() == "/counts" {
        let counts = serde_json::json!({
            "name": sample.args.name, "requests": &*sample.counts.borrow(),
            "in_flight": sample.in_flight.get(), "peak_in_flight": sample.peak.get(),
        });
        return plain(StatusCode::OK, format!("{counts}\n").into());
    }
    if request.uri().path() == "/become" {
        return turn(sample, &request).unwrap_or_else(|wrong| plain(StatusCode::BAD_REQUEST, wrong.into()));
    }
    if !probe {
        if sample.first.get().is_none() {
            sample.first.set(Some(Instant::now()));
        }
        *sample
            .counts
            .borrow_mut()
            .entry(request.method().to_string())
            .or_default() += 1;
    }
    let counted = (!probe).then(|| InFlight::count(sample));
    misbehave(sample, request, counted)
        .await
        .unwrap_or_else(|wrong| plain(StatusCode::BAD_REQUEST, wrong.into()))
}

/// The share of failures that a request asks for.
fn failure_rate(request: &Request<Incoming>) -> Result<Option<f64>, String> {
    let wished = wish::<String>(request, "failure-rate").transpose()?;
    let rate = wished.map(|text| ratio(&text)).transpose();
    rate.map_err(|error| format!("failure-rate: {error}\n"))
}

/// Changes the behaviour from now on.
fn turn(sample: &Sample, request: &Request<Incoming>) -> Result<Answer, String> {
    let now = sample.behaviour.get();
    sample.behaviour.set(Behaviour {
        delay: wish(request, "delay").transpose()?.unwrap_or(now.delay),
        block: wish(request, "block").transpose()?.unwrap_or(now.block),
        failure_rate: failure_rate(request)?.unwrap_or(now.failure_rate),
    });
    Ok(plain(StatusCode::OK, format!("{}\n", sample.args.name).into()))
}

/// Answers a request with the wanted delays and failures. `counted` is none for a probe.
async fn misbehave(
    sample: &Rc<Sample>,
    request: Request<Incoming>,
    counted: Option<InFlight>,
) -> Result<Answer, String> {
    let (args, probe) = (&sample.args, counted.is_none());
    let behaviour = sample.behaviour.get();
    let delay = wish(&request, "delay").transpose()?.unwrap_or(behaviour.delay);
    let blocks = args
        .block_method
        .as_ref()
        .is_none_or(|method| method == request.method().as_str());
    let block = match wish(&request, "block").transpose()? {
        Some(block) => block,
        None if blocks => behaviour.block,
        None => Millis::default(),
    };
    let failure_rate = failure_rate(&request)?.unwrap_or(behaviour.failure_rate);
    let size: usize = wish(&request, "body-size").transpose()?.unwrap_or(args.body_size);
    let status: Option<u16> = wish(&request, "status").transpose()?;
    let stream = args.stream || wish::<u8>(&request, "stream").transpose()? == Some(1);
    if size > BODY_BYTES {
        return Err(format!("body-size={size} is more than {BODY_BYTES}\n"));
    }
    let (head, body) = request.into_parts();
    let body = http_body_util::Limited::new(body, BODY_BYTES).collect().await;
    let Ok(body) = body.map(http_body_util::Collected::to_bytes) else {
        return Err("the body broke off or is too large\n".to_owned());
    };
    // The semaphore is never closed, so `acquire` never fails.
    let slot = match probe {
        false => sample.slots.acquire().await.ok(),
        true => None,
    };
    let trickles = match probe {
        false => take_time(sample, delay, block, stream).await,
        true => Duration::ZERO,
    };
    let spared = probe && args.spare_probes;
    let fails = !spared
        && failure_rate > 0.0
        && (sample.rng.borrow_mut().below(1_000_000) as f64) < failure_rate * 1e6;
    let code = status.unwrap_or(if fails { args.failure_status } else { 200 });
    let code = StatusCode::from_u16(code).map_err(|_| format!("{code} is no status\n"))?;
    let mut answer = plain(code, content(sample, &head, body, size));
    if let Ok(name) = HeaderValue::from_str(&args.name) {
        answer.headers_mut().insert("x-target", name);
    }
    if trickles > Duration::ZERO {
        // The slot is released, and the request counted as done, only at the body's end.
        slot.into_iter().for_each(tokio::sync::SemaphorePermit::forget);
        let held = counted.map(Held);
        answer = answer.map(|_| Either::Right(Trickle::new(trickles, held)));
    }
    Ok(answer)
}

/// Waits and blocks before an answer; returns how long its body is to take.
async fn take_time(sample: &Sample, delay: Millis, block: Millis, stream: bool) -> Duration {
    let draw = |millis: Millis| millis.draw(&mut sample.rng.borrow_mut());
    let warm_up = Duration::from_secs(sample.args.warm_up);
    let cold = sample.first.get().is_some_and(|first| first.elapsed() < warm_up);
    let longer = if cold { COLD } else { 1 };
    let (delay, block) = (draw(delay) * longer, draw(block) * longer);
    if delay > Duration::ZERO && !stream {
        tokio::time::sleep(delay).await;
    }
    if block > Duration::ZERO {
        std::thread::sleep(block);
    }
    if stream { delay } else { Duration::ZERO }
}

/// The content of an answer.
fn content(sample: &Sample, head: &Parts, body: Bytes, size: usize) -> Bytes {
    match (&head.method, head.uri.path()) {
        (&Method::POST, "/echo") => body,
        (_, "/headers") => {
            let lines = head
                .headers
                .iter()
                .map(|(name, value)| format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes())));
            lines.collect::<String>().into()
        }
        _ if size > 0 => vec![b'x'; size].into(),
        _ => format!("{}\n", sample.args.name).into(),
    }
}

fn plain(status: StatusCode, body: Bytes) -> Answer {
    let mut answer = Response::new(Either::Left(Full::new(body)));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert("content-type", HeaderValue::from_static("text/plain"));
    answer
}

/// What a trickling answer holds until its end: its count, and its slot.
struct Held(InFlight);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.0.slots.add_permits(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_and_ranges() {
        assert_eq!("20".parse(), Ok(Millis { low: 20, high: 20 }));
        assert_eq!("0-200".parse(), Ok(Millis { low: 0, high: 200 }));
        for wrong in ["", "x", "5-1", "-5", "99999999"] {
            assert!(wrong.parse::<Millis>().is_err(), "{wrong}");
        }
        let mut rng = Rng::named(1, "t");
        let range = Millis { low: 5, high: 7 };
        assert!((0..100).all(|_| (5..=7).contains(&(range.draw(&mut rng).as_millis() as u64))));
    }
}
