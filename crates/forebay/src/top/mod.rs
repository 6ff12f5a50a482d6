//! `forebay top`: shows groups, targets, slots and queues of a running Forebay, from its admin address.
//!
//! In reading order: `text` (parses the metrics page), `reading` (groups and targets), `planners` and `backlogs` (planned
//! groups), `screen` (the terminal).

mod backlogs;
mod planners;
mod reading;
mod screen;
mod text;

use crate::ask::{AdminAddress, ask};
use anyhow::bail;
use clap::Args;
use forebay_process::runtime;
use reading::Reading;
use screen::Screen;
use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};

/// Flags of `forebay top`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "\
q or Ctrl-C ends it. A group without limits has no slots and no queue. Planned Auto Scaling groups follow (forebay why). Waits are those of
requests released since the last reading, to the precision of the metric's buckets.

Examples:
  forebay top
  forebay top --admin 127.0.0.1:4567 --interval 0.5
  forebay top --once                                  one table to standard output, as for a script")]
pub(crate) struct TopArgs {
    #[command(flatten)]
    asked: AdminAddress,
    /// Seconds between two readings
    #[arg(long, default_value_t = 1.0, value_name = "SECONDS", value_parser = interval)]
    interval: f64,
    /// Print one table, of two readings an interval apart, and leave the terminal alone
    #[arg(long)]
    once: bool,
}

fn interval(text: &str) -> Result<f64, String> {
    let seconds = text
        .parse()
        .ok()
        .filter(|seconds| (0.1..=3600.0).contains(seconds));
    seconds.ok_or_else(|| format!("'{text}' is not between 0.1 and 3600 seconds"))
}

pub(crate) fn run(args: &TopArgs) -> anyhow::Result<ExitCode> {
    let runtime = runtime()?;
    let done = runtime.block_on(async {
        if args.once {
            once(args).await
        } else {
            live(args).await
        }
    });
    // A thread may still wait for a key. Nothing waits for that thread.
    runtime.shutdown_background();
    done.map(|()| ExitCode::SUCCESS)
}

async fn read(admin: SocketAddr) -> anyhow::Result<Reading> {
    let (status, body) = ask(admin, "/metrics").await?;
    if status != hyper::StatusCode::OK {
        bail!("http://{admin}/metrics answers {status}");
    }
    Ok(Reading::of(&String::from_utf8_lossy(&body)))
}

async fn once(args: &TopArgs) -> anyhow::Result<()> {
    let (before, began) = (read(args.asked.admin).await?, Instant::now());
    tokio::time::sleep(Duration::from_secs_f64(args.interval)).await;
    let now = read(args.asked.admin).await?;
    let mut text = now.lines(&before, began.elapsed()).join("\n");
    text.push('\n');
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

async fn live(args: &TopArgs) -> anyhow::Result<()> {
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        bail!("standard input and output are not a terminal: use --once");
    }
    let (mut before, mut began) = (read(args.asked.admin).await?, Instant::now());
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut resized = signal(SignalKind::window_change())?;
    let mut screen = Screen::take()?;
    let mut lines = before.lines(&before, Duration::from_secs(1));
    let mut said = "q quits".to_owned();
    loop {
        let title = format!("forebay top   {}   {said}", args.asked.admin);
        let page: Vec<String> = std::iter::once(title).chain(lines.iter().cloned()).collect();
        screen.show(&page)?;
        let next = tokio::time::sleep_until((began + Duration::from_secs_f64(args.interval)).into());
        tokio::select! {
            key = screen.key() => if matches!(key, None | Some(b'q' | b'Q' | 27)) { return Ok(()) },
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
            _ = resized.recv() => {}
            () = next => {
                let past = began.elapsed();
                began = Instant::now();
                match read(args.asked.admin).await {
                    Ok(now) => {
                        lines = now.lines(&before, past);
                        (before, said) = (now, "q quits".to_owned());
                    }
                    // The server may come back: the last reading stays on the page.
                    Err(error) => said = format!("{error:#}"),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn reads_over_the_wire() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = vec![0; 1024];
            let got = stream.read(&mut head).await.unwrap();
            assert!(head[..got].starts_with(b"GET /metrics HTTP/1.1\r\n"));
            let text = "forebay_surge_queue_length{target_group=\"targetgroup/a/1\"} 4\n";
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
        };
        let (reading, ()) = tokio::join!(read(address), serve);
        let reading = reading.unwrap();
        let lines = reading.lines(&reading, Duration::from_secs(1));
        assert!(lines[1].starts_with("a/1"), "{lines:?}");
        drop(listener);
        let refused = read(address).await.unwrap_err();
        assert!(format!("{refused:#}").contains("--admin"), "{refused:#}");
    }
}
