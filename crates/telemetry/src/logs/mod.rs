//! ALB's three logs: a line per request, per connection and per health check. Threads that carry traffic format lines into
//! their own batches and hand these over without waiting; one thread writes files, and one each live sink. What a writer
//! cannot take is dropped and counted.
//!
//! In reading order: `lines` (the formats) and `text` (numbers and times in them), `writer` (a thread's batches), `files`
//! and `log_path` (log files), `live` (standard output and sockets), `retention` (old files), `counters`.

mod counters;
mod files;
mod lines;
mod live;
mod log_path;
mod retention;
#[cfg(test)]
mod tests;
mod text;
mod writer;

pub use counters::{LineMetrics, Log, LogCounters, LogMetrics, Sink};
pub use live::LiveSink;
pub use retention::Retention;

use crate::spans::{Endpoint, Spans};
use files::Files;
use forebay_node::Sampling;
use forebay_node::logging::{Always, LogWriter, Logger};
use forebay_units::lock::lock;
use live::Live;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};
use writer::{Exits, ThreadLogWriter, WriterCommand};

/// Most batches that may wait for a writer: with 32 KiB each, some 16 MiB.
const WAITING: usize = 512;
/// Time that the writers get to write what is left when the process ends.
const ENDING: Duration = Duration::from_secs(10);

/// Everything that writes logs.
pub struct Logs {
    exits: Exits,
    always: Always,
    spans: Option<Spans>,
    root: PathBuf,
    /// Dropping it ends the thread that deletes old files.
    deleting: Option<Sender<()>>,
    /// Dropping these lets the live writers begin.
    go: Mutex<Vec<Sender<()>>>,
    threads: Mutex<Vec<(SyncSender<WriterCommand>, JoinHandle<()>)>>,
}

impl Logs {
    /// Starts the writers. Files go below `root`; `live` names the logs that also go to live sinks.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn start(root: PathBuf, live: &[(Log, LiveSink)], seed: u64) -> io::Result<Logs> {
        let counters = Arc::new(LogCounters::default());
        let mut threads = Vec::new();
        let mut go = Vec::new();
        let files = Files::new(root.clone(), Arc::clone(&counters), seed);
        let files = spawn("log-files", &mut threads, move |commands| files.run(&commands))?;
        let mut exits = Exits {
            counters: Arc::clone(&counters),
            files,
            live: [None, None, None],
        };
        let mut sinks: Vec<(LiveSink, SyncSender<WriterCommand>)> = Vec::new();
        for (log, sink) in live {
            let known = sinks.iter().find(|known| known.0 == *sink);
            let sender = match known {
                Some((_, sender)) => sender.clone(),
                None => {
                    let writer = Live::new(sink.clone(), Arc::clone(&counters));
                    let (begin, begun) = channel();
                    let sender = spawn("log-live", &mut threads, move |commands| {
                        writer.run(&begun, &commands);
                    })?;
                    go.push(begin);
                    sinks.push((sink.clone(), sender.clone()));
                    sender
                }
            };
            exits.live[*log as usize] = Some(sender);
        }
        let always = Always {
            access: exits.live[Log::Access as usize].is_some(),
            connection: exits.live[Log::Connection as usize].is_some(),
            health: exits.live[Log::Health as usize].is_some(),
        };
        Ok(Logs {
            exits,
            always,
            spans: None,
            root,
            deleting: None,
            go: Mutex::new(go),
            threads: Mutex::new(threads),
        })
    }

    /// Also sends spans to this collector.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn with_spans(mut self, endpoint: Endpoint, sampling: Sampling) -> io::Result<Logs> {
        self.spans = Some(Spans::start(
            endpoint,
            sampling,
            Arc::clone(&self.exits.counters),
        )?);
        Ok(self)
    }

    /// Deletes files at the end of this retention.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn with_retention(mut self, retention: Retention) -> io::Result<Logs> {
        let Retention::For(keep) = retention else {
            return Ok(self);
        };
        let (deleting, told) = channel();
        let (root, counters) = (self.root.clone(), Arc::clone(&self.exits.counters));
        Builder::new()
            .name("log-retention".to_owned())
            .spawn(move || retention::run(&root, keep, &counters, &told))?;
        self.deleting = Some(deleting);
        Ok(self)
    }

    /// Counts of lines and spans written and lost so far.
    pub fn counters(&self) -> &LogCounters {
        &self.exits.counters
    }

    /// Lets live lines begin: everything that must come before them was written.
    pub fn go(&self) {
        lock(&self.go).clear();
    }

    /// Finishes all files and reconnects sockets. Does not wait: false if a writer was too far behind to take the order.
    pub fn reopen(&self) -> bool {
        let mut all = true;
        for (commands, _) in lock(&self.threads).iter() {
            all &= commands.try_send(WriterCommand::Reopen).is_ok();
        }
        all
    }

    /// Writes what was handed over, finishes all files, and ends. Log writers must have been flushed. Blocks, but only for
    /// a
    /// limited time: a sink that accepts nothing is left behind.
    pub fn finish(&self) {
        self.go();
        if let Some(spans) = &self.spans {
            spans.finish();
        }
        let threads: Vec<_> = lock(&self.threads).drain(..).collect();
        let deadline = Instant::now() + ENDING;
        for (commands, _) in &threads {
            // If the channel is full, the writer is behind or stuck; the order is sent again below.
            let _ = commands.try_send(WriterCommand::Finish);
        }
        for (commands, thread) in threads {
            while !thread.is_finished() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(2));
                let _ = commands.try_send(WriterCommand::Finish);
            }
            if thread.is_finished() {
                let _ = thread.join();
            }
        }
    }
}

impl Logger for Logs {
    fn log_writer(&self) -> Box<dyn LogWriter> {
        let spans = self.spans.as_ref().map(Spans::log_writer);
        Box::new(ThreadLogWriter::new(self.exits.clone(), spans))
    }

    fn always(&self) -> Always {
        self.always
    }

    fn sampling(&self) -> Option<Sampling> {
        self.spans.as_ref().map(Spans::sampling)
    }
}

fn spawn(
    name: &str,
    threads: &mut Vec<(SyncSender<WriterCommand>, JoinHandle<()>)>,
    work: impl FnOnce(Receiver<WriterCommand>) + Send + 'static,
) -> io::Result<SyncSender<WriterCommand>> {
    let (sender, commands) = sync_channel(WAITING);
    let thread = Builder::new()
        .name(name.to_owned())
        .spawn(move || work(commands))?;
    threads.push((sender.clone(), thread));
    Ok(sender)
}
