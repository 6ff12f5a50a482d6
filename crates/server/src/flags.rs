//! The flags of `forebay up`.

use crate::exposure::{self, Exposure};
use crate::function_args::FunctionArgs;
use crate::message_args::{MessageArgs, bytes};
use crate::notify::Subscription;
use crate::place_args::PlaceArgs;
use anyhow::{Context as _, bail};
use clap::Args;
use clap::builder::BoolishValueParser;
use forebay_control::{DEFAULT_DOMAIN, Dialect};
use forebay_launch::{NetworkMode, RunAs};
use forebay_process::values::address;
use forebay_process::values::ratio;
use forebay_telemetry::logs::{LiveSink, Log, Retention};
use forebay_telemetry::spans::Endpoint;
use forebay_telemetry::{MetricsEndpoint, RemoteWriteUrl};
use ipnet::Ipv4Net;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The location of a data directory.
#[derive(Args, Debug, Clone)]
pub struct DataDir {
    /// Directory for state and credentials
    #[arg(
        long,
        env = "FOREBAY_DATA_DIR",
        default_value = "forebay-data",
        value_name = "DIR",
        global = true
    )]
    pub data_dir: PathBuf,
}

/// Flags of `forebay up`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "\
Once it serves, it prints one line to standard output:
  forebay ready api=http://127.0.0.1:4566 admin=http://127.0.0.1:4567 dns=off data=forebay-data
SIGTERM (or Ctrl-C) lets requests finish and ends with 0; a second one ends at once. SIGHUP begins new log files, connects anew to
sockets of --live-log and reads the credentials again. SIGUSR2 starts its program anew, which takes over without a refused connection
(docs/operating.md). SIGUSR1 does nothing.

Examples:
  forebay up
  forebay up --api 127.0.0.1:0 --admin 127.0.0.1:0 --data-dir /tmp/a
  forebay up --take-over                            in place of the one that runs, which finishes what it has
  forebay up --address-pool 127.128.0.0/12          a second one on the same machine
  forebay up --zones 4 --node-addresses local-1a=192.0.2.10,192.0.2.11 --node-addresses local-1b=192.0.2.20,2001:db8::20
  forebay up --address-pool 127.64.0.0/10 --address-pool fd00:f0::/64                         dualstack load balancers
  forebay up --live-log stdout                      a line per request on standard output, after the ready line
  forebay up --otlp-endpoint http://127.0.0.1:4318  spans of requests to an OpenTelemetry collector
  forebay up --otlp-metrics-endpoint http://127.0.0.1:4318 --otlp-metrics-interval 5          metrics to one
  forebay up --remote-write-url http://127.0.0.1:9090/api/v1/write                            metrics to a Prometheus
  forebay up --notify arn:aws:sns:local-1:000000000000:alarms=https://hooks.example/forebay
  forebay up --shapes shapes.json                   instances of these types, within their limits (docs/instances.md)
  forebay up --no-auth --enable-reset --launcher simulated      for test suites; loopback only")]
pub struct UpArgs {
    /// The data directory.
    #[command(flatten)]
    pub data: DataDir,
    /// Take over from the Forebay that runs with this data directory: its listening sockets, its state, and the slots of
    /// its requests. It finishes its requests and ends; no connection is refused meanwhile. Use the same flags as for a
    /// start (docs/operating.md)
    #[arg(long)]
    pub take_over: bool,
    /// Address of the AWS APIs; port 0 picks a free port
    #[arg(
        long,
        env = "FOREBAY_API",
        default_value = "127.0.0.1:4566",
        value_name = "ADDR:PORT",
        value_parser = address
    )]
    pub api: SocketAddr,
    /// Address of metrics and health; port 0 picks a free port
    #[arg(
        long,
        env = "FOREBAY_ADMIN",
        default_value = "127.0.0.1:4567",
        value_name = "ADDR:PORT",
        value_parser = address
    )]
    pub admin: SocketAddr,
    /// Additional host name for the admin address and for calls without a signature. They answer only to their own IP
    /// address, loopback addresses, localhost and these names, so that a web page cannot reach them by another name. May be
    /// repeated
    #[arg(
        long,
        env = "FOREBAY_ALLOWED_HOST",
        value_name = "NAME",
        value_delimiter = ','
    )]
    pub allowed_host: Vec<String>,
    /// Expose every load balancer on its listeners' ports at this address of the machine, at 0.0.0.0 or :: for all, or at
    /// an interface's addresses. Several load balancers on one port are told apart by name (Host; SNI over TLS); the oldest
    /// gets requests for other names. May be repeated
    #[arg(
        long,
        env = "FOREBAY_EXPOSE",
        value_name = "ADDR|INTERFACE",
        default_value = "127.0.0.1",
        value_delimiter = ',',
        value_parser = exposure
    )]
    pub expose: Vec<Exposure>,
    /// Domain of the names of new load balancers. *.elb.localhost leads browsers and curl to 127.0.0.1; for other machines
    /// use a domain whose names, `*.DOMAIN`, resolve to this machine
    #[arg(long, env = "FOREBAY_DOMAIN", value_name = "DOMAIN", default_value = DEFAULT_DOMAIN, value_parser = domain)]
    pub domain: String,
    /// Address of a DNS server. Not built yet: load balancers' names end in .elb.localhost, which browsers and curl resolve
    /// to 127.0.0.1
    #[arg(long, env = "FOREBAY_DNS", value_name = "ADDR:PORT", value_parser = address)]
    pub dns: Option<SocketAddr>,
    /// Zones, address pools, and addresses of nodes.
    #[command(flatten)]
    pub places: PlaceArgs,
    /// Region of callers that name none
    #[arg(long, env = "FOREBAY_REGION", default_value = "local-1", value_parser = region)]
    pub region: String,
    /// Account of every caller: twelve digits
    #[arg(long, env = "FOREBAY_ACCOUNT_ID", default_value = "000000000000", value_parser = account)]
    pub account_id: String,
    /// Stack file to serve. Not built yet
    #[arg(long, env = "FOREBAY_STACK", value_name = "FILE")]
    pub stack: Option<PathBuf>,
    /// Do not check signatures. Anyone who reaches the port may do anything: loopback only
    #[arg(long, env = "FOREBAY_NO_AUTH", value_parser = BoolishValueParser::new())]
    pub no_auth: bool,
    /// Let `POST /moto-api/reset` delete everything, for test suites that need it. It needs no signature: loopback only
    #[arg(long, env = "FOREBAY_ENABLE_RESET", value_parser = BoolishValueParser::new())]
    pub enable_reset: bool,
    /// Dialect of API answers: `moto` accepts and echoes what suites written against that mock expect and AWS would refuse
    /// [default: aws; with --enable-reset, which only such suites use, moto]
    #[arg(long, env = "FOREBAY_DIALECT", value_parser = dialect, value_name = "aws|moto")]
    pub dialect: Option<Dialect>,
    /// Set a quota, by the name in DescribeAccountLimits; may be repeated
    #[arg(long, env = "FOREBAY_QUOTA", value_name = "NAME=MAX", value_parser = quota, value_delimiter = ',')]
    pub quota: Vec<(String, u32)>,
    /// Number of threads that carry traffic [default: one per core]
    #[arg(long, env = "FOREBAY_WORKERS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub workers: Option<u16>,
    /// Most client connections open at once; further ones are answered with 503 and closed [default: what the limit on open
    /// files allows, less a part for connections to targets, the API, probes and logs]
    #[arg(long, env = "FOREBAY_MAX_CONNECTIONS", value_name = "N", value_parser = connections)]
    pub max_connections: Option<usize>,
    /// Most bytes for buffers of requests, including HTTP/2 windows, with K, M or G. A request that finds no more is
    /// answered with 503. What a connection costs by itself is bounded by --max-connections. `auto` is half of what the
    /// machine has or the control group allows
    #[arg(long, env = "FOREBAY_MAX_BUFFER_MEMORY", default_value = "auto", value_name = "BYTES|auto", value_parser = buffer_memory)]
    pub max_buffer_memory: BufferMemory,
    /// Messages of queues.
    #[command(flatten)]
    pub messages: MessageArgs,
    /// Functions and schedules.
    #[command(flatten)]
    pub functions: FunctionArgs,
    /// Copy log lines to `stdout` or to a Unix socket as they are written; prefix the name of the log (the default is
    /// access). May be repeated, once for each log. Load balancers' attributes decide which logs go to files
    #[arg(
        long,
        env = "FOREBAY_LIVE_LOG",
        value_name = "[access=|connection=|health=]stdout|unix:PATH",
        value_parser = live_log,
        value_delimiter = ','
    )]
    pub live_log: Vec<(Log, LiveSink)>,
    /// Delete files of access, connection and health check logs this long after their last line: days, or hours such as
    /// 36h. `off` keeps them
    #[arg(
        long,
        env = "FOREBAY_LOG_RETENTION",
        default_value = "off",
        value_name = "DAYS|off"
    )]
    pub log_retention: Retention,
    /// Send OpenTelemetry spans of requests to this collector, over OTLP/HTTP with protobuf; /v1/traces is appended.
    /// Without it, clients' `traceparent` and `tracestate` are passed on unchanged
    #[arg(long, env = "FOREBAY_OTLP_ENDPOINT", value_name = "http://HOST:PORT")]
    pub otlp_endpoint: Option<Endpoint>,
    /// Share of the requests without a trace that get one, from 0 to 1. Requests with a `traceparent` are recorded if their
    /// client records its own span, and only then
    #[arg(long, env = "FOREBAY_OTLP_SAMPLE", default_value = "1", value_name = "RATIO", value_parser = ratio)]
    pub otlp_sample: f64,
    /// Send all metrics to this Prometheus remote-write receiver, with the names and labels of /metrics and the labels
    /// `job` and `instance`
    #[arg(long, env = "FOREBAY_REMOTE_WRITE_URL", value_name = "http://HOST:PORT/PATH")]
    pub remote_write_url: Option<RemoteWriteUrl>,
    /// Seconds between two remote writes
    #[arg(long, env = "FOREBAY_REMOTE_WRITE_INTERVAL", default_value_t = 15, value_name = "S", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub remote_write_interval: u64,
    /// Send all metrics to this OpenTelemetry collector, over OTLP/HTTP with protobuf; /v1/metrics is appended
    #[arg(long, env = "FOREBAY_OTLP_METRICS_ENDPOINT", value_name = "http://HOST:PORT")]
    pub otlp_metrics_endpoint: Option<MetricsEndpoint>,
    /// Seconds between two sends to the collector
    #[arg(long, env = "FOREBAY_OTLP_METRICS_INTERVAL", default_value_t = 15, value_name = "S", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub otlp_metrics_interval: u64,
    /// Post the notifications that alarms send to a topic to this webhook, signed with the secret in notify-secret of the
    /// data directory; failed posts are retried for two minutes. May be repeated, also for the same topic
    #[arg(long, env = "FOREBAY_NOTIFY", value_name = "ARN=URL", value_delimiter = ',')]
    pub notify: Vec<Subscription>,
    /// How instances are started: `process` runs each as processes of this machine; `command=PATH` calls a program;
    /// `simulated`, or `simulated=MS`, only pretends to, after that many milliseconds, for test suites
    #[arg(long, env = "FOREBAY_LAUNCHER", default_value = "process", value_name = "process|command=PATH|simulated[=MS]", value_parser = launcher)]
    pub launcher: LauncherKind,
    /// User that instances run as: `nobody`, a user's name, or `own`, which is Forebay's own user and can read its keys.
    /// All but `own` need root
    #[arg(long, env = "FOREBAY_INSTANCE_USER", default_value = "nobody", value_name = "nobody|own|NAME", value_parser = run_as)]
    pub instance_user: RunAs,
    /// Give each instance a network namespace, in which it may listen on all addresses; `auto` does so where it works.
    /// Needs root and iproute2
    #[arg(long, env = "FOREBAY_INSTANCE_NETWORK", default_value = "auto", value_name = "auto|always|never", value_parser = network)]
    pub instance_network: NetworkMode,
    /// Give each instance a systemd scope of its own, so that it goes on when the service stops; `auto` does so in a systemd
    /// service that runs as root. Needs systemd-run
    #[arg(long, env = "FOREBAY_INSTANCE_SCOPE", default_value = "auto", value_name = "auto|always|never", value_parser = network)]
    pub instance_scope: NetworkMode,
    /// Seconds that an instance has to end after SIGTERM before it is killed
    #[arg(long, env = "FOREBAY_INSTANCE_STOP_SECONDS", default_value_t = 30, value_name = "S", value_parser = clap::value_parser!(u64).range(0..=86400))]
    pub instance_stop_seconds: u64,
    /// JSON file of the shapes (instance types) that instances may have: docs/instances.md. Read again when it changes
    #[arg(long, env = "FOREBAY_SHAPES", value_name = "FILE")]
    pub shapes: Option<PathBuf>,
    /// Seconds that requests have to finish after SIGTERM
    #[arg(long, env = "FOREBAY_DRAIN_SECONDS", default_value_t = 30, value_name = "S")]
    pub drain_seconds: u64,
}

impl UpArgs {
    /// Flags of a daemon in this directory on free ports, for a short time.
    pub fn scratch(dir: &Path, pool: Ipv4Net) -> UpArgs {
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        UpArgs {
            data: DataDir {
                data_dir: dir.to_owned(),
            },
            api: free,
            admin: free,
            allowed_host: Vec::new(),
            expose: vec![Exposure::Address(Ipv4Addr::LOCALHOST.into())],
            domain: DEFAULT_DOMAIN.to_owned(),
            dns: None,
            places: PlaceArgs::of_pool(pool),
            region: "local-1".to_owned(),
            account_id: "000000000000".to_owned(),
            stack: None,
            no_auth: false,
            enable_reset: false,
            dialect: None,
            quota: Vec::new(),
            live_log: Vec::new(),
            log_retention: Retention::Forever,
            otlp_endpoint: None,
            otlp_sample: 1.0,
            remote_write_url: None,
            remote_write_interval: 15,
            otlp_metrics_endpoint: None,
            otlp_metrics_interval: 15,
            workers: None,
            max_connections: None,
            take_over: false,
            max_buffer_memory: BufferMemory::Auto,
            messages: MessageArgs::default(),
            functions: FunctionArgs::default(),
            notify: Vec::new(),
            launcher: LauncherKind::Process,
            instance_user: RunAs::default(),
            instance_network: NetworkMode::default(),
            instance_scope: NetworkMode::default(),
            instance_stop_seconds: 30,
            shapes: None,
            drain_seconds: 2,
        }
    }

    /// The addresses at which all load balancers are exposed.
    ///
    /// # Errors
    /// If a named interface does not exist.
    pub fn exposed(&self) -> anyhow::Result<Vec<IpAddr>> {
        exposure::addresses(&self.expose)
    }

    /// The dialect of API answers.
    pub fn dialect(&self) -> Dialect {
        self.dialect.unwrap_or(if self.enable_reset {
            Dialect::Moto
        } else {
            Dialect::Aws
        })
    }

    /// Refuses flags that cannot be served, before anything is touched.
    pub fn check(&self) -> anyhow::Result<()> {
        if self.dns.is_some() {
            bail!(
                "--dns is not built yet: leave it out; names end in .elb.localhost, which browsers and curl resolve to 127.0.0.1"
            );
        }
        if self.stack.is_some() {
            bail!("--stack is not built yet: leave it out, and use the AWS CLI, Terraform or any AWS client");
        }
        for (flag, is_set) in [("--no-auth", self.no_auth), ("--enable-reset", self.enable_reset)] {
            if is_set && !self.api.ip().is_loopback() {
                bail!(
                    "{flag} is for loopback only, and {} is not: anyone who reaches it could do anything",
                    self.api.ip()
                );
            }
        }
        for log in Log::ALL {
            if self.live_log.iter().filter(|(live, _)| *live == log).count() > 1 {
                bail!(
                    "--live-log is given twice for the {} log: its lines go to one place",
                    log.word()
                );
            }
        }
        self.places.check()?;
        Ok(())
    }
}

fn account(text: &str) -> anyhow::Result<String> {
    if text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        Ok(text.to_owned())
    } else {
        bail!("an account id is twelve digits, such as 123456789012")
    }
}

/// Parses a region's name.
pub fn region(text: &str) -> anyhow::Result<String> {
    let is_word = |word: &str| {
        !word.is_empty()
            && word
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    if text.len() <= 32 && text.split('-').all(is_word) {
        Ok(text.to_owned())
    } else {
        bail!(
            "a region is lower-case letters and digits, in words joined by hyphens, such as local-1 or eu-west-3"
        )
    }
}

fn connections(text: &str) -> anyhow::Result<usize> {
    let count = text.parse().ok().filter(|&count| count > 0);
    count.context(
        "the number of connections must be at least 1; leave the flag out for as many as open files allow",
    )
}

fn dialect(text: &str) -> anyhow::Result<Dialect> {
    match text {
        "aws" => Ok(Dialect::Aws),
        "moto" => Ok(Dialect::Moto),
        _ => bail!("the dialect must be aws or moto"),
    }
}

/// How instances are started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LauncherKind {
    /// By Forebay itself, as processes.
    Process,
    /// By this program.
    Command(PathBuf),
    /// Not at all: they appear to run after this time.
    Simulated(Duration),
}

/// Default start-up time of a simulated instance.
const SIMULATED_MS: u64 = 100;

fn launcher(text: &str) -> anyhow::Result<LauncherKind> {
    let delay = |text: &str| text.parse().map(Duration::from_millis);
    match text.split_once('=') {
        None if text == "process" => Ok(LauncherKind::Process),
        None if text == "simulated" => Ok(LauncherKind::Simulated(Duration::from_millis(SIMULATED_MS))),
        Some(("simulated", time)) => {
            let time =
                delay(time).context("MS of simulated=MS must be milliseconds, such as simulated=100")?;
            Ok(LauncherKind::Simulated(time))
        }
        Some(("command", path)) if !path.is_empty() => Ok(LauncherKind::Command(path.into())),
        _ => bail!("the launcher must be process, command=PATH or simulated"),
    }
}

fn run_as(text: &str) -> Result<RunAs, String> {
    text.parse()
}

fn network(text: &str) -> Result<NetworkMode, String> {
    text.parse()
}

fn live_log(text: &str) -> anyhow::Result<(Log, LiveSink)> {
    let (log, sink) = match text.split_once('=') {
        Some((word, sink)) => {
            let log = Log::ALL.into_iter().find(|log| log.word() == word);
            (
                log.context("there is no such log: the logs are access, connection and health")?,
                sink,
            )
        }
        None => (Log::Access, text),
    };
    match (sink, sink.strip_prefix("unix:")) {
        ("stdout", _) => Ok((log, LiveSink::Stdout)),
        (_, Some(path)) if !path.is_empty() => Ok((log, LiveSink::Unix(path.into()))),
        _ => bail!("log lines can go to stdout or unix:PATH, such as unix:/run/collector.sock"),
    }
}

/// The ceiling for buffers of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BufferMemory {
    /// Half of the memory available.
    Auto,
    /// This many bytes.
    Bytes(usize),
}

/// A lower ceiling would refuse ordinary requests.
const LEAST_BUFFER_MEMORY: usize = 1024 * 1024;

fn buffer_memory(text: &str) -> anyhow::Result<BufferMemory> {
    if text == "auto" {
        return Ok(BufferMemory::Auto);
    }
    match bytes(text) {
        Some(bytes) if bytes >= LEAST_BUFFER_MEMORY => Ok(BufferMemory::Bytes(bytes)),
        _ => bail!("buffer memory must be auto, or at least 1M bytes, such as 512M or 4G"),
    }
}

fn quota(text: &str) -> anyhow::Result<(String, u32)> {
    let known = || {
        forebay_model::limits::QUOTAS
            .iter()
            .map(|quota| quota.name)
            .collect::<Vec<_>>()
            .join(", ")
    };
    let (name, max) = text
        .split_once('=')
        .context("a quota is NAME=MAX, such as application-load-balancers=100")?;
    if !forebay_model::limits::QUOTAS
        .iter()
        .any(|quota| quota.name == name)
    {
        bail!("there is no quota '{name}'; there are {}", known());
    }
    Ok((
        name.to_owned(),
        max.parse().with_context(|| format!("'{max}' is not a number"))?,
    ))
}

fn exposure(text: &str) -> Result<Exposure, String> {
    Exposure::parse(text)
}

/// Parses a domain, to lower case.
fn domain(text: &str) -> Result<String, String> {
    let bare = text.trim_matches('.').to_ascii_lowercase();
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // A load balancer's name, ten digits and a region are put in front of it.
    if bare.len() <= 150 && bare.split('.').all(is_label) {
        Ok(bare)
    } else {
        Err(format!(
            "'{text}' is no domain: it is labels of letters, digits and hyphens, such as elb.example.internal"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn launchers_are_named() {
        assert_eq!(launcher("process").unwrap(), LauncherKind::Process);
        assert_eq!(
            launcher("simulated=5").unwrap(),
            LauncherKind::Simulated(Duration::from_millis(5))
        );
        let program = LauncherKind::Command("/opt/a=b".into());
        assert_eq!(launcher("command=/opt/a=b").unwrap(), program);
        for wrong in ["", "command", "command=", "simulated=x", "process=1"] {
            assert!(launcher(wrong).is_err(), "{wrong}");
        }
    }
}
