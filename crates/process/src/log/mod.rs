//! What happens is told on standard error: standard output is for what programs read.
//!
//! Nobody waits for whoever reads it. Lines go through a bounded queue to a thread of its own; what finds no room there is
//! dropped and counted, and of a kind of line only so many are told a second. `tracing-appender` was weighed: when its queue is
//! full at the end it prints to standard output, which may be the same pipe, and it does not tell how many lines are missing.

mod json;

use std::collections::HashMap;
use std::fmt;
use std::io::{self, IsTerminal as _, Write};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tracing::callsite::Identifier;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::{Format, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

/// Bytes that may wait for standard error; as many may be on their way there.
const WAITING: usize = 256 * 1024;
/// Lines of a kind in a second; levels below `info` are for those who look for something, and have the queue's bound alone.
const OF_A_KIND: u32 = 10;
/// How long the end waits until all is written.
const ENDING: Duration = Duration::from_secs(1);
/// How long a panic waits: the process may be about to abort.
const PANICKING: Duration = Duration::from_millis(100);

static QUEUE: Queue = Queue {
    waits: Mutex::new(Waits {
        text: Vec::new(),
        dropped: 0,
        writing: false,
        served: false,
    }),
    more: Condvar::new(),
    written: Condvar::new(),
};
/// Lines that were dropped or left out so far.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Lines are JSON.
static JSON: AtomicBool = AtomicBool::new(false);

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people, with colours where standard error is a terminal
    Text,
    /// An object: timestamp, level, message, target and fields
    Json,
}

/// Tells what this filter lets through. A level alone is for what this house says; libraries speak where they are named, as in
/// `info,h2=warn`.
pub fn start(filter: &str, format: LogFormat) {
    JSON.store(format == LogFormat::Json, Relaxed);
    if std::thread::Builder::new()
        .name("log".to_owned())
        .spawn(|| QUEUE.serve())
        .is_ok()
    {
        lock(&QUEUE.waits).served = true;
    }
    // The usual hook writes to standard error itself, and would wait for it.
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        say(
            Level::ERROR,
            format_args!("thread '{}' {panic}", thread.name().unwrap_or("?")),
        );
        let trace = std::backtrace::Backtrace::capture();
        if trace.status() == std::backtrace::BacktraceStatus::Captured {
            say(Level::ERROR, format_args!("{trace}"));
        }
        QUEUE.wait(PANICKING);
    }));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(|| Lines)
        // Colour codes in a file or a journal are in the way of whoever searches it.
        .with_ansi(
            io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty()),
        )
        // A log that can't be written (a closed pipe, a full disk) must not panic the thread that logs.
        .log_internal_errors(false)
        .event_format(Bounded::new(tracing_subscriber::fmt::format().with_target(false)));
    let registry = tracing_subscriber::registry();
    // What reads filters is much program, and an agent that is told a level needs none of it.
    match filter.parse::<LevelFilter>() {
        Ok(level) => {
            let ours = Targets::new().with_target("forebay", level);
            registry.with(lines.with_filter(ours)).init();
        }
        Err(_) => {
            let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("forebay=info"));
            registry.with(lines.with_filter(filter)).init();
        }
    }
}

/// Tells this, whatever the filter.
pub fn say(level: Level, line: fmt::Arguments<'_>) {
    QUEUE.take(own(level, line).as_bytes());
}

/// A line that is no event.
fn own(level: Level, line: fmt::Arguments<'_>) -> String {
    if JSON.load(Relaxed) {
        json::own(level, line)
    } else {
        format!("{line}\n")
    }
}

/// Waits until all is written, but not for ever: whoever reads it may not.
pub fn finish() {
    QUEUE.wait(ENDING);
}

/// Lines that were not written so far.
pub fn dropped() -> u64 {
    DROPPED.load(Relaxed)
}

/// Lines on their way to standard error.
struct Queue {
    waits: Mutex<Waits>,
    more: Condvar,
    written: Condvar,
}

struct Waits {
    text: Vec<u8>,
    /// Since that was last told.
    dropped: u64,
    /// What was here last is being written.
    writing: bool,
    /// A thread takes what is here.
    served: bool,
}

impl Queue {
    fn take(&self, line: &[u8]) {
        let mut waits = lock(&self.waits);
        if !waits.served {
            drop(waits);
            let _ = io::stderr().write_all(line);
        } else if waits.text.len() + line.len() > WAITING {
            waits.dropped += 1;
            DROPPED.fetch_add(1, Relaxed);
        } else {
            waits.text.extend_from_slice(line);
            self.more.notify_one();
        }
    }

    /// Writes what comes, for ever.
    fn serve(&self) {
        loop {
            let idle = |waits: &mut Waits| waits.text.is_empty();
            let waits = self.more.wait_while(lock(&self.waits), idle);
            let mut waits = waits.unwrap_or_else(PoisonError::into_inner);
            let mut text = std::mem::take(&mut waits.text);
            let dropped = std::mem::take(&mut waits.dropped);
            waits.writing = true;
            drop(waits);
            if dropped > 0 {
                let told =
                    format_args!("{dropped} log lines were dropped here: standard error did not take them");
                text.extend_from_slice(own(Level::WARN, told).as_bytes());
            }
            // Closed, perhaps: nobody can be told.
            let _ = io::stderr().write_all(&text);
            lock(&self.waits).writing = false;
            self.written.notify_all();
        }
    }

    fn wait(&self, within: Duration) {
        let busy = |waits: &mut Waits| waits.served && (waits.writing || !waits.text.is_empty());
        drop(self.written.wait_timeout_while(lock(&self.waits), within, busy));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The way into the queue, for one line.
struct Lines;

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        QUEUE.take(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Leaves out what comes too often: clients and targets can cause some lines as often as they like.
struct Bounded {
    format: Format,
    kinds: Mutex<HashMap<Identifier, Kind>>,
}

impl Bounded {
    fn new(format: Format) -> Bounded {
        Bounded {
            format,
            kinds: Mutex::default(),
        }
    }
}

impl<S, N> FormatEvent<S, N> for Bounded
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, cx: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let kind = event.metadata();
        let mut left_out = 0;
        if *kind.level() <= Level::INFO {
            let mut kinds = lock(&self.kinds);
            match kinds.entry(kind.callsite()).or_default().comes(Instant::now()) {
                Some(before) => left_out = before,
                None => {
                    DROPPED.fetch_add(1, Relaxed);
                    return Ok(());
                }
            }
        }
        if left_out > 0 {
            let told = format_args!("{left_out} lines like the next one were left out");
            out.write_str(&own(Level::WARN, told))?;
        }
        if JSON.load(Relaxed) {
            return out.write_str(&json::event(event));
        }
        self.format.format_event(cx, out, event)
    }
}

/// Lines that one place in the program writes.
#[derive(Debug, Default)]
struct Kind {
    since: Option<Instant>,
    told: u32,
    left_out: u64,
}

impl Kind {
    /// One more has come. None if it is to be left out; else how many were, before it.
    fn comes(&mut self, now: Instant) -> Option<u64> {
        let over = |since: Instant| now.saturating_duration_since(since) >= Duration::from_secs(1);
        if self.since.is_none_or(over) {
            (self.since, self.told) = (Some(now), 0);
        }
        if self.told == OF_A_KIND {
            self.left_out += 1;
            return None;
        }
        self.told += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each of 200,000 stray frames wrote a line of its own.
    #[test]
    fn so_many_of_a_kind_a_second_and_the_rest_is_counted() {
        let (mut kind, now) = (Kind::default(), Instant::now());
        let told = (0..1000).filter(|_| kind.comes(now).is_some()).count();
        assert_eq!(told, OF_A_KIND as usize);
        let later = now + Duration::from_millis(999);
        assert_eq!(kind.comes(later), None);
        let next = now + Duration::from_secs(1);
        assert_eq!(kind.comes(next), Some(991));
        assert_eq!(kind.comes(next), Some(0));
    }

    /// A line waited for whoever reads standard error, and its thread with it.
    #[test]
    fn a_full_queue_drops_and_counts() {
        let queue = Queue {
            waits: Mutex::new(Waits {
                text: Vec::new(),
                dropped: 0,
                writing: false,
                // By nobody, as if the pipe were full.
                served: true,
            }),
            more: Condvar::new(),
            written: Condvar::new(),
        };
        let line = [b'x'; 1024];
        for _ in 0..300 {
            queue.take(&line);
        }
        let waits = lock(&queue.waits);
        assert_eq!((waits.text.len(), waits.dropped), (WAITING, 300 - 256));
        drop(waits);
        queue.wait(Duration::from_millis(1));
    }
}
