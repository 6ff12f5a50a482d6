//! ALB's three logs: a line per request, per connection, per probe. Threads that carry traffic format lines into
//! batches of their own and hand them over without waiting; one thread writes files, one more each live sink. What a
//! writer can't take is dropped and counted.

mod files;
mod lines;
mod live;
mod pen;
mod shelf;
mod tally;
#[cfg(test)]
mod tests;
mod text;

pub use live::LiveSink;
pub use tally::{Log, Sink, Tally};

use crate::spans::{Endpoint, Spans};
use files::Files;
use forebay_node::Sampling;
use forebay_node::journal::{Always, Journal, Pen};
use live::Live;
use pen::{Exits, Order, ThreadPen};
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

/// Batches that may wait for a writer: with 32 KiB each, some 16 MiB.
const WAITING: usize = 512;
/// Time the writers get to write what is there when all ends.
const ENDING: Duration = Duration::from_secs(10);

/// Everything that writes logs.
pub struct Logs {
    exits: Exits,
    always: Always,
    spans: Option<Spans>,
    /// Told when live lines may begin.
    go: Mutex<Vec<Sender<()>>>,
    threads: Mutex<Vec<(SyncSender<Order>, JoinHandle<()>)>>,
}

impl Logs {
    /// Starts the writers. Files go below `root`; `live` says which logs go where as they are written.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(root: PathBuf, live: &[(Log, LiveSink)], seed: u64) -> io::Result<Logs> {
        let tally = Arc::new(Tally::default());
        let mut threads = Vec::new();
        let mut go = Vec::new();
        let files = Files::new(root, Arc::clone(&tally), seed);
        let files = spawn("log-files", &mut threads, move |orders| files.run(&orders))?;
        let mut exits = Exits {
            tally: Arc::clone(&tally),
            files,
            live: [None, None, None],
        };
        let mut sinks: Vec<(LiveSink, SyncSender<Order>)> = Vec::new();
        for (log, sink) in live {
            let known = sinks.iter().find(|known| known.0 == *sink);
            let sender = match known {
                Some((_, sender)) => sender.clone(),
                None => {
                    let writer = Live::new(sink.clone(), Arc::clone(&tally));
                    let (begin, begun) = channel();
                    let sender = spawn("log-live", &mut threads, move |orders| {
                        writer.run(&begun, &orders);
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
            go: Mutex::new(go),
            threads: Mutex::new(threads),
        })
    }

    /// Sends spans to this collector as well.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn with_spans(mut self, endpoint: Endpoint, sampling: Sampling) -> io::Result<Logs> {
        self.spans = Some(Spans::start(endpoint, sampling, Arc::clone(&self.exits.tally))?);
        Ok(self)
    }

    /// Lines and spans written and lost so far.
    pub fn tally(&self) -> &Tally {
        &self.exits.tally
    }

    /// Live lines may begin: what had to be said before them is said.
    pub fn go(&self) {
        lock(&self.go).clear();
    }

    /// Finishes all files and connects anew to sockets. Waits for nobody: a writer that is far behind is left as it is, and false
    /// comes back.
    pub fn reopen(&self) -> bool {
        let mut all = true;
        for (orders, _) in lock(&self.threads).iter() {
            all &= orders.try_send(Order::Reopen).is_ok();
        }
        all
    }

    /// Writes what was handed over, finishes all files, and ends. Pens must have been flushed. Blocks, but not for
    /// ever: a sink that takes nothing is left behind.
    pub fn finish(&self) {
        self.go();
        if let Some(spans) = &self.spans {
            spans.finish();
        }
        let threads: Vec<_> = lock(&self.threads).drain(..).collect();
        let deadline = Instant::now() + ENDING;
        for (orders, _) in &threads {
            // A full channel: its writer is behind or stuck. It is told again below.
            let _ = orders.try_send(Order::Finish);
        }
        for (orders, thread) in threads {
            while !thread.is_finished() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(2));
                let _ = orders.try_send(Order::Finish);
            }
            if thread.is_finished() {
                let _ = thread.join();
            }
        }
    }
}

impl Journal for Logs {
    fn pen(&self) -> Box<dyn Pen> {
        let spans = self.spans.as_ref().map(Spans::pen);
        Box::new(ThreadPen::new(self.exits.clone(), spans))
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
    threads: &mut Vec<(SyncSender<Order>, JoinHandle<()>)>,
    work: impl FnOnce(Receiver<Order>) + Send + 'static,
) -> io::Result<SyncSender<Order>> {
    let (sender, orders) = sync_channel(WAITING);
    let thread = Builder::new().name(name.to_owned()).spawn(move || work(orders))?;
    threads.push((sender.clone(), thread));
    Ok(sender)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
