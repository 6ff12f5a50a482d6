//! The thread that passes lines on as they come: to standard output or to a Unix socket.

use super::counters::{LogCounters, Sink};
use super::writer::{Batch, WriterCommand};
use socket2::{Domain, SockAddr, Socket, Type};
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

/// A socket that accepts nothing for this long is closed and connected anew.
const PATIENCE: Duration = Duration::from_secs(1);
/// Time between a failure and the next attempt to connect.
const RECONNECT: Duration = Duration::from_secs(1);
/// Least interval between warnings of failed writes.
const TELLING: Duration = Duration::from_secs(60);

/// Where live lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LiveSink {
    /// Standard output.
    Stdout,
    /// A Unix stream socket that another process listens on.
    Unix(PathBuf),
}

/// The writer to one sink.
pub(super) struct Live {
    sink: LiveSink,
    counters: Arc<LogCounters>,
    socket: Option<UnixStream>,
    tried: Option<Instant>,
    told: Option<Instant>,
}

impl Live {
    pub(super) fn new(sink: LiveSink, counters: Arc<LogCounters>) -> Live {
        Live {
            sink,
            counters,
            socket: None,
            tried: None,
            told: None,
        }
    }

    /// Writes until it is told to finish. Waits for `go` first, because the ready line must be the first on standard output.
    pub(super) fn run(mut self, go: &Receiver<()>, commands: &Receiver<WriterCommand>) {
        let _ = go.recv();
        loop {
            match commands.recv() {
                Ok(WriterCommand::Write(batch)) => self.take(&batch),
                // After a rotation another process may listen there.
                Ok(WriterCommand::Reopen) => (self.socket, self.tried) = (None, None),
                Ok(WriterCommand::Finish) | Err(_) => break,
            }
        }
        while let Ok(command) = commands.try_recv() {
            if let WriterCommand::Write(batch) = command {
                self.take(&batch);
            }
        }
    }

    fn take(&mut self, batch: &Batch) {
        match self.write(&batch.text) {
            Ok(()) => self.counters.wrote(batch.log, Sink::Live, batch.lines),
            Err(error) => {
                self.counters.lost(batch.log, Sink::Live, batch.lines);
                let now = Instant::now();
                if self.told.is_none_or(|told| now.duration_since(told) >= TELLING) {
                    self.told = Some(now);
                    tracing::warn!(
                        "live log lines are lost: {:?}: {error} (forebay_log_lines_dropped_total counts them)",
                        self.sink
                    );
                }
            }
        }
    }

    fn write(&mut self, text: &[u8]) -> io::Result<()> {
        let path = match &self.sink {
            LiveSink::Stdout => {
                let mut out = io::stdout().lock();
                return out.write_all(text).and_then(|()| out.flush());
            }
            LiveSink::Unix(path) => path,
        };
        if self.socket.is_none() {
            let now = Instant::now();
            if self
                .tried
                .is_some_and(|tried| now.duration_since(tried) < RECONNECT)
            {
                return Err(io::ErrorKind::NotConnected.into());
            }
            self.tried = Some(now);
            self.socket = Some(connect(path)?);
        }
        let Some(socket) = &mut self.socket else {
            return Ok(());
        };
        let written = socket.write_all(text);
        if written.is_err() {
            // Half a line may have been sent, so the next connection begins with a whole one. Until then lines are dropped
            // at once:
            // if each waited for a reader that does not read, all later ones would be late.
            self.socket = None;
            self.tried = Some(Instant::now());
        }
        written
    }
}

/// Connects without blocking: a listener whose backlog is full would block this thread for ever.
fn connect(path: &Path) -> io::Result<UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)?;
    socket.set_nonblocking(false)?;
    let stream = UnixStream::from(socket);
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}
