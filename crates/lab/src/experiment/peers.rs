//! Other load balancers in front of the same targets, if they are installed.

use anyhow::{Context as _, bail};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longest time until a peer listens.
const UP_WITHIN: Duration = Duration::from_secs(10);

/// Another load balancer, by least connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    Nginx,
    Haproxy,
    /// With this many connections to each target at most, and HAProxy's own queue for the rest.
    HaproxyQueue(u32),
}

impl Peer {
    pub(crate) const ALL: [Peer; 2] = [Peer::Nginx, Peer::Haproxy];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Peer::Nginx => "nginx least_conn",
            Peer::Haproxy => "haproxy leastconn",
            Peer::HaproxyQueue(_) => "haproxy maxconn, queue",
        }
    }

    fn program(self) -> &'static str {
        match self {
            Peer::Nginx => "nginx",
            Peer::Haproxy | Peer::HaproxyQueue(_) => "haproxy",
        }
    }

    fn config(self, dir: &Path, listen: SocketAddr, targets: &[SocketAddr]) -> String {
        let mut servers = String::new();
        for (index, target) in targets.iter().enumerate() {
            // Writing to a string cannot fail.
            let _ = match self {
                Peer::Nginx => writeln!(servers, "server {target};"),
                Peer::Haproxy => writeln!(servers, "  server s{index} {target}"),
                Peer::HaproxyQueue(most) => writeln!(servers, "  server s{index} {target} maxconn {most}"),
            };
        }
        let dir = dir.display();
        match self {
            Peer::Nginx => format!(
                "daemon off; worker_processes 1; pid {dir}/pid; error_log stderr crit;
                 events {{ worker_connections 4096; }}
                 http {{
                   access_log off; proxy_read_timeout 300s; client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f;
                   uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
                   upstream t {{ least_conn; {servers} keepalive 64; }}
                   server {{ listen {listen}; location / {{
                     proxy_pass http://t; proxy_http_version 1.1; proxy_set_header Connection \"\"; }} }}
                 }}"
            ),
            Peer::Haproxy | Peer::HaproxyQueue(_) => format!(
                "defaults
  mode http
  option http-no-delay
  timeout connect 10s
  timeout client 300s
  timeout server 300s
  timeout queue 300s
frontend f
  bind {listen}
  default_backend t
backend t
  balance leastconn
{servers}"
            ),
        }
    }

    /// Starts the peer at a free port in front of these targets, with its files in `dir`.
    pub(crate) fn start(self, dir: &Path, port: u16, targets: &[SocketAddr]) -> anyhow::Result<Running> {
        let listen = SocketAddr::from(([127, 0, 0, 1], port));
        let file = dir.join("peer.conf");
        std::fs::write(&file, self.config(dir, listen, targets))?;
        let mut command = Command::new(self.program());
        match self {
            Peer::Nginx => command.arg("-p").arg(dir).arg("-c").arg(&file),
            Peer::Haproxy | Peer::HaproxyQueue(_) => command.arg("-f").arg(&file),
        };
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}: is it installed?", self.program()))?;
        let mut running = Running { child, listen };
        let began = Instant::now();
        while std::net::TcpStream::connect(listen).is_err() {
            if let Some(status) = running.child.try_wait()? {
                bail!("{} ended immediately: {status}", self.program());
            }
            if began.elapsed() > UP_WITHIN {
                bail!("{} did not start to listen in time", self.program());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(running)
    }
}

/// A running peer; it is ended when this is dropped.
pub(crate) struct Running {
    child: Child,
    pub(crate) listen: SocketAddr,
}

impl Drop for Running {
    fn drop(&mut self) {
        // SIGTERM, because it ends nginx's worker too: a master that is killed leaves its worker behind.
        let id = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}
