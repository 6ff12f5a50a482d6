//! The agent's command line: AWS's environment variables, and a flag for each.

use super::identity::Files;
use super::settled::MOST_CONCURRENT;
use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use forebay_model::ProtocolVersion;
use forebay_process::values;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;

/// Another environment variable for the destination, which some guides use.
const OTHER_DESTINATION: &str = "TARGET_CONTROL_DESTINATION";

/// Flags of `forebay agent`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "\
It stands between a load balancer and one application: requests come to the data address, with permits that the load
balancer's nodes get over the control address (the target group's TargetControlPort), and go on to the destination. Never
more than --max-concurrency are there at once. See docs/target-control.md.

Once it serves, it prints one line to standard output:
  forebay agent ready data=0.0.0.0:80 control=0.0.0.0:3000
SIGTERM (or Ctrl-C) stops granting, finishes what is in flight and ends with 0; a second one ends at once.
SIGHUP reads the certificate and its key again. SIGUSR1 raises the limit by one, SIGUSR2 lowers it by one; POST /limit at the
admin address sets it.

Examples:
  forebay agent --data-address 0.0.0.0:80 --control-address 0.0.0.0:3000 --destination-address 127.0.0.1:8080
  forebay agent ... --max-concurrency 8 --admin 127.0.0.1:9100
  curl -d 4 http://127.0.0.1:9100/limit          four at a time from now on; 0 drains
  TARGET_CONTROL_DATA_ADDRESS=0.0.0.0:80 TARGET_CONTROL_CONTROL_ADDRESS=0.0.0.0:3000 \\
    TARGET_CONTROL_DESTINATION_ADDRESS=127.0.0.1:8080 forebay agent          as a container does it")]
pub struct AgentArgs {
    /// Address for requests, in plaintext and over TLS on the same port. Port 0 takes a free one
    #[arg(long, env = "TARGET_CONTROL_DATA_ADDRESS", value_name = "IP:PORT", value_parser = values::address)]
    pub(crate) data_address: SocketAddr,
    /// Address where nodes of load balancers get permits. Port 0 takes a free one
    #[arg(long, env = "TARGET_CONTROL_CONTROL_ADDRESS", value_name = "IP:PORT", value_parser = values::address)]
    pub(crate) control_address: SocketAddr,
    /// Address of the application [env: also TARGET_CONTROL_DESTINATION]
    #[arg(
        long,
        visible_alias = "destination",
        env = "TARGET_CONTROL_DESTINATION_ADDRESS",
        value_name = "HOST:PORT"
    )]
    destination_address: Option<String>,
    /// Most requests at the application at once, 0 to 1000; 0 admits none
    #[arg(long, env = "TARGET_CONTROL_MAX_CONCURRENCY", default_value_t = 1, value_name = "N",
        value_parser = clap::value_parser!(u32).range(0..=i64::from(MOST_CONCURRENT)))]
    pub(crate) max_concurrency: u32,
    /// Certificate to show, in PEM, with its chain [default: a self-signed one, made at start]
    #[arg(
        long,
        env = "TARGET_CONTROL_TLS_CERT_PATH",
        value_name = "FILE",
        requires = "tls_key_path"
    )]
    pub(crate) tls_cert_path: Option<PathBuf>,
    /// Private key of the certificate, in PEM
    #[arg(
        long,
        env = "TARGET_CONTROL_TLS_KEY_PATH",
        value_name = "FILE",
        requires = "tls_cert_path"
    )]
    pub(crate) tls_key_path: Option<PathBuf>,
    /// TLS versions and ciphers of the data address, as a security policy of load balancers
    #[arg(
        long,
        env = "TARGET_CONTROL_TLS_SECURITY_POLICY",
        default_value = "ELBSecurityPolicy-2016-08",
        value_name = "NAME"
    )]
    pub(crate) tls_security_policy: String,
    /// Protocol of the application; with HTTP2 and GRPC the data address accepts HTTP/2 as well, over TLS and in plaintext
    #[arg(
        long,
        env = "TARGET_CONTROL_PROTOCOL_VERSION",
        default_value = "HTTP1",
        ignore_case = true
    )]
    pub(crate) protocol_version: Spoken,
    /// Address of metrics, health and the limit; none by default. Whoever reaches it may set the limit. Port 0 takes a
    /// free one
    #[arg(long, env = "TARGET_CONTROL_ADMIN_ADDRESS", value_name = "IP:PORT", value_parser = values::address)]
    pub(crate) admin: Option<SocketAddr>,
    /// Another host name under which the admin address may be reached. It accepts its own IP address, loopback addresses
    /// and
    /// localhost, but no other name, because a web page could use one. May be repeated
    #[arg(
        long,
        env = "TARGET_CONTROL_ALLOWED_HOST",
        value_name = "NAME",
        value_delimiter = ','
    )]
    pub(crate) allowed_host: Vec<String>,
    /// Worker threads, which carry requests
    #[arg(long, env = "TARGET_CONTROL_WORKERS", default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) workers: u8,
    /// Seconds that requests may take to finish after SIGTERM
    #[arg(
        long,
        env = "TARGET_CONTROL_DRAIN_SECONDS",
        default_value_t = 3600,
        value_name = "S"
    )]
    pub(crate) drain_seconds: u64,
}

/// The protocol of an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Spoken {
    /// HTTP/1.1
    #[value(name = "HTTP1")]
    Http1,
    /// HTTP/2 in plaintext, by prior knowledge
    #[value(name = "HTTP2")]
    Http2,
    /// gRPC, over HTTP/2 in plaintext
    #[value(name = "GRPC")]
    Grpc,
}

impl Spoken {
    pub(crate) fn version(self) -> ProtocolVersion {
        match self {
            Spoken::Http1 => ProtocolVersion::Http1,
            Spoken::Http2 => ProtocolVersion::Http2,
            Spoken::Grpc => ProtocolVersion::Grpc,
        }
    }
}

impl AgentArgs {
    /// The files of the certificate and its key, if flags name them. SIGHUP reads them again.
    pub(crate) fn files(&self) -> Option<Files> {
        Some(Files {
            chain: self.tls_cert_path.clone()?,
            key: self.tls_key_path.clone()?,
        })
    }

    /// The address of the application. A name is looked up only once.
    pub(crate) fn destination(&self) -> anyhow::Result<SocketAddr> {
        let given = self.destination_address.clone();
        let Some(given) = given.or_else(|| values::variable(OTHER_DESTINATION)) else {
            bail!(
                "where is the application? Give --destination-address, TARGET_CONTROL_DESTINATION_ADDRESS or {OTHER_DESTINATION}, such as 127.0.0.1:8080"
            );
        };
        let mut found = given
            .to_socket_addrs()
            .with_context(|| format!("'{given}' is not a destination such as 127.0.0.1:8080"))?;
        let address = found
            .next()
            .with_context(|| format!("the destination '{given}' has no address"))?;
        if address == self.data_address {
            bail!("the destination {address} is the data address: requests would go round in circles");
        }
        Ok(address)
    }
}
