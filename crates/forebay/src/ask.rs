//! `forebay health`, and requests to an admin address.

use anyhow::{Context as _, bail};
use bytes::Bytes;
use clap::Args;
use forebay_process::out;
use forebay_process::runtime;
use forebay_process::values::address;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::StatusCode;
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

/// Most bytes of an answer: more than the metrics of the largest server.
const MOST_BYTES: usize = 256 * 1024 * 1024;
/// Longest time that an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Flags of `forebay health`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "\
Prints the health page, and exits with 0 if traffic is served and changes can be stored, else with 1. A listener that cannot be
served is reported as impaired, and exits with 0: a restart would not mend it.

Examples:
  forebay health
  forebay health --admin 127.0.0.1:9100             for an agent")]
pub(crate) struct HealthArgs {
    #[command(flatten)]
    asked: AdminAddress,
}

/// The flag that names the admin address.
#[derive(Args, Debug, Clone)]
pub(crate) struct AdminAddress {
    /// Admin address of `forebay up`, or of an agent if it has the requested page
    #[arg(
        long,
        env = "FOREBAY_ADMIN",
        default_value = "127.0.0.1:4567",
        value_name = "ADDR:PORT",
        value_parser = admin
    )]
    pub(crate) admin: SocketAddr,
}

/// Parses an admin address in the form of the server's flag or in the form that the server prints.
pub(crate) fn admin(text: &str) -> anyhow::Result<SocketAddr> {
    let bare = text.strip_prefix("http://").unwrap_or(text);
    address(bare.strip_suffix('/').unwrap_or(bare))
}

pub(crate) fn run(args: &HealthArgs) -> anyhow::Result<ExitCode> {
    let (status, page) = runtime()?.block_on(ask(args.asked.admin, "/health"))?;
    out::line(format_args!("{}", String::from_utf8_lossy(&page).trim_end()))?;
    Ok(match status {
        StatusCode::OK => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// Requests a page of an admin address.
pub(crate) async fn ask(admin: SocketAddr, path: &str) -> anyhow::Result<(StatusCode, Bytes)> {
    let asked = async {
        let stream = tokio::net::TcpStream::connect(admin).await?;
        let (mut sender, driver) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(driver);
        let request = hyper::Request::builder()
            .uri(path)
            .header("host", admin.to_string())
            .header("connection", "close")
            .body(Empty::<Bytes>::new())?;
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MOST_BYTES).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!("the answer broke off: {error}"))?;
        Ok((status, body.to_bytes()))
    };
    let answer = tokio::time::timeout(PATIENCE, asked).await;
    answer
        .unwrap_or_else(|_| bail!("no answer within {} s", PATIENCE.as_secs()))
        .with_context(|| format!("cannot read http://{admin}{path}: is it running, with this --admin?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A regression: `forebay top --admin http://127.0.0.1:4567`, in the form of the ready line, was refused.
    #[test]
    fn admin_addresses_are_taken_as_printed() {
        let plain = address("127.0.0.1:4567").unwrap();
        for text in [
            "127.0.0.1:4567",
            "http://127.0.0.1:4567",
            "http://127.0.0.1:4567/",
        ] {
            assert_eq!(admin(text).unwrap(), plain);
        }
    }
}
