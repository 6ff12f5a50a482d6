//! A load of signed SQS calls (AWS JSON 1.0, SigV4) over connections that are kept, from one thread: `sqs_load API CREDENTIALS
//! QUEUE-URL MODE [--connections N] [--seconds S] [--count N] [--body BYTES]`.
//!
//! Modes: `batch` sends ten messages a call, `single` one, `poll` waits for messages for twenty seconds a call. Each connection asks again
//! as soon as it is answered, until the time is over or so many messages are sent. Then one line of JSON says what was done.
//! The daemon shares the processors, so this must be cheap: the signing key is made once a day, and nothing else is kept between calls.

use anyhow::{Context as _, bail, ensure};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use hdrhistogram::Histogram;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::time::Timespec;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

const USAGE: &str = "usage: sqs_load API CREDENTIALS QUEUE-URL batch|single|poll [--connections N] [--seconds S] [--count N] [--body BYTES]";
const REGION: &str = "local-1";
const SIGNED: &str = "content-type;host;x-amz-date;x-amz-target";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Batch,
    Single,
    Poll,
}

impl Mode {
    /// The operation, and the messages of one call.
    const fn call(self) -> (&'static str, u64) {
        match self {
            Mode::Batch => ("SendMessageBatch", 10),
            Mode::Single => ("SendMessage", 1),
            Mode::Poll => ("ReceiveMessage", 0),
        }
    }
}

struct Settings {
    api: SocketAddr,
    access_key: String,
    secret: String,
    queue_url: String,
    mode: Mode,
    connections: usize,
    time: Duration,
    count: u64,
    body: usize,
}

fn main() -> anyhow::Result<()> {
    let mut load = Load::new(settings()?)?;
    load.run()?;
    println!("{}", load.told()?);
    Ok(())
}

fn settings() -> anyhow::Result<Settings> {
    let mut args = std::env::args().skip(1);
    let mut next = || args.next().context(USAGE);
    let api = next()?.trim_start_matches("http://").parse()?;
    let credentials = std::fs::read_to_string(next()?).context("cannot read the credentials")?;
    let value = |key: &str| {
        let mut pairs = credentials.lines().filter_map(|line| line.split_once('='));
        let found = pairs
            .find(|pair| pair.0.trim() == key)
            .map(|pair| pair.1.trim().to_owned());
        found.with_context(|| format!("the credentials hold no {key}"))
    };
    let mut settings = Settings {
        api,
        access_key: value("aws_access_key_id")?,
        secret: value("aws_secret_access_key")?,
        queue_url: next()?,
        mode: match next()?.as_str() {
            "batch" => Mode::Batch,
            "single" => Mode::Single,
            "poll" => Mode::Poll,
            _ => bail!(USAGE),
        },
        connections: 64,
        time: Duration::from_secs(10),
        count: u64::MAX,
        body: 1024,
    };
    while let Some(flag) = args.next() {
        let value = args.next().context(USAGE)?;
        match flag.as_str() {
            "--connections" => settings.connections = value.parse()?,
            "--seconds" => settings.time = Duration::from_secs_f64(value.parse()?),
            "--count" => settings.count = value.parse()?,
            "--body" => settings.body = value.parse()?,
            _ => bail!(USAGE),
        }
    }
    Ok(settings)
}

/// A signing key, and the day that it is of.
struct Key {
    day: String,
    key: hmac::Key,
}

impl Key {
    fn new(secret: &str, day: &str) -> Key {
        let mut key = hmac::Key::new(hmac::HMAC_SHA256, format!("AWS4{secret}").as_bytes());
        for part in [day, REGION, "sqs", "aws4_request"] {
            key = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref());
        }
        Key {
            day: day.to_owned(),
            key,
        }
    }
}

/// A connection, and the call that waits for its answer.
struct Connection {
    stream: TcpStream,
    asked: Option<Instant>,
    answer: Vec<u8>,
}

struct Load {
    settings: Settings,
    host: String,
    key: Key,
    filler: String,
    connections: Vec<Connection>,
    /// Messages that were given to calls, and those whose calls succeeded.
    given: u64,
    sent: u64,
    calls: u64,
    errors: u64,
    first_error: Option<String>,
    latency: Histogram<u64>,
    took: Duration,
}

impl Load {
    fn new(settings: Settings) -> anyhow::Result<Load> {
        Ok(Load {
            host: settings.api.to_string(),
            key: Key::new(&settings.secret, "none"),
            filler: "abcdefghijklmnop"
                .chars()
                .cycle()
                .take(settings.body.saturating_sub(16))
                .collect(),
            connections: Vec::new(),
            given: 0,
            sent: 0,
            calls: 0,
            errors: 0,
            first_error: None,
            latency: Histogram::new_with_max(120_000_000, 3)?,
            took: Duration::ZERO,
            settings,
        })
    }

    fn run(&mut self) -> anyhow::Result<()> {
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let began = Instant::now();
        let until = began + self.settings.time;
        for place in 0..self.settings.connections {
            // Each asks before the next one connects: the API bounds connections that ask nothing.
            let stream = TcpStream::connect(self.settings.api)?;
            stream.set_nodelay(true)?;
            epoll::add(&poll, &stream, EventData::new_u64(place as u64), EventFlags::IN)?;
            self.connections.push(Connection {
                stream,
                asked: None,
                answer: Vec::new(),
            });
            self.ask(place)?;
        }
        let mut events = Vec::with_capacity(256);
        let mut buffer = vec![0; 64 * 1024];
        while self
            .connections
            .iter()
            .any(|connection| connection.asked.is_some())
        {
            let over = Instant::now() >= until;
            if over && self.settings.mode == Mode::Poll {
                break;
            }
            ensure!(
                Instant::now() < until + Duration::from_secs(60),
                "calls are not answered"
            );
            events.clear();
            let wait = Timespec {
                tv_sec: 0,
                tv_nsec: 100_000_000,
            };
            match epoll::wait(&poll, spare_capacity(&mut events), Some(&wait)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                let place = usize::try_from(event.data.u64())?;
                if self.read(place, &mut buffer)?
                    && Instant::now() < until
                    && self.given < self.settings.count
                {
                    self.ask(place)?;
                }
            }
        }
        self.took = began.elapsed();
        Ok(())
    }

    /// Sends a call. The socket blocks, which it never does: whoever waits for a call reads it.
    fn ask(&mut self, place: usize) -> anyhow::Result<()> {
        let (operation, messages) = self.settings.mode.call();
        let body = self.body();
        self.given += messages;
        let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
        let day = &now[..8];
        if self.key.day != day {
            self.key = Key::new(&self.settings.secret, day);
        }
        let (host, target) = (&self.host, format!("AmazonSQS.{operation}"));
        let content = hex(digest(&SHA256, body.as_bytes()).as_ref());
        let canonical = format!(
            "POST\n/\n\ncontent-type:application/x-amz-json-1.0\nhost:{host}\nx-amz-date:{now}\nx-amz-target:{target}\n\n{SIGNED}\n{content}"
        );
        let scope = format!("{day}/{REGION}/sqs/aws4_request");
        let canonical = hex(digest(&SHA256, canonical.as_bytes()).as_ref());
        let to_sign = format!("AWS4-HMAC-SHA256\n{now}\n{scope}\n{canonical}");
        let signature = hex(hmac::sign(&self.key.key, to_sign.as_bytes()).as_ref());
        let request = format!(
            "POST / HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/x-amz-json-1.0\r\nX-Amz-Date: {now}\r\nX-Amz-Target: {target}\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={SIGNED}, Signature={signature}\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.settings.access_key,
            body.len()
        );
        let connection = &mut self.connections[place];
        connection.asked = Some(Instant::now());
        connection
            .stream
            .write_all(request.as_bytes())
            .context("a connection was closed")
    }

    fn body(&self) -> String {
        let url = &self.settings.queue_url;
        let mut body = format!(r#"{{"QueueUrl":"{url}""#);
        // Writing to a string cannot fail.
        let _ = match self.settings.mode {
            Mode::Poll => write!(body, r#","WaitTimeSeconds":20,"MaxNumberOfMessages":10}}"#),
            Mode::Single => write!(body, r#","MessageBody":"{:016}{}"}}"#, self.given, self.filler),
            Mode::Batch => {
                for entry in 0..10 {
                    let before = if entry == 0 { r#","Entries":["# } else { "," };
                    let number = self.given + entry;
                    let _ = write!(
                        body,
                        r#"{before}{{"Id":"{entry}","MessageBody":"{number:016}{}"}}"#,
                        self.filler
                    );
                }
                write!(body, "]}}")
            }
        };
        body
    }

    /// Reads what has come; true if the answer is whole.
    fn read(&mut self, place: usize, buffer: &mut [u8]) -> anyhow::Result<bool> {
        let connection = &mut self.connections[place];
        let count = connection.stream.read(buffer)?;
        ensure!(count > 0, "a connection was closed after {} calls", self.calls);
        connection.answer.extend_from_slice(&buffer[..count]);
        let Some(end) = connection
            .answer
            .windows(4)
            .position(|bytes| bytes == b"\r\n\r\n")
        else {
            return Ok(false);
        };
        let head = std::str::from_utf8(&connection.answer[..end])?;
        let mut fields = head.lines().filter_map(|line| line.split_once(':'));
        let length = fields.find(|field| field.0.eq_ignore_ascii_case("content-length"));
        let length: usize = length
            .context("an answer without Content-Length")?
            .1
            .trim()
            .parse()?;
        if connection.answer.len() < end + 4 + length {
            return Ok(false);
        }
        let good =
            head.starts_with("HTTP/1.1 200 ") && !contains(&connection.answer[end..], b"\"Failed\":[{");
        if good {
            self.sent += self.settings.mode.call().1;
        } else {
            self.errors += 1;
            let text = String::from_utf8_lossy(&connection.answer);
            self.first_error
                .get_or_insert_with(|| text.chars().take(600).collect());
        }
        self.calls += 1;
        if let Some(asked) = connection.asked.take() {
            self.latency
                .saturating_record(u64::try_from(asked.elapsed().as_micros()).unwrap_or(u64::MAX));
        }
        connection.answer.clear();
        Ok(true)
    }

    fn told(&self) -> anyhow::Result<serde_json::Value> {
        let usage = std::fs::read_to_string("/proc/self/stat")?;
        // utime and stime, in ticks of 10 ms: fields 14 and 15 of proc_pid_stat(5), the 12th and 13th after the name.
        let fields: Vec<&str> = usage
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        let ticks: u64 = fields
            .iter()
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse::<u64>().ok())
            .sum();
        Ok(serde_json::json!({
            "calls": self.calls,
            "messages": self.sent,
            "errors": self.errors,
            "first_error": self.first_error,
            "seconds": self.took.as_secs_f64(),
            "p50_us": self.latency.value_at_quantile(0.5),
            "p99_us": self.latency.value_at_quantile(0.99),
            "max_us": self.latency.max(),
            "own_cpu_ms": ticks * 10,
        }))
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|bytes| bytes == part)
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |byte: u8| char::from(DIGITS[usize::from(byte & 15)]);
    bytes
        .iter()
        .flat_map(|&byte| [digit(byte >> 4), digit(byte)])
        .collect()
}
