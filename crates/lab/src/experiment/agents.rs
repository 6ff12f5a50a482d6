//! Agents as separate processes, in front of an experiment's targets.

use anyhow::{Context as _, bail};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longest time until an agent listens.
const UP_WITHIN: Duration = Duration::from_secs(10);

/// A running agent; it is killed when this is dropped.
pub(crate) struct Agent {
    child: Child,
    /// The address for requests.
    pub(crate) data: SocketAddr,
}

impl Agent {
    /// Starts an agent that admits `limit` requests at a time to `destination`.
    pub(crate) fn start(
        data: SocketAddr,
        control: SocketAddr,
        destination: SocketAddr,
        limit: u32,
    ) -> anyhow::Result<Agent> {
        let child = Command::new(std::env::current_exe()?)
            .args(["--log", "error", "agent"])
            .args(["--data-address", &data.to_string()])
            .args(["--control-address", &control.to_string()])
            .args(["--destination-address", &destination.to_string()])
            .args(["--max-concurrency", &limit.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("cannot start an agent")?;
        let mut agent = Agent { child, data };
        let began = Instant::now();
        for address in [data, control] {
            while std::net::TcpStream::connect(address).is_err() {
                if let Some(status) = agent.child.try_wait()? {
                    bail!("an agent ended immediately: {status}");
                }
                if began.elapsed() > UP_WITHIN {
                    bail!("an agent did not come up at {address}");
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        Ok(agent)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // SIGKILL: nothing is in flight any more, and a drain would only take time.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
